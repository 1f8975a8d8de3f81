"""What tests share: runs in a folder of their own, the small preset, and one build of the book."""

import shutil

import build
import pytest
import torch
from chapters import ROOT, chapters

from ssf.config import preset

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
    shutil.copytree(ROOT / "book", book, ignore=shutil.ignore_patterns("_build", "*.ipynb", "_findings.md"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("book-runs")))
        shared = build.share_out(GIVEN)
        shared[ROOT / "notebooks" / "06_speed.ipynb"].pop("source")
        patch.setattr(build, "share_out", lambda given: shared)
        build.main(["--book", str(book)])
    return book / "_build" / "html"
