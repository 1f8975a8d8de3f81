"""A data set by name -> tensors."""

import functools
import hashlib
import io
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from ssf import folders
from ssf.config import Data, Refused, demand
from ssf.datasets import camera, clutter, neuromorphic, static

FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [n,c,H,W], or event frames uint8 [n,T,2,H,W], and labels int64 [n] of both
    splits.

    Where the set tells, the foreground too: bool [n,H,W]. `title` is what its numbers are reported
    under.
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

    def part(self, split, which=None):
        """(images, labels, foreground or None) of a split, or of those of its rows."""
        tensors = (getattr(self, f"{split}_{kind}") for kind in ("images", "labels", "foreground"))
        return tuple(t if which is None or t is None else t[which.to(t.device)] for t in tensors)

    def to(self, device):
        """The set on a device; itself, statistics and all, where it is there."""
        if torch.empty(0, device=device).device == self.train_images.device:  # cuda is cuda:0
            return self
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {k: v.to(device) for k, v in moved.items() if isinstance(v, torch.Tensor)}
        return replace(self, **tensors)

    @functools.cached_property
    def statistics(self):
        """Mean and standard deviation of the training pixels, each [c,1,1], in grey levels from 0
        to 255."""
        levels, moments = torch.arange(256.0, dtype=torch.float64), []
        for channel in range(self.train_images.shape[1]):
            share = (
                torch.bincount(self.train_images[:, channel].flatten(), minlength=256)
                .cpu()
                .double()
            )
            share /= share.sum()
            mean = (share * levels).sum()
            moments.append((mean, ((levels - mean) ** 2 * share).sum().sqrt()))
        return tuple(
            torch.stack(values).float()[:, None, None] for values in zip(*moments, strict=True)
        )

    def standardise(self, images):
        """uint8 images -> float32, zero mean and unit variance over the training pixels of each
        channel.

        Event frames stay counts, as in the published code.
        """
        if self.counts_events:
            return images.float()
        mean, std = (value.to(images.device) for value in self.statistics)
        return (images.float() - mean) / std

    def summary(self):
        """The set in a few lines: images and classes of both splits."""
        train, test = len(self.train_labels), len(self.test_labels)
        lines = [f"{self.title}: {train:,} training and {test:,} test "
                 f"{'samples of frames' if self.counts_events else 'images'}, "
                 f"{'×'.join(map(str, self.train_images.shape[1:]))}"]  # fmt: skip
        counts = [
            labels.bincount(minlength=len(self.classes))
            for labels in (self.train_labels, self.test_labels)
        ]
        balanced = all(bool((count == count[0]).all()) for count in counts)
        lines.append(f"{len(self.classes)} classes{', balanced' if balanced else ''}:")
        lines += [
            f"  {name:<28}{train:>7,}{test:>7,}"
            for name, train, test in zip(self.classes, *counts, strict=True)
        ]
        return "\n".join(lines)


def read_checked(path, mend):
    """The bytes of a file whose SHA-256 stands in SHA256SUMS beside it. ValueError, one sentence,
    if not."""
    sums = path.with_name("SHA256SUMS")
    for file in (path, sums):
        if not file.is_file():
            raise Refused(f"{file} is missing; {mend}.")
    raw = path.read_bytes()
    if (
        f"{hashlib.sha256(raw).hexdigest()}  {path.name}"
        not in sums.read_text(errors="replace").splitlines()
    ):
        raise Refused(f"{path} is damaged: its SHA-256 is not the one in {sums.name}; {mend}.")
    return raw


def embedded(root=None):
    """The embedded sample of Fashion-MNIST: {"train": (images uint8 [n,28,28], labels int64 [n]),
    "test": …}."""
    path = (root or folders.shipped()) / "fashion-mini.npz"
    mend = f"restore it with `git checkout -- {path.parent}`, or make it again with "
    mend += "data/make_fashion_mini.py"
    with np.load(io.BytesIO(read_checked(path, mend)), allow_pickle=False) as arrays:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {s: (tensors[f"{s}_images"], tensors[f"{s}_labels"].long()) for s in static.SPLITS}


