"""Figures of chapter 3: which tokens a selector keeps, and what that does to accuracy."""

import numpy as np
import torch

from ssf.figures import style
from ssf.figures.style import COLOURS, GREY, INK, done, figure, level, over_seeds, picture

SELECTORS = {  # label, and the kind of network whose colour it has
    "learned": ("learned", "learned"),
    "firing_rate": ("firing rate", "ticket"),
    "attention": ("attention received", "both"),
    "information": ("information", "reinit"),
    "information_per_place": ("information per place", "events"),
    "random": ("random", "random"),
    "oracle": ("oracle", "dense"),
}


def draw_tokens(images, selections, titles=()):
    """Images [n,c,H,W] above the same with their dropped tokens tinted.

    selections: {label: [n,N] of 0 and 1}, 1 is kept.
    """
    shown, tint = np.stack([picture(image) for image in images]), np.array([0.84, 0.37, 0.0])
    rows = {"image": shown}
    for label, kept in selections.items():
        side = round(kept.shape[1] ** 0.5)
        kept = torch.as_tensor(kept).cpu().bool().view(-1, side, side, 1).numpy()
        size = images.shape[-1] // side
        kept = kept.repeat(size, 1).repeat(size, 2)
        rows[label] = np.where(kept, shown, 0.25 * shown + 0.75 * tint)
    return style.draw_pictures(rows, titles)


def draw_truth(rows):
    """Selectors against the truth, a panel a measure.

    rows: kind, measure, mean, error (half of a 95 % interval); none where no truth is known.
    """
    if len(rows) == 0:
        return style.draw_sentence("this data set does not tell its foreground")
    measures, kinds = rows.measure.unique(), list(rows.kind.unique())
    fig, axes = figure(1, len(measures), height=0.3 * len(kinds) + 1, sharey=True)
    labels, colours = zip(*(SELECTORS[kind] for kind in kinds), strict=True)
    colours = [COLOURS[kind] for kind in colours]
    for ax, measure in zip(axes, measures, strict=True):
        part = rows[rows.measure == measure].set_index("kind").loc[kinds]
        ax.barh(labels, part["mean"], xerr=part.error, color=colours, height=0.7)
        ax.set(xlabel=measure, xlim=(0, 1))
    axes[0].invert_yaxis()
    return done(fig)


def draw_keep_ratios(rows, levels, trained_at=None):
    """Test accuracy against the keep ratio, a line a score; rows: kind, keep_ratio, accuracy.

    levels: {label: accuracies} of networks that keep all tokens, the dense one and the one
    trained longer, as lines. trained_at: the keep ratio of the training.
    """
    fig, ax = figure(height=3.6)
    for kind, (label, colour) in SELECTORS.items():
        over_seeds(ax, rows[rows.kind == kind], "keep_ratio", colour, label)
    for (label, accuracies), kind in zip(levels.items(), ("dense", "longer"), strict=False):
        level(ax, accuracies, kind, label)
    if trained_at:
        ax.axvline(trained_at, color=GREY, ls=":", lw=1)
        below = {"transform": ax.get_xaxis_transform(), "color": GREY, "fontsize": "small"}
        ax.text(trained_at, 0.02, " trained at", **below)
    ax.set(xlabel="keep ratio ρ (share of the tokens left)", ylabel="test accuracy (%)")
    return done(fig, legend=2)


def draw_training_free(rows, dense):
    """Accuracy of a dense network whose tokens are dropped by a score, removed or bypassing.

    rows: kind, dropped, keep_ratio, accuracy. dense: its accuracy with all tokens.
    """
    fig, axes = figure(1, 2, height=3.2, sharey=True)
    colours = {label: COLOURS[colour] for label, colour in SELECTORS.values()}
    rows = rows.assign(label=[SELECTORS[kind][0] for kind in rows.kind])
    for ax, dropped in zip(axes, ("removed", "bypass"), strict=True):
        part = rows[rows.dropped == dropped].pivot(
            index="keep_ratio", columns="label", values="accuracy"
        )
        part = 100 * part[rows.label.unique()]
        part.plot(ax=ax, style="o-", ms=4, color=colours, legend=False)
        ax.axhline(100 * dense, color=INK, ls="--", lw=1, label="all tokens")
        ax.set(title=f"dropped tokens: {dropped}", xlabel="keep ratio ρ")
    axes[0].set_ylabel("test accuracy (%)")
    return done(fig, legend=3)
