"""The study's experiments: each a function of the seed that names the networks it compares.

The protocol is book/protocol.md. They are trained by results.py; what follows from their rows is in
ledger.py and findings.py.
"""

from dataclasses import replace

from ssf.config import Selector, Ticket
from ssf.presets import preset

FRACTION = 0.35  # of the weights left that a round prunes
HEADLINE, ROUNDS = 6, 7  # 0.65**6 leaves 7.5 % of the weights, 0.65**7 4.9 %
CONTROLLED = (4, HEADLINE)  # the rounds with all controls: 82 and 92 % sparsity
CIFAR10_ROUNDS = 3  # 0.45**3 leaves 9 %
LIVE_ROUNDS, LIVE_FRACTION = 5, 0.45  # five rounds remove 95 %
FIRST = 3  # seeds with every comparison; further ones have the headline's
FRESH = 9  # the first seed of the replication

CLAIMED = 0.7  # before both blocks, this keep ratio saves at least 20 % of the MACs
CODESIGN_ROUNDS = (0, 4, HEADLINE, ROUNDS)  # 0, 82, 92 and 95 % sparsity
CODESIGN_RATIOS = (1.0, 0.8, CLAIMED, 0.5)
# the student that drops nothing: as much training by the same teacher
ALL_TOKENS = Selector(kind="random", keep_ratio=1.0)


def removed(number):
    """The share of the weights that so many rounds of the study's pruning remove."""
    return 1 - (1 - FRACTION) ** number


def ticket(number, fraction=FRACTION, **changes):
    return Ticket(round=number, fraction=fraction, **changes)


def with_selector(rho, kind="learned"):
    return ALL_TOKENS if rho == 1 else Selector(kind=kind, keep_ratio=rho, locations=(0, 1))


def search(kind, network, last, **changes):
    """The networks of a search's rounds, up to the last."""
    for number in range(1, last + 1):
        yield kind, network.with_(ticket=ticket(number, **changes))


def tickets(seed):
    """C1: tickets at every sparsity, and what could explain them without the search."""
    dense = preset("study", seed=seed)
    yield "dense", dense
    yield from search("ticket", dense, ROUNDS if seed < FIRST else HEADLINE)
    for number in CONTROLLED if seed < FIRST else (HEADLINE,):
        yield "reinit", dense.with_(ticket=ticket(number, control="reinit"))
        yield "random", dense.with_(ticket=ticket(number, control="random"))
    if seed >= FIRST:
        return
    yield "random", dense.with_(ticket=ticket(ROUNDS, control="random"))
    for number in CONTROLLED:
        yield "magnitude_at_init", dense.with_(ticket=ticket(number, control="magnitude_at_init"))
        yield "one_shot", dense.with_(ticket=Ticket(round=1, fraction=removed(number)))
    for steps in (1, 2):  # the search's own networks, for what it costs; then the tickets
        searched = dense.with_(**{"model.time_steps": steps})
        yield f"search_{steps}", searched
        yield from search(f"search_{steps}", searched, HEADLINE - 1)
        for number in CONTROLLED:
            yield f"early_{steps}", dense.with_(ticket=ticket(number, search_time_steps=steps))
    yield from search("to_init", dense, HEADLINE, rewind_epoch=0)


def short(seed):
    """The same search with two thirds of the training: does C1 depend on how long it is?"""
    dense = preset("study", seed=seed, **{"train.epochs": 4})
    yield "dense", dense
    yield from search("ticket", dense, HEADLINE)


STUDENTS = {  # of `selectors`, kind: what its selector has besides the defaults
    "before block 0": {"keep_ratio": 0.5, "locations": (0,)},
    "before blocks 0 and 1": {"keep_ratio": 0.7, "locations": (0, 1)},
    "no distillation": {"keep_ratio": 0.5, "distill_weight": 0.0},
    "all_tokens, no distillation": {"kind": "random", "keep_ratio": 1.0, "distill_weight": 0.0},
    "weak ratio loss": {"keep_ratio": 0.5, "ratio_weight": 0.2},
}


