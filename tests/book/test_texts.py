"""The texts of the pages: every name that a page asks for, tables, the ledger in short."""

import re

import analyses
import build
import glance
import larger
import networks
import pandas as pd
import pytest
import recipe
import tables
import texts
from chapters import ROOT

from ssf.study import experiments, findings, ledger
from ssf.study.statistics import Estimate


def test_every_number_that_a_page_asks_for_has_a_text():
    pages = [path.read_text() for path in (ROOT / "book").glob("[a-z]*.md")]
    asked = {name for page in pages for name in re.findall(r"{{ (\w+) }}", page)}
    numbers = texts.substitutions() | networks.texts() | larger.substitutions()
    numbers |= recipe.substitutions() | glance.substitutions()
    assert asked and asked <= numbers.keys()
    assert all(isinstance(text, str) and text for text in numbers.values())
    assert texts.slug("C1", "loss") == "c1_loss" and "nan" not in " ".join(numbers.values())


def test_a_table_has_points_and_an_interval_only_where_there_are_seeds(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7)
    study_of("tickets", kinds | {"dense": 0.8, "ticket": 0.75})
    means = [row["mean"] for row in tables.comparisons("tickets", analyses.q_values())]
    assert len(means) == len(findings.compared("tickets"))
    assert all(-5.5 < float(mean.replace("−", "-")) < 0.5 for mean in means)
    assert min(float(mean.replace("−", "-")) for mean in means) < -4.5
    cells = tables.columns(Estimate((0.01,)))
    assert cells == {"mean": "+1.0", "95 % interval": "–", "seeds": 1}


