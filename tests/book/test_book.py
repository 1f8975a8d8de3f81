"""The book, built once in a copy of book/, and its pages."""

import json
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import build
import papermill
import pytest
import yaml
from bs4 import BeautifulSoup
from chapters import ROOT, chapters

from ssf.model import cost
from ssf.presets import preset
from ssf.study import ledger

CHAPTERS = [chapter.stem for chapter in chapters()]


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.path, self.ids, self.text = path, set(), ""
        self.links, self.loads, self.images, self.drawings = [], [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if tag == "svg" and attrs.get("role") == "img":
            self.drawings.append(attrs)
        if tag in ("script", "img", "iframe", "source") and attrs.get("src"):
            self.loads.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon"):
            self.loads.append(attrs["href"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="session")
def pages(html):
    return {p.relative_to(html).as_posix(): Page(p) for p in html.glob("*.html")}


def figures(chapter):
    cells = build.cells(ROOT / "notebooks" / f"{chapter}.ipynb")
    return [c["metadata"]["mystnb"] for c in cells if "figure" in c["metadata"].get("mystnb", {})]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_figure_is_there_with_caption_and_alternative_text(pages, html, chapter):
    """A picture has it from its cell, a chart with controls from its description (see
    test_browser)."""
    page = pages[f"{chapter}.html"]
    assert figures(chapter)
    for expected in figures(chapter):
        assert expected["figure"]["name"] in page.ids
        if "image" not in expected:
            assert "showChart(" in (html / f"{chapter}.html").read_text()
            continue
        drawn = [svg.get("aria-label") for svg in page.drawings]
        assert drawn.count(expected["image"]["alt"]) == 1


def test_no_table_is_left_as_text(html):
    """As the Markdown of a cell's output is, where it has a table."""
    assert [page.name for page in html.glob("*.html") if "<p>|" in page.read_text()] == []


def test_no_line_ends_between_a_number_and_its_percent():
    page = '<p title="5 % x">is 5 % of</p><pre>5 %</pre>'
    assert build.inline.percents(page) == page.replace("is 5 %", "is 5\N{NO-BREAK SPACE}%")


def test_figures_are_parts_of_their_pages_and_follow_its_colours(pages, html):
    """No file is shown in their place; ink and ground are the page's, names differ."""
    for name, page in pages.items():
        assert not [i for i in page.images if i["src"].startswith("_images/")], name
        text = (html / name).read_text().partition("<main")[2]
        drawings = re.findall(r'<svg class="inlined.*?</svg>', text, re.S)
        assert len(drawings) == len([d for d in page.drawings if "inlined" in d.get("class", "")])
        for drawing in drawings:
            assert not re.search(r"(fill|stroke)(: |=\")(#222222|#262626|black|#000)", drawing)
            assert len(re.findall(r"<path [^>]*fill: #ffffff\"", drawing)) == 0
        names = re.findall(r' id="((?:f\d+|cell)-[^"]+)"', text)
        assert len(names) == len(set(names)), name
    assert sum(len(page.drawings) for page in pages.values()) > 30


def test_no_traceback_and_no_warning_on_any_page(pages):
    for page in pages.values():
        assert "Traceback" not in page.text and "Warning:" not in page.text, page.path


def test_findings_on_the_landing_page_are_the_chapters_sentences(pages, html):
    """The first of each, in the words of this build's own chapter, and with its numbers."""
    shown = " ".join(pages["index.html"].text.split()).replace("’", "'")
    for chapter in CHAPTERS:
        cells = build.cells(html.parents[1] / f"{chapter}.ipynb")
        finding = next(c for c in cells if "finding" in c["metadata"].get("tags", []))
        sentence = "".join(finding["outputs"][0]["data"]["text/markdown"]).replace("**", "")
        sentence = re.match(r".*?\.(?=\s|$)", sentence, re.S)[0]
        title = "".join(cells[0]["source"]).partition("\n")[0].removeprefix("# ")
        assert re.search(r"\d", sentence) and f"{title}: {sentence}" in shown
        assert f"{chapter}.html" in pages["index.html"].links


def test_the_ledger_is_on_its_page_and_in_short_on_the_landing_page(pages, html):
    """Verdicts and intervals, as the rows have them, and the figure; on the landing page and in the
    README, too."""
    table = BeautifulSoup((html / "findings.html").read_text(), "html.parser").find("table")
    lines = {
        row.find("td").text: [cell.text.replace("\xa0", " ") for cell in row.find_all("td")]
        for row in table.find_all("tr")[1:]
    }
    short = BeautifulSoup((html / "index.html").read_text(), "html.parser").find_all("li")
    short = {item.text[:2]: " ".join(item.text.split()) for item in short}
    readme = {
        line[4:6]: line
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("- **C")
    }
    for name, (claim, measured) in ledger.CLAIMS.items():
        found = measured()
        told = str(found["loss" if name != "C2" else "random"])
        line = lines["C3, by accuracy" if name == "C3" else name]
        assert told in line[2] and line[3].partition(":")[0] == found["verdict"]
        assert line[1] == claim or name == "C3"
        for line in (short[name], readme[name].replace("**", "")):  # of C3 the second
            assert f": {found['verdict']}" in line and told in line
    count = cost.saving(preset("paper-cifar10").model, preset("paper-cifar10").selector)
    assert f"{100 * count:.1f} %" in lines["C3, by count"][2] and count < ledger.SAVING
    assert lines["C3, by count"][3].partition(":")[0] == "not supported"
    assert "fig-findings" in pages["findings.html"].ids and "{{" not in pages["findings.html"].text
    assert any(
        "differences in accuracy" in d["aria-label"] for d in pages["findings.html"].drawings
    )


@pytest.mark.parametrize(
    "name",
    ["findings", "budgets", "rule", "cifar10", "events", "larger", "places", "densities", "rounds"],
)
def test_the_committed_figures_are_those_of_the_committed_rows(html, name):
    built, committed = (folder / "_static" / f"{name}.svg" for folder in (html, ROOT / "book"))
    assert built.read_text() == committed.read_text()


def test_launch_buttons_open_the_chapters_sources(html):
    for chapter in build.chapters():
        buttons = BeautifulSoup((html / f"{chapter.stem}.html").read_text(), "html.parser").select(
            "a.dropdown-item"
        )
        targets = [unquote(a["href"]) for a in buttons if a.get("href", "").startswith("http")]
        for host in ("mybinder.org", "colab.research.google.com"):
            assert any(
                host in target and target.endswith(f"notebooks/{chapter.name}")
                for target in targets
            ), targets


def test_a_course_has_its_own_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("SSF_HUB", "https://hub.example.org")
    monkeypatch.setattr(build.texts, "substitutions", dict)  # for the sake of time
    shutil.copy(ROOT / "book" / "_config.yml", tmp_path)
    assert yaml.safe_load(build.configuration(tmp_path).read_text())["launch_buttons"][
        "jupyterhub_url"
    ]


def test_a_chapter_is_executed_again_only_if_what_it_follows_from_changed(tmp_path, monkeypatch):
    """By a stand-in for the execution, which copies."""
    notebook, out, executed = tmp_path / "chapter.ipynb", tmp_path / "out.ipynb", []
    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# Title"}

    def chapter_of(source):
        cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": []}
        chapter = {"cells": [title, cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        notebook.write_text(json.dumps(chapter))

    def execute(notebook, out, parameters):
        executed.append(parameters)
        shutil.copy(notebook, out)
        return SimpleNamespace(metadata=SimpleNamespace(papermill={"duration": 1}))

    chapter_of("seed = 0")
    monkeypatch.setattr(build, "executed", execute)
    for parameters, so_far in (({}, 1), ({}, 1), ({"seed": 1}, 2), ({"seed": 1}, 2)):
        build.execute(notebook, out, parameters)
        assert len(executed) == so_far
    chapter_of("seed = 2")
    build.execute(notebook, out, {"seed": 1})
    assert len(executed) == 3
    assert "to read" in build.cells(out)[0]["source"]
    monkeypatch.setattr(build.minutes, "of", lambda notebook: "a second to read")
    build.execute(notebook, out, {"seed": 1})
    assert len(executed) == 3 and build.cells(out)[0]["source"] == "# Title\n\n*A second to read.*"


def test_no_internal_link_is_broken(pages, html):
    for page in pages.values():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            path = (page.path.parent / unquote(target.path)).resolve() if target.path else page.path
            assert path.exists(), (page.path.name, link)
            name = path.relative_to(html).as_posix()
            if target.fragment and name in pages:
                assert unquote(target.fragment) in pages[name].ids, (page.path.name, link)


def test_nothing_is_loaded_from_another_host(pages, html):
    for page in pages.values():
        for load in page.loads:
            assert not urlsplit(load).netloc, (page.path.name, load)
            assert (html / urlsplit(load).path).exists(), (page.path.name, load)
    assert any("mathjax" in load for load in pages["01_baseline_spikformer.html"].loads)


def test_the_parameters_page_lists_every_parameter(html):
    table = (html / "rerun.html").read_text()
    for chapter in build.chapters():
        for name in build.known_parameters(chapter):
            assert (
                f'<code class="docutils literal notranslate"><span class="pre">{name}</span>'
                "</code></p></td>" in table
            ), name


def test_parameters_go_to_the_chapters_that_have_them():
    shared = {n.stem: p for n, p in build.share_out({"seed": 1, "rounds": 3}).items()}
    assert shared["01_baseline_spikformer"] == {"seed": 1}
    assert shared["02_winning_tickets"] == {"seed": 1, "rounds": 3}


def test_a_parameter_that_no_chapter_has_is_refused():
    with pytest.raises(ValueError, match="a parameter is 'widht'; allowed: .*width"):
        build.share_out({"widht": 96})


@pytest.mark.slow
def test_a_failing_cell_names_its_notebook(tmp_path):
    """And the reader sees one sentence, not where in the library it was raised."""
    notebook = ROOT / "notebooks" / "03_token_selector.ipynb"
    sentence = "selector.keep_ratio is 3; allowed: a share of the tokens"
    failed = f"03_token_selector.ipynb failed in cell .*{sentence}"
    with pytest.raises(ValueError, match=failed) as failure:
        build.execute(notebook, tmp_path / notebook.name, {"keep_ratio": 3})
    assert not (tmp_path / notebook.name).exists()
    shown = failure.value.__context__
    assert isinstance(shown, papermill.PapermillExecutionError)
    assert shown.evalue.startswith(sentence)
    assert "Traceback" not in str(shown) and "site-packages" not in str(shown)


def test_values_mean_what_they_mean_to_papermill(monkeypatch):
    seen = {}
    monkeypatch.setattr(build, "share_out", lambda given: seen.update(given) or {})
    monkeypatch.setattr(build, "pages", lambda book: None)
    given = {"keep_ratio": "5e-1", "width": "None", "seed": "1", "preset": "smoke"}
    build.main([word for item in given.items() for word in ("-p", *item)])
    assert seen == {"keep_ratio": 0.5, "width": None, "seed": 1, "preset": "smoke"}
