"""Figures of chapter 4: accuracy against what it costs, and where the energy goes."""

import numpy as np
import pandas as pd
import seaborn as sns

from ssf.figures.style import COLOURS, MARKERS, done, figure

FAMILIES = {
    "dense": "dense",
    "longer": "all tokens, trained on",
    "ticket": "ticket, all tokens",
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


def draw_cost_accuracy(rows):
    """Test accuracy against GFLOPs an image.

    Filled: what any machine computes. Hollow, joined to it: what is left for a machine that skips
    pruned weights. rows: label, kind, gflops, gflops_left, accuracy, and, if known, low, high and
    `values`, the accuracy of every seed.
    """
    fig, ax = figure(height=3.8)
    for row in rows.itertuples():
        colour, marker, height = COLOURS[row.kind], MARKERS.get(row.kind, "o"), 100 * row.accuracy
        if row.gflops_left < row.gflops:
            ax.plot([row.gflops_left, row.gflops], [height] * 2, color=colour, lw=0.8, ls=":")
            hollow = {"facecolors": "white", "edgecolors": colour, "marker": marker}
            ax.scatter(row.gflops_left, height, zorder=3, **hollow)
        ax.scatter(row.gflops, height, color=colour, marker=marker, zorder=4, label=row.label)
        if "low" in rows:
            ax.plot([row.gflops] * 2, [100 * row.low, 100 * row.high], color=colour, lw=0.8)
            values = 100 * np.array(row.values)
            ax.scatter([row.gflops] * len(values), values, s=6, color=colour, alpha=0.45)
    ax.set(xlabel="GFLOPs an image (hollow: surviving weights only)", xlim=(0, None))
    ax.set_ylabel("test accuracy (%)")
    ax.locator_params(axis="x", nbins=5)
    return done(fig, legend=2)


def draw_energy(accounts):
    """Energy of an image by role of the layer, a stacked bar for {account: {role: microjoules}}."""
    fig, ax = figure(height=0.5 * len(accounts) + 1.2)
    colours = sns.color_palette("colorblind")
    pd.DataFrame(accounts).T.plot.barh(stacked=True, ax=ax, width=0.6, color=colours, legend=False)
    ax.invert_yaxis()
    ax.set_xlabel("energy of an image (µJ)")
    return done(fig, legend=4)
