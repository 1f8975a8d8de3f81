"""What a network does with images: spikes, operations, energy; its selector against the truth.

One SOP is one addition of a weight because of a spike. SOPs = (share of inputs that are not 0) ·
MACs, of the layers whose inputs are 0 or 1: not the first convolution, qkv, fc1, selector and head.
"""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ssf.datasets import batches
from ssf.model import training
from ssf.model.cost import LayerCost, density_by_layer, layers
from ssf.model.neuron import LIF
from ssf.model.selector import top

MAC_PICOJOULE, AC_PICOJOULE = 4.6, 0.9  # 32-bit floating point at 45 nm (Horowitz, ISSCC 2014)

LOOKED_AT = 100  # test images behind firing rates and operations
# how well a selector finds the foreground, where the data set tells; None for the others
TRUTH = ("recall", "precision", "average_precision", "share")


def observe(config, dataset, network, masks):
    """{column: value} of a record: means over the first test images, of what an image causes.

    SOPs (additions that spikes cause), energy (microjoules, two accounts of `energy`) and firing
    rate; `sops_left` and `energy_left` (one addition) where pruned weights are skipped; and, where
    the set tells, `TRUTH`.
    """
    images = torch.arange(min(LOOKED_AT, len(dataset.test_labels)))
    looks = []
    with training.own_random_state():
        torch.manual_seed(config.seed)  # for the random selector
        for pixels, _, foreground in batches.parts(dataset.part("test", images)):
            pixels = dataset.standardise(pixels.to(training.device()))
            foreground = None if foreground is None else foreground.to(pixels.device)
            inputs = pixels, training.truth(network, foreground)
            look = activity(network, config.model, config.selector, *inputs)
            looks.append((len(pixels), *look))
    rates, operations = averaged(looks)
    left = surviving(operations, masks)
    columns = {
        "sops": sum(row.sops for row in operations if row.binary),
        "sops_left": sum(row.sops for row in left if row.binary),
        "firing_rate": sum(rates.values()) / len(rates),
        "energy_one_addition": sum(energy(operations, "one addition").values()),
        "energy_multiplied": sum(energy(operations, "multiplied").values()),
        "energy_left": sum(energy(left, "one addition").values()),
    }
    if config.selector and dataset.test_foreground is not None:
        scores = against_truth(network, network.selector, dataset, seed=config.seed)
        for column in TRUTH:
            columns[column] = scores[column.replace("_", " ")].float().mean().item()
    return columns


@torch.no_grad()
def tokens_before(network, images, block, foreground=None):
    """What a selector before that block looks at, `selector.Tokens`."""
    attention = network.blocks[max(block - 1, 0)].attention
    watched, attention.watched = attention.watched, True
    tokens, _ = network.eval().walk(images, foreground, block)
    attention.watched = watched
    return tokens


def precision_recall(scores, foreground, keep):
    """Precision and recall, [B] each, of the `keep` tokens of highest score.

    scores: [B,N]. foreground: [B,N], bool; where an image has none, its recall is not a number.
    """
    hits = foreground.gather(1, top(scores, keep)).sum(1).float()
    return hits / keep, hits / foreground.sum(1)


def average_precision(scores, foreground):
    """Per image: mean, over its foreground tokens, of the precision down to each, best score first.

    The area under the curve of precision against recall, without interpolation; of equal scores,
    the first is first.
    """
    hits = foreground.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    precision = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return (precision * hits).sum(1) / hits.sum(1)


@torch.no_grad()
def against_truth(network, selector, dataset, count=1000, seed=0):
    """How well a selector's first choice finds the foreground, {column: a value for each image}.

    A token is foreground where any pixel of it is. Columns: precision and recall of the tokens
    kept, average precision of the score, `share` of the tokens that are foreground, and `fits`,
    whether they are no more than are kept.

    Args:
        network: in whose tokens it chooses.
        selector: a `TokenSelector` with as many channels.
        count: of test images.
    """
    block, keep, parts = selector.locations[0], selector.counts[0], []
    device = next(network.parameters()).device
    images = torch.arange(min(count, len(dataset.test_labels)))
    with training.own_random_state():
        torch.manual_seed(seed)
        for pixels, _, foreground in batches.parts(dataset.part("test", images)):
            shares = batches.token_shares(foreground, selector.tokens).to(device)
            pixels = dataset.standardise(pixels).to(device)
            scores = selector.scores(block, tokens_before(network, pixels, block, shares))
            true = shares > 0
            precision, recall = precision_recall(scores, true, keep)
            columns = {"precision": precision, "recall": recall, "share": true.float().mean(1)}
            columns["average precision"] = average_precision(scores, true)
            parts.append(columns | {"fits": true.sum(1) <= keep})
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}


