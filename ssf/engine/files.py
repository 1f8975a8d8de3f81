"""Files, whole or not at all: JSON, and tensors with a checksum. Nothing is unpickled."""

import hashlib
import json
import os
import sys
from contextlib import contextmanager

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes  # save_file's are for their owner alone

from ssf.config import Failed


@contextmanager
def lock(folder):
    """Holds a run's folder while it is trained: a second process waits here.

    The system frees a dead process's lock.
    """
    held = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:
            waits = f"ssf: another process trains this run, {folder}; waiting for it"
            print(waits, file=sys.stderr)
            held.acquire()
        for left in folder.glob(".*.[0-9]*"):  # half-written by a process that was killed
            left.unlink()
    except OSError as error:
        raise Failed(f"{folder} can't be written: {error}.") from None
    try:
        yield
    finally:
        held.release()


def write(path, save):
    """Call save(temporary path), then rename: a file is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # a full disk, say
        raise Failed(f"{path} can't be written: {error}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    write(path, lambda temporary: temporary.write_text(json.dumps(value, indent=1) + "\n"))


def read_json(path):
    """Raises Failed where the file is not JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError:  # or no UTF-8
        raise damaged(path) from None


def damaged(path):
    return Failed(f"{path} is damaged; remove it and run again.")


def digest(tensors, state=""):
    """SHA-256 of named tensors (and a text): names, types, shapes and bytes."""
    total = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        total.update(t.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def write_tensors(path, tensors, **state):
    """Tensors and a state (plain values) in one safetensors file, with a checksum of both."""
    text, whole = json.dumps(state), {name: t.contiguous() for name, t in tensors.items()}
    header = {"state": text, "sha256": digest(tensors, text)}
    write(path, lambda temporary: temporary.write_bytes(as_bytes(whole, header)))


def read_tensors(path):
    """(tensors, state) of such a file; nothing is unpickled. Raises Failed where it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        intact = digest(tensors, header["state"]) == header["sha256"]
    except Exception:  # safetensors has an exception class of its own for a broken header
        intact = False
    if not intact:
        raise damaged(path)
    return tensors, json.loads(header["state"])