def test_a_table_in_markdown_or_a_sentence():
    assert tables.in_markdown([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) == (
        "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |\n"
    )
    assert tables.in_markdown([]) == "*Not measured yet.*\n"


def test_the_tables_that_pages_include_are_written(tmp_path):
    tables.write(tmp_path)
    glance.pages(tmp_path)
    both = ("findings.md", "behind.md")
    text = "".join((ROOT / "book" / name).read_text() for name in both)
    included = set(re.findall(r"{include} (\S+)", text))
    assert included and included <= {path.name for path in tmp_path.iterdir()}
    reached = (tmp_path / "_reached.md").read_text()
    for data in ("Fashion-MNIST", "cluttered-fashion", *findings.ELSEWHERE.values()):
        assert f"| {data} | dense | 0.0 % |" in reached


def test_the_short_ledger_has_every_claim_and_its_verdict():
    lines = list(texts.short_ledger())
    for name, (claim, measure) in ledger.CLAIMS.items():
        own = [line for line in lines if line.startswith(f"- **{name}")]
        assert len(own) == (2 if name == "C3" else 1) and claim in own[0]
        assert f"**{measure()['verdict']}**" in own[-1]
    assert "**not supported** in the paper's network" in lines[2]
    control = ledger.control(ledger.c3()["random"])
    assert f"A random choice of tokens {control}" in lines[3]


def test_the_readme_tells_what_the_rows_say():
    """Its ledger, and the larger networks, whose page is in another folder than on the pages."""
    committed = (ROOT / "README.md").read_text()
    assert build.readme(committed) == committed
    assert larger.dense_after() in committed and "](larger.md)" not in committed
    outdated = committed.replace(glance.compared(), "").replace("(book/larger.md)", "")
    assert outdated != committed and build.readme(outdated) == committed


@pytest.mark.parametrize(
    "values, words",
    [
        ((-0.05, -0.052, -0.049), "found a loss of more than one point"),
        ((-0.004, -0.005, -0.006), "found a loss, and it is smaller than one point"),
        (
            (0.002, 0.001, -0.003),
            "could not show a loss, and a loss of one point or more is ruled out",
        ),
        (
            (-0.014, -0.008, -0.012),
            "found a loss, and could neither show nor rule out that it exceeds one point",
        ),
        ((0.014, 0.008, 0.012), "found a gain"),
        ((0.05, 0.052, 0.049), "found a gain of more than one point"),
    ],
)
def test_what_a_difference_shows_is_said_in_words(values, words):
    assert texts.shown(Estimate(values)) == f"we {words}"
    open_ = texts.shown(Estimate((-0.03, 0.02, 0.0)))
    assert open_ == "we could not show a loss, and could not rule out a loss of one point"


@pytest.mark.parametrize(
    "mean, words",
    [
        (-0.0143, "loses about one and a half points"),
        (-0.0041, "loses under half a point"),
        (0.0103, "gains about one point"),
        (0.0295, "gains about three points"),
        (-0.41, "loses about 41 points"),
        (0.0002, "changes nothing"),
    ],
)
def test_the_sign_and_the_size_of_a_difference_are_said_in_words(mean, words):
    assert texts.changes(Estimate((mean, mean))) == words


@pytest.mark.parametrize("p, text", [(0.0004, "p < 0.001"), (0.0314, "p = 0.031")])
def test_a_p_is_a_number_or_a_bound(monkeypatch, p, text):
    monkeypatch.setattr(Estimate, "below", lambda self, bound: p)
    monkeypatch.setattr(Estimate, "above", lambda self, bound: p)
    assert texts.of_claims()["c1_loss_any"] == text


@pytest.mark.parametrize(
    "ps, sentences",
    [
        ((0.01, 0.01), ("C1 is undecided. ", "behind C2 and C3 are still significant.")),
        ((0.01, 0.06), ("C1 is undecided. ", "C2 are still significant, and the tests behind C3")),
        ((0.06, 0.07), ("C1 is undecided. ", "claims, the tests behind C2 and C3 are not.")),
    ],
)
def test_which_verdicts_survive_a_correction_is_computed(ps, sentences):
    verdicts = {"C1": "undecided", "C2": "supported", "C3": "not supported"}
    tested = dict(zip(verdicts, ((p, p) for p in (0.5, *ps)), strict=True))
    start, inside = sentences
    told = texts.certain(verdicts, tested)
    assert told.startswith(start) and inside in told


@pytest.mark.parametrize(
    "values, word",
    [((0.01, 0.012, 0.011), "excludes"), ((-0.01, 0.012, 0.0), "includes")],
)
def test_whether_zero_is_in_an_interval_is_computed(values, word):
    assert texts.zero(Estimate(values)) == texts.zero(Estimate([-v for v in values])) == word


def test_one_prunes_as_far_as_a_loss_of_a_point_is_ruled_out(study_of):
    path = study_of("tickets", dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.8))
    told = texts.of_practice()
    assert told["prune_beyond"] == "any share"
    rows = pd.read_csv(path)
    worse = (rows.kind == "ticket") & (rows["ticket.round"] == 4)
    rows.assign(accuracy=rows.accuracy - 0.05 * worse).to_csv(path, index=False)
    told = texts.of_practice()
    sparsities = rows[rows.kind == "ticket"].groupby("ticket.round").sparsity.mean()
    assert told["prune_to"] == texts.percent([sparsities[3]])
    assert told["prune_beyond"] == texts.percent([sparsities[4]])
    assert told["prune_beyond_loss"].startswith("−5.0 points")
    assert "not measured" in told["prune_to_twice"]
    kinds = dict.fromkeys((kind for kind, _ in experiments.codesign(0)), 0.8)
    study_of("codesign", kinds | {"all_tokens": 0.82})
    assert "differs by −2." in texts.trained_twice(4) and "not measured" in texts.trained_twice(3)
    first = f"{100 * experiments.removed(experiments.CONTROLLED[0]):.0f} %"
    behind = texts.findings.bars("tickets", "ticket")[f"pruned in one shot, {first}"]
    assert told["one_shot_sparse"].startswith(texts.points(-behind.mean))
