"""The networks of the study of four blocks: what each kind is, and the rows that there are."""

import tables

from ssf.study import experiments
from ssf.study.ledger import difference, pick

PLANNED = 4  # seeds of each experiment; a verdict needs them all
TRAININGS = {"four_blocks": "three epochs", "four_blocks_long": "ten epochs"}
SMALL = ("cifar10", "two blocks, five epochs")  # shown beside
PAIRS = {  # claim: (these, those, what these must beat)
    "C1": ("ticket", "dense", ("reinit", "random")),
    "C3": ("selector", "all_tokens", ()),
    "C4": ("both", "all_tokens", ()),
}
ROUNDS = {"cifar10": experiments.CIFAR10_ROUNDS}  # of a search; the others have EARNEST_ROUNDS
ONCE = {  # what each kind is, of those that are trained once
    "dense": "all weights",
    "ticket": "what four rounds of pruning leave, from the values after one epoch on",
    "reinit": "the same weights, but from new values on",
    "random": "as many in every layer, at random places, from the values after one epoch on",
    "stem": "the convolutional stem and the head, without blocks",
}
TWICE = {  # where it starts, and what becomes of tokens, of those that are trained twice
    "all_tokens": "the dense network, and keeps all tokens",
    "selector": "the dense network, and a learned selector drops tokens",
    "random_selector": "the dense network, and as many tokens are dropped at random",
    "ticket, trained on": "the ticket, and keeps all tokens",
    "both": "the ticket, and a learned selector drops tokens",
}
SHORT, LONG = TRAININGS
CALLED = tables.CALLED | {"stem": "the stem alone"}


def every(name, kind):
    """A kind's rows of the planned seeds, of a search those of all rounds; none without a file."""
    return pick(tables.rows_of(name).query("seed < @PLANNED"), kind)


def trained(name, kind):
    """The same, of a search those of its last round."""
    last = {"ticket.round": ROUNDS.get(name, experiments.EARNEST_ROUNDS)}
    return pick(every(name, kind), kind, last if kind == "ticket" else None)


def planned(name):
    """The ids of an experiment's networks, all seeds."""
    return {c.hash() for s in range(PLANNED) for _, c in experiments.EXPERIMENTS[name](s)}


def minus(name, these, those):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(trained(name, these), trained(name, those))


def named(kind):
    return CALLED.get(kind, kind.replace("_", " "))


def complete(name, kinds=(*ONCE, *TWICE)):
    """The rows of each of these kinds, of the seeds that have all of them."""
    parts = [trained(name, kind) for kind in kinds]
    seeds = set.intersection(*({*part.seed} for part in parts))
    return [part[part.seed.isin(seeds)] for part in parts]
