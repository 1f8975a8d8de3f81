"""Checkpoints of the published Spikformer and SparseSpikformer code, read into our networks."""

import argparse
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from ssf.config import Refused

IDLE = re.compile(r"(block\.\d+\.norm[12]|norm)\.(weight|bias)|pos_embed")  # never used there
RENAMED = (  # our names as the published ones, step by step
    (r"stem\.stages\.0\.(conv|bn)", r"patch_embed.proj_\1"),
    (r"stem\.stages\.(\d)\.(conv|bn)", r"patch_embed.proj_\2\1"),
    (r"stem\.position\.", "patch_embed.rpe_"),
    (r"blocks\.(\d+)\.attention\.", r"block.\1.attn."),
    (r"blocks\.(\d+)\.fc", r"block.\1.mlp.fc"),
    (r"\.(qkv|proj|fc1|fc2)\.(linear|bn)\.", r".\1_\2."),
    (r"selector\.predictors\.(\d+)\.", r"predictor.\1.linear."),
)


def published_names(name, by_convolution):
    """The published tensors, one after another, that make up ours of this name.

    Event models have `…_conv` layers of kernel size 1 where static ones have `…_linear`.
    """
    for ours, theirs in RENAMED:
        name = re.sub(ours, theirs, name)
    if by_convolution:
        name = re.sub(r"^(block\..*)_linear\.", r"\1_conv.", name)
    if ".qkv_" in name:  # one layer here
        return [name.replace(".qkv_", f".{part}_") for part in "qkv"]
    return [name]


def read_weights(path):
    """A checkpoint file's tensors and plain values; unpickled is a Namespace of arguments alone."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Refused(f"checkpoint {path} is not there; allowed: the path of a file.") from None
    except Exception as error:  # torch and safetensors raise many kinds for a broken file
        fault = "can't be read; it may be truncated, or not be a checkpoint"
        if "global" in str(error).lower():  # pickle's word for the name of something to call
            fault = "holds more than tensors and plain values, so it is not loaded"
        raise Refused(f"checkpoint {path} {fault}.") from None


def load_published(network, checkpoint):
    """Load published weights into a Spikformer of the checkpoint's size, in place.

    checkpoint: {published name: tensor}, bare or under "model" or "state_dict", with or without the
    prefix "module."; or the path of such a file. What is `IDLE` there is ignored.

    Raises Refused for a missing or unexpected name, another shape, a number that is not finite, or
    a file that is damaged or holds code. The network is then as it was.
    """
    theirs = unwrapped(checkpoint)
    by_convolution = any(n.startswith("block.") and "_conv." in n for n in theirs)
    ours, used = network.state_dict(), set()
    for key, own in ours.items():
        names = published_names(key, by_convolution)
        missing = [name for name in names if name not in theirs]
        if not missing:
            parts = [fitting(name, theirs[name], own, len(names)) for name in names]
            ours[key] = torch.cat(parts) if own.ndim else parts[0]
            used |= set(names)
        elif not key.endswith("num_batches_tracked"):  # absent from old checkpoints
            raise Refused(f"the checkpoint lacks {missing[0]}, which this network needs as {key}.")
    for name in theirs:
        if name not in used and not name.endswith("num_batches_tracked"):
            raise Refused(f"the checkpoint has {name}, for which this network has no place.")
    network.load_state_dict(ours)


def unwrapped(checkpoint):
    """{published name: what is called so} of what `load_published` takes, but for what is idle."""
    state = read_weights(Path(checkpoint)) if isinstance(checkpoint, str | Path) else checkpoint
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise Refused("the checkpoint is not a state_dict; allowed: tensors by their names.")
    for name in state:
        if f"module.{name}" in state:
            raise Refused(f"the checkpoint has {name} twice, with and without the prefix module.")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in state.items() if not IDLE.fullmatch(name)}


def fitting(name, value, own, parts):
    """A published value as a tensor of the type of `own`, of which it is one of so many parts."""
    named = f"{name} in the checkpoint"
    dense = isinstance(value, torch.Tensor) and value.layout == torch.strided
    if not dense or value.is_complex():
        raise Refused(f"{named} is a {type(value).__name__}; allowed: a dense tensor of numbers.")
    shape = [len(own) // parts, *own.shape[1:]] if own.ndim else []
    tensor = value.squeeze(-1) if value.ndim == 3 and value.shape[-1] == 1 else value
    if list(tensor.shape) != shape:
        raise Refused(f"{named} has shape {list(value.shape)}; this network needs {shape}.")
    tensor = tensor.to(own)
    negative = name.endswith("running_var") and (tensor < 0).any()
    if negative or not tensor.isfinite().all():
        raise Refused(f"{named} has values that are no finite numbers, or a negative variance.")
    return tensor
