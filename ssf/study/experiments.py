"""The study's experiments: a function of the seed each, that names the networks which answer its question.

`python -m ssf study tickets --seeds 0,1,2` trains what is not there yet and writes data/results/study_tickets.csv. The
protocol, written before the numbers, is book/protocol.md; what the rows say is told by ssf/ledger.py.
"""

import os
import statistics
import tempfile
from dataclasses import replace
from unittest import mock

from ssf import folders
from ssf.config import Refused, RunConfig, Selector, Ticket
from ssf.engine import records, runs
from ssf.presets import preset

FRACTION, HEADLINE, ROUNDS = (
    0.35,
    6,
    7,
)  # of iterative pruning: 0.65**6 leaves 7.5 % of the weights, 0.65**7 4.9 %
CONTROLLED = (4, HEADLINE)  # the rounds with all controls: 82 and 92 % sparsity
FIRST = 3  # seeds with every comparison; further ones have the headline's


def removed(number):
    """The share of the weights that so many rounds of the study's pruning remove."""
    return 1 - (1 - FRACTION) ** number


def ticket(number, fraction=FRACTION, **changes):
    return Ticket(round=number, fraction=fraction, **changes)


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
    for steps in (1, 2):  # the search's own networks, for what it costs, and then what it found
        searched = dense.with_(**{"model.time_steps": steps})
        yield f"search_{steps}", searched
        yield from search(f"search_{steps}", searched, HEADLINE - 1)
        for number in CONTROLLED:
            yield f"early_{steps}", dense.with_(ticket=ticket(number, search_time_steps=steps))
    yield from search("to_init", dense, HEADLINE, rewind_epoch=0)


def short(seed):
    """The same search with two thirds of the training: does C1 hang on how long a network learns?"""
    dense = preset("study", seed=seed, **{"train.epochs": 4})
    yield "dense", dense
    yield from search("ticket", dense, HEADLINE)


ALL_TOKENS = Selector(
    kind="random", keep_ratio=1.0
)  # the student that drops nothing: as much training, same teacher


def selectors(seed):
    """C2: which score to keep tokens by, how many, where, and what the losses do."""
    dense = preset("study-clutter", seed=seed)
    yield "dense", dense

    def student(**changes):
        return dense.with_(selector=Selector(**changes))

    yield "all_tokens", dense.with_(selector=ALL_TOKENS)
    for rho in (0.3, 0.5, 0.7):
        for kind in ("learned", "firing_rate", "random", "oracle"):
            yield kind, student(kind=kind, keep_ratio=rho)
    for kind in ("attention", "information"):
        yield kind, student(kind=kind, keep_ratio=0.5)
    for kind in ("learned", "firing_rate", "random", "oracle"):
        yield f"{kind}, bypass", student(kind=kind, keep_ratio=0.5, dropped="bypass")
    yield "before block 0", student(keep_ratio=0.5, locations=(0,))
    yield "before blocks 0 and 1", student(keep_ratio=0.7, locations=(0, 1))
    yield "no distillation", student(keep_ratio=0.5, distill_weight=0.0)
    yield "all_tokens, no distillation", student(kind="random", keep_ratio=1.0, distill_weight=0.0)
    yield "weak ratio loss", student(keep_ratio=0.5, ratio_weight=0.2)


PLACES = (0, 1)  # of the selector where its saving counts: before every block
CODESIGN_ROUNDS = (0, 4, HEADLINE, ROUNDS)  # 0, 82, 92 and 95 % sparsity
CODESIGN_RATIOS = (1.0, 0.8, 0.7, 0.5)
CLAIMED = 0.7  # a keep ratio that saves at least 20 % of the MACs here


def with_selector(rho):
    return ALL_TOKENS if rho == 1 else Selector(keep_ratio=rho, locations=PLACES)


def codesign(seed):
    """C3 and C4: tickets by keep ratio, and the order in which the two are found."""
    dense = preset("study", seed=seed)

    def cell(number, rho):
        return dense.with_(ticket=ticket(number) if number else None, selector=with_selector(rho))

    yield "all_tokens", cell(0, 1.0)
    yield "selector", cell(0, CLAIMED)
    yield (
        "random_selector",
        dense.with_(selector=Selector(kind="random", keep_ratio=CLAIMED, locations=PLACES)),
    )
    yield "ticket", cell(HEADLINE, 1.0)
    yield "both", cell(HEADLINE, CLAIMED)
    if seed >= FIRST:
        return
    for number in CODESIGN_ROUNDS:
        for rho in CODESIGN_RATIOS:
            if number not in (0, HEADLINE) or rho not in (1.0, CLAIMED):
                yield "grid", cell(number, rho)
    for order in ("together", "selector_first"):
        yield from search(
            order, dense.with_(selector=with_selector(CLAIMED)), HEADLINE, order=order
        )


HABITS = {
    "teacher in training mode": {"selector.teacher_in_training_mode": True},
    "head averages dropped tokens": {"selector.head_averages_dropped": True},
    "keeps 0.8 at inference": {"selector.inference_keep_ratio": 0.8},
    "keeps 0.5 at inference": {"selector.inference_keep_ratio": 0.5},
}
BY_SIZE = "pruned weights found by size"


