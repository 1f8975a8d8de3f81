"""Charts that move without a server: Vega-Altair, of committed rows or of an equation."""

import base64
import io
import json
import os

import altair as alt
import matplotlib.image
import numpy as np
import pandas as pd

from ssf.figures.style import COLOURS, GREY, INK, picture

BLUE, ORANGE = COLOURS["ticket"], COLOURS["reinit"]
VEGA = """<div id="{name}" class="chart"></div><script src="_static/vega.js"></script>
<script>showChart("#{name}", {spec})</script>"""


def shown(chart, name, description):
    """The chart as a notebook shows it; in a build of the book (SSF_BOOK is set) as HTML that
    finds Vega and charts.js beside it. description: its alternative text."""
    chart = chart.properties(description=description, background="white")
    chart = chart.configure_view(stroke=None).configure_axis(grid=False)
    chart = chart.configure_title(anchor="start", fontSize=12)
    if "SSF_BOOK" not in os.environ:
        return chart
    from IPython.display import HTML

    spec = json.dumps(chart.to_dict(), separators=(",", ":")).replace("</", "<\\/")
    return HTML(VEGA.format(name=name, spec=spec))


def slider(name, label, low, high, step, value):
    bind = alt.binding_range(min=low, max=high, step=step, name=label + " ")
    return alt.param(name=name, value=value, bind=bind)


def menu(name, label, options):
    bind = alt.binding_select(options=options, name=label + " ")
    return alt.param(name=name, value=options[0], bind=bind)


def caption(chart, width):
    """A line of the chart's column `text`."""
    chart = chart.mark_text(align="left", fontSize=12)
    chart = chart.encode(text="text:N", x=alt.value(0), y=alt.value(8))
    return chart.properties(width=width, height=16)


def in_cells(chart, height, width):
    """The chart, a cell for each place (x, y) of a grid, with or without a mark."""
    x, y = (alt.Scale(domain=list(range(size)), padding=0) for size in (width, height))
    return chart.encode(x=alt.X("x:O", axis=None, scale=x), y=alt.Y("y:O", axis=None, scale=y))


def png(colours):
    """Colours [H,W,3] of 0 to 1 as a data address, a pixel 4 by 4, so that no browser blurs it."""
    with io.BytesIO() as file:
        matplotlib.image.imsave(file, colours.repeat(4, 0).repeat(4, 1), format="png")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def lif_chart(tau, v_threshold, steps=20):
    """One LIF neuron under a current that is switched on for a while, with sliders.

    The equations are those of `ssf.model.neuron.LIF`, unrolled over time for Vega.
    """
    chart = alt.Chart(pd.DataFrame({"v0": [0]})).add_params(
        slider("current", "current Iₜ", 0, 3, 0.1, 1.5),
        slider("tau", "time constant τ", 1.5, 8, 0.5, tau),
        slider("threshold", "threshold Vₜₕ", 0.2, 2, 0.1, v_threshold),
    )
    for t in range(1, steps + 1):
        current = "current" if 3 <= t < steps - 3 else 0
        charged = f"datum.v{t - 1} + ({current} - datum.v{t - 1}) / tau"
        chart = chart.transform_calculate(**{f"h{t}": charged})
        chart = chart.transform_calculate(**{f"v{t}": f"datum.h{t} >= threshold ? 0 : datum.h{t}"})
    walk = ["v0", *(f"{letter}{t}" for t in range(1, steps + 1) for letter in "hv")]
    chart = chart.transform_fold(walk, as_=["step", "H"])
    chart = chart.transform_calculate(t="toNumber(slice(datum.step, 1))", limit="threshold")
    chart = chart.transform_calculate(after="slice(datum.step, 0, 1) == 'v'")
    chart = chart.transform_calculate(order="2 * datum.t + datum.after")
    time = {"scale": alt.Scale(domain=[0, steps]), "axis": alt.Axis(tickMinStep=1)}
    time = alt.X("t:Q", title="time step t", **time)
    y = alt.Y("H:Q", title="potential and current", scale=alt.Scale(domain=[0, 3.2], nice=False))
    charged = chart.transform_filter("!datum.after").transform_calculate(
        I=f"datum.t >= 3 && datum.t < {steps - 3} ? current : 0", spike="datum.H >= threshold"
    )
    area = charged.mark_area(interpolate="step", color=GREY, opacity=0.3).encode(x=time, y="I:Q")
    limit = chart.mark_rule(strokeDash=[4, 3], color=INK).encode(y="limit:Q")
    path = chart.mark_line(color=BLUE).encode(x=time, y=y, order="order:Q")
    tip = [alt.Tooltip("t:Q", title="time step"), alt.Tooltip("H:Q", title="Hₜ", format=".2f")]
    dots = charged.mark_point(filled=True, size=40, opacity=1, color=BLUE)
    spikes = charged.transform_filter("datum.spike").mark_tick(thickness=3, size=18, color=ORANGE)
    count = charged.transform_aggregate(fired="sum(spike)")
    count = count.transform_calculate(text="datum.fired + ' spikes'")
    count = count.mark_text(align="left", fontSize=12, color=INK).encode(text="text:N")
    layers = area + limit + path + dots.encode(x=time, y=y, tooltip=tip)
    layers += spikes.encode(x=time, y=alt.value(10))
    layers += count.encode(x=alt.value(2), y=alt.value(-8))
    return layers.properties(width=300, height=200)


