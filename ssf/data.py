"""A data set by name -> tensors; augmentation on whole batches."""

import functools
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ssf.config import Refused

FASHION_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
SHIFT = 2  # pixels


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [n,c,H,W] and labels int64 [n] of both splits."""

    name: str
    classes: tuple
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @functools.cached_property
    def statistics(self):
        """Mean and standard deviation of the training pixels, each [c,1,1], in grey levels from 0 to 255."""
        pixels = self.train_images.transpose(0, 1).flatten(1).float()
        return pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]

    def standardise(self, images):
        """uint8 images -> float32, zero mean and unit variance over the training pixels of each channel."""
        mean, std = self.statistics
        return (images.float() - mean) / std


def folder():
    """The folder data/ of the repository, or the one the variable SSF_DATA names."""
    return Path(os.environ.get("SSF_DATA") or Path(__file__).parents[1] / "data")


def read_checked(path, mend):
    """The bytes of a file whose SHA-256 stands in SHA256SUMS beside it. ValueError, one sentence, if not."""
    sums = path.with_name("SHA256SUMS")
    for file in (path, sums):
        if not file.is_file():
            raise Refused(f"{file} is missing; {mend}.")
    raw = path.read_bytes()
    if f"{hashlib.sha256(raw).hexdigest()}  {path.name}" not in sums.read_text(errors="replace").splitlines():
        raise Refused(f"{path} is damaged: its SHA-256 is not the one in {sums.name}; {mend}.")
    return raw


def load(name):
    """The data set of that name. Raises ValueError, one sentence, for an unknown name or a missing or damaged file."""
    if name != "fashion-mini":
        raise Refused(f"data.name is {name!r}; allowed: fashion-mini, the one set that can be trained on so far.")
    path = folder() / "fashion-mini.npz"
    mend = f"restore it with `git checkout -- {path.parent}`, or make it again with data/make_fashion_mini.py"
    raw = read_checked(path, mend)
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        images, labels = (
            [torch.from_numpy(arrays[f"{split}_{kind}"]) for split in ("train", "test")]
            for kind in ("images", "labels")
        )
    images = [torch.nn.functional.pad(i.unsqueeze(1), (2, 2, 2, 2)) for i in images]  # 28×28 -> 32×32
    return Dataset(name, FASHION_CLASSES, images[0], labels[0].long(), images[1], labels[1].long())


def split(labels, size, validation_share, seed):
    """Indices (train, validation) of `size` images (0: all), drawn with a seed, the validation share cut from them."""
    if size > len(labels):
        raise Refused(f"data.train_size is {size}; allowed: at most {len(labels)}, the images there are.")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[: size or len(labels)]
    cut = round(len(order) * validation_share)
    if cut == len(order):
        raise Refused(f"data.train_size is {size}; allowed: enough images to leave some beside the validation split.")
    return order[cut:], order[:cut]


def augment(images, generator):
    """Each image shifted by up to 2 pixels in each direction (zeros move in) and mirrored with probability 1/2.

    A pure function of the batch [B,c,H,W] and the state of the generator.
    """
    b, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (SHIFT,) * 4)
    offsets = torch.randint(0, 2 * SHIFT + 1, (2, b, 1), generator=generator).to(images.device)
    rows, columns = (torch.arange(n, device=images.device) + o for n, o in zip((height, width), offsets, strict=True))
    mirrored = torch.rand(b, 1, generator=generator).to(images.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    which = torch.arange(b, device=images.device)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def batches(images, labels, size, generator=None, augmented=False):
    """Batches (images, labels) on the device they lie on: in order, or shuffled (and augmented) by a generator."""
    order = torch.arange(len(labels)) if generator is None else torch.randperm(len(labels), generator=generator)
    for chosen in order.to(labels.device).split(size):
        batch = images[chosen]
        yield (augment(batch, generator) if augmented else batch), labels[chosen]
