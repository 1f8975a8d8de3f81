"""Every figure of the book, one function each, one style. Each returns the matplotlib Figure."""

import sys
from functools import cache

import numpy as np
import torch

from ssf.study.statistics import aggregate

# Okabe & Ito's colours, safe for the colour-blind: one meaning each, the same in every chapter
INK, GREY = "#222222", "#8a8a8a"
COLOURS = {
    "dense": INK,
    "longer": GREY,
    "ticket": "#0072b2",
    "reinit": "#d55e00",
    "random": "#e69f00",
    "learned": "#009e73",
    "both": "#cc79a7",
    "events": "#56b4e9",
}
LABELS = {
    "dense": "dense",
    "ticket": "ticket",
    "reinit": "same mask, new initialisation",
    "random": "random ticket",
    "learned": "learned selector",
}
MARKERS = {
    "dense": "s",
    "longer": "s",
    "ticket": "o",
    "reinit": "^",
    "random": "v",
    "learned": "o",
    "both": "D",
}


@cache
def lines_in_notebooks():
    """Have notebooks show figures as SVG: sharp on every screen, and small."""
    if "ipykernel" in sys.modules:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")


def figure(rows=1, columns=1, height=3.2, **kwargs):
    """A Figure and its axes in the book's style: white ground, thin lines, 12 cm to 18 cm wide."""
    import matplotlib.pyplot as plt  # here: importing the library stays quick
    import seaborn as sns

    lines_in_notebooks()
    sns.set_theme(
        context="notebook",
        style="ticks",
        font_scale=0.85,
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "image.interpolation": "none",  # an SVG keeps an image's own pixels
            "svg.hashsalt": "ssf",  # the same figure, the same file
            "svg.fonttype": "none",  # text stays text
        },
    )
    width = 4.8 if columns == 1 else 7.6
    return plt.subplots(
        rows, columns, figsize=(width, height * rows), layout="constrained", **kwargs
    )


def done(fig):
    """Take the figure out of pyplot, so that a notebook shows it once."""
    import matplotlib.pyplot as plt

    plt.close(fig)
    return fig


def membrane(current, potential, spikes, v_threshold):
    """One neuron: input current, membrane potential before the reset, and spikes; three sequences [T]."""
    fig, axes = figure(3, 1, height=1.2, sharex=True, gridspec_kw={"height_ratios": [1, 2, 0.6]})
    t = np.arange(1, len(current) + 1)
    axes[0].bar(t, current, color=GREY, width=0.8)
    axes[0].set_ylabel("current X")
    axes[1].plot(t, potential, "o-", color=COLOURS["ticket"], ms=4)
    axes[1].axhline(v_threshold, color=INK, ls="--", lw=1)
    axes[1].text(1, v_threshold, "threshold", va="bottom", fontsize="small")
    axes[1].set_ylabel("potential H")
    axes[2].vlines(t[np.asarray(spikes) > 0], 0, 1, color=COLOURS["reinit"], lw=3)
    axes[2].set(ylabel="spikes", yticks=[], ylim=(0, 1), xlabel="time step t", xticks=t[::2])
    return done(fig)


def surrogate(alpha):
    """The step that fires, and the derivative of the sigmoid that stands in for its own."""
    fig, ax = figure()
    x = np.linspace(-1.5, 1.5, 601)
    s = 1 / (1 + np.exp(-alpha * x))
    ax.plot(x, x >= 0, color=INK, label="spike: the step (forward)")
    ax.plot(
        x, alpha * s * (1 - s), color=COLOURS["ticket"], label="its stand-in derivative (backward)"
    )
    ax.set(xlabel="H − threshold", ylabel="value", ylim=(-0.05, 1.4))
    ax.legend(loc="upper left")
    return done(fig)