def selectors(seed):
    """C2: which score to keep tokens by, how many, before which block, and what the losses do."""
    dense = preset("study-clutter", seed=seed)
    kinds = ("learned", "firing_rate", "random", "oracle")
    students = [("all_tokens", ALL_TOKENS)]
    students += [(k, Selector(kind=k, keep_ratio=rho)) for rho in (0.3, 0.5, 0.7) for k in kinds]
    students += [(k, Selector(kind=k, keep_ratio=0.5)) for k in ("attention", "information")]
    students += [
        (f"{k}, bypass", Selector(kind=k, keep_ratio=0.5, dropped="bypass")) for k in kinds
    ]
    students += [(k, Selector(**changes)) for k, changes in STUDENTS.items()]
    yield "dense", dense
    for kind, selector in students:
        yield kind, dense.with_(selector=selector)


def codesign(seed):
    """C3 and C4: tickets by keep ratio, and the order in which the two are searched."""
    dense = preset("study", seed=seed)

    def cell(number, rho):
        return dense.with_(ticket=ticket(number) if number else None, selector=with_selector(rho))

    yield "all_tokens", cell(0, 1.0)
    yield "selector", cell(0, CLAIMED)
    yield "random_selector", dense.with_(selector=with_selector(CLAIMED, "random"))
    yield "ticket", cell(HEADLINE, 1.0)
    yield "both", cell(HEADLINE, CLAIMED)
    student = dense.with_(selector=with_selector(CLAIMED))
    yield from search("selector_first", student, HEADLINE, order="selector_first")
    if seed >= FIRST:
        return
    for number in CODESIGN_ROUNDS:
        for rho in CODESIGN_RATIOS:
            if number not in (0, HEADLINE) or rho not in (1.0, CLAIMED):
                yield "grid", cell(number, rho)
    yield from search("together", student, HEADLINE, order="together")


LOW_RATIOS = (0.3, 0.2, 0.1)
UNTAUGHT = {"selector.distill_weight": 0.0}


def controls(seed):
    """What else could explain C1, C3 and C4: less network, more training, no teacher."""
    dense = preset("study", seed=seed)
    yield "stem", dense.with_(**{"model.depth": 0})
    for width in (16, 24):  # fewer and more parameters than the ticket has left
        yield f"{width} channels", dense.with_(**{"model.width": width})
    yield "56 channels", dense.with_(**{"model.width": 56})  # the MACs of the selector's network
    for kind, student in (("all_tokens", ALL_TOKENS), ("selector", with_selector(CLAIMED))):
        yield f"{kind}, no distillation", dense.with_(selector=student).with_(**UNTAUGHT)
    for rho in LOW_RATIOS:
        for kind in ("learned", "random"):
            yield kind, dense.with_(selector=with_selector(rho, kind))
    # as many epochs as the search and its ticket take together
    epochs = dense.train.epochs + HEADLINE * (dense.train.epochs - 1)
    yield "dense, the search's epochs", dense.with_(**{"train.epochs": epochs})
    if seed == 0:  # 25 % a round and rewinding to a fifteenth of the training, as published
        longer = dense.with_(**{"train.epochs": 15})
        yield "dense, 15 epochs", longer
        yield from search("ticket, 25 % a round", longer, 9, fraction=0.25)


HABITS = {
    "teacher in training mode": {"selector.teacher_in_training_mode": True},
    "head averages dropped tokens": {"selector.head_averages_dropped": True},
    "keeps 0.8 at inference": {"selector.inference_keep_ratio": 0.8},
    "keeps 0.5 at inference": {"selector.inference_keep_ratio": 0.5},
}
BY_SIZE = "pruned weights found by size"


def habits(seed):
    """The habits of the published code, each alone, of a student at CLAIMED or of a ticket."""
    dense = preset("study", seed=seed)
    student = dense.with_(selector=with_selector(CLAIMED))
    for habit, changes in {"none": {}, **HABITS}.items():
        yield habit, student.with_(**changes)
    yield "ticket", dense.with_(ticket=ticket(HEADLINE))
    yield from search(f"{BY_SIZE}, rounds before", dense, HEADLINE - 1, freeze="near_zero")
    yield BY_SIZE, dense.with_(ticket=ticket(HEADLINE, freeze="near_zero"))


