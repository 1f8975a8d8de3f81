"""Links within the book lead to labels. The build says so, too, but minutes later."""

import json
import re

import pytest
from chapters import ROOT, chapters

PAGES = sorted(page for page in (ROOT / "book").glob("*.md") if not page.name.startswith("_"))
LABEL = re.compile(r"^\(([\w-]+)\)=|:(?:name|label): *([\w-]+)", re.M)
LINK = re.compile(r"\]\(([\w./-]*)#([\w-]+)\)")


def text_of(path):
    if path.suffix == ".md":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


LABELS = {a or b for path in (*PAGES, *chapters()) for a, b in LABEL.findall(text_of(path))}


@pytest.mark.parametrize("path", [*PAGES, *chapters()], ids=lambda path: path.stem)
def test_a_link_names_a_label_and_no_page(path):
    """MyST finds `#label` on any page; `page.md#label` it takes for a heading's own anchor."""
    links = [(page, label) for page, label in LINK.findall(text_of(path)) if "://" not in page]
    assert [label for page, label in links if page or label not in LABELS] == []


def test_there_are_labels_and_links():
    assert {"what-it-took", "deviations"} <= LABELS
    assert sum(len(LINK.findall(text_of(path))) for path in PAGES) > 10
