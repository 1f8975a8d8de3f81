"""What a network costs by count: parameters and multiply-accumulates (MACs).

FLOPs = 2 · MACs. Counted are convolutions, linear layers and the two attention products; not
BatchNorm, LIF, pooling, additions and scores without weights, as usual in the field. What spikes
cost is measured: `ssf.engine.observe`.
"""

from dataclasses import dataclass, replace

from ssf.config import demand


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs: name, role, its weight's name, parameters, MACs an image."""

    name: str
    role: str  # SPS, qkv, attention, proj, fc1, fc2, selector or head
    weight: str | None  # the parameter behind it, None for a product of activations
    parameters: int  # weights, biases and the BatchNorm's scale and shift
    macs: int  # per image, all time steps


def layers(model, selector=None, as_computed=False):
    """The account of one image through a network, [LayerCost], by closed formulas.

    Args:
        model: that of a RunConfig.
        selector: its selector, or None. With one, floor(N · ratio) tokens are left at a location,
            and its own MACs count, once an image; behind a block that is bypassed, all are back.
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
