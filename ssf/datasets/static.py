"""Still images from files: CIFAR-10, CIFAR-100 and Fashion-MNIST through torchvision, CIFAR-10 from
parquet too."""

import io
import re

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused
from ssf.datasets.cache import cached, digest, lock, stamps

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SPLITS = ("train", "test")


FETCHED = {  # torchvision's name, the files it unpacks to, and what those who fetch by hand need
    "cifar10": (
        "CIFAR10",
        "cifar-10-batches-py/*",
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "cifar100": (
        "CIFAR100",
        "cifar-100-python/*",
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "fashion-mnist": (
        "FashionMNIST",
        "FashionMNIST/raw/*-ubyte",
        "its four .gz files in FashionMNIST/raw",
        "https://github.com/zalandoresearch/fashion-mnist",
    ),
}


def torchvision_set(name, root):
    """Arrays of a set that torchvision knows: {"train_images": uint8 [n,c,H,W], …_labels int64 [n],
    …}, and classes.

    Fetched into `root`, with progress and checksum, where it is not there yet. (torchvision
    unpickles CIFAR's files, whose MD5 it has checked before.) Raises ValueError (Failed), one
    sentence, where they can't be had.
    """
    kind, unpacked, files, page = FETCHED[name]

    def parts():
        from torchvision import datasets

        try:
            root.mkdir(parents=True, exist_ok=True)
            for path in root.glob(unpacked):
                if path.with_name(
                    f"{path.name}.gz"
                ).exists():  # Fashion-MNIST: unpack it anew, with checksum
                    path.unlink()
            return {
                s: getattr(datasets, kind)(root, train=s == "train", download=True) for s in SPLITS
            }
        except (RuntimeError, OSError, EOFError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise Failed(
                f"{name} is not whole in {root} and could not be fetched ({reason}); "
                f"remove {root / unpacked} and put "
                f"{files} there, from {page}."
            ) from None

    def build(room):
        found = parts()
        for split, part in found.items():
            images, labels = np.asarray(part.data), np.asarray(part.targets)
            images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
            room(f"{split}_images", images.shape, np.uint8)[:] = images
            room(f"{split}_labels", labels.shape, np.int64)[:] = labels
        return list(found["train"].classes)

    with lock(root):
        if not list(root.glob(unpacked)):
            parts()
        given = list(root.glob(f"{unpacked}.gz")) or root.glob(unpacked)
        arrays, classes = cached(name, f"{root.resolve()} {stamps(given)}", build)
    return arrays, tuple(classes)


def parquet_files(root):
    """{split: [files]} of CIFAR-10 as parquet in a folder or its subfolder plain_text, {} where
    there is none."""
    for folder in (root, root / "plain_text"):
        found = {split: sorted(folder.glob(f"{split}*.parquet")) for split in SPLITS}
        if any(found.values()):
            for split, paths in found.items():
                parts = int(re.search(r"-of-(\d+)", paths[0].name + "-of-1")[1]) if paths else 1
                if len(paths) < parts or not paths:
                    raise Refused(
                        f"{folder / split}*.parquet: {len(paths)} there; "
                        f"expected: {parts}, of both splits."
                    )
            return found
    return {}


def parquet_set(files):
    """Arrays of CIFAR-10 from parquet (columns img.bytes and label), and whether the images went
    through JPEG.

    The rows of a file may be sorted by class, so their order is drawn, with a fixed seed. Raises
    ValueError, one sentence, for a damaged file, another schema, and an image or a label that can't
    be.
    """

    def build(room):
        rng, jpeg = np.random.default_rng(0), False
        for split, paths in files.items():
            parts = [read_parquet(path) for path in paths]
            images, labels, encoded = (np.concatenate(part) for part in zip(*parts, strict=True))
            order, jpeg = rng.permutation(len(labels)), jpeg or bool(encoded.any())
            room(f"{split}_images", images.shape, np.uint8)[:] = images[order]
            room(f"{split}_labels", labels.shape, np.int64)[:] = labels[order]
        return jpeg

    return cached(
        "cifar10", f"parquet {[digest(path) for paths in files.values() for path in paths]}", build
    )


def read_parquet(path):
    """Images uint8 [n,3,32,32], labels int64 [n], and for each image whether it is a JPEG, of one
    parquet file."""
    import pyarrow
    from PIL import Image
    from pyarrow import parquet

    mend = "fetch it again"
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise Refused(
            f"{path} is no whole parquet file ({str(error).splitlines()[0]}); {mend}."
        ) from None
    schema = {field.name: field.type for field in table.schema}
    image = schema.get("img")
    if not (
        image is not None
        and pyarrow.types.is_struct(image)
        and image.get_field_index("bytes") >= 0
        and pyarrow.types.is_integer(schema.get("label", pyarrow.null()))
        and not table["label"].null_count
    ):
        columns = ", ".join(f"{k} ({v})" for k, v in schema.items())
        raise Refused(
            f"{path} has the columns {columns}; "
            "expected: img with a field bytes, and label, whole numbers."
        )
    labels = table["label"].to_numpy().astype(np.int64)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(CIFAR10_CLASSES):
        raise Refused(
            f"{path} has no rows, or labels beyond 0 to {len(CIFAR10_CLASSES) - 1}; {mend}."
        )
    encoded = table["img"].combine_chunks().field("bytes")
    images, jpeg = np.empty((len(labels), 3, 32, 32), np.uint8), np.empty(len(labels), bool)
    for row, raw in enumerate(
        tqdm(encoded, desc=f"decoding {path.name}", leave=False, disable=None)
    ):
        try:
            given = raw.as_py()
            with Image.open(io.BytesIO(given)) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, TypeError, SyntaxError) as error:
            raise Refused(f"{path}, row {row}, is no readable image ({error}); {mend}.") from None
        if pixels.shape != (32, 32, 3):
            raise Refused(
                f"{path}, row {row}, has {pixels.shape[0]}×{pixels.shape[1]} pixels; "
                "expected: 32×32."
            )
        images[row], jpeg[row] = pixels.transpose(2, 0, 1), given[:2] == b"\xff\xd8"
    return images, labels, jpeg
