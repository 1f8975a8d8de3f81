"""Augmentation of whole batches, drawn for each image: the published recipes.

Each is a pure function of the batch and the state of the generator, and runs on the batch's device.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

SHIFT = 2  # pixels


def uniform(generator, like, low=0.0, high=1.0, *shape):
    """Random numbers [B, `*shape`] from low to high, on the device of the batch `like`."""
    return torch.rand(len(like), *shape, generator=generator).to(like.device) * (high - low) + low


def one_of(generator, like, count):
    """A random whole number below `count` for each image."""
    return torch.randint(count, (len(like),), generator=generator).to(like.device)


def flip(images, generator):
    """Each image [B,...,W] mirrored with probability 1/2."""
    mirrored = uniform(generator, images, 0, 1, *[1] * (images.ndim - 1)) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def light(images, generator, foreground=None):
    """Each image shifted by up to 2 pixels in each direction (zeros move in), half mirrored.

    images [B,c,H,W] or frames [B,T,2,H,W]; foreground bool [B,H,W] goes along. Returns both.
    """
    device, layers = images.device, images.flatten(1, -3)
    if foreground is not None:
        layers = torch.cat([layers, foreground[:, None].to(layers.dtype)], dim=1)
    padded, (height, width) = F.pad(layers, (SHIFT,) * 4), images.shape[-2:]
    shape = (2, len(images), 1)
    down, right = torch.randint(0, 2 * SHIFT + 1, shape, generator=generator).to(device)
    rows = torch.arange(height, device=device) + down
    columns = torch.arange(width, device=device) + right
    mirrored = uniform(generator, images, 0, 1, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(len(images), device=device)[:, None, None]
    moved = padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
    if foreground is None:
        return moved.view_as(images), None
    return moved[:, :-1].reshape(images.shape), moved[:, -1].bool()


def warp(images, matrices, mode, fill=0.0):
    """Images [n,c,H,W] through affine maps: output pixel p, from the centre, shows input A p + b.

    matrices: [n,2,3], of (x, y, 1), in pixels. fill: grey levels [c] for what lies beyond.
    """
    if len(images) == 0:
        return images.float()
    height, width = images.shape[-2:]
    scale = matrices.new_tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    grid = F.affine_grid(matrices * scale, images.shape, align_corners=False)
    fill = torch.as_tensor(fill, device=images.device).view(-1, 1, 1)
    return F.grid_sample(images.float() - fill, grid, mode, "zeros", align_corners=False) + fill


def affine(xx=1.0, xy=0.0, x=0.0, yx=0.0, yy=1.0, y=0.0):
    """Matrices [n,2,3] for `warp` of numbers and tensors [n]."""
    entries = (xx, xy, x, yx, yy, y)
    like = next(entry for entry in entries if torch.is_tensor(entry))
    tensors = [e if torch.is_tensor(e) else torch.full_like(like, e) for e in entries]
    return torch.stack(tensors, dim=1).view(-1, 2, 3)


def turned(degrees):
    """Matrices of a turn, counter-clockwise as one looks at the image."""
    angle = torch.deg2rad(degrees)
    return affine(angle.cos(), -angle.sin(), 0.0, angle.sin(), angle.cos())


# The operations that the published code leaves in timm's list: matrices for a level from 0 to 1
# (magnitude 0 to 10), a sign of -1 or 1, and images of that side. The fifth is "equalize".
MOVES = {
    "shear_x": lambda level, sign, side: affine(  # about a corner
        xy=0.3 * level * sign, x=0.15 * level * sign * side
    ),
    "translate_x": lambda level, sign, side: affine(x=0.45 * level * sign * side),
    "translate_y": lambda level, sign, side: affine(y=0.45 * level * sign * side),
    "rotate": lambda level, sign, side: turned(30 * level * sign),
}
EVENT_MOVES = {  # for a magnitude m from -1 to 1; up to 5 of 128 pixels, whole ones
    "shear_x": lambda m, side: affine(xy=(0.3 * m).tan()),
    "translate_x": lambda m, side: affine(x=-((5 * m).trunc() * side / 128).round()),
    "translate_y": lambda m, side: affine(y=-((5 * m).trunc() * side / 128).round()),
    "rotate": lambda m, side: turned(30 * m),
}


def rand_augment(images, generator, fill=128.0):
    """RandAugment (Cubuk et al., 2020) as the published code has it: uint8 [B,c,H,W] -> same.

    Its config says "rand-m9-n1-mstd0.4-inc1", which in timm is a choice of 15 operations; its own
    copy of timm's file has all but five commented out. Half of the images get one of the five, each
    at a magnitude drawn around 9 of 10 (standard deviation 0.4), interpolated by cubic splines;
    `fill`, a grey level or one a channel, moves in.
    """
    from torchvision.transforms.v2.functional import equalize  # here: it takes a second

    changed = uniform(generator, images) < 0.5
    operation = torch.where(changed, one_of(generator, images, 1 + len(MOVES)), -1)
    level = 9 + 0.4 * torch.randn(len(images), generator=generator).to(images.device)
    level, sign = (level / 10).clamp(0, 1), 1 - 2.0 * one_of(generator, images, 2)
    out = images.clone()
    for i, move in enumerate(MOVES.values()):
        own = operation == i
        matrices = move(level[own], sign[own], images.shape[-1])
        warped = warp(images[own], matrices, "bicubic", fill)
        out[own] = warped.round().clamp(0, 255).to(torch.uint8)
    even = operation == len(MOVES)
    out[even] = equalize(images[even])
    return out


def erase(images, generator, probability=0.25, areas=(0.02, 1 / 3), stretch=1 / 0.3):
    """Each image [B,...,H,W] with that probability loses a rectangle (Zhong et al., 2020).

    Its share of the area is drawn evenly, its ratio of height to width evenly in the logarithm, up
    to `stretch`; ten tries to fit it in. It becomes 0: on standardised images, the mean colour.
    """
    height, width = images.shape[-2:]
    area = height * width * uniform(generator, images, *areas, 10)
    ratio = uniform(generator, images, -math.log(stretch), math.log(stretch), 10).exp()
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.float().argmax(1, keepdim=True)
    tall, wide = tall.gather(1, first), wide.gather(1, first)
    hit = fits.any(1, keepdim=True) & (uniform(generator, images, 0, 1, 1) < probability)
    top = (uniform(generator, images, 0, 1, 1) * (height - tall + 1)).floor()
    left = (uniform(generator, images, 0, 1, 1) * (width - wide + 1)).floor()
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (rows >= top) & (rows < top + tall) & hit
    columns = (columns >= left) & (columns < left + wide)
    inside = rows[:, :, None] & columns[:, None]
    return images.masked_fill(inside.view(-1, *[1] * (images.ndim - 3), height, width), 0)


def event_frames(frames, generator):
    """The published recipe for event frames [B,T,2,H,W] uint8; one draw for a sample's frames.

    Mirrored half of the time, then one of six: nothing, shear, translation along either axis,
    rotation (each at one of 31 magnitudes, nearest neighbour, zeros move in) or a square cut out
    (0.1 % to 11 % of the area).
    """
    out = flip(frames, generator)
    operation, side = one_of(generator, frames, 2 + len(EVENT_MOVES)), frames.shape[-1]
    magnitude = one_of(generator, frames, 31) / 15.0 - 1
    cut, chosen = erase(out, generator, 1.0, (0.001, 0.11), 1.0), operation == 1
    out[chosen] = cut[chosen]
    for i, move in enumerate(EVENT_MOVES.values()):
        own = operation == 2 + i
        warped = warp(out[own].flatten(1, 2), move(magnitude[own], side), "nearest")
        out[own] = warped.view_as(out[own]).to(out.dtype)
    return out


def mixup(images, labels, classes, generator, alpha, probability=1.0):
    """Images [B,...] mixed with the batch in reverse, and soft labels [B,classes] (Zhang 2018).

    One share a batch, from Beta(alpha, alpha), as timm's batch mode has it; with `probability`,
    else nothing is mixed. Whole grey levels stay whole, as there; the images come back as float32.
    """
    soft = F.one_hot(labels, classes).float()
    seed = torch.randint(2**62, (1,), generator=generator)  # torch's Beta takes no generator
    rng = np.random.default_rng(int(seed))
    share = rng.beta(alpha, alpha)
    if rng.random() >= probability:
        return images.float(), soft
    mixed = images.float().lerp(images.flip(0).float(), 1 - share)
    soft = soft.lerp(soft.flip(0), 1 - share)
    return mixed if images.is_floating_point() else mixed.round(), soft
