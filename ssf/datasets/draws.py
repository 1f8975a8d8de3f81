"""Random whole numbers and resampled pictures that are the same on every machine.

The sets that are made on the fly (`clutter`, `camera`) use nothing else: the numbers are hashes of
(seed, image, place), the pictures are sums of whole numbers that float32 holds exactly, whatever
the order of summation.
"""

import numpy as np
import torch

WEIGHTS = 64  # in a row of a resampling matrix: weights are whole numbers, 64 stands for 1
STEP = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64


def mixed(z):
    """splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) on an array of uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draws(seed, images, count, split=0):
    """Random bits uint64 [n,count] of the images with numbers [n].

    Each has its own stream, and so have images of the same number in the splits 0 and 1 of a set.
    """
    numbers = np.asarray(images, np.uint64) + np.uint64(split << 32)
    of_seed = mixed(np.array([seed], np.uint64) * STEP + STEP)
    of_image = mixed(numbers * STEP + of_seed)
    return mixed(of_image[:, None] + np.arange(1, count + 1, dtype=np.uint64) * STEP)


def whole(bits, low, high):
    """Random bits -> whole numbers int64 from low to high (numbers or arrays), both included."""
    low, high = np.asarray(low, np.int64), np.asarray(high, np.int64)
    span = (high - low + 1).astype(np.uint64)
    return low + ((bits >> np.uint64(32)) * span >> np.uint64(32)).astype(np.int64)


def hats(start, size, first, extent, target, source):
    """Matrices [n,target,source]: source[first : first+extent] into target[start : start+size].

    Linear interpolation. The first four are int64 [n], `first` and `start` in 1/64 of a pixel.
    Weights are whole numbers that add up to 64 or, beyond the part that is drawn, to 0.
    """
    start, size, first, extent = (
        torch.as_tensor(np.asarray(v))[:, None] for v in (start, size, first, extent)
    )
    centre = WEIGHTS * torch.arange(target) + WEIGHTS // 2 - start
    place = (centre * extent).div(size, rounding_mode="floor") + first - WEIGHTS // 2
    place[(centre < 0) | (centre >= WEIGHTS * size)] = -WEIGHTS  # beside the source
    distance = (place[..., None].float() - WEIGHTS * torch.arange(source)).abs_()
    return distance.neg_().add_(WEIGHTS).clamp_(min=0)


def drawn(rows, pictures, columns):
    """Pictures [n,h,w] through matrices of `hats`: float32, 64² times whole grey levels."""
    return rows @ pictures.float() @ columns.transpose(1, 2)
