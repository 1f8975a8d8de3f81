"""A data set by name -> tensors."""

import functools
import hashlib
import io
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import pad

from ssf import folders
from ssf.config import Data, Refused, demand
from ssf.datasets import camera, clutter, neuromorphic, static

FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
MADE = ("fashion-mini", "cluttered-fashion", "event-fashion")  # of the embedded images
TITLES = {  # of the others
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar10-jpeg": "CIFAR-10 (JPEG)",
    "cifar100": "CIFAR-100",
    "cifar10-dvs": "CIFAR10-DVS (split in file order)",
    "dvs128-gesture": "DVS128 Gesture",
}


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [n,c,H,W], or event frames uint8 [n,T,2,H,W], and labels int64 [n].

    Where the set tells, the foreground too: bool [n,H,W]. Its numbers are reported under `title`.
    """

    name: str
    title: str
    classes: tuple
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    train_foreground: torch.Tensor | None = None
    test_foreground: torch.Tensor | None = None

    @property
    def counts_events(self):
        return self.train_images.ndim == 5

    def part(self, split, rows=None):
        """(images, labels, foreground or None) of a split, or of some of its rows."""
        tensors = (getattr(self, f"{split}_{kind}") for kind in ("images", "labels", "foreground"))
        return tuple(t if rows is None or t is None else t[rows.to(t.device)] for t in tensors)

    def to(self, device):
        """The set on a device; itself, statistics and all, if it is on it already."""
        if torch.empty(0, device=device).device == self.train_images.device:  # cuda is cuda:0
            return self
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {k: v.to(device) for k, v in values.items() if isinstance(v, torch.Tensor)}
        return replace(self, **tensors)

    @functools.cached_property
    def statistics(self):
        """Mean and standard deviation of the training pixels, each [c,1,1], in grey levels."""
        levels, moments = torch.arange(256.0, dtype=torch.float64), []
        for channel in self.train_images.unbind(1):
            share = channel.flatten().bincount(minlength=256).cpu().double()
            share /= share.sum()
            mean = (share * levels).sum()
            moments.append(torch.stack([mean, ((levels - mean) ** 2 * share).sum().sqrt()]))
        mean, std = torch.stack(moments, dim=1).float()
        return mean[:, None, None], std[:, None, None]

    def standardise(self, images):
        """uint8 images -> float32, each channel of mean 0 and variance 1 in the training split.

        Event frames stay counts, as in the published code.
        """
        if self.counts_events:
            return images.float()
        mean, std = (value.to(images.device) for value in self.statistics)
        return (images.float() - mean) / std


def intact(path, maker):
    """The bytes of a committed file.

    Raises Refused where it is missing, or is not the one that SHA256SUMS beside it names.
    """
    sums = path.with_name("SHA256SUMS")
    raw, known = (file.read_bytes() if file.is_file() else b"" for file in (path, sums))
    line = f"{hashlib.sha256(raw).hexdigest()}  {path.name}"
    if line.encode() not in known.splitlines():
        raise Refused(
            f"{path} is missing or damaged: its SHA-256 is not in {sums.name} beside it; restore "
            f"both with `git checkout -- {path.parent}`, or make them with {maker}."
        )
    return raw


def embedded(root=None):
    """A sample of Fashion-MNIST: {"train": (images uint8 [n,28,28], labels int64 [n]), "test": …}.

    Raises Refused where the file is not `intact`.
    """
    raw = intact((root or folders.shipped()) / "fashion-mini.npz", "data/make_fashion_mini.py")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {s: (tensors[f"{s}_images"], tensors[f"{s}_labels"].long()) for s in static.SPLITS}


@functools.lru_cache(maxsize=2)
def made(name, root, time_steps, difficulty):
    """A set made of the embedded images."""
    title, tensors = "Fashion-MNIST (a sixth)", {}
    for number, (split, (items, labels)) in enumerate(embedded(root).items()):
        if name == "fashion-mini":
            images = pad(items, (2, 2, 2, 2))[:, None]
        elif name == "event-fashion":
            title = "event-fashion (simulated)"
            images = camera.frames(items, time_steps, number)
        else:
            title = f"cluttered-fashion (difficulty {difficulty:g})"
            images, foreground = clutter.canvases(items, difficulty, number)
            images, tensors[f"{split}_foreground"] = images[:, None], foreground
        tensors |= {f"{split}_images": images, f"{split}_labels": labels}
    return Dataset(name, title, FASHION_CLASSES, **tensors)


def load(name, root=None, time_steps=4, difficulty=0.5):
    """The data set of that name, fetched if need be and possible, decoded once, and kept.

    Args:
        root: the folder of its files; else that of its name in data/sets, or in $SSF_DATA.
        time_steps: T, frames of an event set.
        difficulty: of cluttered-fashion, 0 to 1.

    Raises Refused or Failed for an unknown name, and for files that are missing, damaged or of
    another kind.
    """
    Data(name, difficulty=difficulty)  # refuses what can't be
    ok = isinstance(time_steps, int) and time_steps >= 1
    demand(ok, "time_steps", time_steps, "a whole number of at least 1")
    if name in MADE:
        time_steps = time_steps if name == "event-fashion" else 0  # so that a set is made once
        return made(name, Path(root or folders.shipped()), time_steps, difficulty)
    root = Path(root).expanduser() if root else folders.sets() / name
    files = static.parquet_files(root) if name in ("cifar10", "cifar10-jpeg") else {}
    if name == "dvs128-gesture":
        arrays, classes = neuromorphic.dvs128_gesture(root, time_steps)
    elif name == "cifar10-dvs":
        arrays, classes = neuromorphic.cifar10_dvs(root, time_steps)
    elif files:
        (arrays, jpeg), classes = static.parquet_set(files), static.CIFAR10_CLASSES
        name = "cifar10-jpeg" if jpeg else "cifar10"
    else:
        allowed = "with train*.parquet and test*.parquet, CIFAR-10 as JPEG"
        demand(name != "cifar10-jpeg", "the folder", str(root), allowed)
        arrays, classes = static.torchvision_set(name, root)
    return Dataset(name, TITLES[name], classes, **arrays)


def load_for(config):
    """The data set of a RunConfig, its frames as many as the model's time steps."""
    name = config.data.name
    dataset = load(name, None, config.model.time_steps, config.data.difficulty)
    if dataset.name != name:
        raise Refused(
            f"data.name is {name!r}, but the images there are {dataset.title}; "
            f"allowed: {dataset.name}."
        )
    return dataset
