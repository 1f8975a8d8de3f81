"""Figures of chapter 3: which tokens a selector keeps, and what that does to accuracy."""

from ssf.figures.style import COLOURS, INK, done, figure

SELECTORS = {  # label, and the kind of network whose colour it has
    "learned": ("learned", "learned"),
    "firing_rate": ("firing rate", "ticket"),
    "attention": ("attention received", "both"),
    "information": ("information", "reinit"),
    "information_per_place": ("information per place", "events"),
    "random": ("random", "random"),
    "oracle": ("oracle", "dense"),
}


def draw_training_free(rows, dense):
    """Accuracy of a dense network whose tokens are dropped by a score, removed or bypassing.

    rows: kind, dropped, keep_ratio, accuracy. dense: its accuracy with all tokens.
    """
    fig, axes = figure(2, 1, height=2.4, sharex=True, sharey=True)
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
        ax.set_ylabel("test accuracy (%)")
    return done(fig, legend=2)
