"""The study's experiments: a function of the seed each, that names the networks which answer its question.

`python -m ssf study tickets --seeds 0,1,2` trains what is not there yet and writes data/results/study_tickets.csv.
"""

from ssf import runs, store
from ssf.config import Ticket, preset

ROUNDS, FRACTION = 7, 0.35  # of iterative pruning: 0.65**7 leaves 4.9 % of the weights
CONTROLLED = (2, 4, 6, 7)  # the rounds whose controls are trained: 58, 82, 92 and 95 % sparsity


def tickets(seed):
    """C1: tickets at every sparsity, and what could explain them without the search."""
    dense = preset("study", seed=seed)
    yield "dense", dense

    def at(number, **changes):
        return dense.with_(ticket=Ticket(round=number, fraction=FRACTION, **changes))

    for number in range(1, ROUNDS + 1):
        yield "ticket", at(number)
    for number in CONTROLLED:
        yield "reinit", at(number, control="reinit")
        yield "random", at(number, control="random")
        yield "magnitude at initialisation", at(number, control="magnitude_at_init")
        yield "one-shot", dense.with_(ticket=Ticket(round=1, fraction=1 - (1 - FRACTION) ** number))
    for number in CONTROLLED:
        yield "rewound to initialisation", at(number, rewind_epoch=0)
        yield "early-time, T = 1", at(number, search_time_steps=1)
        yield "early-time, T = 2", at(number, search_time_steps=2)


EXPERIMENTS = {"tickets": tickets}


def path(name):
    """The committed rows of an experiment."""
    return store.ROOT / "data" / "results" / f"study_{name}.csv"


def rows(name, seeds):
    """The finished networks of an experiment as a frame: `kind`, then a record each (see store.FIELDS).

    A network's record is that of its run or, where the run's folder is not here, the committed row of the same id.
    """
    import pandas as pd

    file = path(name)
    committed = {row["id"]: row for row in pd.read_csv(file).to_dict("records")} if file.exists() else {}
    found = []
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            folder = store.run_folder(config)
            record = store.read_record(folder) if (folder / "record.json").exists() else committed.get(config.hash())
            if record:
                found.append({**record, "kind": kind})
    return pd.DataFrame(found, columns=["kind", *store.FIELDS])


def run(name, seeds):
    """Train what is missing of an experiment, one network after the other, its rows written after each."""
    for seed in seeds:
        for kind, config in EXPERIMENTS[name](seed):
            yield kind, runs.run(config)
            store.export(rows(name, range(max(seeds) + 1)), path(name).stem)
