"""The book, built once as `make book` builds it, and the chapters once more, trained live and
small."""

import os
import shutil

import build
import nbclient
import nbformat
import pytest
from chapters import ROOT

SMALL = {"source": "live", "preset": "smoke", "dataset": "cluttered-fashion"}


def pytest_collection_modifyitems(items):
    for item in items:
        if {"html", "live"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def book_runs(tmp_path_factory):
    """A new folder of runs for all chapters, in whatever process: what two train is trained once.

    pytest-xdist gives each process a folder in one that is the session's.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "book-runs"


@pytest.fixture(scope="session")
def html(tmp_path_factory, book_runs):
    """The built pages' folder; two above it are the executed chapters, at their defaults."""
    book = tmp_path_factory.mktemp("built") / "book"
    left_out = shutil.ignore_patterns("_build", "*.ipynb", "_[a-z]*.md")
    shutil.copytree(ROOT / "book", book, ignore=left_out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSF_RUNS", str(book_runs))
        build.main(["--book", str(book)])
    return book / "_build" / "html"


@pytest.fixture(scope="session")
def live(book_runs):
    """{chapter: its code cells}, executed with `SMALL`; only the timings are the committed ones.

    In one kernel, which forgets a chapter's names before the next: it imports the library once.
    """
    notebook, parts = nbformat.v4.new_notebook(), {}
    for chapter, parameters in build.share_out(SMALL).items():
        if chapter.stem == "06_speed":  # its smallest timing takes minutes
            parameters.pop("source")
        cells = [c for c in nbformat.read(chapter, 4).cells if c.cell_type == "code"]
        after = 1 + next(
            i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])
        )
        lines = [f"{name} = {value!r}" for name, value in parameters.items()]
        cells.insert(after, nbformat.v4.new_code_cell("\n".join(lines)))
        notebook.cells += [nbformat.v4.new_code_cell("%reset -f"), *cells]
        parts[chapter.stem] = cells
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSF_RUNS", str(book_runs))
        folder = {"metadata": {"path": str(ROOT)}}
        nbclient.NotebookClient(notebook, resources=folder, kernel_name="python3").execute()
    return parts