def rounds_chart(mask, layers, said):
    """A layer's mask, and the share that every layer keeps, after the round that a slider says.

    mask [outputs,inputs]: the round that removed each weight, 0 for none. layers: columns layer,
    round, kept (a share). said: {round: a line below the mask}, 0 for the dense network.
    """
    last, (y, x) = max(said), np.indices(mask.shape)
    cells = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "round": mask.ravel()})
    weights = alt.Chart(cells, title="the weights left in one layer")
    weights = weights.add_params(slider("after", "round of the search", 0, last, 1, last // 2))
    weights = weights.transform_filter("datum.round == 0 || datum.round > after")
    weights = in_cells(weights.mark_rect(color=INK), *mask.shape).properties(width=192, height=192)
    text = alt.Chart(pd.DataFrame({"round": list(said), "text": list(said.values())}))
    order = list(layers.layer.unique())
    kept = {"axis": alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])}
    kept |= {"scale": alt.Scale(domain=[0, 1])}
    bars = alt.Chart(layers, title="what is left of every layer")
    bars = bars.transform_filter("datum.round == after").mark_bar(color=BLUE)
    y = alt.Y("layer:N", sort=order, title=None, scale=alt.Scale(domain=order))
    tip = alt.Tooltip("kept:Q", title="kept", format=".0%")
    bars = bars.encode(x=alt.X("kept:Q", title="share kept", **kept), y=y, tooltip=tip)
    text = caption(text.transform_filter("datum.round == after"), 192)
    return alt.vconcat(weights, text, bars.properties(width=150, height=240))


