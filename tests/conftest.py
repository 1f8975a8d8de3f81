"""What tests share: runs in a folder of their own, the small preset, rows of a study.

They need nothing but the library: what asks for the book's packages is in tests/book.
"""

from pathlib import Path

import pandas as pd
import pytest
import torch

from ssf.engine import records
from ssf.presets import preset
from ssf.study import experiments

SLOW = ("test_bench", "test_canary", "test_distributed", "test_folders", "test_kernels")
SLOW += ("test_naive", "test_runs", "test_store", "test_sweep", "test_train")


# Files whose tests share what is made once a process: the built pages, the chapters trained live,
# the sets made of the embedded images. The first begin first, as they take longest.
TOGETHER = {"test_book": "html", "test_browser": "html", "test_notebooks": "html"}
TOGETHER |= {"test_live": "live", "test_data": "sets"}


def pytest_collection_modifyitems(items):
    """Whole files that train or start processes: `make quick` leaves them out.

    What takes long comes first, so that at the end no process waits long for another.
    """
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    order = [*dict.fromkeys(TOGETHER.values())]

    def place(item):
        group = TOGETHER.get(item.path.stem)
        return order.index(group) if group else len(order) + ("slow" not in item.keywords)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each test goes to the next free process, in order, and those of a group in `TOGETHER` to one.

    Not by marks of xdist_group: of those pytest-xdist 3.8 loses sight under pytest 9.2, in silence
    (https://github.com/pytest-dev/pytest-xdist/issues/1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return TOGETHER.get(Path(nodeid.partition("::")[0]).stem, nodeid)

    config.option.loadscopereorder = False  # by the number of tests, not by how long they take
    return Together(config, log)


@pytest.fixture(autouse=True)
def own_runs(tmp_path_factory, monkeypatch):
    """Every test trains into a folder of its own, from the same random state."""
    monkeypatch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("runs")))
    torch.manual_seed(0)


@pytest.fixture
def smoke():
    return preset("smoke", **{"data.train_size": 96, "train.batch_size": 32})


@pytest.fixture
def study_of(monkeypatch, tmp_path):
    """A function that writes a study's rows: accuracies base[kind], noise that seeds even out."""
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))

    def write(name, base, **others):
        rows, noise = [], (0.0, 0.004, -0.002, 0.002, -0.004)
        for seed in range(5):
            for kind, config in experiments.EXPERIMENTS[name](seed):
                number = config.ticket.round if config.ticket else 0
                row = (
                    dict.fromkeys(records.FIELDS)
                    | config.flat()
                    | {"id": config.hash(), "kind": kind, "macs": 100}
                )
                row |= {"parameters": 100, "parameters_left": 10}
                row |= {
                    "accuracy": base[kind] + noise[(seed + number + len(kind)) % 5],
                    "sparsity": 1 - 0.65**number,
                }
                rows.append(row | {key: value(kind) for key, value in others.items()})
        records.export(pd.DataFrame(rows), f"study_{name}")
        return tmp_path / f"study_{name}.csv"

    return write
