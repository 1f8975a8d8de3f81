"""The study's experiments: each a function of the seed that names the networks it compares.

`python -m ssf study tickets --seeds 0,1,2` trains those that are missing and writes their rows to
data/results/study_tickets.csv. The protocol, written before the numbers, is book/protocol.md; what
follows from the rows is in ledger.py and findings.py.
"""

import contextlib
import os
import tempfile
from dataclasses import replace

import pandas as pd
import torch
from filelock import FileLock

from ssf import folders
from ssf.config import Refused, RunConfig, Selector, Ticket
from ssf.engine import records, runs
from ssf.presets import preset

FRACTION = 0.35  # of the weights left that a round prunes
HEADLINE, ROUNDS = 6, 7  # 0.65**6 leaves 7.5 % of the weights, 0.65**7 4.9 %
CONTROLLED = (4, HEADLINE)  # the rounds with all controls: 82 and 92 % sparsity
FIRST = 3  # seeds with every comparison; further ones have the headline's

PLACES = (0, 1)  # of the selector where its saving counts: before every block
CLAIMED = 0.7  # a keep ratio that saves at least 20 % of the MACs there
CODESIGN_ROUNDS = (0, 4, HEADLINE, ROUNDS)  # 0, 82, 92 and 95 % sparsity
CODESIGN_RATIOS = (1.0, 0.8, CLAIMED, 0.5)
# the student that drops nothing: as much training by the same teacher
ALL_TOKENS = Selector(kind="random", keep_ratio=1.0)


def removed(number):
    """The share of the weights that so many rounds of the study's pruning remove."""
    return 1 - (1 - FRACTION) ** number


def ticket(number, fraction=FRACTION, **changes):
    return Ticket(round=number, fraction=fraction, **changes)


def with_selector(rho):
    return ALL_TOKENS if rho == 1 else Selector(keep_ratio=rho, locations=PLACES)


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
    chance = Selector(kind="random", keep_ratio=CLAIMED, locations=PLACES)

    def cell(number, rho):
        return dense.with_(ticket=ticket(number) if number else None, selector=with_selector(rho))

    yield "all_tokens", cell(0, 1.0)
    yield "selector", cell(0, CLAIMED)
    yield "random_selector", dense.with_(selector=chance)
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
    yield "all_tokens, no distillation", dense.with_(selector=ALL_TOKENS).with_(**UNTAUGHT)
    student = dense.with_(selector=with_selector(CLAIMED))
    yield "selector, no distillation", student.with_(**UNTAUGHT)
    for rho in LOW_RATIOS:
        for kind in ("learned", "random"):
            part = Selector(kind=kind, keep_ratio=rho, locations=PLACES)
            yield kind, dense.with_(selector=part)
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
    yield "none", student
    for habit, changes in HABITS.items():
        yield habit, student.with_(**changes)
    yield "ticket", dense.with_(ticket=ticket(HEADLINE))
    yield from search(f"{BY_SIZE}, rounds before", dense, HEADLINE - 1, freeze="near_zero")
    yield BY_SIZE, dense.with_(ticket=ticket(HEADLINE, freeze="near_zero"))


def claims(dense, last, fraction=FRACTION):
    """The claims' networks: dense, tickets, students, both; and the controls of the last."""
    yield "dense", dense
    yield from search("ticket", dense, last, fraction=fraction)
    yield "random", dense.with_(ticket=ticket(last, fraction, control="random"))
    yield "all_tokens", dense.with_(selector=ALL_TOKENS)
    yield "selector", dense.with_(selector=with_selector(CLAIMED))
    yield "both", dense.with_(selector=with_selector(CLAIMED), ticket=ticket(last, fraction))
    yield "ticket, trained on", dense.with_(selector=ALL_TOKENS, ticket=ticket(last, fraction))
    chance = Selector(kind="random", keep_ratio=CLAIMED, locations=PLACES)
    yield "random_selector", dense.with_(selector=chance)
    yield "stem", dense.with_(**{"model.depth": 0})


CIFAR10_ROUNDS = 3


def cifar10(seed):
    """CIFAR-10 (JPEG), as large as this machine carries: three rounds leave 9 % of the weights."""
    return claims(preset("study-cifar10", seed=seed), CIFAR10_ROUNDS, 0.55)


def events(seed):
    """A simulated event camera."""
    return claims(preset("study", seed=seed, **{"data.name": "event-fashion"}), HEADLINE)


HALF = {"train.mixed_precision": True}


def precision(seed):
    """Dense network, ticket and selector of each preset in half precision."""
    searched = {"study": (HEADLINE, FRACTION), "study-cifar10": (CIFAR10_ROUNDS, 0.55)}
    for name, (last, fraction) in searched.items():
        dense = preset(name, seed=seed, **HALF)
        yield f"{name}, dense", dense
        yield from search(f"{name}, ticket", dense, last, fraction=fraction)
        yield f"{name}, selector", dense.with_(selector=with_selector(CLAIMED))
    dense = preset("study-clutter", seed=seed, **HALF)
    yield "study-clutter, dense", dense
    yield "study-clutter, selector", dense.with_(selector=Selector(keep_ratio=0.5))


