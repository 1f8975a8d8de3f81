"""What the book draws: one file a chapter, in one style.

`style` has colours, axes and the figures that several chapters draw; spike, baseline, selector,
costs, audit and speed are the chapters', in their order. `controls` has the charts that move,
`inside` the looks into trained networks that are committed for them, `exercises` the judge of
the reader's answers.
"""
