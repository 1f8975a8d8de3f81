"""A data set by name -> tensors; batches of them, augmented."""

import functools
import hashlib
import io
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from ssf import folders
from ssf.config import Data, Refused
from ssf.datasets import augment, camera, clutter, neuromorphic, static

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
AT_ONCE = 2**22  # numbers in a batch that is only looked at, and at most 250 images


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [n,c,H,W], or event frames uint8 [n,T,2,H,W], and labels int64 [n] of both splits.

    Where the set tells, the foreground too: bool [n,H,W]. `title` is what its numbers are reported under.
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
        if self.train_images.device == torch.device(device):
            return self
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self, **{k: v.to(device) for k, v in moved.items() if isinstance(v, torch.Tensor)}
        )

    @functools.cached_property
    def statistics(self):
        """Mean and standard deviation of the training pixels, each [c,1,1], in grey levels from 0 to 255."""
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
        """uint8 images -> float32, zero mean and unit variance over the training pixels of each channel.

        Event frames stay counts, as in the published code.
        """
        if self.counts_events:
            return images.float()
        mean, std = (value.to(images.device) for value in self.statistics)
        return (images.float() - mean) / std

    def summary(self):
        """The set in a few lines: images and classes of both splits."""
        lines = [f"{self.title}: {len(self.train_labels):,} training and {len(self.test_labels):,} test "
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
    """The bytes of a file whose SHA-256 stands in SHA256SUMS beside it. ValueError, one sentence, if not."""
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
    """The embedded sample of Fashion-MNIST: {"train": (images uint8 [n,28,28], labels int64 [n]), "test": …}."""
    path = (root or folders.shipped()) / "fashion-mini.npz"
    mend = f"restore it with `git checkout -- {path.parent}`, or make it again with data/make_fashion_mini.py"
    with np.load(io.BytesIO(read_checked(path, mend)), allow_pickle=False) as arrays:
        both = {s: (torch.from_numpy(arrays[f"{s}_images"]), torch.from_numpy(arrays[f"{s}_labels"]).long())
                for s in static.SPLITS}  # fmt: skip
    return both


def padded(images):
    """[n,28,28] -> [n,1,32,32], zeros around."""
    return torch.nn.functional.pad(images.unsqueeze(1), (2, 2, 2, 2))


def load(name, root=None, time_steps=4, split="file_order", difficulty=0.5, seed=0):
    """The data set of that name; one that is not embedded is fetched where it can be, decoded once, and kept.

    Args:
        root: where its files lie; else in the folder that SSF_DATA names, or data/sets, each set in its own folder.
        time_steps: T, frames of an event set.
        split: of cifar10-dvs, file_order or stratified (drawn with the seed).
        difficulty: of cluttered-fashion, 0 to 1.
        seed: of what is drawn: cluttered-fashion, event-fashion and the stratified split.

    Raises ValueError, one sentence, for an unknown name, and for files that are missing, damaged or of another kind.
    """
    Data(name, difficulty=difficulty)  # refuses what can't be
    for what, given, least in (("time_steps", time_steps, 1), ("seed", seed, 0)):
        if not isinstance(given, int) or given < least:
            raise Refused(f"{what} is {given!r}; allowed: a whole number of at least {least}.")
    if name in MADE:
        time_steps = time_steps if name == "event-fashion" else 0  # so that a set is made once
        difficulty = difficulty if name == "cluttered-fashion" else 0
        return made(name, Path(root or folders.shipped()), time_steps, difficulty, seed)
    root = Path(root).expanduser() if root else folders.sets() / name
    if name == "dvs128-gesture":
        return Dataset(
            name, "DVS128 Gesture", *stored(*neuromorphic.dvs128_gesture(root, time_steps))
        )
    if name == "cifar10-dvs":
        arrays = neuromorphic.cifar10_dvs(root, time_steps, split, seed)
        drawn = f"stratified split, seed {seed}" if split == "stratified" else "split in file order"
        return Dataset(name, f"CIFAR10-DVS ({drawn})", *stored(*arrays))
    if name in ("cifar10", "cifar10-jpeg"):
        files = static.parquet_files(root)
        if files:
            arrays, jpeg = static.parquet_set(files)
            kind = ("cifar10-jpeg", "CIFAR-10 (JPEG)") if jpeg else ("cifar10", "CIFAR-10")
            return Dataset(*kind, *stored(arrays, static.CIFAR10_CLASSES))
        if name == "cifar10-jpeg":
            raise Refused(
                f"{root} has no train*.parquet and test*.parquet; expected: CIFAR-10 as JPEG in parquet."
            )
    title = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "fashion-mnist": "Fashion-MNIST"}[name]
    arrays, classes = static.torchvision_set(name, root)
    if name == "fashion-mnist":
        arrays |= {f"{s}_images": padded(arrays[f"{s}_images"][:, 0]) for s in static.SPLITS}
    return Dataset(name, title, *stored(arrays, classes))


