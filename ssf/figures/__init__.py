"""What the book draws, in one style.

`style` has colours, axes and the figures that several chapters draw, `chapters` and `speed` those
of a single one. `controls` has the charts that move, `inside` the looks into trained networks that
are committed for them, `live` a network that computes in a page, `exercises` the answers' judge.
"""
