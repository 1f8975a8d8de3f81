"""The chapters: wrong parameters refused, outputs as stored, all of them trained live as well."""

import collections
import re

import nbformat
import papermill
import pytest
import yaml
from bs4 import BeautifulSoup
from chapters import ROOT, chapters

from ssf.figures.selector import SELECTORS

CONFIG = yaml.safe_load((ROOT / "book" / "_config.yml").read_text())
COLAB = """import os
import sys

if "google.colab" in sys.modules and not os.path.exists("ssf"):
    # there, first fetch the book's library and its data
    !git clone --quiet --depth 1 {url}
    %cd ssf
    !pip install --quiet -e ."""
CHAPTERS = chapters()
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:Passed unknown parameter"
)


def test_there_are_eight_chapters():
    assert [c.stem for c in CHAPTERS] == [
        "00_what_a_spike_is",
        "01_baseline_spikformer",
        "02_winning_tickets",
        "03_token_selector",
        "04_gflops_accuracy",
        "05_audit",
        "06_speed",
        "07_data",
    ]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_every_parameter_is_explained(chapter):
    parameters = papermill.inspect_notebook(chapter)
    assert {"preset", "seed"} <= parameters.keys()
    assert all(len(p["help"]) > 10 for p in parameters.values())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_only_compared_outputs_are_stored(chapter):
    compared = 0
    for cell in nbformat.read(chapter, 4).cells:
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        assert cell.cell_type != "code" or bool(cell.outputs) == checked, cell.source
        compared += checked
    assert compared


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_on_colab_the_first_cell_fetches_what_the_chapter_needs(chapter):
    """The same in every chapter, of the address that the launch buttons have."""
    first = next(cell for cell in nbformat.read(chapter, 4).cells if cell.cell_type == "code")
    assert (
        first.source == COLAB.format(url=CONFIG["repository"]["url"])
        and "remove-cell" in first.metadata.tags
    )


@pytest.mark.parametrize(
    "chapter, given, sentence",
    [
        (
            "03_token_selector",
            {"keep_ratio": 3},
            "selector.keep_ratio is 3; allowed: a share of the tokens",
        ),
        ("02_winning_tickets", {"sparsity": 1.2}, "ticket.sparsity is 1.2; allowed: the share"),
        (
            "01_baseline_spikformer",
            {"heads": 5},
            "model.heads is 5; allowed: a divisor of the width, 32.",
        ),
        (
            "01_baseline_spikformer",
            {"widht": 48},
            "a parameter is 'widht'; allowed: preset, dataset, seed",
        ),
        ("05_audit", {"seed": -1}, "seed is -1; allowed: a whole number"),
        ("04_gflops_accuracy", {"preset": "quik"}, "preset is 'quik'; allowed: smoke, quick"),
    ],
)
def test_a_wrong_parameter_ends_in_a_sentence(chapter, given, sentence):
    """The cells that papermill would execute; test_book has one that it does."""
    cells = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", 4).cells
    (parameters,) = (c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    (reading,) = (c.source for c in cells if "= from_notebook(" in c.source)
    exec(parameters, namespace := {})
    with pytest.raises(ValueError) as failure:
        exec(reading, namespace | given)
    assert str(failure.value).startswith(sentence)


def compared(cell):
    """What nbval compares of a cell: its printed texts, and shown ones, by kind; no pictures."""
    texts = collections.defaultdict(str)
    for output in cell.outputs:
        if output.output_type == "stream":
            texts[output.name] += output.text
        for kind, text in output.get("data", {}).items():
            texts[kind] += "" if kind.startswith("image/") else str(text)
    return texts


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_the_pages_have_the_stored_outputs(html, chapter):
    """At a chapter's defaults, where a cell says so; as `pytest --nbval-lax` finds it."""
    executed = {cell.id: cell for cell in nbformat.read(html.parents[1] / chapter.name, 4).cells}
    for cell in nbformat.read(chapter, 4).cells:
        if "nbval-check-output" in cell.metadata.get("tags", []):
            assert compared(executed[cell.id]) == compared(cell), cell.source


def of_kind(cell, kind):
    return ["".join(o.data[kind]) for o in cell.outputs if kind in o.get("data", {})]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_a_chapter_trained_live_has_figures_and_a_finding_and_no_warning(live, chapter):
    for cell in live[chapter.stem]:
        if "figure" in cell.metadata.get("mystnb", {}):
            pictures = of_kind(cell, "image/svg+xml")
            if "image" in cell.metadata.mystnb:
                assert len(pictures[0]) > 1000, cell.source
            else:
                assert "vegaEmbed" in of_kind(cell, "text/html")[0], cell.source
        if "finding" in cell.metadata.get("tags", []):
            assert re.search(r"\d", of_kind(cell, "text/markdown")[0])
        shown = "".join(compared(cell).values())
        assert "Traceback" not in shown and "Warning:" not in shown, shown


def test_the_selectors_chapter_has_the_table_against_the_truth(live):
    """The oracle recalls all that fits; a random choice is as precise as the item is large."""
    cell = next(c for c in live["03_token_selector"] if c.source.startswith("table = {}"))
    rows = BeautifulSoup(of_kind(cell, "text/html")[-1], "html.parser").find_all("tr")
    lines = [[text.get_text() for text in row.find_all(["th", "td"])] for row in rows]
    table = {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[1:]}
    assert set(table) == {selector for selector, _ in SELECTORS.values()}
    assert table["oracle"]["recall, where it fits"] == "1.000"
    precision, error = map(float, table["random"]["precision"].split("±"))
    assert abs(precision - float(table["random"]["foreground"])) < 2 * error
