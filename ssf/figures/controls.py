"""Figures with controls: Vega-Altair charts of committed rows, or of an equation, that move without a server."""

import base64
import io
import json
import os

import numpy as np

from ssf.figures import plots

INK, PAPER, LEFT_OUT = plots.INK, "white", plots.COLOURS["reinit"]
WIDE = 330  # pixels: what a phone has room for


def shown(chart, name, description):
    """The chart as a notebook shows it; in a build of the book (SSF_BOOK is set) as HTML that finds Vega beside it.

    description: its alternative text.
    """
    chart = chart.properties(description=description, background=PAPER)
    chart = (
        chart.configure_view(stroke=None)
        .configure_axis(grid=False)
        .configure_title(anchor="start", fontSize=12)
    )
    if "SSF_BOOK" not in os.environ:
        return chart
    from IPython.display import HTML

    spec = json.dumps(chart.to_dict(), separators=(",", ":")).replace("</", "<\\/")
    options = '{"renderer": "svg", "actions": false}'
    return HTML(
        f'<div id="{name}" class="chart"></div><script src="_static/vega.js"></script>'
        f'<script>vegaEmbed("#{name}", {spec}, {options})</script>'
    )


def slider(name, label, low, high, step, value):
    import altair as alt

    return alt.param(
        name=name,
        value=value,
        bind=alt.binding_range(min=low, max=high, step=step, name=label + " "),
    )


def choice(name, label, options):
    import altair as alt

    return alt.param(
        name=name, value=options[0], bind=alt.binding_select(options=options, name=label + " ")
    )


def lif(steps=20, tau=2.0, v_threshold=1.0, current=1.5):
    """One LIF neuron under a current that is switched on for a while: tau, threshold and current are sliders.

    The equations are those of `neurons.LIF`, unrolled over time for Vega.
    """
    import altair as alt

    on = range(3, steps - 3)
    chart = alt.Chart(alt.Data(values=[{"v0": 0}])).add_params(
        slider("current", "current X", 0, 4, 0.1, current),
        slider("tau", "time constant τ", 1.5, 8, 0.5, tau),
        slider("threshold", "threshold θ", 0.2, 2, 0.1, v_threshold),
    )
    for t in range(1, steps + 1):
        charged = f"datum.v{t - 1} + ({'current' if t in on else 0} - datum.v{t - 1}) / tau"
        chart = chart.transform_calculate(**{f"h{t}": charged})
        chart = chart.transform_calculate(**{f"v{t}": f"datum.h{t} >= threshold ? 0 : datum.h{t}"})
    chart = chart.transform_fold(
        [f"h{t}" for t in range(1, steps + 1)], as_=["step", "H"]
    ).transform_calculate(
        t="toNumber(slice(datum.step, 1))", limit="threshold", spike="datum.H >= threshold"
    )
    x = alt.X(
        "t:Q",
        title="time step t",
        scale=alt.Scale(domain=[0.5, steps + 0.5]),
        axis=alt.Axis(tickCount=10),
    )
    potential = alt.Y("H:Q", title="potential H", scale=alt.Scale(domain=[0, 2.7]))
    line = chart.mark_line(point=True, color=plots.COLOURS["ticket"]).encode(x=x, y=potential)
    limit = chart.mark_rule(strokeDash=[4, 3], color=INK).encode(y="limit:Q")
    spikes = chart.transform_filter("datum.spike").mark_tick(
        thickness=3, size=24, color=plots.COLOURS["reinit"]
    )
    counted = chart.transform_aggregate(fired="sum(spike)").transform_calculate(
        text="datum.fired + ' spikes'"
    )
    label = counted.mark_text(align="left", fontSize=12).encode(
        text="text:N", x=alt.value(0), y=alt.value(8)
    )
    train = spikes.encode(x=x) + label
    return alt.vconcat(
        (line + limit).properties(width=WIDE - 50, height=160),
        train.properties(width=WIDE - 50, height=40),
    )