def claims(dense, last, fraction=FRACTION, selector=None):
    """The claims' networks: dense, tickets, students, both; and the controls of the last."""
    selector = selector or with_selector(CLAIMED)
    yield "dense", dense
    yield from search("ticket", dense, last, fraction=fraction)
    yield "random", dense.with_(ticket=ticket(last, fraction, control="random"))
    yield "all_tokens", dense.with_(selector=ALL_TOKENS)
    yield "selector", dense.with_(selector=selector)
    yield "both", dense.with_(selector=selector, ticket=ticket(last, fraction))
    yield "ticket, trained on", dense.with_(selector=ALL_TOKENS, ticket=ticket(last, fraction))
    yield "random_selector", dense.with_(selector=replace(selector, kind="random"))
    yield "stem", dense.with_(**{"model.depth": 0})


def cifar10(seed):
    """CIFAR-10 (JPEG), as large as this machine carries: three rounds leave 9 % of the weights."""
    return claims(preset("study-cifar10-small", seed=seed), CIFAR10_ROUNDS, 0.55)


def replication(seed):
    """The claims' networks with fresh seeds, whose answers to each test image are kept."""
    return claims(preset("study", seed=seed), HEADLINE) if seed >= FRESH else ()


def events(seed):
    """A simulated event camera."""
    return claims(preset("study", seed=seed, **{"data.name": "event-fashion"}), HEADLINE)


def precision(seed):
    """Dense network, ticket and selector of each preset in half precision."""
    half = {"train.mixed_precision": True}
    searched = {"study": (HEADLINE, FRACTION), "study-cifar10-small": (CIFAR10_ROUNDS, 0.55)}
    for name, (last, fraction) in searched.items():
        dense = preset(name, seed=seed, **half)
        yield f"{name}, dense", dense
        yield from search(f"{name}, ticket", dense, last, fraction=fraction)
        yield f"{name}, selector", dense.with_(selector=with_selector(CLAIMED))
    dense = preset("study-clutter", seed=seed, **half)
    yield "study-clutter, dense", dense
    yield "study-clutter, selector", dense.with_(selector=Selector(keep_ratio=0.5))


def live(seed):
    """The networks of the page that computes: small, of one seed, compared with nothing."""
    dense = preset("quick", **{"data.train_size": 4000, "train.epochs": 5})
    if seed == 0:
        yield "selector", dense.with_(selector=Selector(keep_ratio=0.3, locations=(0,)))
        yield "dense", dense
        yield from search("ticket", dense, LIVE_ROUNDS, fraction=LIVE_FRACTION)


# what choices were made by: their experiments and the first of their seeds, in no comparison
CHOOSING, CHOSEN_WITH = ("rates", "recipes", "optimisers"), 100
TRIED = (0.005, 0.01, 0.02, 0.04)


def rates(seed):
    """Learning rates: of each preset's dense network, and the arms' of C1, by validation images."""
    for name in ("study", "study-clutter", "study-cifar10-small") if seed == CHOSEN_WITH else ():
        for rate in TRIED:
            yield name, preset(name, seed=seed, **{"train.lr": rate})
    for name, control in (("ticket", "ticket"), ("random ticket", "random")):
        for rate in TRIED if seed == CHOSEN_WITH else ():
            own = ticket(HEADLINE, control=control, own_lr=rate)
            yield name, preset("study", seed=seed, ticket=own)


# where the recipe's trials start: the network of `study-cifar10` without three changes
PLAIN = {
    "model.v_threshold": 1.0, "model.pool_stages": (0, 1), "train.batch_size": 125,
    "train.mixed_precision": True,
}  # fmt: skip
CHANGES = {  # each alone, by either optimiser
    "threshold 0.5": {"model.v_threshold": 0.5},
    "pooling late in the stem": {"model.pool_stages": (2, 3)},
    "batches of 50": {"train.batch_size": 50},
    "one time step": {"model.time_steps": 1},
    "no label smoothing": {"train.label_smoothing": 0.0},
    "a wider surrogate": {"model.surrogate_alpha": 2.0},
    "a narrower surrogate": {"model.surrogate_alpha": 8.0},
    "no weight decay": {"train.weight_decay": 0.0},
}
SMALL_FIRST = {"train.epochs": 3, "train.early_epochs": 2}
LONGER = {"train.epochs": 10, "train.early_epochs": 6}
FLOAT32 = {"train.mixed_precision": False}
BY_ADAMW = {"train.optimiser": "adamw"}
RATES = {"AdamW": ("train.lr", (0.005, 0.02)), "Muon": ("train.muon_lr", (0.01, 0.04))}
EARNEST_ROUNDS, EARNEST_FRACTION = 4, 0.45  # four rounds remove 91 %


