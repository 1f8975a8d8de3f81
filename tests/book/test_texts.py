"""The texts of the pages: every name that a page asks for, tables, the ledger in short."""

import re

import pytest
import texts
from chapters import ROOT

from ssf.study import experiments, findings, ledger
from ssf.study.statistics import Estimate


def test_every_number_that_a_page_asks_for_has_a_text():
    pages = [path.read_text() for path in (ROOT / "book").glob("[a-z]*.md")]
    asked = {name for page in pages for name in re.findall(r"{{ (\w+) }}", page)}
    numbers = texts.substitutions()
    assert asked and asked <= numbers.keys()
    assert all(isinstance(text, str) and text for text in numbers.values())
    assert texts.slug("C1", "loss") == "c1_loss" and "nan" not in " ".join(numbers.values())


def test_a_table_has_points_and_an_interval_only_where_there_are_seeds(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7)
    study_of("tickets", kinds | {"dense": 0.8, "ticket": 0.75})
    means = [row["mean"] for row in texts.comparisons("tickets", findings.q_values())]
    assert len(means) == len(findings.compared("tickets"))
    assert all(-5.5 < float(mean.replace("−", "-")) < 0.5 for mean in means)
    assert min(float(mean.replace("−", "-")) for mean in means) < -4.5
    cells = texts.columns(Estimate((0.01,)))
    assert cells == {"mean": "+1.0", "95 % interval": "–", "seeds": 1}


def test_a_table_in_markdown_or_a_sentence():
    assert texts.in_markdown([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) == (
        "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |\n"
    )
    assert texts.in_markdown([]) == "*Not measured yet.*\n"


def test_the_tables_that_pages_include_are_written(tmp_path):
    texts.tables(tmp_path)
    page = (ROOT / "book" / "findings.md").read_text()
    included = set(re.findall(r"{include} (\S+)", page))
    assert included and included <= {path.name for path in tmp_path.iterdir()}
    reached = (tmp_path / "_reached.md").read_text()
    for data in ("embedded", "cluttered-fashion", *findings.ELSEWHERE.values()):
        assert f"| {data} | dense | 0.0 % |" in reached


def test_the_short_ledger_has_every_claim_and_its_verdict():
    lines = list(texts.short_ledger())
    for name, (claim, measure) in ledger.CLAIMS.items():
        own = [line for line in lines if line.startswith(f"- **{name}")]
        assert len(own) == (2 if name == "C3" else 1) and claim in own[0]
        assert f"**{measure()['verdict']}**" in own[-1]
    assert "**not supported** at the published keep ratio" in lines[2]


def test_what_the_pages_say_of_budgets_and_of_the_stem_is_so():
    """The sentences around the numbers, which were written when these were known."""
    numbers = {(data, label.partition(":")[0]): e for data, label, e, _ in findings.budgets()}
    for data in ("Fashion-MNIST", "CIFAR-10 (JPEG)"):
        assert numbers[data, "all tokens − dense"].interval[0] > 0
        assert numbers[data, "both − dense"].mean > numbers[data, "both − all tokens"].mean
    stems = {n: findings.compared(n)["the stem alone", "dense"] for n in ("controls", "cifar10")}
    shown = {name: e.above(-ledger.MARGIN) < ledger.LEVEL for name, e in stems.items()}
    assert shown == {"controls": True, "cifar10": False}
    assert ledger.control(ledger.c3()["random"]) == "does as well"


@pytest.mark.parametrize("p, text", [(0.0004, "p < 0.001"), (0.0314, "p = 0.031")])
def test_a_p_is_a_number_or_a_bound(monkeypatch, p, text):
    monkeypatch.setattr(Estimate, "below", lambda self, bound: p)
    monkeypatch.setattr(Estimate, "above", lambda self, bound: p)
    assert texts.of_claims()["c1_loss_any"] == text
