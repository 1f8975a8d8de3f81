"""The chapters, trained live and small: figures, findings, no warning."""

import re

import pytest
from bs4 import BeautifulSoup
from chapters import chapters
from test_notebooks import compared

from ssf.figures.chapters import SELECTORS


def of_kind(cell, kind):
    return ["".join(o.data[kind]) for o in cell.outputs if kind in o.get("data", {})]


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.stem)
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
    """Nobody finds more than the oracle, who orders without a fault; a random half finds half."""
    cell = next(c for c in live["03_token_selector"] if c.source.startswith("measures, lines"))
    rows = BeautifulSoup(of_kind(cell, "text/html")[-1], "html.parser").find_all("tr")
    head, _, *lines = [[c.get_text() for c in row.find_all(["th", "td"])] for row in rows]
    table = {line[0]: dict(zip(head[1:], map(float, line[1:]), strict=True)) for line in lines}
    assert set(table) == {selector for selector, _ in SELECTORS.values()}
    assert table["oracle"]["average precision"] == 1
    assert all(row["recall"] <= table["oracle"]["recall"] for row in table.values())
    assert abs(table["random"]["recall"] - 0.5) < 0.1
