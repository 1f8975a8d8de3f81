"""Still images from files: CIFAR and Fashion-MNIST by torchvision, CIFAR-10 from parquet too."""

import io
import re

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused, demand
from ssf.datasets.cache import cached, lock

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SPLITS = ("train", "test")
CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FASHION_PAGE = "https://github.com/zalandoresearch/fashion-mnist"
FASHION_FILES = "its four .gz files in FashionMNIST/raw"
# torchvision's name, the files it unpacks to, and what those who fetch by hand need
FETCHED = {
    "cifar10": ("CIFAR10", "cifar-10-batches-py/*", "cifar-10-python.tar.gz", CIFAR_PAGE),
    "cifar100": ("CIFAR100", "cifar-100-python/*", "cifar-100-python.tar.gz", CIFAR_PAGE),
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw/*-ubyte", FASHION_FILES, FASHION_PAGE),
}


def fetched(name, root):
    """{split: torchvision's data set} in `root`; fetched, with progress, and checked by MD5."""
    from torchvision import datasets  # here: it takes a second

    kind, unpacked, files, page = FETCHED[name]
    try:
        root.mkdir(parents=True, exist_ok=True)
        for path in root.glob(unpacked):
            if path.with_name(f"{path.name}.gz").exists():  # Fashion-MNIST: only this is checked
                path.unlink()
        kind = getattr(datasets, kind)
        return {split: kind(root, train=split == "train", download=True) for split in SPLITS}
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise Failed(
            f"{name} is not whole in {root} and could not be fetched ({first_line(error)}); "
            f"remove {root / unpacked} and put {files} there, from {page}."
        ) from None


def first_line(error):
    """What went wrong, by an error of somebody else's, in a line."""
    return (str(error) or type(error).__name__).splitlines()[0]


def torchvision_set(name, root):
    """Arrays {"train_images": uint8 [n,c,32,32], "train_labels": int64 [n], …}, and classes.

    torchvision unpickles CIFAR's files, but checks their MD5 first. Raises Failed where they are
    damaged or can't be fetched.
    """
    unpacked = FETCHED[name][1]

    def build(create):
        parts = fetched(name, root)
        for split, part in parts.items():
            images, labels = np.asarray(part.data), np.asarray(part.targets)
            if images.ndim == 3:  # Fashion-MNIST's 28×28, zeros around
                images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]
            images = images.transpose(0, 3, 1, 2)
            create(f"{split}_images", images.shape, np.uint8)[:] = images
            create(f"{split}_labels", labels.shape, np.int64)[:] = labels
        return list(parts["train"].classes)

    with lock(root):
        if not list(root.glob(unpacked)):
            fetched(name, root)
        files = list(root.glob(f"{unpacked}.gz")) or root.glob(unpacked)
        arrays, classes = cached(name, files, build)
    return arrays, tuple(classes)


def parquet_files(root):
    """{split: [paths]} of CIFAR-10's parquet in a folder or its subfolder plain_text, or {}."""
    for folder in (root, root / "plain_text"):
        files = {split: sorted(folder.glob(f"{split}*.parquet")) for split in SPLITS}
        if any(files.values()):
            for split, paths in files.items():
                shards = re.search(r"-of-(\d+)", paths[0].name if paths else "")
                expected = int(shards[1]) if shards else 1
                what, allowed = f"the number of {folder / split}*.parquet", f"{expected} or more"
                demand(len(paths) >= expected, what, len(paths), allowed)
            return files
    return {}


def parquet_set(files):
    """Arrays of CIFAR-10 from parquet, and whether any of the images went through JPEG.

    The rows of a file may be sorted by class, so their order is drawn, with a fixed seed.
    """

    def build(create):
        rng, jpeg = np.random.default_rng(0), False
        for split, paths in files.items():
            parts = zip(*map(read_parquet, paths), strict=True)
            images, labels, encoded = map(np.concatenate, parts)
            order, jpeg = rng.permutation(len(labels)), jpeg or bool(encoded.any())
            create(f"{split}_images", images.shape, np.uint8)[:] = images[order]
            create(f"{split}_labels", labels.shape, np.int64)[:] = labels[order]
        return jpeg

    return cached("cifar10", sum(files.values(), []), build)


def read_parquet(path):
    """Images uint8 [n,3,32,32], labels int64 [n] and, bool [n], which of the images are JPEGs.

    Raises Refused for a damaged file, other columns, and an image or a label that can't be.
    """
    import pandas as pd
    from PIL import Image

    try:
        table = pd.read_parquet(path, columns=["img", "label"])
        labels, images, jpeg = table.label.to_numpy(), [], []
        for row in tqdm(table.img, desc=f"decoding {path.name}", leave=False, disable=None):
            with Image.open(io.BytesIO(row["bytes"])) as picture:
                images.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
            jpeg.append(row["bytes"].startswith(b"\xff\xd8"))
        images = np.stack(images)
        if images.shape[1:] != (3, 32, 32) or labels.dtype.kind not in "iu":
            raise ValueError(f"images {images.shape[1:]}, labels {labels.dtype}")
        if labels.min() < 0 or labels.max() >= len(CIFAR10_CLASSES):
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:  # pyarrow's, PIL's
        raise Refused(
            f"{path} is not CIFAR-10 as parquet, or not whole ({first_line(error)}); expected: "
            "img, with an encoded image of 32×32 pixels in its field bytes, and label, from 0 to 9."
        ) from None
    return images, labels.astype(np.int64), np.array(jpeg)
