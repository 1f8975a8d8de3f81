"""What a network costs: parameters, multiply-accumulates (MACs), synaptic operations (SOPs), energy.

One MAC is one multiplication and one addition: FLOPs = 2 · MACs. Counted are convolutions, linear layers and the two
attention products; BatchNorm, LIF, pooling, additions and scores without weights are not, as usual in the field. One
SOP is one addition of a weight because of a spike: SOPs = (share of inputs that are not 0) · MACs.
"""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from ssf.config import Refused
from ssf.model.neuron import LIF

MAC_PICOJOULE, AC_PICOJOULE = 4.6, 0.9  # 32-bit floating point at 45 nm (Horowitz, ISSCC 2014)


@dataclass(frozen=True)
class Layer:
    """One line of the account; `weight` names the parameter behind it, None for a product of activations."""

    name: str
    role: str  # SPS, qkv, attention, proj, fc1, fc2, selector or head
    weight: str | None
    parameters: int  # weights, biases and the BatchNorm's scale and shift
    macs: int  # per image, all time steps


def layers(model, selector=None, as_computed=False):
    """The account of one image through a network, a list of Layer, by closed formulas.

    Args:
        model, selector: parts of a RunConfig. With a selector the cost is that of inference: tokens floored to
            floor(N · ratio) at each location, the selector's own MACs (once an image, not once a time step) charged;
            where dropped tokens bypass a block, later blocks without a selector see all again.
        as_computed: False counts what the published model computes, the stem's first convolution in every time step
            and attention as (q kᵀ) v. True counts what this library does: that convolution once, and the cheaper of
            (q kᵀ) v and q (kᵀ v).
    """
    steps, c, hidden, d = (
        model.time_steps,
        model.width,
        model.width * model.mlp_ratio,
        model.width // model.heads,
    )
    rows, side = [], model.side
    widths = [model.channels, c // 8, c // 4, c // 2, c, c]
    for i, name in enumerate([*(f"stem.stages.{i}" for i in range(4)), "stem.position"]):
        weights = widths[i] * widths[i + 1] * 9
        times = 1 if as_computed and i == 0 and model.encoding == "direct" else steps
        rows.append(
            Layer(
                name,
                "SPS",
                f"{name}.conv.weight",
                weights + 2 * widths[i + 1],
                times * weights * side**2,
            )
        )
        side //= 2 if i in model.pool_stages else 1

    n = model.tokens
    counts = selector.counts(n) if selector else []
    for b in range(model.depth):
        if selector and b in selector.locations:
            place = selector.locations.index(b)
            if selector.kind == "learned":
                for j, (c_in, c_out) in enumerate([(c, c // 2), (c // 2, 2)]):
                    name = f"selector.predictors.{place}.{2 * j}"
                    seen = n if selector.removes else model.tokens
                    rows.append(
                        Layer(
                            name,
                            "selector",
                            f"{name}.weight",
                            c_in * c_out + c_out,
                            seen * c_in * c_out,
                        )
                    )
            n = counts[place]
        elif selector and not selector.removes:  # those that skipped a block are back
            n = model.tokens
        name = f"blocks.{b}"
        for part, role, c_in, c_out, bias in [
            ("attention.qkv", "qkv", c, 3 * c, model.qkv_bias),
            ("attention.proj", "proj", c, c, True),
            ("fc1", "fc1", c, hidden, True),
            ("fc2", "fc2", hidden, c, True),
        ]:
            weights, weight = c_in * c_out, f"{name}.{part}.linear.weight"
            rows.append(
                Layer(
                    f"{name}.{part}",
                    role,
                    weight,
                    weights + (2 + bias) * c_out,
                    steps * n * weights,
                )
            )
        smaller = min(n, d) if as_computed else n
        rows.append(Layer(f"{name}.attention", "attention", None, 0, steps * 2 * n * smaller * c))
    rows.append(Layer("head", "head", "head.weight", (c + 1) * model.classes, c * model.classes))
    return rows


def parameters(model, selector=None):
    """Number of trainable parameters."""
    return sum(row.parameters for row in layers(model, selector))


def density_by_layer(masks):
    """{name: share of the weights kept}."""
    return {name: m.float().mean().item() for name, m in masks.items()}


def macs(model, selector=None, masks=None, as_computed=False):
    """MACs of one image, all time steps; with masks, those of the surviving weights only (a sparse machine's count)."""
    density = density_by_layer(masks or {})
    return sum(
        row.macs * density.get(row.weight, 1.0) for row in layers(model, selector, as_computed)
    )


def saving(model, selector, blocks_only=False):
    """Share of a dense network's MACs that a selector saves, net of its own: of all, or of the blocks' alone."""

    def left(part):
        return sum(
            row.macs
            for row in layers(model, part)
            if not (blocks_only and row.role in ("SPS", "head"))
        )

    return 1 - left(selector) / left(None)


def keep_ratio_for(target, model, selector, blocks_only=False):
    """The largest keep ratio, in steps of 0.001, at which the selector's `saving` reaches the target.

    None where none does. ValueError where the target is not above 0 and below 1.
    """
    if not 0 < target < 1:
        raise Refused(f"saving is {target!r}; allowed: a share of the MACs above 0 and below 1.")
    for rho in (r / 1000 for r in range(1000, 0, -1)):
        if (
            saving(model, replace(selector, keep_ratio=rho, inference_keep_ratio=0.0), blocks_only)
            >= target
        ):
            return rho
    return None


@contextmanager
def hooked(network, kind, hook):
    """Call hook(name, module, inputs, output) at every module of a kind while a batch goes through, in eval mode."""
    handles = [
        module.register_forward_hook(
            lambda module, inputs, out, name=name: hook(name, module, inputs, out)
        )
        for name, module in network.named_modules()
        if isinstance(module, kind)
    ]
    training = network.training
    try:
        yield network.eval()
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()


@torch.no_grad()
def spikes(network, *inputs):
    """Spikes of every LIF, in order of depth: {layer name: [T, B, ...] of 0 and 1}. `inputs`: the network's."""
    seen = {}
    with hooked(network, LIF, lambda name, _, __, out: seen.__setitem__(name, out)):
        network(*inputs)
    return seen


def firing_rates(network, *inputs):
    """Mean number of spikes per neuron and time step of every LIF, {layer name: a number in [0, 1]}."""
    return {name: s.mean().item() for name, s in spikes(network, *inputs).items()}


# What reaches these layers is 0 or 1 by construction. The residual stream (qkv, fc1) counts spikes: 0 to 2, and one
# more for every layer that adds to it. Pixels, event counts and averaged rates (selector, head) are numbers.
BINARY = ("SPS", "proj", "fc2", "attention")


@dataclass(frozen=True)
class Operations:
    """What one layer does with its inputs: its MACs, the share of its inputs that is not 0, and their mean size."""

    layer: Layer
    nonzero: float
    mean: float

    @property
    def binary(self):
        return self.layer.role in BINARY and self.layer.name != "stem.stages.0"

    @property
    def sops(self):
        return self.layer.macs * self.nonzero


@torch.no_grad()
def operations(network, model, selector, *inputs):
    """[Operations] of every layer of `layers`, per image, from what the network's `inputs` [B,...] cause.

    The two attention products are additions driven by q and by v, half of their MACs each.
    """
    seen = {}

    def look(name, module, given, out):
        if name.endswith(".qkv.lif"):
            q, _, v = out.chunk(3, dim=-1)
            name, x = name.removesuffix(".qkv.lif"), torch.cat([q, v])
        elif isinstance(module, LIF):
            return
        else:
            x = given[0]
        seen[name.removesuffix(".linear").removesuffix(".conv")] = (
            x.count_nonzero().item() / x.numel(),
            x.abs().mean(dtype=torch.float64).item(),
        )

    with hooked(network, (nn.Linear, nn.Conv2d, LIF), look):
        network(*inputs)
    return [Operations(row, *seen[row.name]) for row in layers(model, selector)]


def averaged(looks):
    """(firing rates, [Operations]) over several batches; looks: (images, firing rates, [Operations]) of each."""
    total = sum(n for n, _, _ in looks)

    def mean(value):
        return sum(n * value(rates, rows) for n, rates, rows in looks) / total

    rates = {name: mean(lambda r, _, name=name: r[name]) for name in looks[0][1]}
    rows = [
        Operations(
            row.layer, mean(lambda _, o, i=i: o[i].nonzero), mean(lambda _, o, i=i: o[i].mean)
        )
        for i, row in enumerate(looks[0][2])
    ]
    return rates, rows


def surviving(rows, masks):
    """[Operations] with the MACs of surviving weights only: a machine's that skips the others."""
    density = density_by_layer(masks)
    left = [row.layer.macs * density.get(row.layer.weight, 1.0) for row in rows]
    return [
        replace(row, layer=replace(row.layer, macs=macs))
        for row, macs in zip(rows, left, strict=True)
    ]


ACCOUNTS = ("no spikes", "one addition", "as many additions", "multiplied")


def energy(rows, account):
    """Arithmetic energy of an image, {role: microjoules}, from `operations`, by one of four accounts.

    "no spikes": every product a MAC, as in a network of the same size without spikes.
    The others: a MAC in the first convolution and for averaged rates (selector, head), an addition for each binary
    input that is 1, and for an input of the residual stream, which is a count,
        "one addition" if it is not 0 (as Zhou et al., ICLR 2023, have it),
        "as many additions" as it counts, or
        "multiplied": a MAC, also where it is 0. An upper bound.
    """
    microjoules = {}
    for row in rows:
        analogue = row.layer.role in ("selector", "head") or row.layer.name == "stem.stages.0"
        multiplied = (
            analogue or account == "no spikes" or (account == "multiplied" and not row.binary)
        )
        rate = row.mean if account == "as many additions" else row.nonzero
        value = row.layer.macs * (MAC_PICOJOULE if multiplied else AC_PICOJOULE * rate)
        microjoules[row.layer.role] = microjoules.get(row.layer.role, 0.0) + value / 1e6
    return microjoules
