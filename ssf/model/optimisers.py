"""What takes a training's steps: AdamW, as published, or Muon with AdamW beside it."""

from contextlib import nullcontext

import torch
from torch.overrides import TorchFunctionMode

from ssf.model import kernels


class InFloat32(TorchFunctionMode):
    """A context in which `bfloat16()` makes a copy in float32."""

    def __torch_function__(self, function, _, arguments=(), settings=None):
        copies = function is torch.Tensor.bfloat16
        return arguments[0].clone() if copies else function(*arguments, **settings or {})


class MuonAndAdamW:
    """torch's Muon (Jordan et al. 2024) and AdamW as one: `param_groups`, `state`, `step` of both.

    Muon's weights may be convolutions', too: as matrices [out, in·k·k]. torch makes its steps
    orthogonal in bfloat16; on processors that are slow at that, they are made so in float32.
    """

    def __init__(self, weights, adamw, **settings):
        self.matrices = {w: w.detach().flatten(1) for w in weights}  # the same memory
        self.adamw, self.muon = adamw, torch.optim.Muon(self.matrices.values(), **settings)
        self.slow = not kernels.multiplies_bfloat16(next(iter(self.matrices)).device)
        self.param_groups = adamw.param_groups + self.muon.param_groups
        self.state = {p: adamw.state[p] for group in adamw.param_groups for p in group["params"]}
        self.state |= {w: self.muon.state[matrix] for w, matrix in self.matrices.items()}

    def step(self):
        for weight, matrix in self.matrices.items():
            matrix.grad = weight.grad.flatten(1)
        self.adamw.step()
        with InFloat32() if self.slow else nullcontext():
            self.muon.step()


def optimiser(network, train):
    """The optimiser of a network's parameters; each of its groups has its own highest `lr`.

    AdamW: weight decay on weights, not on biases and BatchNorm, as in the published code. Muon: on
    the weights of stem and blocks, at `train.muon_lr`; AdamW on the others.
    """
    weights = [p for p in network.parameters() if p.ndim > 1]
    spared = [p for p in network.parameters() if p.ndim <= 1]
    parts = (network.stem, network.blocks) if train.optimiser == "muon" else ()
    by_muon = {p for part in parts for p in part.parameters() if p.ndim > 1}
    groups = [
        {"params": [p for p in weights if p not in by_muon], "weight_decay": train.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=train.lr)
    if not by_muon:
        return adamw
    matrices = [p for p in weights if p in by_muon]
    return MuonAndAdamW(matrices, adamw, lr=train.muon_lr, weight_decay=train.weight_decay)
