"""The study of four blocks: what each kind of network is, its rows, and the protocol's verdicts."""

from contextlib import suppress

import analyses
import tables

from ssf.engine.records import Missing
from ssf.study import experiments, ledger
from ssf.study.ledger import additivity, difference, pick

PLANNED = 4  # seeds of each experiment; a verdict needs them all
TRAININGS = {"four_blocks": "three epochs", "four_blocks_long": "ten epochs"}
SMALL = ("cifar10", "two blocks, five epochs")  # shown beside
PAIRS = {  # claim: (these, those, what these must beat)
    "C1": ("ticket", "dense", ("reinit", "random")),
    "C3": ("selector", "all_tokens", ()),
    "C4": ("both", "all_tokens", ()),
}
AGAIN = "C1, both trained twice"  # shown with the claims, without a verdict
SHOWN = dict(sorted((PAIRS | {AGAIN: ("ticket, trained on", "all_tokens", ())}).items()))
ROUNDS = {"cifar10": experiments.CIFAR10_ROUNDS}  # of a search; the others have EARNEST_ROUNDS
ONCE = {  # what each kind is, of those that are trained once
    "dense": "all weights",
    "ticket": "what four rounds of pruning leave, rewound to its values after one epoch",
    "reinit": "the same weights, with new initial values",
    "random": "as many in every layer, at random places, rewound like the ticket",
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


def config_of(kind, name=SHORT):
    """The first seed's network of a kind; of a search that of its last round."""
    return dict(experiments.EXPERIMENTS[name](0))[kind]


def rounds():
    """The rows of each round of the search with the shorter training, in order."""
    return [part for _, part in every(SHORT, "ticket").groupby("ticket.round")]


def minus(name, these, those):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(trained(name, these), trained(name, those))


def named(kind):
    return CALLED.get(kind, kind.replace("_", " "))


def complete(name, kinds):
    """The rows of each of these kinds, of the seeds that have all of them."""
    return tables.of_common_seeds([trained(name, kind) for kind in kinds])


def asked(name, claim):
    """What a verdict goes by: its loss and the gains over controls, and what must hold besides."""
    these, those, controls = PAIRS[claim]
    saved = ledger.saving(trained(name, these), trained(name, those)).mean()
    differences = [minus(name, these, other) for other in (those, *controls)]
    return differences, claim == "C1" or saved >= ledger.SAVING


def moved_by_a_seed(name):
    """Claims whose verdict changes if one of the seeds is left out."""
    for claim, (verdict, *_) in judged(name).items():
        differences, holds = asked(name, claim)
        for loss, *gains in zip(*(each.without_each() for each in differences), strict=True):
            if ledger.verdict(loss, gains, holds) != verdict:
                yield claim
                break


def judged(name):
    """{claim: (verdict, p of what it would rest on, Holm's of the three)}, by the protocol's rules.

    {} before all networks of all seeds are trained.
    """
    if planned(name) - {*tables.rows_of(name).id}:
        return {}
    verdicts, ps = {}, {}
    for claim in PAIRS:
        differences, holds = asked(name, claim)
        loss, *gains = differences
        verdicts[claim] = ledger.verdict(loss, gains, holds)
        ps[claim] = min(ledger.evidence(loss, gains))
    return {claim: (verdicts[claim], *both) for claim, both in analyses.with_holm(ps).items()}


def losses(pairs=PAIRS):
    """Rows (claim, experiment, network, Estimate) of what is trained, the small network first."""
    for claim, (these, those, _) in pairs.items():
        for name, training in (SMALL, *TRAININGS.items()):
            network = training if name == SMALL[0] else f"four blocks, {training}"
            with suppress(Missing):
                yield claim, name, network, minus(name, these, those)


def called(claim):
    these, those, _ = SHOWN[claim]
    return claim if claim == AGAIN else f"{claim}: {named(these)} − {named(those)}"


def beyond(name):
    """What both together change beyond the sum of what each changes, all trained twice."""
    kinds = ("both", "selector", "ticket, trained on", "all_tokens")
    return additivity(*(trained(name, kind) for kind in kinds))


def small_and_whole(name, kind):
    """Epochs of small and of whole images that all networks of a kind, and the dense, train for."""
    configs = [config for k, config in experiments.EXPERIMENTS[name](0) if k in ("dense", kind)]
    begun = sum(config.ticket.rewind_epoch for config in configs if config.ticket)
    early = sum(config.train.early_epochs for config in configs) - begun
    return early, sum(config.train.epochs for config in configs) - begun - early


def longer_less_shorter():
    """(claim, Estimate of its difference after the longer training less that after the shorter)."""
    for claim, pair in PAIRS.items():
        with suppress(Missing):
            parts = [trained(name, kind) for name in (LONG, SHORT) for kind in pair[:2]]
            yield claim, additivity(*parts)