@contextmanager
def hooked(network, kinds, hook):
    """In eval mode, call hook(name, module, inputs, output) at every module of some kinds."""
    training, modules = network.training, dict(network.named_modules())
    names = [name for name, module in modules.items() if isinstance(module, kinds)]
    handles = [modules[name].register_forward_hook(partial(hook, name)) for name in names]
    try:
        yield network.eval()
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()


@torch.no_grad()
def spikes(network, *inputs):
    """{layer: spikes [T, B, ...] of 0 and 1} of every LIF, in order of depth."""
    seen = {}
    with hooked(network, LIF, lambda name, _, __, out: seen.update({name: out})):
        network(*inputs)
    return seen


def firing_rates(network, *inputs):
    """{layer: mean number of spikes per neuron and time step} of every LIF."""
    return {name: s.mean().item() for name, s in spikes(network, *inputs).items()}


# What reaches these layers is 0 or 1 by construction. The residual stream (qkv, fc1) counts spikes:
# 0 to 2, and one more for every layer that adds to it. Pixels, event counts and averaged rates
# (selector, head) are numbers.
BINARY = ("SPS", "proj", "fc2", "attention")


@dataclass(frozen=True)
class Operations:
    """What a layer does with its inputs: its cost, their share that is not 0, their mean size."""

    layer: LayerCost
    nonzero: float
    mean: float

    @property
    def binary(self):
        return self.layer.role in BINARY and self.layer.name != "stem.stages.0"

    @property
    def sops(self):
        return self.layer.macs * self.nonzero


@torch.no_grad()
def activity(network, model, selector, *inputs):
    """(`firing_rates`, [Operations] of every layer of `layers`), both of one pass, per image.

    One pass, so that both see the tokens that a random selector drew. The two attention products
    are additions driven by q and by v, half of their MACs each.
    """
    rates, sizes = {}, {}

    def look(name, module, arguments, out):
        x = arguments[0]
        if isinstance(module, LIF):
            rates[name] = out.mean().item()
            if not name.endswith(".qkv.lif"):
                return
            q, _, v = out.chunk(3, dim=-1)
            name, x = name.removesuffix(".qkv.lif"), torch.cat([q, v])
        nonzero = x.count_nonzero().item() / x.numel()
        layer = name.removesuffix(".linear").removesuffix(".conv")
        sizes[layer] = nonzero, x.abs().mean(dtype=torch.float64).item()

    with hooked(network, (nn.Linear, nn.Conv2d, LIF), look):
        network(*inputs)
    return rates, [Operations(row, *sizes[row.name]) for row in layers(model, selector)]


def averaged(looks):
    """`activity` of several batches as one; looks: (images, firing rates, [Operations]) of each."""
    images, rates, operations = zip(*looks, strict=True)

    def mean(values):
        return sum(n * v for n, v in zip(images, values, strict=True)) / sum(images)

    return {name: mean([each[name] for each in rates]) for name in rates[0]}, [
        Operations(same[0].layer, mean([o.nonzero for o in same]), mean([o.mean for o in same]))
        for same in zip(*operations, strict=True)
    ]


def surviving(rows, masks):
    """[Operations] with the MACs of surviving weights only: a machine's that skips the others."""
    density, left = density_by_layer(masks), []
    for row in rows:
        macs = row.layer.macs * density.get(row.layer.weight, 1.0)
        left.append(replace(row, layer=replace(row.layer, macs=macs)))
    return left


ACCOUNTS = ("no spikes", "one addition", "as many additions", "multiplied")


def energy(rows, account):
    """Arithmetic energy of an image, {role: microjoules}, from [Operations], by one of `ACCOUNTS`.

    "no spikes": every product a MAC, as in a network of the same size without spikes.
    The others: a MAC in the first convolution and for averaged rates (selector, head), an addition
    for each binary input that is 1, and for an input of the residual stream, which is a count,
    "one addition" if it is not 0 (as Zhou et al., ICLR 2023, have it),
    "as many additions" as it counts, or
    "multiplied": a MAC, also where it is 0. An upper bound.
    """
    microjoules = {}
    for row in rows:
        role = row.layer.role
        multiplied = account == "no spikes" or (account == "multiplied" and not row.binary)
        multiplied |= role in ("selector", "head") or row.layer.name == "stem.stages.0"
        rate = row.mean if account == "as many additions" else row.nonzero
        value = row.layer.macs * (MAC_PICOJOULE if multiplied else AC_PICOJOULE * rate)
        microjoules[role] = microjoules.get(role, 0.0) + value / 1e6
    return microjoules
