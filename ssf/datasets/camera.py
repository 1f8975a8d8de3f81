"""event-fashion: images of Fashion-MNIST before a simulated event camera that moves a little.

A pixel of an event camera sends an event when the logarithm of its brightness has changed by a threshold since its last
one: ON (1) where it got brighter, OFF (0) where darker (Lichtsteiner et al., IEEE JSSC 2008). The camera moves in three
saccades, as that of N-MNIST did before a screen (Orchard et al., Frontiers in Neuroscience 2015).

It is a simulation: time goes in steps, a change sends at most one event a step, brightness is that of an 8-bit image,
and nothing moves but the camera. `draws` makes it the same on every machine.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ssf.config import Refused
from ssf.datasets.draws import WEIGHTS, drawn, draws, hats, numbers, whole

SIDE, ITEM = 32, 28  # pixels of the sensor and of an image
UNIT = 4096  # of the fixed-point logarithm
AT_ONCE = 250  # images


@dataclass(frozen=True)
class Camera:
    """How the camera sees: thresholds are changes of ln(brightness), brightness being grey level + `dark`."""

    steps: int = 24  # of time, a multiple of 3
    reach: int = 3  # pixels, how far a saccade may end from the centre
    threshold: float = 0.25
    mismatch: float = (
        0.1  # each pixel's threshold is off by up to this share, the same for all images
    )
    dark: int = 24  # grey levels: the brightness of black
    refractory: int = 1  # steps after an event in which a pixel is blind
    noise: float = 0.001  # events that nothing caused, per pixel and step, blind or not; as many in every image

    def __post_init__(self):
        for name, ok, allowed in (
            (
                "steps",
                3 <= self.steps <= 255 and self.steps % 3 == 0,
                "a multiple of 3 from 3 to 255",
            ),
            ("reach", 0 <= self.reach <= 8, "0 to 8 pixels"),
            ("threshold", self.threshold > 0, "a positive number"),
            ("mismatch", 0 <= self.mismatch < 1, "a share of at least 0 and below 1"),
            ("dark", self.dark >= 1, "a positive whole number"),
            ("refractory", self.refractory >= 0, "a whole number of at least 0"),
            ("noise", 0 <= self.noise < 1, "a rate of at least 0 and below 1"),
        ):
            if not ok:
                raise Refused(f"camera.{name} is {getattr(self, name)!r}; allowed: {allowed}.")


def path(bits, camera):
    """Where the camera looks at each step: int64 [n,steps+1,2] in 1/64 pixels, from the centre and back to it."""
    reach = WEIGHTS * camera.reach
    turns = whole(bits[:, :4], -reach, reach).reshape(-1, 2, 2)
    stops = np.concatenate(
        [np.zeros_like(turns[:, :1]), turns, np.zeros_like(turns[:, :1])], axis=1
    )
    third, places = camera.steps // 3, []
    for a, b in zip(range(3), range(1, 4), strict=True):
        share = np.arange(third)[:, None]
        places.append((stops[:, a, None] * (third - share) + stops[:, b, None] * share) // third)
    return np.concatenate([*places, stops[:, 3:]], axis=1)


def see(items, chosen, camera=None, seed=0, split=0):
    """Events of some of the items: uint8 [n,steps,2,32,32], 1 where a pixel sent one; channel 0 is OFF, 1 is ON.

    Args:
        items: uint8 [N,28,28]; chosen: whole numbers [n], which of them.
        split: 0 or 1; the same numbers of the two have nothing in common.
    """
    camera, chosen = camera or Camera(), np.asarray(chosen)
    n, pixels = len(chosen), SIDE**2
    false = round(camera.noise * camera.steps * pixels)
    bits = draws(seed, numbers(chosen, split), 4 + false)
    table = torch.tensor(
        [round(UNIT * math.log(v + camera.dark)) for v in range(256)], dtype=torch.int32
    )
    uneven = torch.from_numpy(whole(draws(seed + 1, [0], pixels), -1000, 1000)).view(
        SIDE, SIDE
    )  # thousandths
    threshold = (
        (UNIT * camera.threshold * (1 + camera.mismatch * uneven.double() / 1000)).round().int()
    )

    where, margin = path(bits, camera), WEIGHTS * (SIDE - ITEM) // 2
    events = torch.zeros(n, camera.steps, 2, SIDE, SIDE, dtype=torch.uint8)
    looked_at = items[chosen].float()
    whole_item = np.full(n, ITEM), np.zeros(n, np.int64), np.full(n, ITEM)  # size, first, extent
    for step in range(camera.steps + 1):
        rows, columns = (hats(margin + where[:, step, i], *whole_item, SIDE, ITEM) for i in (0, 1))
        level = table[drawn(rows, looked_at, columns).div(WEIGHTS**2).int()]
        if step == 0:
            memory, blind = level.clone(), torch.zeros_like(level)
            continue
        change, awake = level - memory, blind == 0
        on, off = awake & (change >= threshold), awake & (change <= -threshold)
        events[:, step - 1, 0], events[:, step - 1, 1] = off, on
        fired = on | off
        memory = torch.where(fired | ~awake, level, memory)  # held while blind
        blind = torch.where(fired, camera.refractory, (blind - 1).clamp(min=0))
    which = torch.from_numpy(whole(bits[:, 4:], 0, camera.steps * 2 * pixels - 1))
    return events.flatten(1).scatter(1, which, 1).view_as(events)


def integrate(events, time_steps):
    """Frames uint8 [n,T,2,H,W] of events [n,steps,2,H,W]: how many each pixel sent in each of T equal spans of time.

    Raises ValueError where there are fewer steps than frames.
    """
    steps = events.shape[1]
    if not 1 <= time_steps <= steps:
        raise Refused(
            f"time_steps is {time_steps!r}; allowed: 1 to {steps}, the steps of the simulated camera."
        )
    edges = [steps * i // time_steps for i in range(time_steps + 1)]
    spans = zip(edges, edges[1:], strict=False)
    return torch.stack([events[:, a:b].sum(1, dtype=torch.uint8) for a, b in spans], dim=1)


def frames(items, time_steps, camera=None, seed=0, split=0):
    """`integrate` of `see` of all items, uint8 [N,T,2,32,32]."""
    parts = torch.arange(len(items)).split(AT_ONCE)
    return torch.cat(
        [integrate(see(items, chosen, camera, seed, split), time_steps) for chosen in parts]
    )
