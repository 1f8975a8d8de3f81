"""Augmentation of whole batches, drawn for each image: the published recipes for images and for event frames.

Each is a pure function of the batch and the state of the generator, and runs on the device that the batch lies on.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

SHIFT = 2  # pixels


def uniform(generator, like, low=0.0, high=1.0, *shape):
    """Random numbers [B, *shape] from low to high, on the device of the batch `like`."""
    return torch.rand(len(like), *shape, generator=generator).to(like.device) * (high - low) + low


def one_of(generator, like, count):
    """A random whole number below `count` for each image."""
    return torch.randint(count, (len(like),), generator=generator).to(like.device)


def flip(images, generator):
    """Each image [...,W] mirrored with probability 1/2."""
    mirrored = uniform(generator, images).view(-1, *[1] * (images.ndim - 1)) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def light(images, generator, foreground=None):
    """Each image shifted by up to 2 pixels in each direction (zeros move in), half of them mirrored.

    images [B,c,H,W] or frames [B,T,2,H,W]; foreground bool [B,H,W] goes along. Returns both.
    """
    b, height, width = len(images), *images.shape[-2:]
    layers = images.flatten(1, -3)
    if foreground is not None:
        layers = torch.cat([layers, foreground[:, None].to(layers.dtype)], dim=1)
    padded = F.pad(layers, (SHIFT,) * 4)
    offsets = torch.randint(0, 2 * SHIFT + 1, (2, b, 1), generator=generator).to(images.device)
    rows, columns = (torch.arange(n, device=images.device) + o for n, o in zip((height, width), offsets, strict=True))
    mirrored = uniform(generator, images, 0, 1, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    which = torch.arange(b, device=images.device)[:, None, None]
    moved = padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
    if foreground is None:
        return moved.view_as(images), None
    return moved[:, :-1].reshape(images.shape), moved[:, -1].bool()


def warp(images, matrices, mode, fill=0.0):
    """Images [n,c,H,W] as seen through affine maps: output pixel p, from the centre, shows input pixel A p + b.

    matrices: [n,2,3], of (x, y, 1), in pixels. fill: grey levels [c] for what lies beyond the image.
    """
    height, width = images.shape[-2:]
    scale = matrices.new_tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    grid = F.affine_grid(matrices * scale, images.shape, align_corners=False)
    fill = torch.as_tensor(fill, device=images.device).view(-1, 1, 1)
    return F.grid_sample(images.float() - fill, grid, mode, "zeros", align_corners=False) + fill


def affine(xx=1.0, xy=0.0, x=0.0, yx=0.0, yy=1.0, y=0.0):
    """Matrices [n,2,3] for `warp` of numbers and tensors [n]."""
    n = next(v for v in (xx, xy, x, yx, yy, y) if isinstance(v, torch.Tensor))
    entries = [torch.as_tensor(v, dtype=n.dtype, device=n.device).expand_as(n) for v in (xx, xy, x, yx, yy, y)]
    return torch.stack(entries, dim=1).view(-1, 2, 3)


def turned(degrees):
    """Matrices of a turn, counter-clockwise as one looks at the image."""
    angle = torch.deg2rad(degrees)
    return affine(angle.cos(), -angle.sin(), 0.0, angle.sin(), angle.cos())


def tv(name, *arguments):
    """A function of torchvision.transforms.v2.functional, which takes a second to import."""
    from torchvision.transforms.v2 import functional

    return getattr(functional, name)(*arguments)


def blend(images, other, factor):
    """other + factor · (images - other), within 0 to 255; factor [n]."""
    return (other + factor.view(-1, 1, 1, 1) * (images - other)).clamp(0, 255)


def grey(images):
    return tv("rgb_to_grayscale", images, 3) if images.shape[1] == 3 else images


def smooth(images):
    """The 3×3 filter that PIL's sharpness starts from; the border stays."""
    kernel = torch.ones(3, 3, device=images.device).index_put_((torch.tensor(1), torch.tensor(1)), torch.tensor(5.0))
    out, c = images.clone(), images.shape[1]
    inner = F.conv2d(images, (kernel / 13).expand(c, 1, 3, 3), groups=c)
    out[..., 1:-1, 1:-1] = inner.round()
    return out


# What timm's RandAugment "rand-m9-n1-mstd0.4-inc1" chooses from: images float32 [n,c,H,W] of whole grey levels,
# level [n] from 0 to 1, sign [n] -1 or 1 -> images of any grey level
LOOKS = {
    "autocontrast": lambda x, level, sign: tv("autocontrast", x.to(torch.uint8)),
    "equalize": lambda x, level, sign: tv("equalize", x.to(torch.uint8)),
    "invert": lambda x, level, sign: 255 - x,
    "posterize": lambda x, level, sign: x - x % (2 ** (4 + (4 * level).floor())).view(-1, 1, 1, 1),
    "solarize": lambda x, level, sign: torch.where(x < (256 - (256 * level).floor()).view(-1, 1, 1, 1), x, 255 - x),
    "solarize_add": lambda x, level, sign: torch.where(
        x < 128, (x + (110 * level).floor().view(-1, 1, 1, 1)).clamp(max=255), x
    ),
    "color": lambda x, level, sign: blend(x, grey(x), enhancement(level, sign)),
    "contrast": lambda x, level, sign: blend(
        x, grey(x).mean((1, 2, 3), keepdim=True).round(), enhancement(level, sign)
    ),
    "brightness": lambda x, level, sign: blend(x, 0.0, enhancement(level, sign)),
    "sharpness": lambda x, level, sign: blend(x, smooth(x), enhancement(level, sign)),
}
MOVES = {  # matrices for images of that side
    "shear_x": lambda level, sign, side: affine(xy=0.3 * level * sign, x=0.15 * level * sign * side),  # about a corner
    "shear_y": lambda level, sign, side: affine(yx=0.3 * level * sign, y=0.15 * level * sign * side),
    "translate_x": lambda level, sign, side: affine(x=0.45 * level * sign * side),
    "translate_y": lambda level, sign, side: affine(y=0.45 * level * sign * side),
    "rotate": lambda level, sign, side: turned(30 * level * sign),
}


