"""Figures of chapter 6: the library beside the published implementation, by the clock.

Rows are those of `ssf.speed.bench`; an implementation that was not timed is left out.
"""

import seaborn as sns

from ssf.figures.style import COLOURS, GREY, INK, done, draw_sentence, figure


def light(colour):
    """The same hue, for the same implementation in half precision."""
    return sns.set_hls_values(colour, l=0.75)


IMPLEMENTATIONS = {
    "copy": GREY,
    "published": INK,
    "published, bfloat16": light(INK),
    "SpikingJelly": COLOURS["random"],
    "SpikingJelly, bfloat16": light(COLOURS["random"]),
    "ssf": COLOURS["ticket"],
    "ssf, bfloat16": light(COLOURS["ticket"]),
    "ssf, deployed": COLOURS["learned"],
}
PARTS = {
    "products": COLOURS["ticket"],
    "BatchNorm and neurons": COLOURS["learned"],
    "pooling": COLOURS["random"],
    "the rest": GREY,
}
NOT_TIMED = "not timed: deployed networks need a C compiler, and run on a CPU"


def by_implementation(rows, index, values):
    """A table with a line for each value of `index` and a column for each implementation timed."""
    table = rows.pivot(index=index, columns="implementation", values=values)
    return table[[name for name in IMPLEMENTATIONS if name in table]]


def draw_over_values(ax, rows, values, form="g", **kwargs):
    """A line an implementation against the column `value`, a logarithmic axis with these ticks."""
    table = by_implementation(rows, "value", values)
    table.plot(ax=ax, logx=True, style="o-", ms=4, color=IMPLEMENTATIONS, legend=False, **kwargs)
    ax.set_xticks(table.index, [f"{value:{form}}" for value in table.index])
    ax.minorticks_off()


def draw_speed(ratios, aims):
    """Times faster than the published implementation, a panel a measure; rows of `bench.ratios`.

    aims: {measure: {network: ratio}}, drawn as short lines.
    """
    measures = ratios.measure.unique()
    fig, axes = figure(1, len(measures), height=3.2, squeeze=False)
    for ax, measure in zip(axes[0], measures, strict=True):
        part = ratios[ratios.measure == measure]
        table = by_implementation(part, "network", "ratio").loc[part.network.unique()]
        table.plot.bar(ax=ax, width=0.8, color=IMPLEMENTATIONS, rot=0, legend=False, title=measure)
        for i, network in enumerate(table.index):
            ax.hlines(aims[measure][network], i - 0.45, i + 0.45, color=COLOURS["reinit"], lw=1.5)
        ax.set(xlabel="network (blocks-width)", xlim=(-0.55, len(table) - 0.45))
    axes[0][0].set_ylabel("times as fast as published")
    return done(fig, legend=4)


def draw_step(rows):
    """Where a training step's time goes, in % of the same step in float32.

    rows: network, implementation ("ssf" or "ssf, bfloat16"), variable (a part), seconds.
    """
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


def draw_growth(rows):
    """Seconds of a training step as something grows, a panel each; dashed: as the MACs do.

    rows: variable, value, implementation, seconds, macs. The dashed line meets the library's at
    the smallest value.
    """
    variables = rows.variable.unique()
    fig, axes = figure(1, len(variables), height=2.6, sharey=True)
    for ax, variable in zip(axes, variables, strict=True):
        part = rows[rows.variable == variable]
        draw_over_values(ax, part, "seconds", logy=True, xlabel=variable)
        ours = part[part.implementation == "ssf"].set_index("value").sort_index()
        expected = ours.macs / ours.macs.iloc[0] * ours.seconds.iloc[0]
        ax.plot(expected, color=GREY, ls="--", label="in proportion to the MACs")
    axes[0].set_ylabel("seconds a step")
    return done(fig, legend=3)


def draw_roofline(rows):
    """Bytes a second that the LIF's two passes move, beside a copy.

    rows: implementation, value (MB a tensor), megabytes, seconds.
    """
    fig, ax = figure()
    rows = rows.assign(speed=rows.megabytes / 1e3 / rows.seconds)
    labels = {"xlabel": "size of the currents (MB)", "ylabel": "GB/s of the bytes needed"}
    draw_over_values(ax, rows, "speed", **labels, ylim=(0, None))
    ax.legend()
    return done(fig)


def draw_firing(rows):
    """Images a second against the mean firing rate; rows: implementation, value, batch, seconds."""
    if len(rows) == 0:
        return draw_sentence(NOT_TIMED)
    fig, ax = figure()
    rows = rows.assign(speed=rows.batch / rows.seconds)
    labels = {
        "xlabel": "firing rate (spikes per neuron and time step)",
        "ylabel": "images a second",
    }
    draw_over_values(ax, rows, "speed", ".2g", **labels, ylim=(0, None))
    ax.legend(["multiplying", "adding spikes (deployed)"])
    return done(fig)


def draw_clock(rows):
    """Theory against clock; rows as `bench.shares` gives them, shares of the dense network's."""
    if len(rows) == 0:
        return draw_sentence(NOT_TIMED)
    fig, ax = figure(height=0.7 * len(rows) + 1)
    bars = {
        "macs": ("MACs of what is left", GREY),
        "seconds": ("time, multiplying", IMPLEMENTATIONS["ssf"]),
        "deployed": ("time, deployed", IMPLEMENTATIONS["ssf, deployed"]),
    }
    labels, colours = zip(*bars.values(), strict=True)
    table = 100 * rows.set_index("label")[list(bars)].set_axis(labels, axis=1)
    table.plot.barh(ax=ax, width=0.78, color=colours, legend=False, ylabel="")
    ax.set_xlabel("% of the dense network's, multiplying")
    ax.invert_yaxis()
    return done(fig, legend=3)