def load_for(config):
    """The data set of a RunConfig, its frames as many as the model's time steps."""
    told = config.data
    dataset = load(told.name, None, config.model.time_steps, difficulty=told.difficulty)
    if dataset.name != told.name:
        raise Refused(
            f"data.name is {told.name!r}, but the images there are {dataset.title}; allowed: {dataset.name}."
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
    (images, labels), (test_images, test_labels) = embedded(root).values()
    classes, labels = FASHION_CLASSES, (labels, test_labels)
    if name == "fashion-mini":
        title, images, foreground = (
            "Fashion-MNIST (a sixth)",
            (padded(images), padded(test_images)),
            (None, None),
        )
    elif name == "event-fashion":
        title, foreground = "event-fashion (simulated)", (None, None)
        images = [
            camera.frames(part, time_steps, seed=seed, split=i)
            for i, part in enumerate((images, test_images))
        ]
    else:
        title = f"cluttered-fashion (difficulty {difficulty:g})"
        both = (
            clutter.canvases(part, difficulty, seed, i)
            for i, part in enumerate((images, test_images))
        )
        images, foreground = zip(*both, strict=True)
        images = [part[:, None] for part in images]
    return Dataset(name, title, classes, images[0], labels[0], images[1], labels[1], *foreground)


def split(labels, size, validation_share, seed):
    """Indices (train, validation) of `size` images (0: all), drawn with a seed, the validation share cut from them."""
    if size > len(labels):
        raise Refused(
            f"data.train_size is {size}; allowed: at most {len(labels)}, the images there are."
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[
        : size or len(labels)
    ]
    cut = round(len(order) * validation_share)
    if cut == len(order):
        raise Refused(
            f"data.train_size is {size}; allowed: enough images to leave some beside the validation split."
        )
    return order[cut:], order[:cut]


def token_shares(foreground, tokens):
    """Share of each token's pixels that is foreground: bool [n,H,W] -> float32 [n,tokens]."""
    patch = foreground.shape[-1] // round(tokens**0.5)
    return torch.nn.functional.avg_pool2d(foreground[:, None].float(), patch).flatten(1)


def batches(tensors, size=None, order=None):
    """Tuples of the same rows of each tensor (None stays None), `size` of them a time: in order, or in that one.

    Without a size: as many as one can look at, 250 where they are small.
    """
    size = size or max(1, min(250, AT_ONCE // tensors[0][0].numel()))
    order = torch.arange(len(tensors[0])) if order is None else order
    for chosen in order.split(size):
        yield tuple(None if t is None else t[chosen.to(t.device)] for t in tensors)


def training_batches(config, dataset, which, epoch, generator):
    """Batches of an epoch over the training images `which`, in a new order, augmented as the config says.

    Tuples of images float32, standardised; labels, int64 [B] or, mixed up, float32 [B,classes]; foreground or None.
    """
    told, train = config.data, config.train
    mixes = train.mixup > 0 and (epoch < train.mixup_epochs or not train.mixup_epochs)
    order = which[torch.randperm(len(which), generator=generator)]
    for images, labels, foreground in batches(dataset.part("train"), train.batch_size, order):
        if told.augment == "light":
            images, foreground = augment.light(images, generator, foreground)
        elif told.augment == "published" and dataset.counts_events:
            images = augment.event_frames(images, generator)
        elif told.augment == "published":
            images = augment.rand_augment(
                augment.flip(images, generator), generator, dataset.statistics[0]
            )
        if mixes and len(labels) > 1:
            shares = train.mixup, train.mixup_probability
            images, labels = augment.mixup(images, labels, len(dataset.classes), generator, *shares)
        images = dataset.standardise(images)
        if told.augment == "published" and not dataset.counts_events:
            images = augment.erase(images, generator)
        yield images, labels, foreground