def enhancement(level, sign):
    return (1 + 0.9 * level * sign).clamp(min=0.1)


def rand_augment(images, generator, fill=128.0, magnitude=9.0, spread=0.4):
    """RandAugment (Cubuk et al., 2020) as timm has it for "rand-m9-n1-mstd0.4-inc1": images uint8 [B,c,H,W] -> same.

    Half of the images get one of 15 operations, each at a magnitude drawn around 9 (of 10, standard deviation 0.4).
    Unlike timm's, what turns or moves is always interpolated linearly, not cubically half of the time.
    """
    names = [*LOOKS, *MOVES]
    operation = torch.where(uniform(generator, images) < 0.5, one_of(generator, images, len(names)), -1)
    level = magnitude + spread * torch.randn(len(images), generator=generator).to(images.device)
    level, sign = (level / 10).clamp(0, 1), 1 - 2.0 * one_of(generator, images, 2)
    out = images.float()
    for i, name in enumerate(LOOKS):
        which = (operation == i).nonzero().squeeze(1)
        if len(which):
            out[which] = LOOKS[name](out[which], level[which], sign[which]).float()
    which, matrices = [], []
    for i, name in enumerate(MOVES):
        which.append((operation == len(LOOKS) + i).nonzero().squeeze(1))
        matrices.append(MOVES[name](level[which[-1]], sign[which[-1]], images.shape[-1]))
    which = torch.cat(which)
    if len(which):
        out[which] = warp(out[which], torch.cat(matrices), "bilinear", fill)
    return out.round().to(torch.uint8)


def erase(images, generator, probability=0.25, areas=(0.02, 1 / 3), stretch=1 / 0.3):
    """Each image [B,...,H,W] with that probability loses a rectangle: it becomes 0 (Zhong et al., 2020).

    Its share of the area is drawn evenly, its ratio of height to width evenly in the logarithm, up to `stretch`; ten
    tries to fit it in. On standardised images, 0 is the mean colour, as in the published recipe.
    """
    height, width = images.shape[-2:]
    area = height * width * uniform(generator, images, *areas, 10)
    ratio = uniform(generator, images, -math.log(stretch), math.log(stretch), 10).exp()
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    chosen = fits.float().argmax(1, keepdim=True)  # the first that does
    tall, wide = tall.gather(1, chosen), wide.gather(1, chosen)
    hit = fits.any(1, keepdim=True) & (uniform(generator, images, 0, 1, 1) < probability)
    top = (uniform(generator, images, 0, 1, 1) * (height - tall + 1)).floor()
    left = (uniform(generator, images, 0, 1, 1) * (width - wide + 1)).floor()
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    inside = ((rows >= top) & (rows < top + tall) & hit)[:, :, None] & ((columns >= left) & (columns < left + wide))[
        :, None
    ]
    return images.masked_fill(inside.view(len(images), *[1] * (images.ndim - 3), height, width), 0)


EVENT_MOVES = {  # magnitude from -1 to 1; 5 of 128 pixels
    "shear_x": lambda m, side: affine(xy=(0.3 * m).tan()),
    "translate_x": lambda m, side: affine(x=-(m * 5 * side / 128).trunc()),
    "translate_y": lambda m, side: affine(y=-(m * 5 * side / 128).trunc()),
    "rotate": lambda m, side: turned(30 * m),
}


def event_frames(frames, generator):
    """The published recipe for event frames [B,T,2,H,W], uint8 -> same; one draw for all frames of a sample.

    Mirrored half of the time, then one of six: nothing, shear, translation along either axis, rotation (each at one of
    31 magnitudes, nearest neighbour, zeros move in) or a square cut out (0.1 % to 11 % of the area).
    """
    out = flip(frames, generator)
    operation, side = one_of(generator, frames, 2 + len(EVENT_MOVES)), frames.shape[-1]
    magnitude = one_of(generator, frames, 31) / 15.0 - 1
    cut = erase(out, generator, 1.0, (0.001, 0.11), 1.0)
    out = torch.where((operation == 1).view(-1, 1, 1, 1, 1), cut, out)
    for i, move in enumerate(EVENT_MOVES.values()):
        which = (operation == 2 + i).nonzero().squeeze(1)
        if len(which):
            flat = out[which].flatten(1, 2)
            out[which] = warp(flat, move(magnitude[which], side), "nearest").view_as(out[which]).to(out.dtype)
    return out


def mixup(images, labels, classes, generator, alpha, probability=1.0):
    """Images [B,...] mixed with those of the batch in reverse, and soft labels [B,classes] (Zhang et al., 2018).

    One share a batch, from Beta(alpha, alpha), as timm's batch mode has it; with `probability`, else nothing is mixed.
    """
    soft = F.one_hot(labels, classes).float()
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))  # torch's Beta takes no generator
    share, mixes = rng.beta(alpha, alpha), rng.random() < probability
    if not mixes:
        return images, soft
    return images.lerp(images.flip(0), 1 - share), soft.lerp(soft.flip(0), 1 - share)
