"""Decoded once: arrays on disk, mapped into memory, with checksums; built anew if damaged."""

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

VERSION = 2  # raise it when a change to the code changes what is decoded


def digest(path):
    """SHA-256 of a file, as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(folder):
    """A lock on a folder that all processes of this user share; the folder need not exist."""
    locks = folders.cache() / "sets"
    locks.mkdir(exist_ok=True)
    return FileLock(locks / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.lock")


def stamps(paths):
    """A string that changes when one of the files does: names, sizes and times."""
    files = [(path.name, path.stat()) for path in sorted(paths)]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def cached(name, source, build):
    """({array name: tensor mapped into memory, copy-on-write}, what `build` returned) of a source.

    Args:
        name: of the data set; the name of its folder begins with it.
        source: a string that changes when what is to be decoded changes.
        build: called with `create(array name, shape, dtype)` -> an empty array on disk; fills the
            arrays that it creates, and returns something that JSON can hold.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:16]
    folder = folders.cache() / "sets" / f"{name}-{key}"
    with lock(folder):
        if not is_whole(folder, stamps(folder.glob("*"))):
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as unfinished:
                write(Path(unfinished), build)
                os.replace(unfinished, folder)
    paths = folder.glob("*.npy")
    arrays = {path.stem: torch.from_numpy(np.load(path, mmap_mode="c")) for path in paths}
    return arrays, json.loads((folder / "meta.json").read_text())["facts"]


def write(folder, build):
    """Build the arrays in a folder, and write their checksums beside them."""
    arrays = {}

    def create(name, shape, dtype):
        path = folder / f"{name}.npy"
        arrays[path.name] = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
        return arrays[path.name]

    facts = build(create)
    for array in arrays.values():
        array.flush()
    sums = {name: digest(folder / name) for name in arrays}
    meta = {"version": VERSION, "sha256": sums, "facts": facts}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


@functools.cache  # a process reads the files once, and again when their stamps change
def is_whole(folder, stamps):
    """Does the folder hold undamaged arrays of this version?"""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        sums = meta["sha256"] if meta["version"] == VERSION else {}
        return bool(sums) and all(digest(folder / name) == sums[name] for name in sums)
    except (OSError, ValueError, KeyError):
        return False
