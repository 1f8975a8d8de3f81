"""What a network costs: parameters, multiply-accumulates (MACs), synaptic operations, energy.

FLOPs = 2 · MACs. Counted are convolutions, linear layers and the two attention products; not
BatchNorm, LIF, pooling, additions and scores without weights, as usual in the field. One SOP is one
addition of a weight because of a spike: SOPs = (share of inputs that are not 0) · MACs.
"""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ssf.config import demand
from ssf.model.neuron import LIF

MAC_PICOJOULE, AC_PICOJOULE = 4.6, 0.9  # 32-bit floating point at 45 nm (Horowitz, ISSCC 2014)


@dataclass(frozen=True)
class LayerCost:
    """One line of the account."""

    name: str
    role: str  # SPS, qkv, attention, proj, fc1, fc2, selector or head
    weight: str | None  # the parameter behind it, None for a product of activations
    parameters: int  # weights, biases and the BatchNorm's scale and shift
    macs: int  # per image, all time steps


def layers(model, selector=None, as_computed=False):
    """The account of one image through a network, [LayerCost], by closed formulas.

    Args:
        model, selector: parts of a RunConfig. With a selector the cost is that of inference: tokens
            floored to floor(N · ratio) at each location, the selector's own MACs (once an image)
            charged; where dropped tokens bypass a block, the next one sees all again.
        as_computed: False counts what the published model computes, the stem's first convolution in
            every time step and attention as (q kᵀ) v. True counts what this library does: that
            convolution once, and the cheaper of (q kᵀ) v and q (kᵀ v).
    """
    rows, tokens, c = stem_layers(model, as_computed), model.tokens, model.width
    for b in range(model.depth):
        if selector and not selector.removes:  # those that skipped a block are back
            tokens = model.tokens
        if selector and b in selector.locations:
            location = selector.locations.index(b)
            if selector.kind == "learned":
                for i, c_in, c_out in [(0, c, c // 2), (2, c // 2, 2)]:
                    name = f"selector.predictors.{location}.{i}"
                    rows.append(weighted(name, "selector", "weight", c_in * c_out, c_out, tokens))
            tokens = selector.counts(model.tokens)[location]
        rows += block_layers(model, f"blocks.{b}", tokens, as_computed)
    return [*rows, weighted("head", "head", "weight", c * model.classes, model.classes, 1)]


def weighted(name, role, parameter, weights, others, times):
    """A layer with weights and other parameters; each weight is multiplied so often an image."""
    return LayerCost(name, role, f"{name}.{parameter}", weights + others, weights * times)


def stem_layers(model, as_computed):
    rows, side, c = [], model.side, model.width
    names = [*(f"stem.stages.{i}" for i in range(4)), "stem.position"]
    widths = [model.channels, c // 8, c // 4, c // 2, c, c]
    for i, name in enumerate(names):
        once = as_computed and i == 0 and model.encoding == "direct"
        times = side**2 * (1 if once else model.time_steps)
        weights, others = widths[i] * widths[i + 1] * 9, 2 * widths[i + 1]
        rows.append(weighted(name, "SPS", "conv.weight", weights, others, times))
        side //= 2 if i in model.pool_stages else 1
    return rows


def block_layers(model, name, tokens, as_computed):
    c, hidden, steps = model.width, model.width * model.mlp_ratio, model.time_steps
    rows = []
    for part, c_in, c_out, bias in [
        ("attention.qkv", c, 3 * c, model.qkv_bias),
        ("attention.proj", c, c, True),
        ("fc1", c, hidden, True),
        ("fc2", hidden, c, True),
    ]:
        layer, role = f"{name}.{part}", part.removeprefix("attention.")
        sizes = c_in * c_out, (2 + bias) * c_out, steps * tokens
        rows.append(weighted(layer, role, "linear.weight", *sizes))
    smaller = min(tokens, c // model.heads) if as_computed else tokens
    macs = steps * 2 * tokens * smaller * c
    return [*rows, LayerCost(f"{name}.attention", "attention", None, 0, macs)]


def parameters(model, selector=None):
    """Number of trainable parameters."""
    return sum(row.parameters for row in layers(model, selector))


def density_by_layer(masks):
    """{name: share of the weights kept}."""
    return {name: m.float().mean().item() for name, m in masks.items()}


def macs(model, selector=None, masks=None, as_computed=False):
    """MACs of one image, all time steps; with masks, of the surviving weights only."""
    density = density_by_layer(masks or {})
    rows = layers(model, selector, as_computed)
    return sum(row.macs * density.get(row.weight, 1.0) for row in rows)


def saving(model, selector, blocks_only=False):
    """Share of the dense network's MACs, or its blocks', that a selector saves, net of its own."""

    def left(part):
        rows = layers(model, part)
        return sum(r.macs for r in rows if not (blocks_only and r.role in ("SPS", "head")))

    return 1 - left(selector) / left(None)


def keep_ratio_for(target, model, selector, blocks_only=False):
    """The largest keep ratio, in steps of 0.001, whose `saving` reaches the target; or None.

    Raises Refused where the target is not above 0 and below 1.
    """
    demand(0 < target < 1, "saving", target, "a share of the MACs above 0 and below 1")
    for rho in (r / 1000 for r in range(1000, 0, -1)):
        candidate = replace(selector, keep_ratio=rho, inference_keep_ratio=0.0)
        if saving(model, candidate, blocks_only) >= target:
            return rho
    return None


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
