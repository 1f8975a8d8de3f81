"""Figures of one chapter each, 00 to 05, in the order of the chapters; 06's are in speed.py."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import Rectangle

from ssf.figures.style import COLOURS, GREY, INK, done, figure, frameless, picture


def draw_membrane(current, potential, spikes, v_threshold):
    """One neuron: its current, its potential before and after each reset, and its spikes; [T]."""
    fig, ax = figure(height=2.8)
    t, spikes = np.arange(1, len(current) + 1), np.asarray(spikes)
    edges = np.append(0.5, t + 0.5)
    ax.stairs(current, edges, fill=True, color=GREY, alpha=0.3, label="current $I_t$")
    after = np.where(spikes > 0, 0, potential)
    path = np.stack([potential, after], axis=1).ravel()
    ax.plot([0, *t.repeat(2)], [0, *path], color=COLOURS["ticket"])
    ax.plot(t, potential, "o", color=COLOURS["ticket"], ms=4, label="potential $H_t$")
    ax.axhline(v_threshold, color=INK, ls="--", lw=1, label=r"threshold $V_{\mathrm{th}}$")
    top = max(*current, *potential, v_threshold)
    fired = t[spikes > 0]
    ax.vlines(fired, 1.05 * top, 1.15 * top, color=COLOURS["reinit"], lw=3, label="spike")
    ax.set(xlabel="time step $t$", ylabel="potential and current", xlim=(0, len(t) + 0.5))
    ax.set_xticks(range(0, len(t) + 1, 5))
    return done(fig, legend=4)


def draw_surrogate(alpha):
    """The step that fires, the sigmoid that it is taken for, and the slope of that."""
    fig, ax = figure()
    x = np.linspace(-1.5, 1.5, 601)
    s = 1 / (1 + np.exp(-alpha * x))
    ax.plot(x, x >= 0, color=INK, label="spike: the step (forward)")
    slope = alpha * s * (1 - s)
    ax.plot(x, slope, color=COLOURS["ticket"], label="surrogate: the curve's slope (backward)")
    ax.plot(x, s, color=COLOURS["ticket"], lw=1, ls="--", label="the pretended curve")
    ax.set(ylabel="spike, curve, or slope", ylim=(-0.05, 1.55))
    ax.set_xlabel(r"potential minus threshold, $H_t - V_{\mathrm{th}}$")
    ax.legend(loc="upper left")
    return done(fig)


def draw_staircase(strengths, rates, v_threshold, tau):
    """Firing rate against a constant current, {label: [n]}, and the two borders between rates."""
    fig, ax = figure()
    for (label, rate), colour in zip(rates.items(), (GREY, COLOURS["ticket"]), strict=True):
        ax.step(strengths, rate, where="post", color=colour, lw=1.5, label=label)
    for times, name in ((1, r"$V_{\mathrm{th}}$"), (tau, r"$\tau V_{\mathrm{th}}$")):
        ax.axvline(times * v_threshold, color=INK, ls=":", lw=1)
        ax.text(times * v_threshold, 1.03, name, ha="center", va="bottom", fontsize="small")
    ax.set(xlabel="constant current $I$", ylabel="firing rate (spikes a step)", ylim=(-0.03, 1.03))
    ax.legend(loc="center left")
    return done(fig)


def draw_attention(images, asked, item):
    """Images [n,c,H,W] and, below each, what some of their tokens attend to; dark is much.

    asked: {label: [(query, attention [N]) for each image]}; the token that asks has a frame.
    item: bool [n,N], the tokens that show the item; outlined, titles say how much falls on them.
    """
    fig, axes = figure(1 + len(asked), len(images), height=1.6)
    for ax, image, on in zip(axes[0], images, item, strict=True):
        ax.imshow(picture(image))
        ax.set_title(f"item: {100 * on.mean():.0f} % of the tokens", fontsize="small")
    for line, maps in zip(axes[1:], asked.values(), strict=True):
        for ax, (query, weights), on in zip(line, maps, item, strict=True):
            side = round(len(weights) ** 0.5)
            ax.imshow(np.reshape(weights, (side, side)), cmap="Blues", vmin=0)
            fine = np.kron(on.reshape(side, side), np.ones((9, 9)))  # or corners would be cut
            at = np.linspace(-0.5, side - 0.5, len(fine))
            ax.contour(at, at, fine, [0.5], colors=INK, linewidths=0.8)
            said = f"{weights[on].sum():.0f} of {weights.sum():.0f} on the item"
            ax.set_title(said, fontsize="small")
            corner = query % side - 0.5, query // side - 0.5
            frame = {"fill": False, "ec": COLOURS["reinit"], "lw": 2, "clip_on": False}
            ax.add_patch(Rectangle(corner, 1, 1, **frame))
    frameless(axes, ("image", *asked))
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
    ax.legend()
    return done(fig)


def draw_raster(spikes, neurons=60, images=6, seed=0):
    """Spike rasters of some layers: {layer: [T, B, ...]}; a row a neuron, a column a time step.

    Rows are drawn at random from the neurons that fire for the first images; titles say which share
    of a layer's spikes falls into the first time step, over all images.
    """
    fig, axes = figure(1, len(spikes), height=3.2, squeeze=False)
    rng = np.random.default_rng(seed)
    for ax, (name, s) in zip(axes[0], spikes.items(), strict=True):
        first = 100 * s[0].sum() / s.sum().clamp(min=1)
        s = s[:, :images].flatten(2).cpu()
        steps, active = len(s), s.sum((0, 1)).nonzero().squeeze(1).numpy()
        chosen = rng.choice(active, min(neurons, len(active)), replace=False)
        block = s[:, :, chosen].permute(1, 0, 2).flatten(0, 1)  # image after image, time within
        t, n = block.nonzero(as_tuple=True)
        ax.scatter(t, n, s=6, marker="s", color=INK, linewidths=0)
        for i in range(1, images):
            ax.axvline(i * steps - 0.5, color=GREY, lw=0.6)
        ax.set_title(f"{name}\n{first:.0f} % at t = 1")
        ax.set(xlim=(-0.5, len(block) - 0.5), ylim=(-1, neurons), yticks=[])
        ax.set_xticks((np.arange(images) + 0.5) * steps - 0.5, range(1, images + 1))
    axes[0][0].set_ylabel(f"up to {neurons} neurons that fire")
    fig.supxlabel("image; within each, its time steps", fontsize="medium")
    return done(fig)


def draw_layers(values, xlabel):
    """A bar for each of {layer: value}, from the first layer down, the stem's in green."""
    fig, ax = figure(height=0.23 * len(values) + 0.8)
    colours = [COLOURS["learned" if layer.startswith("stem") else "ticket"] for layer in values]
    ax.barh(list(values), list(values.values()), color=colours, height=0.7)
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    return done(fig)


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
        part = rows[rows.dropped == dropped].pivot(index="keep_ratio", columns="label")
        part = 100 * part.accuracy[rows.label.unique()]
        part.plot(ax=ax, style="o-", ms=4, color=colours, legend=False)
        ax.axhline(100 * dense, color=INK, ls="--", lw=1, label="all tokens")
        ax.set(title=f"dropped tokens: {dropped}", xlabel="keep ratio ρ")
        ax.set_ylabel("test accuracy (%)")
    return done(fig, legend=2)


