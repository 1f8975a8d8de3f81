"""What a network costs: parameters, multiply-accumulates (MACs), and the firing rates behind spike counts.

One MAC is one multiplication and one addition: FLOPs = 2 · MACs. Counted are convolutions, linear layers and the two
attention products; BatchNorm, LIF, pooling and additions are not, as usual in the field.
"""

from dataclasses import dataclass

import torch

from ssf.neurons import LIF


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
            floor(N · ratio) at each location, the selector's own MACs (once an image, not once a time step) charged.
        as_computed: False counts as the published work does, the stem's first convolution in every time step and
            attention as (q kᵀ) v. True counts what this library computes: that convolution once, and the cheaper
            of (q kᵀ) v and q (kᵀ v).
    """
    steps, c, hidden, d = model.time_steps, model.width, model.width * model.mlp_ratio, model.width // model.heads
    rows, side = [], model.side
    widths = [model.channels, c // 8, c // 4, c // 2, c, c]
    for i, name in enumerate([*(f"stem.stages.{i}" for i in range(4)), "stem.position"]):
        weights = widths[i] * widths[i + 1] * 9
        times = 1 if as_computed and i == 0 else steps
        rows.append(Layer(name, "SPS", f"{name}.conv.weight", weights + 2 * widths[i + 1], times * weights * side**2))
        side //= 2 if i in model.pool_stages else 1

    n = model.tokens
    counts = selector.counts(n) if selector else []
    for b in range(model.depth):
        if selector and b in selector.locations:
            place = selector.locations.index(b)
            if selector.kind == "learned":
                for j, (c_in, c_out) in enumerate([(c, c // 2), (c // 2, 2)]):
                    name = f"selector.predictors.{place}.{2 * j}"
                    rows.append(Layer(name, "selector", f"{name}.weight", c_in * c_out + c_out, n * c_in * c_out))
            n = counts[place]
        name = f"blocks.{b}"
        for part, role, c_in, c_out in [
            ("attention.qkv", "qkv", c, 3 * c),
            ("attention.proj", "proj", c, c),
            ("fc1", "fc1", c, hidden),
            ("fc2", "fc2", hidden, c),
        ]:
            rows.append(
                Layer(
                    f"{name}.{part}",
                    role,
                    f"{name}.{part}.linear.weight",
                    c_in * c_out + 3 * c_out,
                    steps * n * c_in * c_out,
                )
            )
        smaller = min(n, d) if as_computed else n
        rows.append(Layer(f"{name}.attention", "attention", None, 0, steps * 2 * n * smaller * c))
    rows.append(Layer("head", "head", "head.weight", (c + 1) * model.classes, c * model.classes))
    return rows


def parameters(model, selector=None):
    """Number of trainable parameters."""
    return sum(row.parameters for row in layers(model, selector))


def macs(model, selector=None, masks=None, as_computed=False):
    """MACs of one image, all time steps; with masks, those of the surviving weights only (a sparse machine's count)."""
    density = {name: mask.float().mean().item() for name, mask in (masks or {}).items()}
    return sum(row.macs * density.get(row.weight, 1.0) for row in layers(model, selector, as_computed))


@torch.no_grad()
def spikes(network, images):
    """Spikes of every LIF, in order of depth: {layer name: [T, B, ...] of 0 and 1}. `images` [B,c,H,W], float."""
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if isinstance(module, LIF):
            hooks.append(module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out)))
    training = network.training
    try:
        network.eval()(images)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return seen


def firing_rates(network, images):
    """Mean number of spikes per neuron and time step of every LIF, {layer name: a number in [0, 1]}."""
    return {name: s.mean().item() for name, s in spikes(network, images).items()}
