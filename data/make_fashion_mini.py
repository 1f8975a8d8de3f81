"""Make data/fashion-mini.npz: 10,000 training and 2,000 test images of Fashion-MNIST, the same
number of each class.

    python data/make_fashion_mini.py FOLDER

FOLDER holds the four idx files of the full set, gzipped or not: of Debian's package
dataset-fashion-mnist they lie in /usr/share/datasets/fashion-mnist, of torchvision's download in
FashionMNIST/raw. The draw has a fixed seed and the archive fixed time stamps, so the same input
makes the same bytes; the checksum goes to data/SHA256SUMS.
"""

import argparse
import gzip
import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np

SEED, PER_CLASS = 20231115, {"train": 1000, "t10k": 200}  # the day arXiv 2311.08806 appeared
MAGIC = {1: 0x801, 3: 0x803}  # idx: unsigned bytes, one or three dimensions


def read_idx(folder, name, ndim):
    """One idx file as a uint8 array. Raises ValueError, one sentence, where it is missing or
    damaged."""
    plain, packed = folder / name, folder / f"{name}.gz"
    path = packed if packed.exists() else plain
    if not path.exists():
        raise ValueError(
            f"{plain} (or .gz) is missing: give the folder with Fashion-MNIST's four idx files."
        )
    try:
        raw = gzip.decompress(path.read_bytes()) if path == packed else path.read_bytes()
    except (EOFError, OSError) as error:
        raise ValueError(f"{path} can't be unpacked ({error}): fetch it again.") from None
    header = np.frombuffer(raw[: 4 * (ndim + 1)], ">u4")
    if (
        len(header) != ndim + 1
        or header[0] != MAGIC[ndim]
        or len(raw) != 4 * (ndim + 1) + np.prod(header[1:])
    ):
        raise ValueError(f"{path} is not a whole idx file of {ndim} dimension(s): fetch it again.")
    return np.frombuffer(raw, np.uint8, offset=4 * (ndim + 1)).reshape(header[1:].astype(int))


def draw(images, labels, per_class, rng):
    """`per_class` images of each class, drawn without replacement, in random order."""
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in range(10)]
    )
    rng.shuffle(chosen)
    return images[chosen], labels[chosen]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("fashion-mini.npz"))
    args = parser.parse_args()
    rng, arrays = np.random.default_rng(SEED), {}
    for split, prefix in (("train", "train"), ("t10k", "test")):
        images = read_idx(args.folder, f"{split}-images-idx3-ubyte", 3)
        labels = read_idx(args.folder, f"{split}-labels-idx1-ubyte", 1)
        arrays[f"{prefix}_images"], arrays[f"{prefix}_labels"] = draw(
            images, labels, PER_CLASS[split], rng
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)),
                file.getvalue(),
                zipfile.ZIP_DEFLATED,
            )
    temporary = args.out.with_suffix(".tmp")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, args.out)
    sums = args.out.with_name("SHA256SUMS")
    temporary = sums.with_suffix(".tmp")
    temporary.write_text(f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {args.out.name}\n")
    os.replace(temporary, sums)
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"make_fashion_mini: {error}")
