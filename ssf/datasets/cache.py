"""Decoded once: arrays on disk that are mapped into memory, with a checksum, made anew where they don't fit."""

import functools
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from ssf import folders

VERSION = 1  # raise it when a change to the code changes what is decoded


def digest(*paths):
    """SHA-256 of the files' contents, one after the other, as hex digits."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                total.update(part)
    return total.hexdigest()


def lock(what):
    """A lock that all processes of this user share, for something of that name."""
    folder = folders.cache() / "sets"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"{hashlib.sha256(str(what).encode()).hexdigest()[:16]}.lock")


def stamps(paths):
    """A string that changes when one of the files does: names, sizes and times."""
    return repr(
        [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths)]
    )


def cached(name, source, build):
    """{array name: tensor mapped into memory} of this source, copy-on-write, and what `build` returned.

    Args:
        name: of the data set, the folder's beginning.
        source: a string that changes when what is to be decoded changes.
        build: called with `room(array name, shape, dtype)` -> an empty array on disk; fills those it asks for, and
            returns what JSON can hold.

    What is there but of another version, or damaged, is built anew; whether it is damaged is seen once a process.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:16]
    folder = folders.cache() / "sets" / f"{name}-{key}"
    folder.parent.mkdir(exist_ok=True)
    with lock(folder):
        if not (folder.exists() and whole(folder, stamps(folder.iterdir()))):
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as unfinished:
                write(Path(unfinished), build)
                os.replace(unfinished, folder)
    arrays = {
        path.stem: torch.from_numpy(np.load(path, mmap_mode="c"))
        for path in sorted(folder.glob("*.npy"))
    }
    return arrays, json.loads((folder / "meta.json").read_text())["told"]


def write(folder, build):
    """Build the arrays in a folder, and the checksums beside them."""
    arrays = {}

    def room(name, shape, dtype):
        arrays[name] = np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.dtype(dtype), shape
        )
        return arrays[name]

    told = build(room)
    for array in arrays.values():
        array.flush()
    sums = {f"{name}.npy": digest(folder / f"{name}.npy") for name in arrays}
    (folder / "meta.json").write_text(
        json.dumps({"version": VERSION, "sha256": sums, "told": told}, indent=1)
    )


@functools.cache
def whole(folder, _):
    """Is a cache of this version, and undamaged? The second argument changes with its files."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        sums = meta["sha256"].items() if meta["version"] == VERSION else ()
        return bool(sums) and all(digest(folder / name) == told for name, told in sums)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
