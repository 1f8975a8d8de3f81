"""The minutes of chapters: what is read, what is measured, what the book says of both. On a toy
notebook."""

import runpy
import sys

import minutes
import nbformat
import pandas as pd
import pytest
from chapters import ROOT

TOY = [
    ("markdown", "# A toy\n\n" + "word " * 398),
    ("code", "import os, time\nassert not os.listdir(os.environ['SSF_RUNS'])"),
    ("markdown", "some more\n\n## Slow | fast\n\n```python\n# not a heading\n```"),
    ("code", "time.sleep(0.3)"),
    ("code", "pass"),
]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The only chapter, and a file of rows that is not there yet."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    cells = [make[kind](text, id=f"toy-{i}") for i, (kind, text) in enumerate(TOY)]
    cells.append(make["markdown"]("word " * 9999, id="toy-folded", metadata={"tags": ["solution"]}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = tmp_path / "00_toy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    monkeypatch.setattr(minutes, "chapters", lambda: [path])
    monkeypatch.setattr(minutes, "FILE", tmp_path / "minutes.csv")
    return path


def rows(seconds, **changed):
    given = {"notebook": "00_toy", "heading": "", "cores": 2, "processor": "an abacus"} | changed
    cells = ("toy-1", "toy-3", "toy-4")
    return pd.DataFrame({"cell": cells, "seconds": seconds}).assign(**given)[minutes.COLUMNS]


def test_a_piece_ends_at_each_heading_and_not_at_a_comment_in_code(toy):
    words, cells = {}, {}
    for heading, number, cell in minutes.pieces(toy):
        words[heading] = words.get(heading, 0) + number
        cells |= {cell: heading} if cell else {}
    assert words == {"A toy": 3 + 398 + 2, "Slow | fast": 4 + 1 + 4 + 1}
    assert cells == {"toy-1": "A toy", "toy-3": "Slow | fast", "toy-4": "Slow | fast"}


@pytest.mark.slow
def test_every_code_cell_is_timed_where_nothing_was_trained(toy, monkeypatch, tmp_path):
    """The toy refuses to start where something is among the runs."""
    (tmp_path / "runs" / "trained").mkdir(parents=True)
    monkeypatch.setenv("SSF_RUNS", str(tmp_path / "runs"))
    minutes.main([])
    found = pd.read_csv(minutes.FILE)
    assert list(found) == minutes.COLUMNS
    assert list(found.cell) == ["toy-1", "toy-3", "toy-4"]
    assert list(found.heading) == ["A toy", "Slow | fast", "Slow | fast"]
    assert 0.3 <= found.seconds[1] < 3 and found.seconds[2] < 0.3
    assert (found.cores > 0).all() and found.processor.str.len().all()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["trained"]


@pytest.mark.slow
def test_a_failing_cell_ends_in_a_sentence(toy):
    notebook = nbformat.read(toy, 4)
    notebook.cells[3].source = "1 / 0"
    nbformat.write(notebook, toy)
    with pytest.raises(
        ValueError, match=r"00_toy.ipynb failed in cell 2: ZeroDivisionError: division by zero"
    ):
        minutes.main([])


def test_a_chapter_that_is_not_there_is_refused(monkeypatch):
    """By the script as it is started."""
    monkeypatch.setattr(sys, "argv", ["minutes.py", "99_none"])
    with pytest.raises(
        SystemExit,
        match="^book/minutes.py: a chapter is '99_none'; allowed: 00_what_a_spike_is, 01_",
    ):
        runpy.run_path(ROOT / "book" / "minutes.py", run_name="__main__")


def test_the_tables_add_up(toy, tmp_path):
    minutes.keep(rows((10, 150, 0.1)))
    assert minutes.of(toy) == "2 minutes to read, 3 min to run on two cores"
    minutes.table(tmp_path)
    text = (tmp_path / "_minutes.md").read_text()
    assert text.startswith("| chapter | to read | to run |\n|---|---|---|\n")
    assert "| [A toy](00_toy.ipynb) | 2 minutes | 3 min |\n" in text
    assert "| its opening | 2 minutes | 10 s |\n" in text
    assert r"| Slow \| fast | less than a minute | 3 min |" in text
    assert "on two cores of an abacus" in text


def test_a_new_measurement_replaces_the_old_and_what_is_gone_goes(toy):
    minutes.keep(pd.concat([rows((1, 1, 1)), rows((1, 1, 1), notebook="99_gone")]))
    minutes.keep(rows((30, 8, 2), cores=16))
    assert set(minutes.measured().notebook) == {"00_toy"}
    assert minutes.of(toy).endswith("40 s to run on 16 cores")


@pytest.mark.parametrize(
    "stored", [None, rows((1, 1, 1), notebook="01_other"), rows((1, 1, 1))[:2]]
)
def test_what_is_not_measured_is_left_out(toy, tmp_path, stored):
    """No file, no such chapter, or a cell that is newer than the measurement."""
    if stored is not None:
        stored.to_csv(minutes.FILE, index=False)
    assert minutes.of(toy) == "2 minutes to read"
    minutes.table(tmp_path)
    text = (tmp_path / "_minutes.md").read_text()
    assert "| [A toy](00_toy.ipynb) | 2 minutes | – |\n" in text
    assert "| its opening | 2 minutes | – |\n" in text
    assert r"| Slow \| fast | less than a minute | – |" in text
    assert "not measured" not in text and "book/minutes.py" not in text


def test_the_chapters_of_the_book_have_their_phrase_and_table(tmp_path):
    """Measured or not."""
    minutes.table(tmp_path)
    text = (tmp_path / "_minutes.md").read_text()
    for notebook in minutes.chapters():
        assert f"]({notebook.name})" in text and "to read" in minutes.of(notebook)