def draw_energy(accounts):
    """Energy of an image by role of the layer, a stacked bar for {account: {role: microjoules}}."""
    fig, ax = figure(height=0.5 * len(accounts) + 1.2)
    colours = sns.color_palette("colorblind")
    pd.DataFrame(accounts).T.plot.barh(stacked=True, ax=ax, width=0.6, color=colours, legend=False)
    ax.bar_label(ax.containers[-1], [f" {sum(parts.values()):.2f}" for parts in accounts.values()])
    ax.invert_yaxis()
    ax.set_xlabel("energy of an image (µJ)")
    return done(fig, legend=4)


def draw_savings(rows, target, published):
    """MACs saved against the keep ratio; `saved` and `target` are shares, the target is a line.

    rows: kind (images or events), part (whole or blocks), keep_ratio, saved. published: {kind:
    keep ratios}, a dot each on both lines.
    """
    fig, ax = figure(height=3.6)
    colours = {"images": INK, "events": COLOURS["events"]}
    names, dashes = {"blocks": "blocks alone", "whole": "whole network"}, {"images": "--"}
    for (kind, part), line in rows.groupby(["kind", "part"], sort=False):
        style = {"color": colours[kind], "label": f"{kind}, {names[part]}"}
        form = "-" if part == "whole" else dashes.get(kind, ":")  # the two cover each other
        ax.plot(line.keep_ratio, 100 * line.saved, form, **style)
        dots = line[line.keep_ratio.isin(published[kind])]
        ax.scatter(dots.keep_ratio, 100 * dots.saved, color=colours[kind], zorder=3)
    ax.axhline(100 * target, color=COLOURS["reinit"], lw=1)
    ax.text(1, 100 * target, "claimed", ha="right", va="bottom", fontsize="small")
    ax.set(xlabel="keep ratio ρ", ylabel="MACs saved, net (%)")
    return done(fig, legend=2)
