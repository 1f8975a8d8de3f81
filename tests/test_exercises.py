"""The judge of answers, in a notebook and on a page, and what every exercise of the book has."""

import ast
import json
import re
import tomllib

import node
import pytest

from ssf import folders
from ssf.datasets.neuromorphic import GESTURES
from ssf.figures import exercises

RULES = tomllib.loads(exercises.RULES.read_text("utf-8"))
CHAPTERS = sorted((folders.home() / "notebooks").glob("[0-9]*.ipynb"))

MADE_UP = """
[share]
asks = "a share"
within = 0.005
say = "eight of twelve, {truth:.2f}."
hints = [{ is = "mistake", say = "not of all, {mistake}." }, { above = 1, say = "of 1, please." }]

[minus]
asks = "points"
unit = "points"
within = 0.01
say = "a loss."
hints = [{ is = 1.5, say = "a loss or a gain?" }, { above = -1, below = 0, say = "it is more." }]

[percent]
asks = "a percentage"
unit = "%"
within = 0.5
say = "so it is."

[images]
asks = "a number of images"
unit = "images"
within = 60
say = "that many."

[pair]
asks = ["rounds", "a share"]
within = [0, 0.005]
say = "both."
hints = [
  { is = [3, "small"], say = "neither." },
  { is = ["_", 0.95], say = "beyond 0.95." },
  { is = ["second"], say = "they differ." },
  { below = ["second"], say = "the other way round." },
  { wrong = 1, say = "the rounds." },
]

[row]
asks = "three numbers"
say = "so it is."
hints = [{ is = [0, 0, 0], say = "not nothing." }, { is = "others", say = "the others' row." }]

[some]
asks = "a set"
say = "these."
hints = [
  { is = [0, 1], say = "more than a spike." },
  { has = "beaten", say = "one is beaten." },
  { extra = "truth", missing = "truth", say = "others." },
]

[boxes]
asks = "the points"
options = [4, 5, 10]
say = "that one."
hints = [{ say = "one point is enough." }]

[names]
asks = ["the first", "the second"]
options = ["random", "reinit"]
say = "each in turn."
hints = [{ is = ["reinit", "random"], say = "exchanged." }, { is = ["second"], say = "twice." }]

[word]
asks = "a class"
say = "{truth}."
hints = [{ is = "left", say = "in a mirror?" }]
"""
VALUES = {
    "share": (2 / 3, {"mistake": 0.25}),
    "minus": (-1.5, {}),
    "percent": (37.4, {}),
    "images": (4898.04, {}),
    "pair": ((11, 0.9578), {"small": 0.5}),
    "row": ([2, 1, 3], {"others": (1, 1, 1)}),
    "some": ({0, 3, 5}, {"beaten": {1, 2}}),
    "boxes": ({10}, {}),
    "names": (("random", "reinit"), {}),
    "word": ("Right arm", {}),
}
# exercise, what is given in a notebook, what is typed on a page, what both are told
ANSWERS = [
    ("share", 0.67, "0.67", "Right: eight of twelve, 0.67."),
    ("share", 2 / 3, " 2/3", "Right: eight of twelve, 0.67."),
    ("share", 0.67, "0,67", "Right: eight of twelve, 0.67."),
    ("share", 0.667, "66.7 %", "Right: eight of twelve, 0.67."),
    ("share", 0.25, "25%", "Not yet: not of all, 0.25."),
    ("share", 0.25, ".25", "Not yet: not of all, 0.25."),
    ("share", 66.7, "66.7", "Not yet: of 1, please."),
    ("share", 0.5, "1/2", "Not yet: too small."),
    ("share", 0.9, "9e-1", "Not yet: too large."),
    ("share", "two", "two", "Not yet: asked for is a share."),
    ("share", (), "0.1.2", "Not yet: asked for is a share."),
    ("share", {}, "2 thirds", "Not yet: asked for is a share."),
    ("minus", -1.5, "−1.5", "Right: a loss."),
    ("minus", -1.5, "-1,5 points", "Right: a loss."),
    ("minus", 1.5, "+1.5", "Not yet: a loss or a gain?"),
    ("minus", -0.5, "-0.5", "Not yet: it is more."),
    ("minus", 0, "0", "Not yet: too large."),
    ("percent", 37, "37 %", "Right: so it is."),
    ("percent", 37, "37", "Right: so it is."),
    ("images", 4900, "4,900", "Right: that many."),
    ("images", 4900, "4900 images", "Right: that many."),
    ("pair", (11, 0.96), "11, 0.96", "Right: both."),
    ("pair", [11, 0.96], ["11", "96 %"], "Right: both."),
    ("pair", (11, 0.96), "(11; 0,96)", "Right: both."),
    ("pair", (11, 0.95), "11, 0.95", "Not yet: beyond 0.95."),
    ("pair", (3, 0.5), "3 and 0.5", "Not yet: neither."),
    ("pair", (2, 2), "2, 2", "Not yet: they differ."),
    ("pair", (0.1, 0.9), "0.1, 0.9", "Not yet: the other way round."),
    ("pair", (12, 0.96), "12, 0.96", "Not yet: the rounds."),
    ("pair", (11, 0.9), "11, 0.9", "Not yet: the second is too small."),
    ("pair", (11,), "11", "Not yet: asked for is rounds; a share."),
    ("pair", 11, "11,", "Not yet: asked for is rounds; a share."),
    ("row", [2, 1, 3], "[2, 1, 3]", "Right: so it is."),
    ("row", (0, 0, 0), "0, 0, 0", "Not yet: not nothing."),
    ("row", (1, 1, 1), "(1, 1, 1)", "Not yet: the others' row."),
    ("row", (2, 2, 3), "2, 2, 3", "Not yet: the second is too large."),
    ("some", {5, 3, 0}, "{0, 3, 5}", "Right: these."),
    ("some", [0, 3, 5], "0, 3 and 5", "Right: these."),
    ("some", {0, 1}, "{1,0}", "Not yet: more than a spike."),
    ("some", {1, 3}, "1, 3", "Not yet: one is beaten."),
    ("some", {7}, "7", "Not yet: others."),
    ("some", {0, 3}, "{0, 3}", "Not yet: one is missing."),
    ("some", {0, 3, 5, 7}, "0, 3, 5, 7", "Not yet: one does not belong."),
    ("some", set(), "set()", "Not yet: one is missing."),
    ("some", set(), "none", "Not yet: one is missing."),
    ("some", 3, "three", None),
    ("boxes", {10}, ["10"], "Right: that one."),
    ("boxes", {4, 10}, ["4", "10"], "Not yet: one point is enough."),
    ("boxes", set(), [], "Not yet: one point is enough."),
    ("names", ("random", "reinit"), ["random", "reinit"], "Right: each in turn."),
    ("names", ("reinit", "random"), ["reinit", "random"], "Not yet: exchanged."),
    ("names", ("random", "random"), ["random", "random"], "Not yet: twice."),
    ("names", "random", ["random"], "Not yet: asked for is the first; the second."),
    ("word", " right ARM", " right ARM", "Right: Right arm."),
    ("word", "left", "Left", "Not yet: in a mirror?"),
    ("word", "leg", "leg", "Not yet: look again at what is asked."),
]


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """{exercise: its judge}."""
    (tmp_path / "made_up.toml").write_text(MADE_UP)
    monkeypatch.setattr(exercises, "RULES", tmp_path / "made_up.toml")
    monkeypatch.delenv("SSF_BOOK", raising=False)
    return {name: exercises.ask(name, truth, **named) for name, (truth, named) in VALUES.items()}


