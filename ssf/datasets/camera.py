"""event-fashion: images of Fashion-MNIST before a simulated event camera that moves a little.

A pixel of an event camera sends an event when the logarithm of its brightness has changed by a
threshold since its last one: ON (1) where it got brighter, OFF (0) where darker (Lichtsteiner et
al., IEEE JSSC 2008). The camera moves in three saccades, as that of N-MNIST did before a screen
(Orchard et al., Frontiers in Neuroscience 2015).

It is a simulation: time goes in steps, a change sends at most one event a step, brightness is that
of an 8-bit image, and nothing moves but the camera. `draws` makes it the same on every machine.
"""

import math

import numpy as np
import torch

from ssf import field
from ssf.config import demand
from ssf.datasets.draws import WEIGHTS, drawn, draws, hats, whole

SIDE, ITEM = 32, 28  # pixels of the sensor and of an image
UNIT = 4096  # of the fixed-point logarithm
AT_ONCE = 250  # images


@field.part
class Camera:
    """How the camera sees. Thresholds are changes of ln(brightness), of grey level + `dark`."""

    # of time: a third of them for each saccade
    steps: field.count("a multiple of 3 from 3 to 255", 3, 255, of=3) = 24
    # pixels, how far a saccade may end from the centre
    reach: field.count("0 to 8 pixels", 0, 8) = 3
    threshold: field.Positive = 0.25
    # each pixel's threshold is off by up to this share, the same for all images
    mismatch: field.number("a share of at least 0 and below 1", ge=0, lt=1) = 0.1
    dark: field.count() = 24  # grey levels: the brightness of black
    # steps after an event in which a pixel is blind
    refractory: field.count("a whole number of at least 0", 0) = 1
    # events that nothing caused, per pixel and step, blind or not; as many in every image
    noise: field.number("a rate of at least 0 and below 1", ge=0, lt=1) = 0.001


def path(bits, camera):
    """Where the camera looks, from the centre and back to it: int64 [n,steps+1,2] in 1/64 pixel."""
    reach, third = WEIGHTS * camera.reach, camera.steps // 3
    turns = whole(bits[:, :4], -reach, reach).reshape(-1, 2, 2)
    stops = np.pad(turns, ((0, 0), (1, 1), (0, 0)))  # the centre, two turns, the centre
    share = np.arange(third)[:, None]
    places = (stops[:, :3, None] * (third - share) + stops[:, 1:, None] * share) // third
    return np.concatenate([places.reshape(len(turns), -1, 2), stops[:, 3:]], axis=1)


def see(items, chosen, camera=None, seed=0, split=0):
    """Events of some items: uint8 [n,steps,2,32,32], 1 where a pixel sent one; 0 is OFF, 1 is ON.

    Args:
        items: uint8 [N,28,28].
        chosen: whole numbers [n], which of them.
        split: 0 or 1; the same numbers of the two have nothing in common.
    """
    camera, chosen = camera or Camera(), np.asarray(chosen)
    n, pixels = len(chosen), SIDE**2
    bits = draws(seed, chosen, 4 + round(camera.noise * camera.steps * pixels), split)
    logarithms = [round(UNIT * math.log(level + camera.dark)) for level in range(256)]
    logarithms = torch.tensor(logarithms, dtype=torch.int32)
    uneven = whole(draws(seed + 1, [0], pixels), -1000, 1000).reshape(SIDE, SIDE)  # thousandths
    threshold = UNIT * camera.threshold * (1 + camera.mismatch * uneven / 1000)
    threshold = torch.from_numpy(threshold).round().int()

    gaze, margin = path(bits, camera), WEIGHTS * (SIDE - ITEM) // 2
    events = torch.zeros(n, camera.steps, 2, SIDE, SIDE, dtype=torch.uint8)
    looked_at = items[chosen].float()
    size, first = np.full(n, ITEM), np.zeros(n, np.int64)  # the whole item
    for step in range(camera.steps + 1):
        start = margin + gaze[:, step]
        rows, columns = (hats(start[:, i], size, first, size, SIDE, ITEM) for i in (0, 1))
        level = logarithms[drawn(rows, looked_at, columns).div(WEIGHTS**2).int()]
        if step == 0:
            memory, blind = level.clone(), torch.zeros_like(level)
            continue
        change, awake = level - memory, blind == 0
        on, off = awake & (change >= threshold), awake & (change <= -threshold)
        events[:, step - 1, 0], events[:, step - 1, 1] = off, on
        fired = on | off
        memory = torch.where(fired | ~awake, level, memory)  # held while blind
        blind = torch.where(fired, camera.refractory, (blind - 1).clamp(min=0))
    noise = torch.from_numpy(whole(bits[:, 4:], 0, camera.steps * 2 * pixels - 1))
    return events.flatten(1).scatter(1, noise, 1).view_as(events)


def integrate(events, time_steps):
    """Events [n,steps,2,H,W] counted in T equal spans of time: frames uint8 [n,T,2,H,W]."""
    steps = events.shape[1]
    allowed = f"1 to {steps}, the steps of the simulated camera"
    demand(1 <= time_steps <= steps, "time_steps", time_steps, allowed)
    edges = [steps * i // time_steps for i in range(time_steps + 1)]
    spans = [events[:, a:b] for a, b in zip(edges, edges[1:], strict=False)]
    return torch.stack([span.sum(1, dtype=torch.uint8) for span in spans], dim=1)


def frames(items, time_steps, split=0):
    """`integrate` of `see` of all items, uint8 [N,T,2,32,32]."""
    parts = torch.arange(len(items)).split(AT_ONCE)
    return torch.cat([integrate(see(items, part, split=split), time_steps) for part in parts])
