"""Figures of chapter 1: the dense Spikformer, its training, its spikes, and a moving camera."""

import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Rectangle

from ssf.figures.style import COLOURS, GREY, INK, done, figure, frameless, picture


def draw_raster(spikes, neurons=60, images=6, seed=0):
    """Spike rasters of some layers: {layer: [T, B, ...]}; a row a neuron, a column a time step.

    Rows are drawn at random from the neurons that fire at least once; the title says how many do.
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
        ax.set_title(f"{name}\n{100 * len(active) / s.shape[2]:.0f} % ever fire")
        ax.set(xlim=(-0.5, len(block) - 0.5), ylim=(-1, neurons), yticks=[])
        ax.set_xticks((np.arange(images) + 0.5) * steps - 0.5, range(1, images + 1))
    axes[0][0].set_ylabel(f"up to {neurons} neurons that fire")
    fig.supxlabel("image, its time steps side by side", fontsize="medium")
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


def draw_attention(images, asked):
    """Images [n,c,H,W] and, below each, what some of their tokens attend to; dark is much.

    asked: {label: [(query, attention [N]) for each image]}; the token that asks has a frame.
    """
    fig, axes = figure(1 + len(asked), len(images), height=1.5)
    for ax, image in zip(axes[0], images, strict=True):
        ax.imshow(picture(image))
    for line, maps in zip(axes[1:], asked.values(), strict=True):
        for ax, (query, weights) in zip(line, maps, strict=True):
            side = round(len(weights) ** 0.5)
            ax.imshow(np.reshape(weights, (side, side)), cmap="Blues", vmin=0)
            corner = query % side - 0.5, query // side - 0.5
            frame = {"fill": False, "ec": COLOURS["reinit"], "lw": 2, "clip_on": False}
            ax.add_patch(Rectangle(corner, 1, 1, **frame))
    frameless(axes, ("image", *asked))
    return done(fig)


def draw_camera(image, events, frames):
    """An image [h,w] and the events [steps,2,H,W] of the sensor's middle row as a camera moves.

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
    axes[1].set(xlabel="time (steps of the camera)", ylabel="column of the sensor")
    axes[1].set(xlim=(0, steps), ylim=(0, side))
    fig.legend(loc="outside upper right", ncols=2)
    return done(fig)
