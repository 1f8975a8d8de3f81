"""Winning tickets (Frankle & Carbin 2019): the whole search, its controls, a selector's student.

    dense network -> prune, rewind, train -> round 1 -> prune, rewind, train -> round 2 -> …

`builds_on` names the runs that a run needs, `train` trains it from them; both follow from the
config alone. `ssf.engine.runs` finds and keeps the runs.
"""

from dataclasses import replace
from typing import NamedTuple

import torch

from ssf.config import RunConfig, demand
from ssf.model import training
from ssf.model.training import Moment, make_network

REINIT = 0x5EED  # added to the seed for the new initialisation of the control


class BuildsOn(NamedTuple):
    """The configs of the runs that a run needs, None for each that it does without."""

    parent: RunConfig | None = None  # the network that is pruned or, with a selector, taught
    unpruned: RunConfig | None = None  # the run that a ticket is rewound to
    teacher: RunConfig | None = None  # the dense network, in the selector's distillation loss


def is_student(config):
    """Whether a selector is added to a network that is trained already: a dense one or a ticket."""
    return config.selector is not None and (
        config.ticket is None or config.ticket.order == "ticket_first"
    )


def builds_on(config):
    """The runs behind a run, a `BuildsOn`."""
    ticket, dense = config.ticket, replace(config, selector=None, ticket=None)
    if is_student(config):
        return BuildsOn(parent=replace(config, selector=None), teacher=dense)
    if ticket is None or ticket.control == "magnitude_at_init":
        return BuildsOn()
    parent = unpruned = replace(config, ticket=None) if ticket.order == "selector_first" else dense
    if ticket.round > 1:
        of_search = {"control": "ticket", "search_time_steps": 0, "own_lr": 0.0}
        before = replace(ticket, round=ticket.round - 1, **of_search)
        parent = replace(config, ticket=before)
    steps = ticket.search_time_steps or config.model.time_steps
    parent = replace(parent, model=replace(config.model, time_steps=steps))
    unpruned = None if ticket.control == "reinit" else unpruned
    return BuildsOn(parent, unpruned, dense if config.selector else None)


def rewind_epochs(epochs):
    """The epochs of an unpruned run of that length that a ticket may be rewound to.

    All of a run of up to 20. Of a longer one, 0, 1, 20 and a fifteenth, the published 20 of 300.
    """
    return set(range(epochs)) if epochs <= 20 else {0, 1, 20, epochs // 15}


def train(config, dataset, parent=None, early=None, teacher=None, fit=training.fit):
    """Train the network of a config from the runs that it `builds_on`; returns what `fit` does.

    Args:
        parent: that run of `builds_on`: its `network` and `masks`, {} for a dense one.
        early: {name: tensor}, the weights of the unpruned run after `ticket.rewind_epoch` epochs.
        teacher: the dense network.
        fit: `training.fit`, or what does more with the same arguments.
    """
    ticket, network = config.ticket, make_network(config)
    if is_student(config):  # from the parent's trained weights, with its masks
        start = Moment(0, training.copy_weights(parent.network))
        return fit(config, network, dataset, parent.masks, teacher, start)
    if ticket is None:
        return fit(config, network, dataset)
    if ticket.control == "magnitude_at_init":
        masks = magnitude_at_init(network, ticket.round, ticket.fraction)
        return fit(config, network, dataset, masks)
    masks = pruned_further(config, network, parent)
    if ticket.control == "reinit":
        return fit(config, make_network(config, config.seed + REINIT), dataset, masks)
    return fit(config, network, dataset, masks, teacher, rewound(config, network, early))


def pruned_further(config, network, parent):
    """The parent's masks without its smallest weights; a selector that it lacks is not pruned."""
    masks = full_masks(parent.network) | parent.masks
    masks = full_masks(network) | prune(parent.network, masks, config.ticket.fraction)
    return shuffled(masks, config.seed) if config.ticket.control == "random" else masks


def rewound(config, network, early):
    """The Moment a ticket starts from: early weights, without statistics of BatchNorm or AdamW."""
    own = dict(network.named_parameters())
    weights = {name: tensor for name, tensor in early.items() if name in own}
    return Moment(config.ticket.rewind_epoch, weights)


def prunable(network):
    """{name: weight} of every tensor of two or more dimensions: no biases, no BatchNorm."""
    return {name: p.detach().cpu() for name, p in network.named_parameters() if p.ndim > 1}


def full_masks(network):
    """Masks that keep everything."""
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in prunable(network).items()}


def prune(network, masks, fraction, scope="global"):
    """Masks with `fraction` of the surviving weights removed, the smallest magnitudes.

    Smallest of all layers together or, with scope "layer", of each. The number removed is exact,
    round(fraction · survivors), and ties are broken by position, so that equal weights (zeros, say)
    are not all removed at once. The masks passed in are not changed.

    Raises ValueError where the fraction is not above 0 and below 1, or nothing would be left.
    """
    demand(0 < fraction < 1, "ticket.fraction", fraction, "above 0 and below 1")
    weights = prunable(network)
    groups = [[name] for name in weights] if scope == "layer" else [list(weights)]
    pruned = {}
    for names in groups:
        kept = torch.cat([masks[name].flatten() for name in names])
        magnitude = torch.cat([weights[name].abs().flatten() for name in names])
        survivors = kept.nonzero().squeeze(1)
        count = round(fraction * len(survivors))
        allowed = f"one that leaves some of the {len(survivors)} weights of the round before"
        allowed += f" in {names[0]}" if scope == "layer" else ""
        demand(count < len(survivors), "ticket.fraction", fraction, allowed)
        kept[survivors[magnitude[survivors].argsort(stable=True)[:count]]] = False
        parts = kept.split([weights[name].numel() for name in names])
        for name, part in zip(names, parts, strict=True):
            pruned[name] = part.view_as(weights[name])
    return pruned


def magnitude_at_init(network, rounds, fraction):
    """Masks of a network that has not been trained: so many rounds of its smallest weights gone."""
    masks = full_masks(network)
    for _ in range(rounds):
        masks = prune(network, masks, fraction)
    return masks


def shuffled(masks, seed):
    """A random ticket: as many weights kept in every layer, at places drawn with the seed."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: m.flatten()[torch.randperm(m.numel(), generator=generator)].view_as(m)
        for name, m in masks.items()
    }
