"""Decoded once: arrays on disk that are mapped into memory, with a checksum, made anew where they don't fit."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from ssf.kernel import own_folder

VERSION = 1  # raise it when a change to the code changes what is decoded


def digest(*paths):
    """SHA-256 of the files' contents, one after the other, as hex digits."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                total.update(part)
    return total.hexdigest()


def cached(name, source, build):
    """{array name: tensor mapped into memory}, of this source; copy-on-write, so nothing changes on disk.

    Args:
        name: of the data set, the folder's beginning.
        source: a string that changes when what is to be decoded changes.
        build: called with `room(array name, shape, dtype)` -> an empty array on disk; fills those it asks for.

    What is there but of another version, or damaged, is built anew.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:16]
    folder = own_folder() / "sets" / f"{name}-{key}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as unfinished:
                write(Path(unfinished), build)
                os.replace(unfinished, folder)
                os.mkdir(unfinished)  # for TemporaryDirectory to remove
    return {path.stem: torch.from_numpy(np.load(path, mmap_mode="c")) for path in sorted(folder.glob("*.npy"))}


def write(folder, build):
    """Build the arrays in a folder, and the checksums beside them."""
    arrays = {}

    def room(name, shape, dtype):
        arrays[name] = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)
        return arrays[name]

    build(room)
    for array in arrays.values():
        array.flush()
    sums = {f"{name}.npy": digest(folder / f"{name}.npy") for name in arrays}
    (folder / "meta.json").write_text(json.dumps({"version": VERSION, "sha256": sums}, indent=1))


def whole(folder):
    """Is a cache there, of this version, and undamaged?"""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        sums = meta["sha256"].items() if meta["version"] == VERSION else ()
        return bool(sums) and all(digest(folder / name) == told for name, told in sums)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
