"""The rows of the study's experiments: trained, written to data/results/, trained again.

`python -m ssf study tickets --seeds 0,1,2` trains the networks without a row and writes their rows
to data/results/study_tickets.csv, after each. A row that is there stays as it is.
"""

import contextlib
import os
import signal
import tempfile
from dataclasses import replace

import pandas as pd
import torch
from filelock import FileLock

from ssf import folders
from ssf.config import Failed, Refused, RunConfig
from ssf.engine import records, runs
from ssf.model import kernels
from ssf.model.training import device
from ssf.study import answers, experiments


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

    A network's record is the row of the same id or, without one, that of its run.
    """
    written, lines = as_text(name), []
    for seed in seeds:
        for kind, config in experiments.EXPERIMENTS[name](seed):
            if row := written.get(config.hash()):  # of before a field was added, perhaps
                lines.append(config.flat() | row | {"kind": kind})
            elif (folder := records.run_folder(config)).joinpath("record.json").exists():
                lines.append(records.read_record(folder) | {"kind": kind})
    return pd.DataFrame(lines, columns=["kind", *records.FIELDS])


def run(name, seeds, only=()):
    """Train an experiment's networks that have no row; after each, keep its answers and write rows.

    only: some of its kinds, () for all. Yields (kind, run). Raises Failed for half precision, and
    for Muon, where the processor has no such products: the row would be one of float32.
    """
    written = as_text(name)
    for seed in seeds:
        for kind, config in experiments.EXPERIMENTS[name](seed):
            done = config.hash() in written and not answers.lacks(name, config)
            if (not only or kind in only) and not done:
                half = config.train.mixed_precision or config.train.optimiser == "muon"
                if half and not kernels.multiplies_bfloat16(device()):
                    raise Failed(f"{kind!r} trains in bfloat16; {records.processor()} has none")
                run = runs.run(config, any_code=True)  # rows take days
                if answers.lacks(name, config):
                    answers.keep(run)
                write_rows(name, seeds)
                yield kind, run


def write_rows(name, seeds):
    """Renew an experiment's rows and the manifest, one process at a time: none loses another's."""
    with FileLock(folders.cache() / "study.lock"):
        last = max([*seeds, *(int(row["seed"]) for row in as_text(name).values())])
        records.export(finished(name, range(last + 1)), path(name).stem)
        records.export(manifest(), "study_manifest")


def manifest():
    """A row an experiment: its command, number of networks, hours of training, machines, commits.

    The command trains what is missing, too. Processors that old rows do not name are kept.
    """
    lines, before, told = [], folders.results() / "study_manifest.csv", {}
    if before.exists():
        told = pd.read_csv(before, keep_default_na=False).set_index("experiment").processor
    for name in experiments.EXPERIMENTS:
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
            values = set(table.get(key, [""]))
            if key == "processor" and "" in values:
                values |= set(told.get(name, "").split(", "))
            line[key] = ", ".join(sorted(values - {""}))
        lines.append(line)
    return pd.DataFrame(lines)


def deviation(name, config):
    """Standard deviation of a network's accuracy over the seeds in the rows; None for one seed."""
    table = pd.DataFrame(as_text(name).values())
    same = [replace(config, seed=seed).hash() for seed in set(table.seed.astype(int))]
    accuracies = table[table.id.isin(same)].accuracy.astype(float)
    return accuracies.std() if len(accuracies) > 1 else None


class _Over(BaseException):
    """The time is over."""


@contextlib.contextmanager
def time_limit(minutes):
    """End what is inside after so many minutes; never where minutes is None."""

    def stop(*_):
        raise _Over

    usual = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes if minutes else 0)
    try:
        with contextlib.suppress(_Over):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


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
    for name in experiments.EXPERIMENTS:
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
