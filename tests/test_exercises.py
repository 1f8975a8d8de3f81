"""The check of an answer, and what every exercise of the book has."""

import json
import re

import pytest

from ssf import folders
from ssf.figures.exercises import check


@pytest.mark.parametrize(
    "answer, truth, within",
    [
        (0.5, 0.5, 1e-6),
        (0.52, 0.5, 0.05),
        (3, 3.0, 1e-6),
        (" Stem", "stem", 1e-6),
        (["b", "a"], {"a", "b"}, 1e-6),
        ((1, 2.04), [1, 2], 0.05),
        (True, True, 1e-6),
        (8, lambda a: a % 4 == 0, 1e-6),
    ],
)
def test_a_right_answer_is_told_why(answer, truth, within, capsys):
    assert check(answer, truth, "it is so.", within=within)
    assert capsys.readouterr().out == "Right: it is so.\n"


@pytest.mark.parametrize(
    "answer, truth, sentence",
    [
        (None, 1, "Not answered yet"),
        (2, 1.0, "Not yet: too large."),
        (0.5, 1.0, "Not yet: too small."),
        (4, 1.0, "Not yet: that is its square."),
        ("two", 1.0, "Not yet: 'two' is no answer of the kind"),
        (3, "stem", "Not yet: 3 is no answer of the kind"),
        ((), lambda a: a[0] == 5, "Not yet: () is no answer of the kind"),
        ({}, lambda a: a["x"] == 5, "Not yet: {} is no answer of the kind"),
        (0, lambda a: 1 / a == 5, "Not yet: 0 is no answer of the kind"),
        ("head", "stem", "Not yet: look again"),
        ({"a"}, {"a", "b"}, "Not yet: look again"),
        (1, True, "Not yet: look again"),
        ((1,), [1, 2], "Not yet: look again"),
        (6, lambda a: a % 4 == 0, "Not yet: look again"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(answer, truth, sentence, capsys):
    assert not check(answer, truth, "it is so.", hints=[(lambda a: a == 4, "that is its square.")])
    assert capsys.readouterr().out.startswith(sentence)


def exercises(chapter):
    """{label: text, cells up to the solution, the solution's cells} of a chapter, by its gates."""
    by_label, label = {}, None
    for cell in json.loads(chapter.read_text())["cells"]:
        text = "".join(cell["source"])
        if start := re.search(r"\{exercise-start\}.*\n:label: (\S+)", text):
            label, part = start[1], "asked"
            by_label[label] = {"asked": [], "solved": [], "text": text}
        if solution := re.search(r"\{solution-start\} (\S+)\n:class: dropdown", text):
            assert solution[1] == label
            part = "solved"
        if label and cell["cell_type"] == "code":
            by_label[label][part].append((text, cell["metadata"].get("tags", [])))
        if "{solution-end}" in text:
            label = None
    assert label is None
    return by_label


CHAPTERS = sorted((folders.home() / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_every_chapter_has_graded_exercises_with_check_and_solution(chapter):
    """An answer to be given, a folded check, and a folded solution that the check calls right."""
    asked = exercises(chapter)
    assert 3 <= len(asked) <= 5
    stars = []
    for exercise in asked.values():
        stars.append(len(re.search(r"★+", exercise["text"])[0]))
        (answer, _), (check_cell, tags) = exercise["asked"][-2:]
        assert re.search(r"^\w+ = None", answer, re.M)
        judge = re.search(r"^def (judge\w*)\(", check_cell, re.M)[1]
        assert "hide-input" in tags and re.search(rf"^_ = {judge}\(\w+\)", check_cell, re.M)
        solution = "\n".join(text for text, _ in exercise["solved"])
        assert f"assert {judge}(" in solution
        assert all("solution" in tags for _, tags in exercise["solved"])
    assert stars == sorted(stars) and len(set(stars)) > 1