def padded(images):
    """[n,28,28] -> [n,1,32,32], zeros around."""
    return torch.nn.functional.pad(images.unsqueeze(1), (2, 2, 2, 2))


def load(name, root=None, time_steps=4, difficulty=0.5, seed=0):
    """The data set of that name, fetched if need be and possible, decoded once, and kept.

    Args:
        root: the folder of its files; without one, a folder of its name in `folders.sets`.
        time_steps: T, frames of an event set.
        difficulty: of cluttered-fashion, 0 to 1.
        seed: of what is drawn: cluttered-fashion and event-fashion.

    Raises Refused or Failed for an unknown name, and for files that are missing, damaged or of
    another kind.
    """
    Data(name, difficulty=difficulty)  # refuses what can't be
    for what, value, least in (("time_steps", time_steps, 1), ("seed", seed, 0)):
        ok = isinstance(value, int) and value >= least
        demand(ok, what, value, f"a whole number of at least {least}")
    if name in MADE:
        time_steps = time_steps if name == "event-fashion" else 0  # so that a set is made once
        difficulty = difficulty if name == "cluttered-fashion" else 0
        return made(name, Path(root or folders.shipped()), time_steps, difficulty, seed)
    root = Path(root).expanduser() if root else folders.sets() / name
    if name == "dvs128-gesture":
        arrays, classes = neuromorphic.dvs128_gesture(root, time_steps)
    elif name == "cifar10-dvs":
        arrays, classes = neuromorphic.cifar10_dvs(root, time_steps)
    elif name in ("cifar10", "cifar10-jpeg") and (files := static.parquet_files(root)):
        (arrays, jpeg), classes = static.parquet_set(files), static.CIFAR10_CLASSES
        name = "cifar10-jpeg" if jpeg else "cifar10"
    elif name == "cifar10-jpeg":
        raise Refused(
            f"{root} has no train*.parquet and test*.parquet; "
            "expected: CIFAR-10 as JPEG in parquet."
        )
    else:
        arrays, classes = static.torchvision_set(name, root)
        if name == "fashion-mnist":
            arrays |= {f"{s}_images": padded(arrays[f"{s}_images"][:, 0]) for s in static.SPLITS}
    return Dataset(name, TITLES[name], *stored(arrays, classes))


TITLES = {
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar10-jpeg": "CIFAR-10 (JPEG)",
    "cifar100": "CIFAR-100",
    "cifar10-dvs": "CIFAR10-DVS (split in file order)",
    "dvs128-gesture": "DVS128 Gesture",
}


def load_for(config):
    """The data set of a RunConfig, its frames as many as the model's time steps."""
    name, time_steps = config.data.name, config.model.time_steps
    dataset = load(name, None, time_steps, config.data.difficulty)
    if dataset.name != name:
        raise Refused(
            f"data.name is {name!r}, but the images there are {dataset.title}; "
            f"allowed: {dataset.name}."
        )
    return dataset


def stored(arrays, classes):
    """The fields of a Dataset after its title."""
    return classes, *(
        arrays[f"{split}_{kind}"] for split in static.SPLITS for kind in ("images", "labels")
    )


MADE = ("fashion-mini", "cluttered-fashion", "event-fashion")  # out of the embedded images


@functools.lru_cache(maxsize=2)
def made(name, root, time_steps, difficulty, seed):
    """A set out of the embedded images."""
    both, labels = zip(*embedded(root).values(), strict=True)
    foreground = (None, None)
    if name == "fashion-mini":
        title, images = "Fashion-MNIST (a sixth)", [padded(items) for items in both]
    elif name == "event-fashion":
        title = "event-fashion (simulated)"
        images = [camera.frames(x, time_steps, seed=seed, split=i) for i, x in enumerate(both)]
    else:
        title = f"cluttered-fashion (difficulty {difficulty:g})"
        canvases = [clutter.canvases(x, difficulty, seed, i) for i, x in enumerate(both)]
        images, foreground = zip(*canvases, strict=True)
        images = [x[:, None] for x in images]
    return Dataset(
        name, title, FASHION_CLASSES, images[0], labels[0], images[1], labels[1], *foreground
    )
