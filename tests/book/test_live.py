"""The chapters, trained live and small: figures, findings, no warning."""

import re

import pytest
from bs4 import BeautifulSoup
from chapters import chapters
from test_notebooks import compared

from ssf.figures.selector import SELECTORS


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
    """The oracle recalls all that fits; a random choice is as precise as the item is large."""
    cell = next(c for c in live["03_token_selector"] if c.source.startswith("table = {}"))
    rows = BeautifulSoup(of_kind(cell, "text/html")[-1], "html.parser").find_all("tr")
    lines = [[text.get_text() for text in row.find_all(["th", "td"])] for row in rows]
    table = {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[1:]}
    assert set(table) == {selector for selector, _ in SELECTORS.values()}
    assert table["oracle"]["recall, where it fits"] == "1.000"
    precision, error = map(float, table["random"]["precision"].split("±"))
    assert abs(precision - float(table["random"]["foreground"])) < 2 * error