def rule_of(judge, monkeypatch):
    """What the page's form carries."""
    shown = []
    monkeypatch.setenv("SSF_BOOK", "book")
    monkeypatch.setattr("IPython.display.display", shown.append)
    assert not judge(None)
    return json.loads(re.search(r'json">(.+)</script></div>', shown[0].data)[1])


def on_the_page(asked):
    """What the page's script says to (rule, typed) pairs."""
    script = str(folders.home() / "book" / "exercise.js")
    code = f"const {{judged}} = require({script!r});"
    return node.run(code + "return given.map(([rule, typed]) => judged(rule, typed))", asked)


@pytest.mark.parametrize("name, answer, typed, told", ANSWERS)
def test_an_answer_is_told_whether_it_is_right_and_why(made_up, name, answer, typed, told, capsys):
    right = made_up[name](answer)
    assert right == (told or "").startswith("Right")
    assert told is None or capsys.readouterr().out == told + "\n"


def test_no_answer_is_none_yet(made_up, capsys):
    assert not made_up["share"](None)
    assert capsys.readouterr().out.startswith("Not answered yet")


def test_the_page_says_what_the_notebook_says(made_up, monkeypatch):
    pytest.importorskip("IPython")
    rules = {name: rule_of(judge, monkeypatch) for name, judge in made_up.items()}
    found = on_the_page([(rules[name], typed) for name, _, typed, _ in ANSWERS])
    for (name, _, typed, told), (right, sentence) in zip(ANSWERS, found, strict=True):
        said = f"{'Right' if right else 'Not yet'}: {sentence}"
        assert said == (told or "Not yet: asked for is a set."), (name, typed)


