"""Figures and counts of chapter 5: what dropping tokens saves, and which weights stay at zero."""

from ssf.figures.style import COLOURS, INK, done, figure


def draw_savings(rows, target, published):
    """MACs saved against the keep ratio; `saved` and `target` are shares, the target is a line.

    rows: kind (images or events), part (whole or blocks), keep_ratio, saved. published: {kind:
    keep ratios}, a dot each on the line of the whole network.
    """
    fig, ax = figure(height=3.6)
    colours = {"images": INK, "events": COLOURS["events"]}
    parts = {"blocks": ("--", "blocks alone"), "whole": ("-", "whole network")}
    for (kind, part), line in rows.groupby(["kind", "part"], sort=False):
        dashes, name = parts[part]
        style = {"color": colours[kind], "label": f"{kind}, {name}"}
        ax.plot(line.keep_ratio, 100 * line.saved, dashes, **style)
        if part == "whole":
            dots = line[line.keep_ratio.isin(published[kind])]
            ax.scatter(dots.keep_ratio, 100 * dots.saved, color=colours[kind], zorder=3)
    ax.axhline(100 * target, color=COLOURS["reinit"], lw=1)
    ax.text(1, 100 * target, "claimed", ha="right", va="bottom", fontsize="small")
    ax.set(xlabel="keep ratio ρ", ylabel="MACs saved, net (%)")
    return done(fig, legend=2)


def count_pruned(weights, masks, near_zero):
    """(pruned weights, those of them that are not 0, surviving weights smaller than near_zero).

    weights and masks: {name: tensor}, paired by name, as files keep them in an order of their own.
    """
    pruned = alive = small = 0
    for name, mask in masks.items():
        pruned += int((~mask).sum())
        alive += int((weights[name][~mask] != 0).sum())
        small += int((weights[name][mask].abs() < near_zero).sum())
    return pruned, alive, small
