"""Random whole numbers and resampled pictures that are the same on every machine.

The data sets that are made on the fly (`clutter`, `camera`) use nothing else: the numbers are hashes of (seed, image,
place), the pictures are sums of whole numbers that float32 holds exactly, whatever the order of summation.
"""

import numpy as np
import torch

WEIGHTS = 64  # in a row of a resampling matrix: weights are whole numbers, 64 stands for 1


def mixed(z):
    """splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) on an array of uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draws(seed, images, count):
    """Random bits uint64 [n,count] of n images, given by their numbers int [n]; each image has a stream of its own."""
    step = np.uint64(0x9E3779B97F4A7C15)
    of_seed = mixed(np.array([seed], np.uint64) * step + step)
    of_image = mixed(np.asarray(images, np.uint64) * step + of_seed)
    return mixed(of_image[:, None] + np.arange(1, count + 1, dtype=np.uint64) * step)


def numbers(chosen, split):
    """Numbers of images as `draws` takes them, so that the splits of a set share no stream."""
    return np.asarray(chosen, np.uint64) + np.uint64(split << 32)


def whole(bits, low, high):
    """Random bits -> whole numbers int64 from low to high, both included; low and high are numbers or arrays."""
    low, high = np.asarray(low, np.int64), np.asarray(high, np.int64)
    span = (high - low + 1).astype(np.uint64)
    return low + ((bits >> np.uint64(32)) * span >> np.uint64(32)).astype(np.int64)


def hats(start, size, first, extent, target, source):
    """Matrices [n,target,source] that draw source[first : first + extent] into target[start : start + size].

    Linear interpolation; all are int64 [n], `first` and `start` in 1/64 of a pixel. Weights are whole numbers that add
    up to 64 or, beyond the part that is drawn, to 0.
    """
    start, size, first, extent = (torch.as_tensor(np.asarray(v), dtype=torch.int64)[:, None] for v in
                                  (start, size, first, extent))  # fmt: skip
    centre = WEIGHTS * torch.arange(target) + WEIGHTS // 2 - start
    place = (
        torch.div(centre * extent, size, rounding_mode="floor") + first - WEIGHTS // 2
    )  # in 1/64 source pixel
    place[(centre < 0) | (centre >= WEIGHTS * size)] = -WEIGHTS  # beside the source
    away = (place[..., None].float() - WEIGHTS * torch.arange(source)).abs_()
    return away.neg_().add_(WEIGHTS).clamp_(min=0)


def drawn(rows, pictures, columns):
    """Pictures [n,h,w] through matrices of `hats`, float32 holding whole numbers: 64² times their grey levels."""
    return rows @ pictures.float() @ columns.transpose(1, 2)