def habits(seed):
    """What the habits of the published code do, each alone, to a student at the claim's keep ratio or to a ticket."""
    dense = preset("study", seed=seed)
    student = dense.with_(selector=with_selector(CLAIMED))
    yield "none", student
    for habit, changes in HABITS.items():
        yield habit, student.with_(**changes)
    yield "ticket", dense.with_(ticket=ticket(HEADLINE))
    yield from search(f"{BY_SIZE}, rounds before", dense, HEADLINE - 1, freeze="near_zero")
    yield BY_SIZE, dense.with_(ticket=ticket(HEADLINE, freeze="near_zero"))


def four(dense, last, fraction=FRACTION):
    """Dense, a ticket and its random control, the selector, its control with all tokens, and both."""
    yield "dense", dense
    yield from search("ticket", dense, last, fraction=fraction)
    yield "random", dense.with_(ticket=ticket(last, fraction, control="random"))
    yield "all_tokens", dense.with_(selector=ALL_TOKENS)
    yield "selector", dense.with_(selector=with_selector(CLAIMED))
    yield "both", dense.with_(selector=with_selector(CLAIMED), ticket=ticket(last, fraction))


CIFAR10_ROUNDS = 3


def cifar10(seed):
    """CIFAR-10 (JPEG), at the size that this machine carries: three rounds that leave 9 % of the weights."""
    return four(preset("study-cifar10", seed=seed), CIFAR10_ROUNDS, 0.55)


def events(seed):
    """A simulated event camera."""
    dense = preset("study", seed=seed).with_(**{"data.name": "event-fashion"})
    return four(dense, HEADLINE)


CHOSEN_WITH = 100  # the seed that hyper-parameters were chosen with, in no comparison


def rates(seed):
    """The learning rates that each preset's was chosen among, on the validation split, by its dense network."""
    for name in ("study", "study-clutter", "study-cifar10") if seed == CHOSEN_WITH else ():
        for rate in (0.005, 0.01, 0.02, 0.04):
            yield name, preset(name, seed=seed, **{"train.lr": rate})


EXPERIMENTS = {
    "rates": rates,
    "tickets": tickets,
    "short": short,
    "selectors": selectors,
    "codesign": codesign,
    "habits": habits,
    "cifar10": cifar10,
    "events": events,
}


def path(name):
    """The committed rows of an experiment."""
    return folders.results() / f"study_{name}.csv"


def as_text(name):
    """{id: row} of an experiment's file, {} where there is none; a row's values as text, "" for None."""
    import pandas as pd

    if not path(name).exists():
        return {}
    return {
        row["id"]: row
        for row in pd.read_csv(path(name), dtype=str, keep_default_na=False).to_dict("records")
    }


def frame(name, seeds):
    """The finished networks of an experiment, `kind` and a record each (see records.FIELDS).

    A network's record is that of its run or, where the run's folder is not here, the committed row of the same id.
    """
    import pandas as pd

    there, found = as_text(name), []
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            folder = records.run_folder(config)
            record = (
                records.read_record(folder)
                if (folder / "record.json").exists()
                else there.get(config.hash())
            )
            if record:
                found.append({**record, "kind": kind})
    return pd.DataFrame(found, columns=["kind", *records.FIELDS])


def run(name, seeds, only=()):
    """Train what is missing of an experiment, one network after the other, its rows written after each.

    only: some of its kinds, () for all.
    """
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            if not only or kind in only:
                yield kind, runs.run(config)
                known = max([*seeds, *(int(row["seed"]) for row in as_text(name).values())])
                records.export(frame(name, range(known + 1)), path(name).stem)
                records.export(manifest(), "study_manifest")


def manifest():
    """What the committed rows took: for each experiment its command, networks, hours of training, machine and code.

    The processor is that of the machine that writes this.
    """
    import pandas as pd

    found = []
    for name in EXPERIMENTS:
        rows = list(as_text(name).values())
        if rows:
            seeds = ",".join(map(str, sorted({int(row["seed"]) for row in rows})))
            about = {
                "experiment": name,
                "command": f"python -m ssf study {name} --seeds {seeds}",
                "networks": len(rows),
            }
            about["hours"] = round(sum(float(row["seconds"]) for row in rows) / 3600, 2)
            about |= {
                key: ", ".join(sorted({row[key] for row in rows}))
                for key in (*records.MACHINE, "commit")
            }
            found.append(about | {"processor": records.processor()})
    return pd.DataFrame(found)


def spread(name, config):
    """Standard deviation of the accuracy over the seeds of a network in an experiment's rows, None for one seed."""
    rows = as_text(name).values()
    same = {replace(config, seed=int(row["seed"])).hash() for row in rows}
    there = [float(row["accuracy"]) for row in rows if row["id"] in same]
    return statistics.stdev(there) if len(there) > 1 else None


def find(identity):
    """(experiment, row) of data/results/study_*.csv with that id. ValueError, one sentence, where there is none."""
    for name in EXPERIMENTS:
        row = as_text(name).get(identity)
        if row:
            return name, row
    raise Refused(f"--rerun is {identity!r}; allowed: an id in data/results/study_*.csv.")


def rerun(identity):
    """Train a network of the study again from its row, and all it builds on, in an empty folder.

    Returns (the row, the new record, the standard deviation over the seeds of that network in the rows). ValueError,
    one sentence, for an id that is not there.
    """
    import torch

    name, row = find(identity)
    config = RunConfig.from_flat(row)
    torch.set_num_threads(int(row["threads"]))  # sums are taken in as many parts
    with tempfile.TemporaryDirectory() as empty, mock.patch.dict(os.environ, SSF_RUNS=empty):
        return row, runs.run(config).record, spread(name, config)
