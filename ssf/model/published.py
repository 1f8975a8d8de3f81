"""Checkpoints of the published Spikformer and SparseSpikformer code, read into our networks. Nothing is unpickled."""

import argparse
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from ssf.config import Refused

IDLE = re.compile(
    r"(block\.\d+\.norm[12]|norm)\.(weight|bias)|pos_embed"
)  # owned by the published modules, never used
BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published_names(network):
    """{our name: its published names, one alternative a tuple; the tensors of a tuple are concatenated}.

    Static models have `…_linear` layers, event models `…_conv` layers of kernel size 1; q, k, v are one layer here.
    """
    units = {
        f"stem.stages.{i}": (f"patch_embed.proj_conv{i or ''}", f"patch_embed.proj_bn{i or ''}")
        for i in range(4)
    }
    units["stem.position"] = "patch_embed.rpe_conv", "patch_embed.rpe_bn"
    names = {}
    for unit, (conv, bn) in units.items():
        names[f"{unit}.conv.weight"] = [(f"{conv}.weight",)]
        names |= {f"{unit}.bn.{end}": [(f"{bn}.{end}",)] for end in BN}
    for b in range(len(network.blocks)):
        for unit, parts in {
            "attention.qkv": ("attn.q", "attn.k", "attn.v"),
            "attention.proj": ("attn.proj",),
            "fc1": ("mlp.fc1",),
            "fc2": ("mlp.fc2",),
        }.items():
            ours, theirs = f"blocks.{b}.{unit}", [f"block.{b}.{part}" for part in parts]
            for end in ("weight", "bias"):
                names[f"{ours}.linear.{end}"] = [
                    tuple(f"{part}_{kind}.{end}" for part in theirs) for kind in ("linear", "conv")
                ]
            names |= {
                f"{ours}.bn.{end}": [tuple(f"{part}_bn.{end}" for part in theirs)] for end in BN
            }
    names |= {f"head.{end}": [(f"head.{end}",)] for end in ("weight", "bias")}
    for key in network.state_dict():
        if match := re.fullmatch(r"selector\.predictors\.(\d+)\.(.*)", key):
            names[key] = [(f"predictor.{match[1]}.linear.{match[2]}",)]
    return {key: names[key] for key in network.state_dict()}


def read(path):
    """The contents of a checkpoint file, .safetensors or torch's, without unpickling code.

    The published scripts store their command line, an argparse.Namespace, beside the weights: a bag of values, allowed.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Refused(f"checkpoint {path} is not there; allowed: the path of a file.") from None
    except Exception as error:  # torch and safetensors raise many kinds for a broken file
        if "global" in str(error).lower():  # pickle's word for the name of something to call
            raise Refused(
                f"checkpoint {path} holds more than tensors and plain values, so it is not loaded."
            ) from None
        raise Refused(
            f"checkpoint {path} can't be read; it may be truncated, or not be a checkpoint."
        ) from None


def load_published(network, checkpoint):
    """Load published weights into a Spikformer, in place.

    Args:
        network: a Spikformer of the checkpoint's size, with a selector if and only if the checkpoint has one.
        checkpoint: {published name: tensor}, bare or under "model" or "state_dict", with or without the prefix
            "module."; or the path of such a file. The idle LayerNorms and pos_embed are ignored.

    Raises ValueError, one sentence, for a missing or unexpected name, another shape, a number that is not finite, or a
    file that is damaged or holds code. The network is then as it was.
    """
    state = read(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise Refused(
            "the checkpoint is not a state_dict; allowed: names and tensors, or these under model."
        )
    for key in state:
        if f"module.{key}" in state:
            raise Refused(f"the checkpoint has {key} twice, with and without the prefix module.")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not IDLE.fullmatch(key)}

    ours, loaded, used = network.state_dict(), {}, set()
    for key, alternatives in published_names(network).items():
        names = next((a for a in alternatives if all(name in state for name in a)), None)
        if names:
            loaded[key] = joined(names, state, ours[key])
            used |= set(names)
        elif not key.endswith("num_batches_tracked"):  # absent from old checkpoints
            kind = (
                "_conv."
                if any("_conv." in name for name in state if name.startswith("block."))
                else "_linear."
            )
            wanted = next((a for a in alternatives if kind in a[0]), alternatives[0])
            missing = next(name for name in wanted if name not in state)
            raise Refused(f"the checkpoint lacks {missing}, which this network needs as {key}.")
    for key in state:
        if key not in used and not key.endswith("num_batches_tracked"):
            raise Refused(f"the checkpoint has {key}, for which this network has no place.")
    network.load_state_dict(ours | loaded)


def joined(names, state, like):
    """The tensors of these names as one of the shape and type of `like`; ValueError where they don't fit."""
    parts = []
    for name in names:
        value = state[name]
        if (
            not isinstance(value, torch.Tensor)
            or value.layout != torch.strided
            or value.is_complex()
        ):
            raise Refused(
                f"{name} in the checkpoint is a {type(value).__name__}; allowed: a dense tensor of numbers."
            )
        shape = (len(like) // len(names), *like.shape[1:]) if like.ndim else ()
        squeezed = value.squeeze(-1) if value.ndim == 3 and value.shape[-1] == 1 else value
        if squeezed.shape != shape:
            raise Refused(
                f"{name} in the checkpoint has shape {list(value.shape)}; this network needs {list(shape)}."
            )
        parts.append(squeezed.to(like))
        if not torch.isfinite(parts[-1]).all() or (
            name.endswith("running_var") and (parts[-1] < 0).any()
        ):
            raise Refused(
                f"{name} in the checkpoint has values that are no finite numbers, or a negative variance."
            )
    return torch.cat(parts) if like.ndim else parts[0]
