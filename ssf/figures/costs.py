"""Figures of chapter 4: which networks nothing beats, and where the energy goes."""

import numpy as np
import pandas as pd
import seaborn as sns

from ssf.figures.style import done, figure

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


def draw_energy(accounts):
    """Energy of an image by role of the layer, a stacked bar for {account: {role: microjoules}}."""
    fig, ax = figure(height=0.5 * len(accounts) + 1.2)
    colours = sns.color_palette("colorblind")
    pd.DataFrame(accounts).T.plot.barh(stacked=True, ax=ax, width=0.6, color=colours, legend=False)
    ax.invert_yaxis()
    ax.set_xlabel("energy of an image (µJ)")
    return done(fig, legend=4)