def staircase(strengths, rates, most):
    """Firing rate against a constant current; rates: {label: [n]}, from the current `most` on nothing more can."""
    fig, ax = figure()
    for (label, rate), colour in zip(rates.items(), (COLOURS["ticket"], GREY), strict=True):
        ax.step(strengths, rate, where="post", color=colour, lw=1.5, label=label)
    ax.axvline(most, color=INK, ls=":", lw=1)
    ax.text(most, 0.02, " τθ", color=INK, fontsize="small")
    ax.set(xlabel="current X", ylabel="firing rate (spikes per time step)")
    ax.legend(loc="upper left")
    return done(fig)


def raster(spikes, neurons=60, images=6, seed=0):
    """Spike rasters of some layers: {layer: [T, B, ...]}; a row a neuron, a column a time step.

    Rows are drawn at random from the neurons that fire at least once; the title says how many of all do.
    """
    fig, axes = figure(1, len(spikes), height=3.2, squeeze=False)
    rng = np.random.default_rng(seed)
    for ax, (name, s) in zip(axes[0], spikes.items(), strict=True):
        s = s[:, :images].flatten(2).cpu()
        steps, active = s.shape[0], s.sum((0, 1)).nonzero().squeeze(1).numpy()
        chosen = rng.choice(active, min(neurons, len(active)), replace=False)
        block = s[:, :, chosen].permute(1, 0, 2).flatten(0, 1)  # image after image, time within
        t, n = block.nonzero(as_tuple=True)
        ax.scatter(t, n, s=6, marker="s", color=INK, linewidths=0)
        for i in range(1, images):
            ax.axvline(i * steps - 0.5, color=GREY, lw=0.6)
        ax.set(
            title=f"{name}\n{100 * len(active) / s.shape[2]:.0f} % ever fire",
            xlim=(-0.5, len(block) - 0.5),
            ylim=(-1, neurons),
            yticks=[],
            xticks=(np.arange(images) + 0.5) * steps - 0.5,
            xticklabels=range(1, images + 1),
        )
    axes[0][0].set_ylabel(f"up to {neurons} neurons that fire")
    fig.supxlabel("image, its time steps side by side", fontsize="medium")
    return done(fig)


def rates(firing_rates):
    """Firing rate of every layer, {layer: spikes per neuron and time step}, in order of depth."""
    fig, ax = figure(height=0.22 * len(firing_rates) + 0.8)
    names = list(firing_rates)
    colours = [COLOURS["learned"] if n.startswith("stem") else COLOURS["ticket"] for n in names]
    ax.barh(names, list(firing_rates.values()), color=colours, height=0.7)
    ax.invert_yaxis()
    ax.set_xlabel("firing rate (spikes per neuron and time step)")
    return done(fig)


def learning_curve(history, chance):
    """Accuracy on the training and the validation split after each epoch; `chance` is drawn as a line."""
    fig, ax = figure()
    epochs = [row["epoch"] for row in history]
    for key, label, colour in (
        ("train_accuracy", "training (while learning)", GREY),
        ("validation_accuracy", "validation", COLOURS["ticket"]),
    ):
        if key in history[0]:
            ax.plot(epochs, [100 * row[key] for row in history], "o-", color=colour, label=label)
    ax.axhline(100 * chance, color=INK, ls=":", lw=1, label="chance")
    ax.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 100), xticks=epochs)
    ax.legend(loc="lower right")
    return done(fig)


DOTS = {"s": 9, "alpha": 0.45, "linewidths": 0}  # a seed each


def over_seeds(ax, rows, x, colour, marker, label):
    """A line through the means at each x of accuracy (%), a dot for every seed, and the 95 % interval over seeds.

    Where there is one seed, the bars are the 95 % interval of drawing the test images, if their number is given.
    """
    table = aggregate(rows, [x]).sort_values(x)
    if table.seeds.max() > 1:
        ax.scatter(rows[x], 100 * rows.accuracy, color=colour, **DOTS)
        half = table.high - table["mean"]
    else:
        half = (
            1.96
            * (table["mean"] * (1 - table["mean"]) / np.mean(rows.get("test_images", np.inf)))
            ** 0.5
        )
    style = {"elinewidth": 0.8, "lw": 1, "ms": 5, "zorder": 3}
    ax.errorbar(
        table[x],
        100 * table["mean"],
        100 * half,
        color=colour,
        fmt=f"-{marker}",
        label=label,
        **style,
    )


