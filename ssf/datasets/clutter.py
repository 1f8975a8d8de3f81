"""cluttered-fashion: an item of Fashion-MNIST among other things on a larger canvas, and its mask.

Seeded and made on the fly; `draws` sees to it that every machine makes the same.
"""

import numpy as np
import torch

from ssf.datasets.draws import WEIGHTS, drawn, draws, hats, whole

SIDE, ITEM = 40, 28  # pixels of the canvas and of an item
SIZES = (20, 28)  # of the item on the canvas
FRAGMENTS, EXTENTS = 8, (9, 16)  # how many at difficulty 1, and of how many pixels
GRIDS = ((5, 3), (12, 2), (SIDE, 1))  # the texture: noise of so many points a side, and its weight
INK = 24  # grey level from which a pixel belongs to an item
SOLID = WEIGHTS**2
AT_ONCE = 500  # images


def item_masks(items):
    """Pixels of the item, bright ones and what they enclose: uint8 [n,28,28] -> bool [n,28,28]."""
    from scipy.ndimage import binary_fill_holes  # here: it takes half a second

    cross = np.zeros((3, 3, 3), bool)
    cross[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]  # no neighbours in other images
    return torch.from_numpy(binary_fill_holes(np.asarray(items) >= INK, cross))


def texture(bits):
    """Smooth noise, grey levels 0 to 255, float32 [n,40,40] of whole numbers."""
    total, used = 0, 0
    for points, weight in GRIDS:
        levels = whole(bits[:, used : used + points**2], 0, 255)
        grid = torch.from_numpy(levels.reshape(-1, points, points))
        used += points**2
        matrix = hats([0], [SIDE], [WEIGHTS // 2], [points - 1], SIDE, points)
        total = total + weight * (drawn(matrix, grid, matrix) / SOLID).floor()
    return (total / sum(weight for _, weight in GRIDS)).floor()


def cluttered(items, masks, chosen, difficulty=0.5, seed=0, split=0):
    """Canvases of some of the items: images uint8 [n,40,40] and foreground bool [n,40,40].

    Each item is scaled to 20 to 28 pixels a side and put anywhere, in front of everything. Behind
    it: fragments of other items of the same split, and textured noise. The foreground is the item,
    its holes filled.

    Args:
        items: uint8 [N,28,28] of one split.
        masks: bool [N,28,28], their `item_masks`.
        chosen: whole numbers [n], which of them to draw.
        difficulty: 0 (an empty canvas) to 1 (8 fragments, noise up to two thirds of the scale).
        split: 0 or 1; the same numbers of the two have nothing in common.
    """
    chosen, used = np.asarray(chosen), 3 + 6 * FRAGMENTS
    bits = draws(seed, chosen, used + sum(points**2 for points, _ in GRIDS), split)
    canvas = (texture(bits[:, used:]) * round(170 * difficulty) / 256).floor()
    for f in range(round(FRAGMENTS * difficulty)):
        which, extent, row, column, top, left = bits[:, 3 + 6 * f : 9 + 6 * f].T
        extent = whole(extent, *EXTENTS)
        first = [WEIGHTS * whole(corner, 4, ITEM - 4 - extent) for corner in (row, column)]
        place = [WEIGHTS * whole(corner, 0, SIDE - extent) for corner in (top, left)]
        other = (chosen + 1 + whole(which, 0, len(items) - 2)) % len(items)
        canvas, _ = put(canvas, items[other], masks[other], place, extent, first, extent)
    size = whole(bits[:, 0], *SIZES)
    place = [WEIGHTS * whole(corner, 0, SIDE - size) for corner in bits[:, 1:3].T]
    first, extent = [np.zeros_like(size)] * 2, np.full_like(size, ITEM)  # all of the item
    canvas, cover = put(canvas, items[chosen], masks[chosen], place, size, first, extent)
    return canvas.to(torch.uint8), cover >= SOLID // 2


def canvases(items, difficulty=0.5, split=0):
    """`cluttered` of all items, images uint8 [N,40,40] and foreground bool [N,40,40]."""
    masks, chosen = item_masks(items), torch.arange(len(items)).split(AT_ONCE)
    parts = [cluttered(items, masks, part, difficulty, split=split) for part in chosen]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def put(canvas, items, masks, place, size, first, extent):
    """The canvas with a part of each item drawn over it, and its share of each pixel, of 64²."""
    rows, columns = (hats(place[i], size, first[i], extent, SIDE, ITEM) for i in (0, 1))
    cover = drawn(rows, masks, columns)
    ink = drawn(rows, items * masks, columns)
    return (ink + (SOLID - cover) * canvas).div(SOLID).floor(), cover
