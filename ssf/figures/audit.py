"""Figures and counts of chapter 5: what dropping tokens saves, and which weights stay at zero."""

from ssf.figures.style import COLOURS, INK, done, figure


def draw_savings(rows, target):
    """MACs saved against the keep ratio; `saved` and `target` are shares, the target is a line.

    rows: kind (images or events), part (whole or blocks), keep_ratio, saved.
    """
    fig, ax = figure(height=3.6)
    for kind, colour in (("images", INK), ("events", COLOURS["events"])):
        for part, style, name in (
            ("blocks", "--", "blocks alone"),
            ("whole", "-", "whole network"),
        ):
            line = rows[(rows.kind == kind) & (rows.part == part)].sort_values("keep_ratio")
            label = f"{kind}, {name}"
            ax.plot(line.keep_ratio, 100 * line.saved, style, color=colour, label=label)
    ax.axhline(100 * target, color=COLOURS["reinit"], lw=1)
    above = {"ha": "right", "va": "bottom", "fontsize": "small", "color": COLOURS["reinit"]}
    ax.text(1, 100 * target, "claimed", **above)
    ax.set(xlabel="keep ratio ρ", ylabel="MACs saved, net (%)")
    return done(fig, legend=2)


def count_pruned(weights, masks, near_zero):
    """(pruned weights, those of them that are not 0, surviving weights smaller than near_zero).

    weights and masks: {name: tensor}, paired by name, as files keep them in an order of their own.
    """
    pruned = sum((~mask).sum().item() for mask in masks.values())
    alive = sum((weights[name][~mask] != 0).sum().item() for name, mask in masks.items())
    small = sum(
        (weights[name][mask].abs() < near_zero).sum().item() for name, mask in masks.items()
    )
    return pruned, alive, small
