"""cluttered-fashion: an item of Fashion-MNIST on a larger canvas full of other things, and the truth about which is it.

Seeded and made on the fly; `draws` sees to it that every machine makes the same.
"""

import numpy as np
import torch

from ssf.datasets.draws import WEIGHTS, drawn, draws, hats, numbers, whole

SIDE, ITEM = 40, 28  # pixels of the canvas and of an item
SIZES = (20, 28)  # of the item on the canvas
FRAGMENTS, EXTENTS = 8, (9, 16)  # how many at difficulty 1, and of how many pixels
GRIDS = ((5, 3), (12, 2), (SIDE, 1))  # the texture: noise of so many points a side, and its weight
INK = 24  # grey level from which a pixel belongs to an item
SOLID = WEIGHTS**2
AT_ONCE = 500  # images


def item_masks(items):
    """Which pixels belong to the item: bool [n,28,28], the bright ones and what they enclose. items uint8 [n,28,28]."""
    from scipy.ndimage import binary_fill_holes

    cross = np.zeros((3, 3, 3), bool)
    cross[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]  # no neighbours in other images
    return torch.from_numpy(binary_fill_holes(np.asarray(items) >= INK, cross))


def texture(bits):
    """Smooth noise, grey levels 0 to 255, float32 [n,40,40] of whole numbers."""
    total, n, used = 0, len(bits), 0
    for points, weight in GRIDS:
        grid = torch.from_numpy(
            whole(bits[:, used : used + points**2], 0, 255).reshape(n, points, points)
        )
        used += points**2
        matrix = hats([0], [SIDE], [WEIGHTS // 2], [points - 1], SIDE, points)
        total = total + weight * (drawn(matrix, grid, matrix) / SOLID).floor()
    return (total / sum(weight for _, weight in GRIDS)).floor()


def cluttered(items, masks, chosen, difficulty=0.5, seed=0, split=0):
    """Canvases of some of the items: images uint8 [n,40,40] and foreground bool [n,40,40].

    Each item is scaled to 20 to 28 pixels a side and put anywhere, in front of everything. Behind it: fragments of
    other items, as bright as it is, and textured noise. The foreground is the item, its holes filled.

    Args:
        items, masks: uint8 [N,28,28] of one split, and their `item_masks`; fragments come from the same split.
        chosen: whole numbers [n], which of them to draw.
        split: 0 or 1, of the same numbers in each: they have nothing in common.
        difficulty: 0 (an empty canvas) to 1 (8 fragments, noise up to two thirds of the grey scale).
    """
    chosen = np.asarray(chosen)
    bits = draws(
        seed, numbers(chosen, split), 3 + 6 * FRAGMENTS + sum(points**2 for points, _ in GRIDS)
    )
    canvas = (texture(bits[:, 3 + 6 * FRAGMENTS :]) * round(170 * difficulty) / 256).floor()
    for f in range(round(FRAGMENTS * difficulty)):
        which, extent, row, column, top, left = (bits[:, 3 + 6 * f + i] for i in range(6))
        extent = whole(extent, *EXTENTS)
        first = [WEIGHTS * whole(corner, 4, ITEM - 4 - extent) for corner in (row, column)]
        other = (chosen + 1 + whole(which, 0, len(items) - 2)) % len(items)
        place = [WEIGHTS * whole(corner, 0, SIDE - extent) for corner in (top, left)]
        canvas, _ = put(canvas, items[other], masks[other], place, extent, first, extent)
    size = whole(bits[:, 0], *SIZES)
    place = [WEIGHTS * whole(bits[:, i], 0, SIDE - size) for i in (1, 2)]
    nothing, all_of_it = np.zeros_like(size), np.full_like(size, ITEM)
    canvas, cover = put(
        canvas, items[chosen], masks[chosen], place, size, (nothing, nothing), all_of_it
    )
    return canvas.to(torch.uint8), cover >= SOLID // 2


def canvases(items, difficulty=0.5, seed=0, split=0):
    """`cluttered` of all items, images uint8 [N,40,40] and foreground bool [N,40,40]."""
    masks = item_masks(items)
    parts = [
        cluttered(items, masks, c, difficulty, seed, split)
        for c in torch.arange(len(items)).split(AT_ONCE)
    ]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def put(canvas, items, masks, place, size, first, extent):
    """The canvas with a part of each item drawn over it, and how much of each pixel it covers, 0 to 64²."""
    rows, columns = (hats(place[i], size, first[i], extent, SIDE, ITEM) for i in (0, 1))
    cover = drawn(rows, masks, columns)
    ink = drawn(rows, items * masks, columns)
    return (ink + (SOLID - cover) * canvas).div(SOLID).floor(), cover