def in_earnest(seed, optimiser, **changes):
    usual = {"train.optimiser": optimiser.lower(), "train.epochs": 2, "train.early_epochs": 0}
    return preset("study-cifar10", seed=seed, **FLOAT32 | usual | changes)


def recipes(seed):
    """What trains CIFAR-10 best in a given time, one change at a time, by validation images."""
    for optimiser, (field, values) in RATES.items() if seed >= CHOSEN_WITH else ():
        trials = {f"{optimiser}, rate {rate}": {field: rate} for rate in values}
        trials |= {f"{optimiser}, {kind}": changes for kind, changes in CHANGES.items()}
        for kind, changes in ({optimiser: {}} | trials).items():
            yield kind, in_earnest(seed, optimiser, **PLAIN | changes)
        yield f"{optimiser}, together", in_earnest(seed, optimiser)
        yield f"{optimiser}, small first", in_earnest(seed, optimiser, **SMALL_FIRST)
        yield f"{optimiser}, seven epochs", in_earnest(seed, optimiser, **{"train.epochs": 7})


def optimisers(seed):
    """Is it the same method under Muon? A search and its random control by either optimiser."""
    for optimiser in RATES if seed >= CHOSEN_WITH else ():
        dense = in_earnest(seed, optimiser)
        yield f"{optimiser}, dense", dense
        yield from search(f"{optimiser}, ticket", dense, EARNEST_ROUNDS, fraction=EARNEST_FRACTION)
        control = ticket(EARNEST_ROUNDS, EARNEST_FRACTION, control="random")
        yield f"{optimiser}, random", dense.with_(ticket=control)


def four_blocks(seed, changes=SMALL_FIRST):
    """The claims in the paper's structure, on CIFAR-10 (JPEG), with a short training."""
    dense = preset("study-cifar10", seed=seed, **BY_ADAMW | FLOAT32 | changes)
    selector = Selector(keep_ratio=0.689, locations=(1, 2, 3))  # it saves 20 % of the MACs
    yield from claims(dense, EARNEST_ROUNDS, EARNEST_FRACTION, selector)
    yield "reinit", dense.with_(ticket=ticket(EARNEST_ROUNDS, EARNEST_FRACTION, control="reinit"))


def four_blocks_long(seed):
    """The same with a longer training."""
    return four_blocks(seed, changes=LONGER)


def four_blocks_controls(seed):
    """What else could explain C1 and C3 there: a narrower dense network, or a longer training."""
    dense = dict(four_blocks(seed))["dense"]
    for width, heads in ((24, 2), (32, 2), (80, 5), (88, 4)):
        narrow = dense.with_(**{"model.width": width, "model.heads": heads})
        yield f"{width} channels", narrow
        if width == 32:
            yield "32 channels, ten epochs", narrow.with_(**LONGER)
    yield "dense, six epochs", dense.with_(**{"train.epochs": 6, "train.early_epochs": 4})


def half_hour(seed):
    """What the recipe reaches: the dense network of its preset; and trained by AdamW instead."""
    yield "dense", preset("study-cifar10", seed=seed)
    if seed == 0:
        yield "dense, AdamW", preset("study-cifar10", seed=seed, **BY_ADAMW)


NEXT = ("four_blocks", "four_blocks_long", "four_blocks_controls")
UNCOMPARED = (*CHOOSING, "live", *NEXT, "half_hour")  # yet
EXPERIMENTS = {
    each.__name__: each for each in (
        rates, recipes, optimisers, tickets, short, selectors, codesign, controls, habits, cifar10,
        events, replication, four_blocks, four_blocks_long, four_blocks_controls, half_hour,
        precision, live)
}  # fmt: skip
