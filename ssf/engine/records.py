"""The files of a run, whole or not at all, and its record: write, read, frame, export.

runs/<hash>/ holds config.json, log.jsonl (one line an epoch), checkpoint.safetensors, state.json (what the checkpoint
holds, for people) and, once finished, record.json.
"""

import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ssf import distributed, folders
from ssf.config import RESULTS_VERSION, Failed, RunConfig
from ssf.model import cost


def run_folder(config):
    return folders.runs() / config.hash()


class Lock:
    """Holds a run's folder while it is trained: a second process waits here. The system frees a dead process's lock."""

    def __init__(self, config):
        self.folder = run_folder(config)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.folder / "lock")

    def __enter__(self):
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            print(
                f"ssf: another process trains this run, {self.folder}; waiting for it",
                file=sys.stderr,
            )
            self.lock.acquire()
        for left in self.folder.glob(".*.[0-9]*"):  # half-written by a process that was killed
            left.unlink()

    def __exit__(self, *_):
        self.lock.release()


def write(path, save):
    """Call save(temporary path), then rename: a file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    write(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def read_json(path):
    """ValueError, one sentence, where the file is not JSON."""
    try:
        return json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError):
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
    text = json.dumps(state)
    header = {"state": text, "sha256": digest(tensors, text)}
    try:
        write(path, lambda p: save_file({k: v.contiguous() for k, v in tensors.items()}, p, header))
    except SafetensorError as error:  # a full disk, say
        raise Failed(f"{path} can't be written: {error}.") from None


def read_tensors(path):
    """(tensors, state) of such a file; nothing is unpickled. ValueError, one sentence, where it is damaged."""
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


def write_checkpoint(folder, tensors, **state):
    """The state of a training after an epoch. The checkpoint comes first, whole in itself; the rest retells it."""
    write_tensors(folder / "checkpoint.safetensors", tensors, **state)
    lines = "".join(json.dumps(row) + "\n" for row in state["history"])
    write(folder / "log.jsonl", lambda p: p.write_text(lines))
    write_json(
        folder / "state.json", {key: value for key, value in state.items() if key != "history"}
    )


def read_checkpoint(folder):
    """(tensors, state) of the last epoch that was finished, or None."""
    path = folder / "checkpoint.safetensors"
    return read_tensors(path) if path.exists() else None


@functools.cache
def provenance():
    """Versions of what computes, the commit of this code and whether it was changed since."""

    def git(*arguments):
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=folders.home(), capture_output=True, text=True
            )
        except OSError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        **{name: version(name) for name in ("torch", "spikingjelly", "numpy")},
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def processor():
    """The name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else None
    return name[1] if name else platform.processor() or platform.machine()


# what `truth.against_truth` says of a selector, where the data set tells; None for the others
TRUTH = ("recall", "precision", "average_precision", "share")
MACHINE = (
    "device",
    "threads",
    "world_size",
    "torch",
    "spikingjelly",
    "numpy",
    "python",
)  # what computed
FIELDS = [
    "id", *RunConfig().flat(),
    "accuracy", "accuracy_validation_selected", "accuracy_test_maximum", "validation_accuracy", "loss", "test_images",
    *TRUTH,
    "sparsity", "densities", "parameters", "parameters_left", "macs", "macs_left", "sops", "sops_left", "firing_rate",
    "energy_one_addition", "energy_multiplied", "energy_left", "seconds", "images_per_second",
    *MACHINE, "commit", "dirty",
]  # fmt: skip


def measurements(history, seconds, images, test_images):
    """What training measured.

    Accuracies are shares of the test images: `accuracy` at the last epoch, `accuracy_validation_selected` at the epoch
    with the highest validation accuracy, `accuracy_test_maximum` the highest of all epochs, as published work has it.
    `seconds` are those of training, `images_per_second` the training images seen in them.
    """
    chosen = max(history, key=lambda row: row.get("validation_accuracy", row["epoch"]))
    return {
        "accuracy": history[-1]["test_accuracy"],
        "accuracy_validation_selected": chosen["test_accuracy"],
        "accuracy_test_maximum": max(row["test_accuracy"] for row in history),
        "validation_accuracy": history[-1].get("validation_accuracy"),
        "loss": history[-1]["test_loss"],
        "test_images": test_images,
        "seconds": seconds,
        "images_per_second": images / seconds,
    }


