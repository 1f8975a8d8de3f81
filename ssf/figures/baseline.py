"""Figures of chapter 1: the dense Spikformer, its training, its attention and its spikes."""

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from ssf.figures.style import COLOURS, GREY, INK, done, figure, frameless, picture


def draw_raster(spikes, neurons=60, images=6, seed=0):
    """Spike rasters of some layers: {layer: [T, B, ...]}; a row a neuron, a column a time step.

    Rows are drawn at random from the neurons that fire at least once; the title says which share
    of all the layer's spikes falls into the first time step.
    """
    fig, axes = figure(1, len(spikes), height=3.2, squeeze=False)
    rng = np.random.default_rng(seed)
    for ax, (name, s) in zip(axes[0], spikes.items(), strict=True):
        s = s[:, :images].flatten(2).cpu()
        steps, active = len(s), s.sum((0, 1)).nonzero().squeeze(1).numpy()
        chosen = rng.choice(active, min(neurons, len(active)), replace=False)
        block = s[:, :, chosen].permute(1, 0, 2).flatten(0, 1)  # image after image, time within
        t, n = block.nonzero(as_tuple=True)
        ax.scatter(t, n, s=6, marker="s", color=INK, linewidths=0)
        for i in range(1, images):
            ax.axvline(i * steps - 0.5, color=GREY, lw=0.6)
        first = 100 * s[0].sum() / s.sum().clamp(min=1)
        ax.set_title(f"{name}\n{first:.0f} % at t = 1")
        ax.set(xlim=(-0.5, len(block) - 0.5), ylim=(-1, neurons), yticks=[])
        ax.set_xticks((np.arange(images) + 0.5) * steps - 0.5, range(1, images + 1))
    axes[0][0].set_ylabel(f"up to {neurons} neurons that fire")
    fig.supxlabel("image; within each, its time steps", fontsize="medium")
    return done(fig)


def draw_learning_curve(history, chance):
    """Accuracy on the training and the validation split after each epoch; a line at `chance`."""
    fig, ax = figure()
    table = 100 * pd.DataFrame(history).set_index("epoch")
    names = {"train_accuracy": "training (while learning)", "validation_accuracy": "validation"}
    table = table[[key for key in names if key in table]].rename(columns=names)
    table.plot(ax=ax, style="o-", color=[GREY, COLOURS["ticket"]])
    ax.axhline(100 * chance, color=INK, ls=":", lw=1, label="chance")
    ax.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 100), xticks=table.index)
    ax.legend(loc="lower right")
    return done(fig)


def draw_attention(images, asked, item):
    """Images [n,c,H,W] and, below each, what some of their tokens attend to; dark is much.

    asked: {label: [(query, attention [N]) for each image]}; the token that asks has a frame.
    item: bool [n,N], the tokens that show the item; titles say how much falls on them.
    """
    fig, axes = figure(1 + len(asked), len(images), height=1.6)
    for ax, image, on in zip(axes[0], images, item, strict=True):
        ax.imshow(picture(image))
        ax.set_title(f"item: {100 * on.mean():.0f} % of the tokens", fontsize="small")
    for line, maps in zip(axes[1:], asked.values(), strict=True):
        for ax, (query, weights), on in zip(line, maps, item, strict=True):
            side = round(len(weights) ** 0.5)
            ax.imshow(np.reshape(weights, (side, side)), cmap="Blues", vmin=0)
            ax.set_title(
                f"{100 * weights[on].sum() / weights.sum():.0f} % on the item", fontsize="small"
            )
            corner = query % side - 0.5, query // side - 0.5
            frame = {"fill": False, "ec": COLOURS["reinit"], "lw": 2, "clip_on": False}
            ax.add_patch(Rectangle(corner, 1, 1, **frame))
    frameless(axes, ("image", *asked))
    return done(fig)
