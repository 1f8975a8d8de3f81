"""What tests share: runs in a folder of their own, the small preset, and one build of the book."""

import shutil

import build
import pandas as pd
import pytest
import torch
from chapters import ROOT, chapters

from ssf.engine import records
from ssf.presets import preset
from ssf.study import experiments

CHAPTERS = [c.stem for c in chapters()]
GIVEN = {"source": "live", "preset": "smoke", "dataset": "cluttered-fashion"}


@pytest.fixture(autouse=True)
def own_runs(tmp_path_factory, monkeypatch):
    """Every test trains into a folder of its own, from the same random state."""
    monkeypatch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("runs")))
    torch.manual_seed(0)


@pytest.fixture
def smoke():
    return preset("smoke", **{"data.train_size": 96, "train.batch_size": 32})


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The built pages' folder. Runs of all chapters are shared, in a folder of this build's.

    All is trained live, and small; only the timings are the committed ones.
    """
    book = tmp_path_factory.mktemp("built") / "book"
    shutil.copytree(
        ROOT / "book", book, ignore=shutil.ignore_patterns("_build", "*.ipynb", "_findings.md")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("book-runs")))
        shared = build.share_out(GIVEN)
        shared[ROOT / "notebooks" / "06_speed.ipynb"].pop("source")
        patch.setattr(build, "share_out", lambda given: shared)
        build.main(["--book", str(book)])
    return book / "_build" / "html"


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