def rounds(mask, layers, accuracy):
    """A layer's mask, and the share that every layer keeps, after the round of the search that a slider says.

    mask [outputs,inputs]: the round that removed each weight, 0 for none. layers: columns layer, round, kept (a share).
    accuracy: {round: share of the test images}, 0 for the dense network.
    """
    import altair as alt

    cells = [{"y": y, "x": x, "r": int(r)} for (y, x), r in np.ndenumerate(mask)]
    last = max(accuracy)
    square = {"width": 256, "height": 256}
    picture = (
        alt.Chart(alt.Data(values=cells), title="one layer: the weights that are left")
        .add_params(slider("after", "round of the search", 0, last, 1, last))
        .transform_filter("datum.r == 0 || datum.r > after")
        .mark_rect(color=INK)
        .encode(x=grid_axis("x", mask.shape[1]), y=grid_axis("y", mask.shape[0]))
        .properties(**square)
    )
    told = [{"r": r, "told": f"test accuracy {100 * share:.1f} %"} for r, share in accuracy.items()]
    text = (
        alt.Chart(alt.Data(values=told))
        .transform_filter("datum.r == after")
        .mark_text(align="left", fontSize=12)
    )
    text = text.encode(text="told:N", x=alt.value(0), y=alt.value(8)).properties(
        width=256, height=16
    )
    order = list(dict.fromkeys(layers.layer))
    bars = (
        alt.Chart(alt.Data(values=layers.to_dict("records")), title="every layer: what is left")
        .transform_filter("datum.round == after")
        .mark_bar(color=plots.COLOURS["ticket"])
        .encode(
            x=alt.X(
                "kept:Q",
                title="share kept",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("layer:N", sort=order, title=None, scale=alt.Scale(domain=order)),
        )
        .properties(width=150, height=240)
    )
    return alt.vconcat(picture, text, bars)


def grid_axis(name, size):
    """An axis of places, none of which is dropped where nothing is drawn."""
    import altair as alt

    channel = alt.X if name == "x" else alt.Y
    return channel(f"{name}:O", axis=None, scale=alt.Scale(domain=list(range(size)), padding=0))


def png(image, times=4):
    """An image [H,W,3] of 0 to 1 as a data address, each pixel so many times as wide, so that no browser blurs it."""
    import matplotlib.image

    with io.BytesIO() as file:
        matplotlib.image.imsave(file, image.repeat(times, 0).repeat(times, 1), format="png")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def tokens(images, table, names):
    """Which tokens of a picture are kept, at the keep ratio of a slider, by one score or another.

    images [n,c,H,W]; table: image (its number among them), token, foreground (a share), and a column for each score,
    the higher the rather it stays. names: {column: label} of the scores.
    """
    import altair as alt

    count = int(table.token.max()) + 1
    side = round(count**0.5)
    rows = table.assign(
        x=table.token % side, y=table.token // side, shows=(table.foreground > 0).astype(int)
    )
    for column, label in names.items():
        rows[label] = (
            rows.groupby("image")[column].rank(ascending=False, method="first").astype(int)
        )
    rows = rows[["image", "x", "y", "shows", *names.values()]].to_dict("records")
    drawn = [{"image": i, "url": png(plots.picture(image))} for i, image in enumerate(images)]
    here = "datum.image == picture - 1"
    kept = f"datum[score] <= floor(keep * {count})"
    wide = {"width": 280, "height": 280}
    below = (
        alt.Chart(alt.Data(values=drawn))
        .add_params(
            slider("keep", "keep ratio ρ", 0.05, 1, 0.05, 0.5),
            choice("score", "chosen by", list(names.values())),
            slider("picture", "picture", 1, len(images), 1, 1),
        )
        .transform_filter(here)
        .mark_image(**wide)
        .encode(url="url:N", x=alt.value(140), y=alt.value(140))
    )
    places = alt.Chart(alt.Data(values=rows)).transform_filter(here)
    over = places.transform_filter(f"!({kept})").mark_rect(color=LEFT_OUT, opacity=0.75)
    over = over.encode(x=grid_axis("x", side), y=grid_axis("y", side))
    told = (
        places.transform_calculate(hit=f"datum.shows * ({kept} ? 1 : 0)")
        .transform_aggregate(hit="sum(hit)", of="sum(shows)")
        .transform_calculate(
            text="'shows the item: ' + datum.hit + ' of ' + datum.of + ' tokens kept'"
        )
        .mark_text(align="left", fontSize=12)
        .encode(text="text:N", x=alt.value(0), y=alt.value(8))
        .properties(width=280, height=16)
    )
    return alt.vconcat((below + over).properties(**wide), told)


def blocks(images, table, across=4, size=76, gap=6):
    """Pictures that lose their background block by block: a slider says how many selectors they have passed.

    images [n,c,H,W]; table: image (its number among them), token, and block_0, block_1, …: kept before that block.
    """
    import altair as alt

    steps = [column for column in table if column.startswith("block_")]
    side = round((int(table.token.max()) + 1) ** 0.5)
    pitch = size + gap
    left, top = pitch * (table.image % across), pitch * (table.image // across)
    rows = table.assign(
        x=left + size / side * (table.token % side), y=top + size / side * (table.token // side)
    )
    rows["gone"] = (
        table[steps].sum(axis=1) + 1
    )  # the selector that drops it; the last one's number + 1: none
    rows = rows.assign(x2=rows.x + size / side, y2=rows.y + size / side)[
        ["x", "x2", "y", "y2", "gone"]
    ]
    centre = [
        (pitch * (i % across) + size / 2, pitch * (i // across) + size / 2)
        for i in range(len(images))
    ]
    drawn = [
        {"x": x, "y": y, "url": png(plots.picture(im))}
        for (x, y), im in zip(centre, images, strict=True)
    ]
    width, height = pitch * across, pitch * -(-len(images) // across)

    def place(name, channel, far):
        return channel(
            f"{name}:Q",
            axis=None,
            scale=alt.Scale(domain=[0, far] if channel is alt.X else [far, 0]),
        )

    corner = {"x": place("x", alt.X, width), "y": place("y", alt.Y, height)}
    below = (
        alt.Chart(alt.Data(values=drawn))
        .mark_image(width=size, height=size)
        .encode(url="url:N", **corner)
    )
    over = (
        alt.Chart(alt.Data(values=rows.to_dict("records")))
        .add_params(slider("passed", "selectors passed", 0, len(steps), 1, len(steps)))
        .transform_filter("datum.gone <= passed")
        .mark_rect(color=LEFT_OUT, opacity=0.75)
        .encode(x2="x2:Q", y2="y2:Q", **corner)
    )
    return (below + over).properties(width=width, height=height)


def pareto(table, costs):
    """Accuracy against a cost of the reader's choice, as a share of the dense network's, and the front of the best.

    table: kind, label, accuracy, low, high, and a column for each of costs, {column: label}.
    """
    import altair as alt

    rows = []
    for column, label in costs.items():
        part = table.dropna(subset=column)
        whole = part[part.kind == "dense"][column].iloc[0]
        best = plots.front(part[column], part.accuracy)
        for row, cost, on in zip(part.itertuples(), part[column] / whole, best, strict=True):
            about = {"network": row.label, "family": plots.FAMILIES[row.kind]}
            height = {"y": 100 * row.accuracy, "low": 100 * row.low, "high": 100 * row.high}
            rows.append(about | height | {"cost": label, "x": cost, "best": bool(on)})
    kinds = [kind for kind in plots.FAMILIES if kind in set(table.kind)]
    colour = alt.Color(
        "family:N",
        title=None,
        scale=alt.Scale(
            domain=[plots.FAMILIES[k] for k in kinds], range=[plots.COLOURS[k] for k in kinds]
        ),
        legend=alt.Legend(orient="bottom", columns=2),
    )
    chart = alt.Chart(alt.Data(values=rows)).transform_filter("datum.cost == cost")
    x = alt.X(
        "x:Q",
        title="cost, of the dense network's",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(domainMin=0),
    )
    y = alt.Y("y:Q", title="test accuracy (%)", scale=alt.Scale(zero=False))
    hover = [
        alt.Tooltip(name, format=form)
        for name, form in (("network:N", ""), ("x:Q", ".1%"), ("y:Q", ".1f"))
    ]
    front = chart.transform_filter("datum.best").mark_line(
        interpolate="step-after", color=plots.COLOURS["reinit"], strokeWidth=1
    )
    whiskers = chart.mark_rule().encode(
        x=x, y=alt.Y("low:Q", title="test accuracy (%)"), y2="high:Q", color=colour
    )
    dots = chart.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, y=y, color=colour, tooltip=hover
    )
    dots = dots.add_params(choice("cost", "cost", list(costs.values())))
    layered = front.encode(x=x, y=y, order="x:Q") + whiskers + dots
    return layered.properties(width=WIDE - 60, height=260)