def tokens_chart(images, table, names):
    """Which tokens of a picture are kept, at the keep ratio of a slider, by one score or another.

    images [n,c,H,W]; table: image (its number among them), token, foreground (a share), and a
    column for each score, the higher the rather it stays. names: {column: label} of the scores.
    """
    count = int(table.token.max()) + 1
    side = round(count**0.5)
    ranks = table.groupby("image")[list(names)].rank(ascending=False, method="first").astype(int)
    rows = ranks.rename(columns=names).assign(image=table.image, shows=1 * (table.foreground > 0))
    rows = rows.assign(x=table.token % side, y=table.token // side)
    urls = [png(picture(image)) for image in images]
    pictures = alt.Chart(pd.DataFrame({"image": range(len(images)), "url": urls})).add_params(
        slider("keep", "keep ratio ρ", 0.05, 1, 0.05, 0.5),
        menu("score", "chosen by", list(names.values())),
        slider("picture", "picture", 1, len(images), 1, 1),
    )
    pictures = pictures.transform_filter("datum.image == picture - 1")
    kept = f"datum[score] <= floor(keep * {count})"
    tokens = alt.Chart(rows).transform_filter("datum.image == picture - 1")
    text = tokens.transform_calculate(hit=f"datum.shows * ({kept} ? 1 : 0)")
    text = text.transform_aggregate(hit="sum(hit)", of="sum(shows)").transform_calculate(
        text="'kept: ' + datum.hit + ' of the ' + datum.of + ' tokens that show the item'"
    )
    size, middle = {"width": 280, "height": 280}, {"x": alt.value(140), "y": alt.value(140)}
    pictures = pictures.mark_image(**size).encode(url="url:N", **middle)
    dropped = tokens.transform_filter(f"!({kept})").mark_rect(color=ORANGE, opacity=0.75)
    layered = pictures + in_cells(dropped, side, side)
    return alt.vconcat(layered.properties(**size), caption(text, 280))


FAMILIES = {
    "dense": "dense",
    "longer": "all tokens",
    "ticket": "ticket",
    "learned": "selector",
    "both": "ticket and selector",
}


def front(x, y):
    """Which points nobody beats: none has less x and at least as much y, or as little x and more y.

    [n] of bool.
    """
    x, y = np.asarray(x), np.asarray(y)
    as_good = (x <= x[:, None]) & (y >= y[:, None])
    better = as_good & ((x < x[:, None]) | (y > y[:, None]))
    return ~better.any(1)


def pareto_chart(table, costs):
    """The change in accuracy against a cost of the reader's choice, and the front of the best.

    table: kind, label, change, low, high, and a column for each of costs, {column: label}.
    """
    parts = []
    for column, label in costs.items():
        part = table.dropna(subset=column)
        share = part[column] / part[column][part.kind == "dense"].iloc[0]
        best = front(part[column], part.change)
        parts.append(part[["kind", "label"]].assign(cost=label, share=share, best=best))
    points = 100 * table[["change", "low", "high"]]
    rows = pd.concat(parts).join(points).assign(family=lambda rows: rows.kind.map(FAMILIES))
    chart = alt.Chart(rows.rename(columns={"label": "network"}))
    chart = chart.transform_filter("datum.cost == cost")
    kinds = [kind for kind in FAMILIES if kind in set(table.kind)]
    names, colours = zip(*((FAMILIES[kind], COLOURS[kind]) for kind in kinds), strict=True)
    legend = alt.Legend(orient="bottom", columns=2)
    families = alt.Scale(domain=names, range=colours)
    colour = alt.Color("family:N", title=None, scale=families, legend=legend)
    axis = {"axis": alt.Axis(format="%"), "scale": alt.Scale(domainMin=0)}
    x = alt.X("share:Q", title="share of the dense network's cost", **axis)
    y = alt.Y("change:Q", title="change in accuracy (points)")
    share = alt.Tooltip("share:Q", format=".1%", title="share of the dense network's")
    change = alt.Tooltip("change:Q", format="+.1f", title="change in accuracy (points)")
    line = chart.transform_filter("datum.best")
    line = line.mark_line(interpolate="step-after", color=ORANGE, strokeWidth=1)
    low = alt.Y("low:Q", title="change in accuracy (points)")
    whiskers = chart.mark_rule().encode(x=x, y=low, y2="high:Q", color=colour)
    dots = chart.mark_point(filled=True, size=60, opacity=1)
    dots = dots.encode(x=x, y=y, color=colour, tooltip=["network:N", "cost:N", share, change])
    dots = dots.add_params(menu("cost", "cost", list(costs.values())))
    layered = line.encode(x=x, y=y, order="share:Q") + whiskers + dots
    return layered.properties(width=300, height=230)
