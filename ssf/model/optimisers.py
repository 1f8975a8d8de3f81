"""What takes a training's steps: AdamW, as published, or Muon with AdamW beside it."""

import torch


class Muon(torch.optim.Muon):
    """torch's Muon (Jordan et al. 2024), for convolutions, too: as matrices [out, in·k·k]."""

    def __init__(self, weights, **settings):
        self.matrices = {w: w.detach().flatten(1) for w in weights}  # the same memory
        super().__init__(self.matrices.values(), **settings)
        for weight, matrix in self.matrices.items():
            self.state[weight] = self.state[matrix] = {}

    def step(self):
        for weight, matrix in self.matrices.items():
            matrix.grad = weight.grad.flatten(1)
        super().step()


class Pair:
    """Two optimisers as one: `param_groups`, `state` and `step` of both."""

    def __init__(self, adamw, muon):
        self.optimisers = adamw, muon
        self.param_groups = adamw.param_groups + muon.param_groups
        params = [p for group in adamw.param_groups for p in group["params"]]
        self.state = {p: adamw.state[p] for p in params} | muon.state

    def step(self):
        for one in self.optimisers:
            one.step()


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
    return Pair(adamw, Muon(matrices, lr=train.muon_lr, weight_decay=train.weight_decay))
