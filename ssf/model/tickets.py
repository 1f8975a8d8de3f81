"""Winning tickets (Frankle & Carbin 2019): masks, magnitude pruning, and the random control."""

import torch

from ssf.config import Refused


def prunable(network):
    """{name: weight} of every tensor with more than one dimension: biases and BatchNorm are never pruned."""
    return {name: p.detach().cpu() for name, p in network.named_parameters() if p.ndim > 1}


def full_masks(network):
    """Masks that keep everything."""
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in prunable(network).items()}


def sparsity(masks):
    """Share of the prunable weights removed, 0 to 1."""
    return 1 - sum(m.sum().item() for m in masks.values()) / sum(m.numel() for m in masks.values())


def prune(network, masks, fraction, scope="global"):
    """Masks with `fraction` of the surviving weights removed, the smallest magnitudes: of all layers together, or of
    each layer where the scope is "layer".

    The number removed is exact, round(fraction · survivors), and ties are broken by position, so equal weights
    (zeros, say) are not all removed at once. The masks given are not changed.

    Raises ValueError where the fraction is not above 0 and below 1, or nothing would be left.
    """
    if not 0 < fraction < 1:
        raise Refused(f"ticket.fraction is {fraction!r}; allowed: above 0 and below 1.")
    weights = prunable(network)
    groups = [[name] for name in weights] if scope == "layer" else [list(weights)]
    pruned = {}
    for names in groups:
        kept = torch.cat([masks[name].flatten() for name in names])
        magnitude = torch.cat([weights[name].abs().flatten() for name in names])
        survivors = kept.nonzero().squeeze(1)
        count = round(fraction * len(survivors))
        if count >= len(survivors):
            raise Refused(
                f"ticket.fraction is {fraction!r}; allowed: one that leaves some of the {len(survivors)} "
                f"weights of the round before{f' in {names[0]}' if scope == 'layer' else ''}."
            )
        kept[survivors[magnitude[survivors].argsort(stable=True)[:count]]] = False
        parts = kept.split([weights[name].numel() for name in names])
        pruned |= {
            name: part.view_as(weights[name]) for name, part in zip(names, parts, strict=True)
        }
    return pruned


def magnitude_at_init(network, rounds, fraction, scope="global"):
    """Masks of a network that has not been trained: so many rounds of its smallest weights gone."""
    masks = full_masks(network)
    for _ in range(rounds):
        masks = prune(network, masks, fraction, scope)
    return masks


def shuffled(masks, seed):
    """A random ticket: as many weights kept in every layer, at places drawn with the seed."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: m.flatten()[torch.randperm(m.numel(), generator=generator)].view_as(m)
        for name, m in masks.items()
    }