def level(ax, accuracies, colour, style, label):
    """A horizontal line at the mean accuracy (%); where there are seeds, dots at its left end and their interval."""
    import pandas as pd

    if len(accuracies) == 0:
        return
    (table,) = aggregate(
        pd.DataFrame({"all": 0, "accuracy": accuracies}), ["all"]
    ).itertuples()
    ax.axhline(100 * table.mean, color=colour, ls=style, lw=1, label=label)
    if table.seeds > 1:
        ax.axhspan(100 * table.low, 100 * table.high, color=colour, alpha=0.08, lw=0)
        at_the_axis = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        ax.scatter(
            [0] * table.seeds, 100 * np.array(accuracies), color=colour, **at_the_axis, **DOTS
        )


def tickets(records):
    """Test accuracy against sparsity: ticket, both controls, and the dense network as a line; see `over_seeds`."""
    fig, ax = figure(height=3.6)
    level(ax, records[records.kind == "dense"].accuracy, COLOURS["dense"], "--", LABELS["dense"])
    for kind in (kind for kind in ("ticket", "reinit", "random") if kind in set(records.kind)):
        rows = records[records.kind == kind]
        rows = rows.assign(removed=(100 * rows.sparsity).round(1))
        over_seeds(ax, rows, "removed", COLOURS[kind], MARKERS[kind], LABELS[kind])
    ax.set(xlabel="sparsity (% of the prunable weights removed)", ylabel="test accuracy (%)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return done(fig)


def nothing(why):
    """A figure of one sentence, where there is nothing to draw."""
    fig, ax = figure(height=1)
    ax.text(0.5, 0.5, why, ha="center", va="center")
    ax.set_axis_off()
    return done(fig)


def differences(found, margin=None, xlabel="difference in accuracy (points)"):
    """What changes accuracy by how much: {label: Estimate}, a dot a seed, the mean and its 95 % interval.

    margin: the share below which a difference counts as none, a band.
    """
    if not found:
        return nothing("not measured yet")
    fig, ax = figure(height=0.3 * len(found) + 0.8)
    for y, estimate in enumerate(found.values()):
        low, high = estimate.interval
        ax.scatter(
            100 * np.array(estimate.values),
            [y] * estimate.seeds,
            s=9,
            color=GREY,
            alpha=0.7,
            linewidths=0,
        )
        ax.plot([100 * low, 100 * high], [y, y], color=COLOURS["ticket"], lw=1.5)
        ax.plot(100 * estimate.mean, y, "o", ms=5, color=COLOURS["ticket"])
    ax.axvline(0, color=INK, lw=0.8)
    if margin:
        ax.axvspan(-100 * margin, 100 * margin, color=GREY, alpha=0.15, lw=0)
    ax.set(
        yticks=range(len(found)),
        yticklabels=list(found),
        xlabel=xlabel,
        ylim=(len(found) - 0.5, -0.5),
    )
    return done(fig)


def mask_rounds(mask, rounds):
    """What is left of a layer after some rounds, black; mask [outputs,inputs]: the round that removed each, or 0."""
    fig, axes = figure(1, len(rounds), height=7.6 / len(rounds) + 0.4, sharey=True)
    for ax, number in zip(axes, rounds, strict=True):
        left = (mask == 0) | (mask > number)
        ax.imshow(left, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        ax.set(
            xticks=[],
            yticks=[],
            title=f"round {number}: {100 * left.mean():.0f} % left" if number else "dense",
        )
        ax.spines[:].set_visible(True)
    axes[0].set(ylabel="outputs")
    fig.supxlabel("inputs", fontsize="medium")
    return done(fig)


def attention(images, asked):
    """Images [n,c,H,W] and, below each, what some of their tokens attend to.

    asked: {label: [(query, attention [N]) for each image]}; the token that asks has a frame, and dark is much.
    """
    from matplotlib.patches import Rectangle

    fig, axes = figure(1 + len(asked), len(images), height=1.5)
    for ax, image in zip(axes[0], images, strict=True):
        ax.imshow(picture(image))
    for line, (_, found) in zip(axes[1:], asked.items(), strict=True):
        for ax, (query, weights) in zip(line, found, strict=True):
            side = round(len(weights) ** 0.5)
            ax.imshow(np.reshape(weights, (side, side)), cmap="Blues", vmin=0)
            corner = query % side - 0.5, query // side - 0.5
            ax.add_patch(
                Rectangle(corner, 1, 1, fill=False, ec=COLOURS["reinit"], lw=2, clip_on=False)
            )
    frameless(axes, ("image", *asked))
    return done(fig)


def density(densities):
    """Share of the weights kept in each layer, {layer: 0 to 1}."""
    fig, ax = figure(height=0.24 * len(densities) + 0.8)
    ax.barh(
        list(densities), [100 * d for d in densities.values()], color=COLOURS["ticket"], height=0.7
    )
    ax.invert_yaxis()
    ax.set_xlabel("weights kept (%)")
    return done(fig)


def picture(image):
    """An image [c,H,W] as colours [H,W,3] of 0 to 1: grey dark on white, event frames blue (ON) and orange (OFF).

    Whole numbers are grey levels, 0 to 255; others are drawn from 0 to their maximum.
    """
    image = torch.as_tensor(image)
    grey_levels, image = not image.is_floating_point(), image.float().cpu()
    if len(image) == 2:
        off, on = (image / image.amax().clamp(min=1)).sqrt()
        inks = torch.tensor(
            [[0.16, 0.63, 1.0], [1.0, 0.55, 0.3]]
        )  # what OFF and ON take from red, green and blue
        return (1 - off[..., None] * inks[0] - on[..., None] * inks[1]).clamp(0, 1).numpy()
    image = (image / (255 if grey_levels else max(float(image.max()), 1e-9))).clamp(0, 1)
    return (
        (1 - image).expand(3, -1, -1).permute(1, 2, 0).numpy()
        if len(image) == 1
        else image.permute(1, 2, 0).numpy()
    )


def gallery(rows, titles=None):
    """Rows of pictures: {label: images [n,c,H,W]}, see `picture`."""
    return pictures(
        {label: [picture(image) for image in images] for label, images in rows.items()}, titles
    )


def frameless(axes, labels):
    """Rows of axes for pictures: no ticks, no frame, a label before each row."""
    for line, label in zip(axes, labels, strict=True):
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)


def pictures(rows, titles=None):
    """Rows of pictures: {label: n arrays [H,W,3] of 0 to 1}."""
    n = max(len(images) for images in rows.values())
    fig, axes = figure(len(rows), n, height=min(1.0, 6.6 / n), squeeze=False)
    for line, images in zip(axes, rows.values(), strict=True):
        for ax, image in zip(line, images, strict=False):
            ax.imshow(image)
    frameless(axes, rows)
    for ax, title in zip(axes[0], titles or (), strict=False):
        ax.set_title(title, fontsize="small")
    return done(fig)


def tokens(images, selections, titles=None):
    """Images [n,c,H,W] above the same with some of their tokens coloured over; {label: [n,N] of 0 and 1}, 1 is kept."""
    shown, ground = [picture(image) for image in images], np.array([0.84, 0.37, 0.0])
    rows = {"image": shown}
    for label, kept in selections.items():
        side = round(kept.shape[1] ** 0.5)
        patch = images.shape[-1] // side
        shades = torch.as_tensor(kept).cpu().view(-1, side, side)
        shades = (
            shades.repeat_interleave(patch, 1).repeat_interleave(patch, 2).bool().numpy()[..., None]
        )
        rows[label] = [
            np.where(s, p, 0.25 * p + 0.75 * ground) for s, p in zip(shades, shown, strict=True)
        ]
    return pictures(rows, titles)


SELECTORS = {
    "learned": ("learned", "learned"),
    "firing_rate": ("firing rate", "ticket"),
    "attention": ("attention received", "both"),
    "information": ("information", "reinit"),
    "information_per_place": ("information per place", "events"),
    "random": ("random", "random"),
    "oracle": ("oracle", "dense"),
}


def truth(rows):
    """Selectors against the truth, a panel a measure; rows: kind, measure, mean, error (half of a 95 % interval).

    Without rows, for a set that does not tell, a figure that says so.
    """
    if len(rows) == 0:
        return nothing("this data set does not tell its foreground")
    measures, kinds = list(dict.fromkeys(rows.measure)), list(dict.fromkeys(rows.kind))
    fig, axes = figure(1, len(measures), height=0.3 * len(kinds) + 1, sharey=True)
    for ax, measure in zip(axes, measures, strict=True):
        part = rows[rows.measure == measure].set_index("kind").loc[kinds]
        colours = [COLOURS[SELECTORS[kind][1]] for kind in kinds]
        ax.barh(
            [SELECTORS[kind][0] for kind in kinds],
            part["mean"],
            xerr=part.error,
            color=colours,
            height=0.7,
        )
        ax.set(xlabel=measure, xlim=(0, 1))
    axes[0].invert_yaxis()
    return done(fig)


def camera(image, events, frames):
    """An image [h,w] and the events [steps,2,H,W] of the sensor's middle row as a camera moves before it.

    The image lies in the middle of the sensor; `frames`: into how many the steps are counted.
    """
    fig, axes = figure(1, 2, height=2.4, gridspec_kw={"width_ratios": [1, 2]})
    steps, _, side, _ = events.shape
    row, margin = side // 2, (side - len(image)) / 2
    axes[0].imshow(image, cmap="gray_r", extent=(margin, side - margin, side - margin, margin))
    axes[0].axhline(row + 0.5, color=INK, ls="--", lw=1)
    axes[0].set(xlim=(0, side), ylim=(side, 0), yticks=[], xlabel="column of the sensor")
    for polarity, name, colour in ((1, "ON", COLOURS["ticket"]), (0, "OFF", COLOURS["reinit"])):
        t, x = torch.as_tensor(events[:, polarity, row]).nonzero(as_tuple=True)
        axes[1].scatter(t + 0.5, x + 0.5, s=12, color=colour, linewidths=0, label=name)
    for edge in np.linspace(0, steps, frames + 1)[1:-1]:
        axes[1].axvline(edge, color=GREY, lw=0.8, ls=":")
    axes[1].set(
        xlabel="time (steps of the camera)",
        ylabel="column of the sensor",
        xlim=(0, steps),
        ylim=(0, side),
    )
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return done(fig)


def keep_ratios(rows, levels, trained_at=None):
    """Test accuracy against the keep ratio, a line a score; rows: kind, keep_ratio, accuracy; see `over_seeds`.

    levels: {label: accuracies} of networks that keep all tokens, as lines. trained_at: the ratio of the training.
    """
    fig, ax = figure(height=3.6)
    for kind in (kind for kind in SELECTORS if kind in set(rows.kind)):
        label, colour = SELECTORS[kind]
        over_seeds(
            ax,
            rows[rows.kind == kind],
            "keep_ratio",
            COLOURS[colour],
            MARKERS.get(colour, "o"),
            label,
        )
    for (label, accuracies), colour, style in zip(
        levels.items(), (INK, GREY), ("--", "-."), strict=False
    ):
        level(ax, accuracies, colour, style, label)
    if trained_at:
        ax.axvline(trained_at, color=GREY, ls=":", lw=1)
        ax.text(
            trained_at,
            0.02,
            " trained at",
            transform=ax.get_xaxis_transform(),
            color=GREY,
            fontsize="small",
        )
    ax.set(xlabel="keep ratio ρ (share of the tokens left)", ylabel="test accuracy (%)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return done(fig)


def cost_accuracy(rows):
    """Test accuracy against GFLOPs an image; rows: label, kind, gflops, gflops_left, accuracy, and, if known, low,
    high and `values`, the accuracy of every seed.

    Filled: what any machine computes. Hollow, joined to it: what is left for a machine that skips pruned weights.
    """
    fig, ax = figure(height=3.8)
    for row in rows.itertuples():
        colour = COLOURS[row.kind]
        if row.gflops_left < row.gflops:
            ax.plot(
                [row.gflops_left, row.gflops],
                [100 * row.accuracy] * 2,
                color=colour,
                lw=0.8,
                ls=":",
            )
            ax.scatter(
                row.gflops_left,
                100 * row.accuracy,
                facecolors="white",
                edgecolors=colour,
                marker=MARKERS[row.kind],
                zorder=3,
            )
        ax.scatter(
            row.gflops,
            100 * row.accuracy,
            color=colour,
            marker=MARKERS[row.kind],
            zorder=4,
            label=row.label,
        )
        if hasattr(row, "low"):
            ax.plot([row.gflops] * 2, [100 * row.low, 100 * row.high], color=colour, lw=0.8)
            ax.scatter(
                [row.gflops] * len(row.values),
                100 * np.array(row.values),
                s=6,
                color=colour,
                alpha=0.45,
            )
    ax.set(
        xlabel="GFLOPs an image (hollow: surviving weights only)",
        ylabel="test accuracy (%)",
        xlim=(0, None),
    )
    ax.locator_params(axis="x", nbins=5)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return done(fig)


def front(x, y):
    """Which points nobody beats: none has less x and at least as much y, or as little x and more y. [n] of bool."""
    x, y = np.asarray(x), np.asarray(y)
    better = (
        (x[None] <= x[:, None])
        & (y[None] >= y[:, None])
        & ((x[None] < x[:, None]) | (y[None] > y[:, None]))
    )
    return ~better.any(1)


def pareto(table, costs):
    """Mean accuracy against several costs, a panel each, and the front of what nothing beats.

    table: kind, label, accuracy, and a column for each of costs, {column: label of its axis}.
    """
    fig, axes = figure(1, len(costs), height=3.4, sharey=True)
    for ax, (column, label) in zip(axes, costs.items(), strict=True):
        part = table.dropna(subset=column).sort_values(column)
        best = part[front(part[column], part.accuracy)]
        ax.step(
            best[column], 100 * best.accuracy, where="post", color=COLOURS["reinit"], lw=1, zorder=1
        )
        for kind, rows in part.groupby("kind", sort=False):
            style = {"color": COLOURS[kind], "marker": MARKERS[kind], "s": 22, "linewidths": 0}
            ax.scatter(
                rows[column],
                100 * rows.accuracy,
                label=FAMILIES[kind] if ax is axes[0] else None,
                **style,
            )
        ax.set(xlabel=label, xlim=(0, 1.08 * part[column].max()))
        ax.locator_params(axis="x", nbins=4)
    axes[0].set_ylabel("test accuracy (%)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return done(fig)


FAMILIES = {
    "dense": "dense",
    "longer": "all tokens, trained on",
    "ticket": "ticket, all tokens",
    "learned": "selector",
    "both": "ticket and selector",
}


def training_free(rows, dense):
    """Accuracy of a dense network whose tokens are dropped by a score; rows: kind, dropped, keep_ratio, accuracy."""
    fig, axes = figure(1, 2, height=3.2, sharey=True)
    for ax, dropped in zip(axes, ("removed", "bypass"), strict=True):
        for kind in dict.fromkeys(rows.kind):
            part = rows[(rows.kind == kind) & (rows.dropped == dropped)].sort_values("keep_ratio")
            label, colour = SELECTORS[kind]
            ax.plot(
                part.keep_ratio, 100 * part.accuracy, "o-", ms=4, color=COLOURS[colour], label=label
            )
        ax.axhline(100 * dense, color=INK, ls="--", lw=1, label="all tokens")
        ax.set(title=f"dropped tokens: {dropped}", xlabel="keep ratio ρ")
    axes[0].set_ylabel("test accuracy (%)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return done(fig)


def savings(rows, target):
    """MACs saved against the keep ratio; rows: kind (images or events), part (whole or blocks), keep_ratio, saved.

    `saved` and `target` are shares; the target is a line.
    """
    fig, ax = figure(height=3.6)
    for kind, colour in (("images", INK), ("events", COLOURS["events"])):
        for part, style, label in (
            ("blocks", "--", "blocks alone"),
            ("whole", "-", "whole network"),
        ):
            chosen = rows[(rows.kind == kind) & (rows.part == part)].sort_values("keep_ratio")
            ax.plot(
                chosen.keep_ratio, 100 * chosen.saved, style, color=colour, label=f"{kind}, {label}"
            )
    ax.axhline(100 * target, color=COLOURS["reinit"], lw=1)
    ax.text(
        1,
        100 * target,
        "claimed",
        color=COLOURS["reinit"],
        ha="right",
        va="bottom",
        fontsize="small",
    )
    ax.set(xlabel="keep ratio ρ", ylabel="MACs saved, net (%)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return done(fig)


def energy(accounts):
    """Energy of an image by role of the layer, one stacked bar an account; accounts: {account: {role: microjoules}}."""
    import seaborn as sns

    fig, ax = figure(height=0.5 * len(accounts) + 1.2)
    roles = list(next(iter(accounts.values())))
    left = np.zeros(len(accounts))
    for role, colour in zip(roles, sns.color_palette("colorblind", len(roles)), strict=True):
        values = np.array([parts[role] for parts in accounts.values()])
        ax.barh(list(accounts), values, left=left, color=colour, height=0.6, label=role)
        left += values
    ax.invert_yaxis()
    ax.set_xlabel("energy of an image (µJ)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return done(fig)


IMPLEMENTATIONS = {
    "published": INK,
    "SpikingJelly": COLOURS["random"],
    "ssf": COLOURS["ticket"],
    "ssf, deployed": COLOURS["learned"],
    "copy": GREY,
}


def speed(ratios, aims=None):
    """Times faster than the published implementation, a panel a measure; rows as `bench.ratios` gives them.

    aims: {measure: {network: ratio}}, drawn as short lines.
    """
    measures = list(dict.fromkeys(ratios.measure))
    fig, axes = figure(1, len(measures), height=3.2, squeeze=False)
    for ax, measure in zip(axes[0], measures, strict=True):
        part = ratios[ratios.measure == measure]
        names, kinds = (
            list(dict.fromkeys(part.network)),
            [k for k in IMPLEMENTATIONS if k in set(part.implementation)],
        )
        for i, kind in enumerate(kinds):
            chosen = part[part.implementation == kind].set_index("network").ratio
            x = np.arange(len(names)) + (i - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
            label = kind if ax is axes[0][-1] else None
            ax.bar(
                x,
                [chosen[name] for name in names],
                0.8 / len(kinds),
                color=IMPLEMENTATIONS[kind],
                label=label,
            )
        for i, name in enumerate(names if aims else ()):
            ax.hlines(aims[measure][name], i - 0.45, i + 0.45, color=COLOURS["reinit"], lw=1.5)
        ax.set(
            title=measure,
            xticks=range(len(names)),
            xticklabels=names,
            xlabel="network (blocks-width)",
        )
    axes[0][0].set_ylabel("times as fast as published")
    fig.legend(loc="outside upper center", ncols=4)
    return done(fig)


def growth(rows):
    """Seconds of a training step as something grows, a panel each; dashed: in proportion to the MACs.

    rows: variable, value, implementation, seconds, macs. The dashed line meets the library at the smallest value.
    """
    variables = list(dict.fromkeys(rows.variable))
    fig, axes = figure(1, len(variables), height=2.6, sharey=True)
    for ax, variable in zip(axes, variables, strict=True):
        for kind in ("published", "ssf"):
            part = rows[(rows.variable == variable) & (rows.implementation == kind)].sort_values(
                "value"
            )
            label = kind if ax is axes[0] else None
            ax.plot(part.value, part.seconds, "o-", ms=4, color=IMPLEMENTATIONS[kind], label=label)
        label = "in proportion to the MACs" if ax is axes[0] else None
        ax.plot(
            part.value,
            part.macs / part.macs.iloc[0] * part.seconds.iloc[0],
            color=GREY,
            ls="--",
            label=label,
        )
        ax.set(xscale="log", yscale="log", xlabel=variable)
        ax.set_xticks(part.value, [f"{v:g}" for v in part.value])
        ax.minorticks_off()
    axes[0].set_ylabel("seconds a step")
    fig.legend(loc="outside upper center", ncols=3)
    return done(fig)


def roofline(rows):
    """Bytes a second that the LIF's two passes move, beside a copy; rows: value (MB a tensor), megabytes, seconds."""
    fig, ax = figure()
    for kind in ("copy", "ssf", "SpikingJelly"):
        part = rows[rows.implementation == kind].sort_values("value")
        ax.plot(
            part.value,
            part.megabytes / 1e3 / part.seconds,
            "o-",
            ms=4,
            color=IMPLEMENTATIONS[kind],
            label=kind,
        )
    ax.set(
        xscale="log",
        xlabel="size of the currents (MB)",
        ylabel="GB/s of the bytes needed",
        ylim=(0, None),
    )
    ax.set_xticks(part.value, [f"{v:g}" for v in part.value])
    ax.minorticks_off()
    ax.legend()
    return done(fig)


def events(rows):
    """Images a second against the mean firing rate; rows: value, implementation, batch, seconds."""
    fig, ax = figure()
    for kind, label in (("ssf", "multiplying"), ("ssf, deployed", "adding spikes (deployed)")):
        part = rows[rows.implementation == kind].sort_values("value")
        ax.plot(
            part.value,
            part.batch / part.seconds,
            "o-",
            ms=4,
            color=IMPLEMENTATIONS[kind],
            label=label,
        )
    ax.set(xscale="log", xlabel="firing rate (spikes per neuron and time step)")
    ax.set(ylabel="images a second", ylim=(0, None))
    ax.set_xticks(part.value, [f"{v:.2g}" for v in part.value])
    ax.minorticks_off()
    ax.legend()
    return done(fig)


def clock(rows):
    """Theory against clock; rows: label, macs (share left), seconds (share left), deployed (the same, deployed)."""
    fig, ax = figure(height=0.7 * len(rows) + 1)
    y = np.arange(len(rows))
    for i, (column, colour, label) in enumerate(
        (
            ("macs", GREY, "MACs of what is left"),
            ("seconds", IMPLEMENTATIONS["ssf"], "time, multiplying"),
            ("deployed", IMPLEMENTATIONS["ssf, deployed"], "time, deployed"),
        )
    ):
        ax.barh(y + (i - 1) * 0.26, 100 * rows[column], 0.26, color=colour, label=label)
    ax.set(yticks=y, yticklabels=rows.label, xlabel="% of the dense network's, multiplying")
    ax.invert_yaxis()
    fig.legend(loc="outside upper center", ncols=3)
    return done(fig)