CHOSEN_WITH = 100  # the seed that hyper-parameters were chosen with, in no comparison


def rates(seed):
    """The learning rates that each preset's was chosen among, by its dense network's validation."""
    for name in ("study", "study-clutter", "study-cifar10") if seed == CHOSEN_WITH else ():
        for rate in (0.005, 0.01, 0.02, 0.04):
            yield name, preset(name, seed=seed, **{"train.lr": rate})


_ALL = (rates, tickets, short, selectors, codesign, controls, habits, cifar10, events, precision)
EXPERIMENTS = {experiment.__name__: experiment for experiment in _ALL}


def path(name):
    """The committed rows of an experiment."""
    return folders.results() / f"study_{name}.csv"


def as_text(name):
    """{id: row} of an experiment's file, {} without one; a row's values as text, "" for None."""
    if not path(name).exists():
        return {}
    table = pd.read_csv(path(name), dtype=str, keep_default_na=False)
    return {row["id"]: row for row in table.to_dict("records")}


def finished(name, seeds):
    """The finished networks of an experiment, `kind` and a record each (see records.FIELDS).

    A network's record is that of its run or, without the run's folder, the row of the same id.
    """
    written, lines = as_text(name), []
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            folder = records.run_folder(config)
            if (folder / "record.json").exists():
                lines.append(records.read_record(folder) | {"kind": kind})
            elif config.hash() in written:
                lines.append(written[config.hash()] | {"kind": kind})
    return pd.DataFrame(lines, columns=["kind", *records.FIELDS])


def run(name, seeds, only=()):
    """Train an experiment's missing networks, one after the other, and write the rows after each.

    only: some of its kinds, () for all. Yields (kind, run).
    """
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            if not only or kind in only:
                yield kind, runs.run(config, any_code=True)  # rows take days
                write_rows(name, seeds)


def write_rows(name, seeds):
    """Renew an experiment's rows and the manifest, one process at a time: none loses another's."""
    with FileLock(folders.cache() / "study.lock"):
        last = max([*seeds, *(int(row["seed"]) for row in as_text(name).values())])
        records.export(finished(name, range(last + 1)), path(name).stem)
        records.export(manifest(), "study_manifest")


def manifest():
    """A row an experiment: its command, number of networks, hours of training, machines, commits.

    Rows that name no processor are taken for this machine's.
    """
    lines = []
    for name in EXPERIMENTS:
        table = pd.DataFrame(as_text(name).values())
        if table.empty:
            continue
        seeds = ",".join(map(str, sorted(set(table.seed.astype(int)))))
        line = {
            "experiment": name,
            "command": f"python -m ssf study {name} --seeds {seeds}",
            "networks": len(table),
            "hours": round(table.seconds.astype(float).sum() / 3600, 2),
        }
        for key in (*records.MACHINE, "commit"):
            line[key] = ", ".join(sorted(set(table.get(key, [])) - {""}))
        lines.append(line | {"processor": line.get("processor") or records.processor()})
    return pd.DataFrame(lines)


def deviation(name, config):
    """Standard deviation of a network's accuracy over the seeds in the rows; None for one seed."""
    table = pd.DataFrame(as_text(name).values())
    same = [replace(config, seed=seed).hash() for seed in set(table.seed.astype(int))]
    accuracies = table[table.id.isin(same)].accuracy.astype(float)
    return accuracies.std() if len(accuracies) > 1 else None


@contextlib.contextmanager
def in_an_empty_folder(threads):
    """Runs go to a folder that is removed afterwards; torch computes with so many threads."""
    usual, usual_threads = os.environ.get("SSF_RUNS", ""), torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SSF_RUNS"] = folder
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            os.environ["SSF_RUNS"] = usual  # empty: see folders.runs
            torch.set_num_threads(usual_threads)


def rerun(identity):
    """Train a network of the study again from its row, and all it builds on, in an empty folder.

    Returns (the row, the new record, the standard deviation of that network over the seeds).
    """
    for name in EXPERIMENTS:
        if row := as_text(name).get(identity):
            config = RunConfig.from_flat(row)
            with in_an_empty_folder(int(row["threads"])):  # sums are taken in as many parts
                return row, runs.run(config).record, deviation(name, config)
    raise Refused(f"--rerun is {identity!r}; allowed: an id in data/results/study_*.csv.")


def changed(row, record):
    """Sentences on what computed the row and not the record, of all that the row names."""
    return [
        f"{key} {row[key]}, now {record.get(key)}"
        for key in (*records.MACHINE, "code")
        if row.get(key) and row[key] != str(record.get(key))
    ]
