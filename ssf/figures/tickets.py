"""Figures of chapter 2: what the search leaves, and how well it learns."""

from ssf.figures.style import done, figure, level, over_seeds

LABELS = {
    "dense": "dense",
    "ticket": "ticket",
    "reinit": "same mask, new initialisation",
    "random": "random ticket",
}


def draw_tickets(records):
    """Test accuracy against sparsity: ticket, both controls, and the dense network as a line."""
    fig, ax = figure(height=3.6)
    level(ax, records[records.kind == "dense"].accuracy, "dense", LABELS["dense"])
    records = records.assign(removed=(100 * records.sparsity).round(1))
    for kind in ("ticket", "reinit", "random"):
        over_seeds(ax, records[records.kind == kind], "removed", kind, LABELS[kind])
    ax.set(xlabel="sparsity (% of the prunable weights removed)", ylabel="test accuracy (%)")
    return done(fig, legend=2)


def draw_masks(mask, rounds):
    """What is left of a layer after some rounds, black.

    mask [outputs,inputs]: the round that removed each weight, or 0.
    """
    fig, axes = figure(1, len(rounds), height=7.6 / len(rounds) + 0.4, sharey=True)
    for ax, number in zip(axes, rounds, strict=True):
        left = (mask == 0) | (mask > number)
        ax.imshow(left, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        title = f"round {number}: {100 * left.mean():.0f} % left" if number else "dense"
        ax.set(xticks=[], yticks=[], title=title)
        ax.spines[:].set_visible(True)
    axes[0].set(ylabel="outputs")
    fig.supxlabel("inputs", fontsize="medium")
    return done(fig)
