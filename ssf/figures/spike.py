"""Figures of chapter 0: one neuron."""

import numpy as np

from ssf.figures.style import COLOURS, GREY, INK, done, figure


def draw_membrane(current, potential, spikes, v_threshold):
    """One neuron: input current, potential before the reset, and spikes; three sequences [T]."""
    fig, axes = figure(3, 1, height=1.2, sharex=True, gridspec_kw={"height_ratios": [1, 2, 0.6]})
    t = np.arange(1, len(current) + 1)
    axes[0].bar(t, current, color=GREY, width=0.8)
    axes[0].set_ylabel("current X")
    axes[1].plot(t, potential, "o-", color=COLOURS["ticket"], ms=4)
    axes[1].axhline(v_threshold, color=INK, ls="--", lw=1)
    axes[1].text(1, v_threshold, "threshold", va="bottom", fontsize="small")
    axes[1].set_ylabel("potential H")
    axes[2].vlines(t[np.asarray(spikes) > 0], 0, 1, color=COLOURS["reinit"], lw=3)
    axes[2].set(ylabel="spikes", yticks=[], ylim=(0, 1), xlabel="time step t", xticks=t[::2])
    return done(fig)


def draw_surrogate(alpha):
    """The step that fires, and the derivative of the sigmoid that stands in for its own."""
    fig, ax = figure()
    x = np.linspace(-1.5, 1.5, 601)
    s = 1 / (1 + np.exp(-alpha * x))
    ax.plot(x, x >= 0, color=INK, label="spike: the step (forward)")
    stand_in = {"color": COLOURS["ticket"], "label": "its stand-in derivative (backward)"}
    ax.plot(x, alpha * s * (1 - s), **stand_in)
    ax.set(xlabel="H − threshold", ylabel="value", ylim=(-0.05, 1.4))
    ax.legend(loc="upper left")
    return done(fig)


def draw_staircase(strengths, rates, most):
    """Firing rate against a constant current; rates: {label: [n]}. No rate grows beyond `most`."""
    fig, ax = figure()
    for (label, rate), colour in zip(rates.items(), (COLOURS["ticket"], GREY), strict=True):
        ax.step(strengths, rate, where="post", color=colour, lw=1.5, label=label)
    ax.axvline(most, color=INK, ls=":", lw=1)
    ax.text(most, 0.02, " τθ", color=INK, fontsize="small")
    ax.set(xlabel="current X", ylabel="firing rate (spikes per time step)")
    ax.legend(loc="upper left")
    return done(fig)
