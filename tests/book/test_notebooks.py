"""The chapters: wrong parameters refused, outputs as stored."""

import collections

import nbformat
import papermill
import pytest
import yaml
from chapters import ROOT, chapters

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
