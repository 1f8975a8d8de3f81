"""Figures of chapter 6: the library beside the published implementation, by the clock.

Rows are those of `ssf.speed.bench`; an implementation that was not timed is left out.
"""

from ssf.figures.style import COLOURS, GREY, INK, done, draw_sentence, figure

IMPLEMENTATIONS = {  # what they are called in figures, and their colours
    "SpikingJelly": ("SpikingJelly's layers", COLOURS["random"]),
    "ssf": ("this library", COLOURS["ticket"]),
    "ssf, deployed": ("this library, deployed", COLOURS["learned"]),
}
PARTS = {
    "products": COLOURS["ticket"],
    "BatchNorm and neurons": COLOURS["learned"],
    "pooling": COLOURS["random"],
    "the rest": GREY,
}
NOT_TIMED = "not timed: deployed networks need a C compiler, and run on a CPU"


def draw_speed(ratios):
    """Times as fast as the published code in the same precision; rows of `bench.ratios`.

    A panel a measure, a line for each network and precision, a dot for each other implementation,
    and a line from its slowest to its fastest repeat.
    """
    measures = list(ratios.measure.unique())
    fig, axes = figure(len(measures), height=2.5, squeeze=False, sharex=True)
    for ax, measure in zip(axes[:, 0], measures, strict=True):
        part = ratios[ratios.measure == measure]
        part = part.assign(label=part.network + ", " + part.precision)
        labels = list(part.label.unique())
        ax.axvline(1, color=INK, lw=1, label="published code")
        for name, (said, colour) in IMPLEMENTATIONS.items():
            own = part[part.implementation.isin([name, f"{name}, bfloat16"])]
            at = [labels.index(label) for label in own.label]
            ax.hlines(at, own.least, own.most, color=colour, lw=1.5, alpha=0.6)
            ax.plot(own.like, at, "o", color=colour, label=said)
        ax.set(yticks=range(len(labels)), yticklabels=labels, title=measure)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.grid(axis="x", alpha=0.3)
    axes[-1][0].set(xlabel="times as fast as the published code", xlim=(0, None))
    return done(fig, legend=2)


def draw_step(rows):
    """Where a training step's time goes, in % of the same step in float32.

    rows: network, implementation ("ssf" or "ssf, bfloat16"), variable (a part), seconds.
    """
    if len(rows) == 0:
        return draw_sentence("not profiled on this machine")
    table = rows.pivot(index=["network", "implementation"], columns="variable", values="seconds")
    whole = table.xs("ssf", level="implementation").sum(axis=1)
    table = 100 * table.div(whole, axis=0, level="network")[list(PARTS)]
    names = {"ssf": "float32", "ssf, bfloat16": "bfloat16"}
    table.index = [f"{network}, {names[kind]}" for network, kind in table.index]
    fig, ax = figure(height=0.4 * len(table) + 1)
    table.plot.barh(ax=ax, stacked=True, width=0.7, color=PARTS, legend=False)
    ax.set_xlabel("% of the step in float32")
    ax.invert_yaxis()
    return done(fig, legend=4)


def draw_firing(rows):
    """Multiplying's time by that of adding spikes; rows: implementation, value (rate), seconds."""
    if len(rows) == 0:
        return draw_sentence(NOT_TIMED)
    fig, ax = figure()
    table = rows.pivot(index="value", columns="implementation", values="seconds")
    faster, colour = table["ssf"] / table["ssf, deployed"], IMPLEMENTATIONS["ssf, deployed"][1]
    ax.plot(faster, "o-", ms=4, color=colour, label="adding a row for each spike (deployed)")
    ax.axhline(1, color=IMPLEMENTATIONS["ssf"][1], label="multiplying")
    ax.set(xlabel="firing rate (spikes per neuron and time step)", xlim=(0, None))
    ax.set(ylabel="times as fast as multiplying", ylim=(0, None))
    ax.legend()
    return done(fig)


def draw_clock(rows):
    """Theory against clock; rows as `bench.shares` gives them, shares of the dense network's."""
    if len(rows) == 0:
        return draw_sentence(NOT_TIMED)
    fig, ax = figure(height=0.7 * len(rows) + 1)
    bars = {
        "macs": ("MACs of what is left", GREY),
        "seconds": ("time, multiplying", IMPLEMENTATIONS["ssf"][1]),
        "deployed": ("time, deployed", IMPLEMENTATIONS["ssf, deployed"][1]),
    }
    labels, colours = zip(*bars.values(), strict=True)
    table = 100 * rows.set_index("label")[list(bars)].set_axis(labels, axis=1)
    table.plot.barh(ax=ax, width=0.78, color=colours, legend=False, ylabel="")
    ax.set_xlabel("% of the dense network's, multiplying")
    ax.invert_yaxis()
    return done(fig, legend=3)
