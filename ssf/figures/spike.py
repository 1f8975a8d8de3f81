"""Figures of chapter 0: one neuron."""

import numpy as np

from ssf.figures.style import COLOURS, GREY, INK, done, figure


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
    """The step that fires, and the derivative of the sigmoid that stands in for its own."""
    fig, ax = figure()
    x = np.linspace(-1.5, 1.5, 601)
    s = 1 / (1 + np.exp(-alpha * x))
    ax.plot(x, x >= 0, color=INK, label="spike: the step (forward)")
    slope = alpha * s * (1 - s)
    ax.plot(x, slope, color=COLOURS["ticket"], label="surrogate: the slope (backward)")
    ax.set(
        xlabel=r"potential minus threshold, $H_t - V_{\mathrm{th}}$",
        ylabel="value",
        ylim=(-0.05, 1.4),
    )
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
