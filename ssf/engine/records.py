"""A run's folder, and its record: write, read, frame, export.

runs/<id>/ holds config.json, log.jsonl (one line an epoch), checkpoint.safetensors,
epoch-<n>.safetensors (weights that tickets are rewound to) and, once finished, record.json.
"""

import functools
import json
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from ssf import distributed, folders
from ssf.config import RESULTS_VERSION, Failed, RunConfig
from ssf.engine import code, files
from ssf.engine.observe import TRUTH
from ssf.model import cost, kernels, training


def run_folder(config):
    return folders.runs() / config.hash()


def write_checkpoint(folder, tensors, **state):
    """The state of a training after an epoch: first the checkpoint, whole; the log retells it."""
    files.write_tensors(folder / "checkpoint.safetensors", tensors, **state)
    lines = "".join(json.dumps(row) + "\n" for row in state["history"])
    files.write(folder / "log.jsonl", lambda temporary: temporary.write_text(lines))


def read_checkpoint(folder):
    """(tensors, state) of the last epoch that was finished, or None."""
    path = folder / "checkpoint.safetensors"
    return files.read_tensors(path) if path.exists() else None


@functools.cache
def provenance():
    """Versions of what computes, the commit of this code and whether it was changed since."""

    def git(*arguments):
        command = {"cwd": folders.home(), "stderr": subprocess.DEVNULL, "text": True}
        try:
            return subprocess.check_output(["git", *arguments], **command).strip()
        except (OSError, subprocess.CalledProcessError):  # no git, or no repository
            return None

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


VERSIONS = ("device", "threads", "world_size", "torch", "spikingjelly", "numpy", "python")
ADDED = ("code", "kernels", "processor")  # None in records and rows of before
MACHINE = (*VERSIONS, "kernels", "processor")  # what computed
FIELDS = [
    "id", *RunConfig().flat(),
    "accuracy", "accuracy_validation_selected", "accuracy_test_maximum", "validation_accuracy",
    "loss", "test_images", *TRUTH,
    "sparsity", "densities", "parameters", "parameters_left", "macs", "macs_left",
    "sops", "sops_left", "firing_rate", "energy_one_addition", "energy_multiplied", "energy_left",
    "seconds", "images_per_second", *VERSIONS, "commit", "dirty", *ADDED,
]  # fmt: skip


# what a record of before a field was added has for it
LATER = dict.fromkeys(ADDED) | {k: v for k, v in RunConfig().flat().items() if "." in k}


def measurements(history, seconds, images, test_images):
    """What training measured.

    Accuracies are shares of the test images: `accuracy` at the last epoch,
    `accuracy_validation_selected` at the epoch of the highest validation accuracy (else the last),
    `accuracy_test_maximum` the highest of all, as published work has it. `seconds` are those of
    training, `images_per_second` the training images seen in them.
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


def make_record(config, masks, measured):
    """The flat row of a trained network: its config, what it costs, what was measured, on what.

    `densities`: the share of the weights kept in each pruned tensor, as JSON.
    """
    model, selector = config.model, config.selector
    parameters, densities = cost.parameters(model, selector), cost.density_by_layer(masks)
    mixed = config.train.mixed_precision
    halved = not mixed or kernels.multiplies_bfloat16(training.device())
    removed = sum((~mask).sum().item() for mask in masks.values())
    prunable = sum(mask.numel() for mask in masks.values())
    record = dict.fromkeys(TRUTH) | config.flat() | measured | provenance()
    record |= {
        "id": config.hash(),
        "sparsity": removed / prunable if masks else 0.0,
        "densities": json.dumps({name: round(kept, 6) for name, kept in densities.items()}),
        "parameters": parameters,
        "parameters_left": parameters - removed,
        "macs": cost.macs(model, selector),
        "macs_left": cost.macs(model, selector, masks),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "world_size": distributed.size(),
        "code": code.fingerprint(),
        "kernels": kernels.path() + ("" if halved else ", no bfloat16"),
        "processor": processor(),
    }
    return {field: record[field] for field in FIELDS}


def read_record(folder):
    """A finished run's record. Raises Failed where a field is missing or newer code wrote it."""
    path = folder / "record.json"
    record = files.read_json(path)
    if not isinstance(record, dict):
        raise files.damaged(path)
    if (written := record.get("results_version", 0)) > RESULTS_VERSION:
        known = f"this code knows up to {RESULTS_VERSION}: update it"
        raise Failed(f"{path} is of results version {written}; {known}.")
    record = LATER | record
    for field in FIELDS:
        if field not in record:
            raise Failed(f"{path} lacks the field {field}; remove it and run again.")
    return record


def records():
    """(all records under runs/, the sentences of those that can't be read)."""
    read, sentences = [], []
    for path in sorted(folders.runs().glob("*/record.json")):
        try:
            read.append(read_record(path.parent))
        except Failed as failure:
            sentences.append(str(failure))
    return read, sentences


def frame(records):
    """Records as a pandas frame, one row a network, columns in the order of FIELDS."""
    import pandas as pd  # here, so that training needs not wait for it

    return pd.DataFrame(records, columns=FIELDS)


class Missing(Failed):
    """Rows that are asked for are not there."""


def committed(name, command, folder=None):
    """The rows of <name>.csv, in `results` or another folder, as a frame; Missing without it."""
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
    files.write(path, lambda p: rows.to_csv(p, index=False))
    return path
