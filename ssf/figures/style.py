"""One style for the book's figures, and the figures that several chapters draw.

Every function whose name starts with `draw_` returns a matplotlib Figure.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch

from ssf.study.ledger import difference
from ssf.study.statistics import points

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
MARKERS = {"dense": "s", "longer": "s", "reinit": "^", "random": "v", "both": "D"}
DOTS = {"s": 9, "alpha": 0.45, "linewidths": 0}  # a seed each
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "image.interpolation": "none",  # an SVG keeps an image's own pixels
    "svg.hashsalt": "ssf",  # the same figure, the same file
    "svg.fonttype": "none",  # text stays text
}


def figure(rows=1, columns=1, height=3.2, **kwargs):
    """A Figure and its axes, 12 or 19 cm wide; height: inches a row."""
    if "ipykernel" in sys.modules:  # notebooks show SVG: sharp on every screen, and small
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85, rc=STYLE)
    size = (4.8 if columns == 1 else 7.6, height * rows)
    return plt.subplots(rows, columns, figsize=size, layout="constrained", **kwargs)


def done(fig, legend=0):
    """The figure, taken out of pyplot, so that a notebook shows it once.

    legend: columns of a legend of all its panels, above them; 0 for none.
    """
    if legend:
        entries = {}
        for ax in fig.axes:
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                entries.setdefault(label, handle)
        fig.legend(entries.values(), entries, loc="outside upper center", ncols=legend)
    plt.close(fig)
    return fig


def draw_sentence(sentence):
    """A figure of one sentence, where there is nothing to draw."""
    fig, ax = figure(height=1)
    ax.text(0.5, 0.5, sentence, ha="center", va="center")
    ax.set_axis_off()
    return done(fig)


def draw_paired(curves, x, xlabel, control, margin=None):
    """Accuracy minus a control's, against a column x: a dot a seed, mean and 95 % interval.

    curves: {label: (colour's kind, rows, the control's rows)}, paired by seed at each x, over all
    seeds that have both. control: what the line at 0 is. margin: as `draw_differences` has it.
    """
    fig, ax = figure(height=4.4)
    places = np.concatenate([rows[x].unique() for _, rows, _ in curves.values()])
    for number, (label, (kind, rows, those)) in enumerate(curves.items()):
        pairs = {at: difference(part, those) for at, part in rows.groupby(x)}
        beside = 0.018 * np.ptp(places) * (number - (len(curves) - 1) / 2)  # or they would overlap
        at = np.array(list(pairs)) + beside
        for place, pair in zip(at, pairs.values(), strict=True):
            ax.scatter([place] * pair.seeds, 100 * np.array(pair.values), c=COLOURS[kind], **DOTS)
        mean = 100 * np.array([pair.mean for pair in pairs.values()])
        half = 100 * np.array([pair.interval[1] for pair in pairs.values()]) - mean
        style = {"fmt": f"-{MARKERS.get(kind, 'o')}", "lw": 1, "ms": 6, "zorder": 3}
        ax.errorbar(at, mean, half, elinewidth=1.2, color=COLOURS[kind], label=label, **style)
    ax.axhline(0, color=INK, lw=0.8)
    if margin:
        ax.axhspan(-100 * margin, 100 * margin, color=GREY, alpha=0.15, lw=0)
    ax.set(xlabel=xlabel, ylabel=f"accuracy minus {control}\n(points)")
    return done(fig, legend=2)


def draw_differences(estimates, margin=None, what="accuracy"):
    """What changes accuracy by how much: {label: Estimate}; mean, bold, a dot a seed, intervals of
    95 % (thin) and 90 % (thick): a one-sided test at 5 % rejects what lies beyond the thick one.

    A label with None instead is a heading. margin: the share below which a difference counts as
    none, a band. what: is changed.
    """
    if not estimates:
        return draw_sentence("not measured yet")
    fig, ax = figure(height=0.52 * len(estimates) + 0.8)
    dots = DOTS | {"color": GREY, "alpha": 0.7}
    beside = {"transform": ax.get_yaxis_transform(), "va": "center"}
    for y, (label, estimate) in enumerate(estimates.items()):  # its label above: room on phones
        if estimate is None:
            ax.text(0, y + 0.1, label, weight="bold", **beside)
            continue
        ax.scatter(100 * np.array(estimate.values), [y + 0.17] * estimate.seeds, **dots)
        for level, width in ((0.95, 1), (0.9, 3)):
            ends = 100 * np.array(estimate.between(level))
            ax.plot(ends, [y, y], color=COLOURS["ticket"], lw=width, solid_capstyle="butt")
        ax.plot(100 * estimate.mean, y, "o", ms=6, color=COLOURS["ticket"])
        ax.text(0, y - 0.4, label, **beside)
        ax.text(1, y - 0.4, points(estimate.mean), ha="right", weight="bold", **beside)
    lines = np.array([y for y, estimate in enumerate(estimates.values()) if estimate])
    ax.vlines(0 * lines, lines - 0.2, lines + 0.2, color=INK, lw=0.8)
    if margin:
        ax.axvspan(-100 * margin, 100 * margin, color=GREY, alpha=0.15, lw=0)
    ax.set(xlabel=f"difference in {what} (points)", yticks=[], ylim=(y + 0.5, -0.8))
    ax.spines.left.set_visible(False)
    return done(fig)


def picture(image):
    """An image [c,H,W] as colours [H,W,3] of 0 to 1: one channel dark on white, event frames
    blue (ON) and orange (OFF). Whole numbers are 0 to 255; others reach up to their maximum."""
    image = torch.as_tensor(image)
    most = max(float(image.max()), 1e-9) if image.is_floating_point() else 255
    image = image.float().cpu()
    if len(image) == 2:
        off, on = (image / image.amax().clamp(min=1)).sqrt()[..., None]
        # what OFF and ON take from red, green and blue
        taken = off * torch.tensor([0.16, 0.63, 1.0]) + on * torch.tensor([1.0, 0.55, 0.3])
        return (1 - taken).clamp(0, 1).numpy()
    image = (image / most).clamp(0, 1)
    colours = (1 - image).expand(3, -1, -1) if len(image) == 1 else image
    return colours.permute(1, 2, 0).numpy()


def draw_gallery(rows):
    """Rows of pictures, see `picture`: {label: images [n,c,H,W]}; a row may be shorter."""
    n = max(len(images) for images in rows.values())
    fig, axes = figure(len(rows), n, height=min(1.0, 6.6 / n), squeeze=False)
    for line, images in zip(axes, rows.values(), strict=True):
        for ax, image in zip(line, images, strict=False):
            ax.imshow(picture(image))
    frameless(axes, rows)
    return done(fig)


def frameless(axes, labels):
    """Rows of axes for pictures: no ticks, no frame, a label before each row."""
    for line, label in zip(axes, labels, strict=True):
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