def activity(firing_rates, operations, masks):
    """What a trained network does with an image, a mean over some.

    SOPs (additions that spikes cause), energy (in microjoules, two of the accounts of cost.energy) and firing rate;
    `sops_left` and `energy_left` (one addition) where pruned weights are skipped.
    """
    left = cost.surviving(operations, masks)
    return {
        "sops": sum(row.sops for row in operations if row.binary),
        "sops_left": sum(row.sops for row in left if row.binary),
        "firing_rate": sum(firing_rates.values()) / len(firing_rates),
        "energy_one_addition": sum(cost.energy(operations, "one addition").values()),
        "energy_multiplied": sum(cost.energy(operations, "multiplied").values()),
        "energy_left": sum(cost.energy(left, "one addition").values()),
    }


def make_record(config, masks, measured):
    """The flat row of a trained network: every field of its config, what it costs, what was measured, and on what.

    `densities`: the share of the weights kept in each pruned tensor, as JSON.
    """
    model, selector = config.model, config.selector
    parameters = cost.parameters(model, selector)
    removed = sum((~m).sum().item() for m in masks.values())
    prunable = sum(m.numel() for m in masks.values())
    record = dict.fromkeys(TRUTH) | {
        "id": config.hash(),
        **config.flat(),
        **measured,
        "sparsity": removed / prunable if masks else 0.0,
        "densities": json.dumps(
            {name: round(kept, 6) for name, kept in cost.density_by_layer(masks).items()}
        ),
        "parameters": parameters,
        "parameters_left": parameters - removed,
        "macs": cost.macs(model, selector),
        "macs_left": cost.macs(model, selector, masks),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "world_size": distributed.size(),
        **provenance(),
    }
    return {field: record[field] for field in FIELDS}


def read_record(folder):
    """A finished run's record. ValueError, one sentence, where a field is missing or newer code wrote it."""
    path = folder / "record.json"
    record = read_json(path)
    if not isinstance(record, dict):
        raise damaged(path)
    written = record.get("results_version", 0)
    if not isinstance(written, int) or written > RESULTS_VERSION:
        raise Failed(
            f"{path} is of results version {written}; this code knows up to {RESULTS_VERSION}: update it."
        )
    for field in FIELDS:
        if field not in record:
            raise Failed(f"{path} lacks the field {field}; remove it and run again.")
    return record


def records():
    """(all records under runs/, the sentences of those that can't be read)."""
    found, sentences = [], []
    for path in sorted(folders.runs().glob("*/record.json")):
        try:
            found.append(read_record(path.parent))
        except Failed as refusal:
            sentences.append(str(refusal))
    return found, sentences


def frame(records):
    """Records as a pandas frame, one row a network, columns in the order of FIELDS."""
    import pandas as pd

    return pd.DataFrame(records, columns=FIELDS)


class Missing(Failed):
    """Rows that are asked for are not there."""


def committed(name, command, folder=None):
    """The rows of <name>.csv, in `results` or another folder, as a frame. Raises Missing, one sentence, without it."""
    import pandas as pd

    path = (folder or folders.results()) / f"{name}.csv"
    if not path.exists():
        raise Missing(f"{path} is not there; {command} writes it.")
    return pd.read_csv(path)


def timings(name, command):
    """The rows of a benchmark, data/results/<name>.csv of the repository."""
    return committed(name, command, folders.shipped() / "results")


def export(rows, name):
    """Write a frame to data/results/<name>.csv, the columns as they stand; returns the path."""
    path = folders.results() / f"{name}.csv"
    write(path, lambda p: rows.to_csv(p, index=False))
    return path
