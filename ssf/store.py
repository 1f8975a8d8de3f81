"""One record per trained network: write, read, frame."""

import json
import os
import platform
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ssf import cost
from ssf.config import Refused


def root():
    """The folder runs/ of the repository, or the one the variable SSF_RUNS names."""
    return Path(os.environ.get("SSF_RUNS") or Path(__file__).parents[1] / "runs")


def run_folder(config):
    return root() / config.hash()


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
    write(path, lambda p: p.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n"))


def write_tensors(path, tensors):
    write(path, lambda p: save_file({k: v.contiguous() for k, v in tensors.items()}, p))


def read_json(path):
    """ValueError, one sentence, where the file is not JSON."""
    try:
        return json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError):
        raise Refused(f"{path} is damaged; remove the folder {path.parent} and run again.") from None


def read_tensors(path):
    """Tensors of a safetensors file (nothing is unpickled). ValueError, one sentence, where it is damaged."""
    try:
        return load_file(path)
    except Exception:  # safetensors has an exception class of its own for a broken header
        raise Refused(f"{path} is damaged; remove the folder {path.parent} and run again.") from None


def make_record(config, trained, masks, accuracy, loss, test_images):
    """The flat row of a trained network: every field of its config, what was measured, and on what.

    `accuracy` (a share) and `loss` are those of the last epoch on the test split; `seconds` are those of training.
    """
    model, selector = config.model, config.selector
    parameters = cost.parameters(model, selector)
    removed = sum((~m).sum().item() for m in masks.values())
    prunable = sum(m.numel() for m in masks.values())
    return {
        "id": config.hash(),
        **flatten(config.as_dict()),
        "accuracy": accuracy,
        "loss": loss,
        "test_images": test_images,
        "validation_accuracy": trained.history[-1].get("validation_accuracy") if trained.history else None,
        "sparsity": removed / prunable if masks else 0.0,
        "parameters": parameters,
        "parameters_left": parameters - removed,
        "macs": cost.macs(model, selector),
        "macs_left": cost.macs(model, selector, masks),
        "seconds": trained.seconds,
        "device": str(next(trained.network.parameters()).device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def flatten(values, prefix=""):
    """{"model": {"width": 32}} -> {"model.width": 32}."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def frame(records):
    """Records as a pandas frame, one row a network."""
    import pandas as pd

    return pd.DataFrame(records)