def cells_of(chapter):
    for cell in json.loads(chapter.read_text())["cells"]:
        yield cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])


def asked_in(chapter):
    """{exercise: the names of the values that its judge is given} of a chapter."""
    found = {}
    for kind, text, _ in cells_of(chapter):
        if kind == "code" and "ask(" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ask":
                    found[node.args[0].value] = {word.arg for word in node.keywords}
    return found


def exercises_of(chapter):
    """{label: text, cells up to the solution, the solution's cells} of a chapter, by its gates."""
    by_label, label = {}, None
    for kind, text, tags in cells_of(chapter):
        if start := re.search(r"\{exercise-start\}.*\n:label: (\S+)", text):
            label, part = start[1], "asked"
            by_label[label] = {"asked": [], "solved": [], "text": text}
        if solution := re.search(r"\{solution-start\} (\S+)\n:class: dropdown", text):
            assert solution[1] == label
            part = "solved"
        if label and kind == "code":
            by_label[label][part].append((text, tags))
        if "{solution-end}" in text:
            label = None
    assert label is None
    return by_label


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.stem)
def test_every_chapter_has_graded_exercises_with_judge_and_solution(chapter):
    """An answer to be given, a hidden judge, and a folded solution that the judge calls right."""
    asked = exercises_of(chapter)
    assert 3 <= len(asked) <= 5
    stars = []
    for exercise in asked.values():
        stars.append(len(re.search(r"★+", exercise["text"])[0]))
        (answer, _), (judging, tags) = exercise["asked"][-2:]
        assert re.search(r"^\w+ = None", answer, re.M)
        judge = re.search(r"^_ = (judge\w*)\(\w+\)$", judging, re.M)[1]
        assert "remove-input" in tags and re.search(rf"^(def )?{judge}\b", judging, re.M)
        solution = "\n".join(text for text, _ in exercise["solved"])
        assert f"assert {judge}(" in solution
        assert all("solution" in tags for _, tags in exercise["solved"])
    assert stars == sorted(stars) and len(set(stars)) > 1


def test_every_rule_is_an_exercises_and_has_the_values_that_it_names():
    asked = {name: names for chapter in CHAPTERS for name, names in asked_in(chapter).items()}
    assert asked.keys() == RULES.keys()
    for name, rule in RULES.items():
        known = asked[name] | {"truth", "_", *exercises.NTH, *map(str, rule.get("options", []))}
        told = [rule, *rule.get("hints", [])]
        named = {x for each in told for x in re.findall(r"\{(\w+)", each["say"])}
        for hint in rule.get("hints", []):
            assert hint.keys() <= {
                "say",
                "is",
                "above",
                "below",
                "wrong",
                "has",
                "extra",
                "missing",
            }
            for verb in hint.keys() - {"say"}:
                named |= {x for x in exercises.listed(hint[verb]) if isinstance(x, str)}
        assert named <= known, name
        assert asked[name] - {"truth"} <= named, (name, "a value that no sentence or hint uses")


def test_the_classes_to_choose_from_are_the_data_sets():
    assert RULES["mirrored"]["options"] == list(GESTURES)
