"""The slides of the lesson: built with the pages, from the same rows and the chapters' figures."""

import re

import pytest
import slides
from bs4 import BeautifulSoup
from chapters import ROOT, chapters

TEXT = (ROOT / "book" / "slides" / "index.md").read_text()
PLAN = (ROOT / "book" / "teach.md").read_text()
NOTEBOOKS = {n.stem[:2]: n.read_text().replace("\\n", "\n") for n in chapters()}


def minutes():
    """[(first, last)] of every slide's notes."""
    return [(int(a), int(b)) for a, b in re.findall(r"^Minute (\d+) to (\d+)\.", TEXT, re.M)]


def test_they_take_ninety_minutes_without_a_gap():
    slots = minutes()
    assert slots[0][0] == 0 and slots[-1][1] == 90
    assert all(before[1] == after[0] for before, after in zip(slots, slots[1:], strict=False))
    assert len(slots) == len(re.findall(r"^##? ", TEXT, re.M)) and 12 <= len(slots) <= 16


def test_the_plan_on_the_page_is_that_of_the_slides():
    """Every slot of the plan begins and ends where slides do."""
    starts, ends = map(set, zip(*minutes(), strict=True))
    plan = PLAN.partition("## A plan of 90 minutes")[2].partition("\n## ")[0]
    slots = re.findall(r"^\| (\d+)–(\d+) \|", plan, re.M)
    assert slots and slots[0][0] == "0" and slots[-1][1] == "90"
    for start, end in slots:
        assert int(start) in starts and int(end) in ends


@pytest.mark.parametrize("text", [TEXT, PLAN], ids=["slides", "page"])
def test_exercises_that_are_named_exist_with_their_stars(text):
    on_the_page = r"\{ref\}`(?P<name>[^`<]+) <(?P<label>[\w-]+)>`"
    on_a_slide = (
        r"\*\*<a href=\"\.\./(?P<page>\w+)\.html#(?P<label>[\w-]+)\">(?P<name>[^<]+)</a>\*\*"
    )
    link = on_a_slide if text is TEXT else on_the_page
    stars = len(re.findall("★[★☆]{2}", text))
    named = list(re.finditer(rf"[cC]hapter (?P<chapter>\d\d), {link} (?P<stars>★[★☆]{{2}})", text))
    for match in named:
        chapter, name, label = match["chapter"], re.escape(match["name"]), match["label"]
        found = re.search(rf"exercise-start}} {name}\n(.*?★[★☆]{{2}})", NOTEBOOKS[chapter], re.S)
        assert found and found[1].endswith(match["stars"]), (chapter, name)
        assert f":label: {label}\n" in found[1], (name, label)
        assert match.groupdict().get("page", chapter)[:2] == chapter, (name, match["page"])
    assert len(named) == stars >= 3  # none without a link


def test_figures_are_those_of_chapters():
    asked = set(re.findall(r"!\[\]\((fig-[\w-]+)\.svg\)", TEXT))
    drawn = {
        name for text in NOTEBOOKS.values() for name in re.findall(r'"name": "(fig-[\w-]+)"', text)
    }
    assert len(asked) >= 4 and asked <= drawn


def test_a_figure_that_no_chapter_draws_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(slides, "figures", lambda book: {"fig-a": ("<svg/>", "a")})
    with pytest.raises(ValueError, match="the slides show fig-.*; drawn: fig-a"):
        slides.source(ROOT / "book", tmp_path / "out")


def test_built_slides_have_notes_numbers_and_all_they_load(html):
    page = BeautifulSoup((html / "slides" / "index.html").read_text(), "html.parser")
    parts = [s for s in page.select(".slides section") if not s.find("section")]
    assert len(parts) == len(minutes())
    assert all(part.select("aside.notes") for part in parts)
    assert "{{" not in page.text and "95 % interval" in page.text
    loads = [
        tag.get("src") or tag.get("href")
        for tag in page.select("script[src], img, link[rel=stylesheet]")
    ]
    for load in loads:
        assert "//" not in load and (html / "slides" / load.partition("?")[0]).exists(), load
    assert all(image["alt"].strip() for image in page.select("img"))
