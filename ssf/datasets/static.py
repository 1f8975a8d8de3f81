"""Still images from files: CIFAR and Fashion-MNIST by torchvision, CIFAR-10 from parquet too."""

import io
import re

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused
from ssf.datasets.cache import cached, digest, lock, stamps

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
        return {
            split: getattr(datasets, kind)(root, train=split == "train", download=True)
            for split in SPLITS
        }
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Failed(
            f"{name} is not whole in {root} and could not be fetched ({reason}); "
            f"remove {root / unpacked} and put {files} there, from {page}."
        ) from None


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
        arrays, classes = cached(name, f"{root.resolve()} {stamps(files)}", build)
    return arrays, tuple(classes)


def parquet_files(root):
    """{split: [paths]} of CIFAR-10's parquet in a folder or its subfolder plain_text, or {}."""
    for folder in (root, root / "plain_text"):
        files = {split: sorted(folder.glob(f"{split}*.parquet")) for split in SPLITS}
        if any(files.values()):
            for split, paths in files.items():
                shards = re.search(r"-of-(\d+)", paths[0].name) if paths else None
                expected = int(shards[1]) if shards else 1
                if len(paths) < expected:
                    raise Refused(
                        f"{folder / split}*.parquet: {len(paths)} there; "
                        f"expected: {expected}, of both splits."
                    )
            return files
    return {}


def parquet_set(files):
    """Arrays of CIFAR-10 from parquet, and whether any of the images went through JPEG.

    The rows of a file may be sorted by class, so their order is drawn, with a fixed seed. Raises
    Refused for a damaged file, another schema, and an image or a label that can't be.
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

    sums = [digest(path) for paths in files.values() for path in paths]
    return cached("cifar10", f"parquet {sums}", build)


def read_columns(path):
    """Encoded images, and labels int64 [n], of a parquet file: img.bytes and label."""
    import pyarrow
    from pyarrow import compute, parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise Refused(f"{path} is no whole parquet file ({reason}); fetch it again.") from None
    try:
        images = compute.struct_field(table["img"], "bytes").to_pylist()
        labels = table["label"].to_numpy()
        fits = labels.dtype.kind in "iu"  # a missing label makes them floats
    except (KeyError, pyarrow.ArrowException):
        fits = False
    if not fits:
        columns = ", ".join(f"{column.name} ({column.type})" for column in table.schema)
        raise Refused(
            f"{path} has the columns {columns}; "
            "expected: img with a field bytes, and label, whole numbers."
        )
    last = len(CIFAR10_CLASSES) - 1
    if len(labels) == 0 or labels.min() < 0 or labels.max() > last:
        raise Refused(f"{path} has no rows, or labels beyond 0 to {last}; fetch it again.")
    return images, labels.astype(np.int64)


def read_parquet(path):
    """Images uint8 [n,3,32,32], labels int64 [n] and, bool [n], which of the images are JPEGs."""
    from PIL import Image

    encoded, labels = read_columns(path)
    images = np.empty((len(labels), 3, 32, 32), np.uint8)
    bar = tqdm(encoded, desc=f"decoding {path.name}", leave=False, disable=None)
    for row, content in enumerate(bar):
        try:
            with Image.open(io.BytesIO(content)) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, TypeError, SyntaxError) as error:
            raise Refused(
                f"{path}, row {row}, is no readable image ({error}); fetch it again."
            ) from None
        height, width, _ = pixels.shape
        if (height, width) != (32, 32):
            raise Refused(f"{path}, row {row}, has {height}×{width} pixels; expected: 32×32.")
        images[row] = pixels.transpose(2, 0, 1)
    return images, labels, np.array([content.startswith(b"\xff\xd8") for content in encoded])
