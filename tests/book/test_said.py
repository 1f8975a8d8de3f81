"""The sentences that come before the findings' tables say what the rows say."""

import analyses
import pytest
import said

from ssf.study import experiments, results
from ssf.study.statistics import Estimate

LOST, GAINED, OPEN = (Estimate(v) for v in ((-0.02, -0.0202), (0.03, 0.0302), (-0.01, 0.012)))


def test_intervals_that_exclude_zero_are_counted():
    assert said.counted([LOST, GAINED]) == "all 2 intervals exclude zero"
    assert said.counted([LOST, OPEN]) == "1 of the 2 intervals excludes zero"
    assert said.counted([OPEN]) == "none of the 1 intervals excludes zero"
    assert said.counted([LOST, GAINED, OPEN]) == "2 of the 3 intervals exclude zero"
    assert said.span([GAINED, LOST, OPEN]) == "−2.0 to +3.0"


@pytest.mark.parametrize(
    "q, sentence",
    [(0.5, "no comparison has a q below 0.05"), (0.01, "only *a* minus *b* has a q below 0.05")],
)
def test_what_is_apart_is_named(q, sentence):
    assert said.apart({("here", "a", "b"): q, ("there", "c", "d"): 0.001}, "here") == sentence


def test_the_cheaper_ways_are_counted_by_sparsity(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7)
    study_of("tickets", kinds | {"ticket": 0.8})
    found = said.of_searches()
    for name in ("ways_sparse", "ways_sparser"):
        assert "all 5 other ways end below" in found[name]
        assert "all 5 intervals exclude zero" in found[name]


def test_the_looks_are_told_claim_by_claim(monkeypatch):
    verdicts = [("C1", 3, "undecided"), ("C1", 5, "supported"), ("C4", 3, "undecided")]
    monkeypatch.setattr(analyses, "looks", lambda: [(c, n, OPEN, v) for c, n, v in verdicts])
    looked = said.of_looks()["looked"]
    assert "C1 was *undecided* with 3 seeds and *supported* with 5 seeds." in looked
    assert "C4 was *undecided* at every look." in looked


def test_networks_without_a_row_are_counted(monkeypatch):
    first, *others = {c.hash() for seed in (0, 1, 2) for _, c in experiments.controls(seed)}
    monkeypatch.setattr(results, "as_text", lambda _: dict.fromkeys([first, *others]))
    assert said.untrained(["controls"]) == "none"
    monkeypatch.setattr(results, "as_text", lambda _: dict.fromkeys(others))
    assert said.untrained(["controls"]) == f"1 of {1 + len(others)} networks of **controls**"


def test_sentences_are_texts():
    assert all(isinstance(text, str) and text for text in said.sentences().values())


def test_data_sets_that_agree_are_told_at_once(monkeypatch):
    monkeypatch.setattr(said.analyses, "q_values", dict)
    assert said.sentences()["apart_elsewhere"] == "no comparison has a q below 0.05 on either"
    alike = {(name, "both", "dense"): 0.01 for name in ("cifar10", "events")}
    monkeypatch.setattr(said.analyses, "q_values", lambda: alike)
    assert said.sentences()["apart_elsewhere"].endswith("has a q below 0.05 on both")
    monkeypatch.setattr(said.analyses, "q_values", lambda: {("cifar10", "both", "dense"): 0.01})
    told = said.sentences()["apart_elsewhere"]
    assert told.startswith("only *both* minus *dense* has a q below 0.05 on CIFAR-10")
    assert told.endswith("and no comparison has a q below 0.05 on event-fashion")
