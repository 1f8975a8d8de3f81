"""Still images from files: CIFAR-10, CIFAR-100 and Fashion-MNIST through torchvision, CIFAR-10 from parquet too."""

import io

import numpy as np
from tqdm import tqdm

from ssf.cache import cached, digest
from ssf.config import Failed, Refused

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLITS = ("train", "test")


def torchvision_set(name, root):
    """Arrays of a set that torchvision knows: {"train_images": uint8 [n,c,H,W], …_labels int64 [n], …}, and classes.

    Fetched into `root`, with progress and checksum, where it is not there yet. (torchvision unpickles CIFAR's files,
    whose MD5 it has checked before.) Raises ValueError (Failed), one sentence, where they can't be had.
    """
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion-mnist": datasets.FashionMNIST}[name]
    page, files = HANDMADE[name]
    try:
        root.mkdir(parents=True, exist_ok=True)
        parts = {split: kind(root, train=split == "train", download=True) for split in SPLITS}
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Failed(
            f"{name} is not whole in {root} and could not be fetched ({reason}); put {files} there, from {page}."
        ) from None

    def build(room):
        for split, part in parts.items():
            images, labels = np.asarray(part.data), np.asarray(part.targets)
            images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
            room(f"{split}_images", images.shape, np.uint8)[:] = images
            room(f"{split}_labels", labels.shape, np.int64)[:] = labels

    source = f"torchvision {kind.__name__} {getattr(kind, 'tgz_md5', None) or kind.resources}"
    return cached(name, source, build), tuple(parts["train"].classes)


HANDMADE = {  # page, files: for those who fetch them by hand
    "cifar10": ("https://www.cs.toronto.edu/~kriz/cifar.html", "cifar-10-python.tar.gz"),
    "cifar100": ("https://www.cs.toronto.edu/~kriz/cifar.html", "cifar-100-python.tar.gz"),
    "fashion-mnist": (
        "https://github.com/zalandoresearch/fashion-mnist",
        "its four .gz files in FashionMNIST/raw",
    ),
}


def parquet_files(root):
    """{split: [files]} of CIFAR-10 as parquet in a folder or its subfolder plain_text, {} where there is none."""
    for folder in (root, root / "plain_text"):
        found = {split: sorted(folder.glob(f"{split}*.parquet")) for split in SPLITS}
        if any(found.values()):
            missing = [split for split in SPLITS if not found[split]]
            if missing:
                raise Refused(f"{folder / missing[0]}*.parquet is missing; expected: files of both splits.")
            return found
    return {}


def parquet_set(files):
    """Arrays of CIFAR-10 from parquet (columns img.bytes and label), and whether the images went through JPEG.

    The rows of a file may be sorted by class, so their order is drawn, with a fixed seed.
    Raises ValueError, one sentence, for a damaged file, another schema, and an image or a label that can't be.
    """

    def build(room):
        rng = np.random.default_rng(0)
        for split, paths in files.items():
            parts = [read_parquet(path) for path in paths]
            images, labels, encoded = (np.concatenate(part) for part in zip(*parts, strict=True))
            order = rng.permutation(len(labels))
            room(f"{split}_images", images.shape, np.uint8)[:] = images[order]
            room(f"{split}_labels", labels.shape, np.int64)[:] = labels[order]
            room(f"{split}_jpeg", (1,), bool)[:] = encoded.any()

    source = " ".join(digest(path) for paths in files.values() for path in paths)
    arrays = cached("cifar10", f"parquet {source}", build)
    jpeg = any([bool(arrays.pop(f"{split}_jpeg")) for split in SPLITS])
    return arrays, jpeg


def read_parquet(path):
    """Images uint8 [n,3,32,32], labels int64 [n], and for each image whether it is a JPEG, of one parquet file."""
    import pyarrow
    from PIL import Image
    from pyarrow import parquet

    mend = "fetch it again"
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise Refused(f"{path} is no whole parquet file ({str(error).splitlines()[0]}); {mend}.") from None
    schema = {field.name: field.type for field in table.schema}
    image = schema.get("img")
    if not (
        image is not None
        and pyarrow.types.is_struct(image)
        and image.get_field_index("bytes") >= 0
        and pyarrow.types.is_integer(schema.get("label", pyarrow.null()))
    ):
        found = ", ".join(f"{k} ({v})" for k, v in schema.items())
        raise Refused(f"{path} has the columns {found}; expected: img with a field bytes, and label, a whole number.")
    labels = table["label"].to_numpy().astype(np.int64)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(CIFAR10_CLASSES):
        raise Refused(f"{path} has no rows, or labels beyond 0 to {len(CIFAR10_CLASSES) - 1}; {mend}.")
    encoded = table["img"].combine_chunks().field("bytes")
    images = np.empty((len(labels), 3, 32, 32), np.uint8)
    for row, raw in enumerate(tqdm(encoded, desc=f"decoding {path.name}", leave=False, disable=None)):
        try:
            with Image.open(io.BytesIO(raw.as_py())) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, TypeError, SyntaxError) as error:
            raise Refused(f"{path}, row {row}, is no readable image ({error}); {mend}.") from None
        if pixels.shape != (32, 32, 3):
            raise Refused(f"{path}, row {row}, has {pixels.shape[0]}×{pixels.shape[1]} pixels; expected: 32×32.")
        images[row] = pixels.transpose(2, 0, 1)
    return images, labels, np.array([raw.as_py()[:2] == b"\xff\xd8" for raw in encoded])
