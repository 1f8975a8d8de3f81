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

VERSION = 3  # raise it when a change to the code changes what is decoded


def _folder(name, source):
    """The path of that name and source among what is decoded; the source may be anything."""
    digest = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    (folders.cache() / "sets").mkdir(exist_ok=True)
    return folders.cache() / "sets" / f"{name}-{digest}"


def lock(folder):
    """A lock on a folder that all processes of this user share; the folder need not exist."""
    return FileLock(_folder("lock", folder).with_suffix(".lock"))


def stamps(paths):
    """A string that changes when one of the files does: names, sizes and times."""
    files = [(str(path.absolute()), path.stat()) for path in sorted(paths)]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def cached(name, paths, build, *settings):
    """({array name: tensor mapped into memory, copy-on-write}, what `build` returned).

    Args:
        name: of the data set; the name of its folder begins with it.
        paths: what is decoded; where one of the files changes, anew.
        build: called with `create(array name, shape, dtype)` -> an empty array on disk; fills the
            arrays that it creates, and returns something that JSON can hold.
        settings: what else the arrays depend on.
    """
    folder = _folder(name, [VERSION, stamps(paths), settings])
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

    def create(name, shape, dtype):
        return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)

    meta = {"facts": build(create), "sha256": checksums(folder)}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def checksums(folder):
    """{file name: SHA-256} of a folder's arrays."""
    sums = {}
    for path in folder.glob("*.npy"):
        with open(path, "rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


@functools.cache  # a process reads the files once, and again when their stamps change
def is_whole(folder, stamps):
    """Does the folder hold the arrays that were written?"""
    try:
        return json.loads((folder / "meta.json").read_text())["sha256"] == checksums(folder)
    except (OSError, ValueError):
        return False
