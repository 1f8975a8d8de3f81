"""What the page of findings tabulates: looks, interactions, strayed networks, q-values."""

import analyses
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ssf.presets import PRESETS, preset
from ssf.study import experiments, findings, ledger
from ssf.study.statistics import Estimate


def test_a_look_is_at_the_first_seeds_and_the_last_one_is_the_verdict():
    table = {(name, seeds): (loss, word) for name, seeds, loss, word in analyses.looks()}
    for name in ("C1", "C3", "C4"):
        measured = ledger.CLAIMS[name][1]()
        assert table[name, analyses.LOOKS[-1]] == (measured["loss"], measured["verdict"])
        assert table[name, 3][0].values == measured["loss"].values[:3]


def test_an_interaction_is_what_both_lose_beyond_the_sum(study_of):
    kinds = {kind: 0.8 for kind, _ in experiments.codesign(0)} | {
        "selector": 0.79,
        "ticket": 0.78,
        "both": 0.75,
    }
    path = study_of("codesign", kinds)
    rows = pd.read_csv(path)
    rows.assign(accuracy=rows.kind.map(kinds)).to_csv(path, index=False)
    table = analyses.interactions()
    beyond = {
        (round(sparsity, 2), rho): estimate.mean
        for sparsity, rho, estimate in table.itertuples(index=False)
    }
    assert len(beyond) == 9 and beyond[0.92, 0.7] == pytest.approx(-0.02)
    assert beyond[0.82, 0.5] == pytest.approx(0)


def test_another_training_that_helps_only_the_dense_network(study_of):
    first = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7)
    second = dict.fromkeys((kind for kind, _ in experiments.codesign(0)), 0.7)
    study_of("tickets", first | {"dense": 0.82, "ticket": 0.8})
    study_of("codesign", second | {"all_tokens": 0.85, "ticket": 0.8})
    assert analyses.trained_on().mean == pytest.approx(-0.03)


def test_classes_without_a_weight_are_counted(monkeypatch):
    make_network = analyses.make_network

    def small_for_two_classes(config):
        network = make_network(config)
        with torch.no_grad():
            network.head.weight.fill_(10.0)
            network.head.weight[[2, 7]] = 0
        return network

    monkeypatch.setattr(analyses, "make_network", small_for_two_classes)
    assert analyses.classes_cut_off(0) == 2


@pytest.mark.parametrize("below, seeds", [(0.06, [3]), (0.04, [])])
def test_a_network_that_strayed_is_far_below_the_same_one_with_other_seeds(study_of, below, seeds):
    """And not below others: the rounds of a search are networks of their own."""
    base = dict.fromkeys((kind for kind, _ in experiments.short(0)), 0.7)
    path = study_of("short", base | {"ticket": 0.5})
    rows = pd.read_csv(path)
    same = (rows["ticket.round"] == 2) & (rows.seed != 3)
    rows.loc[(rows["ticket.round"] == 2) & (rows.seed == 3), "accuracy"] = (
        rows[same].accuracy.median() - below
    )
    rows.to_csv(path, index=False)
    assert list(analyses.strayed().seed) == seeds


def test_the_study_learns_at_the_rates_that_were_best_on_validation():
    """But for the one that the protocol's deviations tell of."""
    best = {
        name: max(accuracies, key=accuracies.get)
        for name, accuracies in analyses.tried().items()
        if name in PRESETS
    }
    assert {name for name, rate in best.items() if preset(name).train.lr != rate} == {
        "study-clutter"
    }


def test_verdicts_on_other_data_follow_the_same_rules(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.events(0)), 0.8)
    saved = {"macs": lambda kind: 75 if kind == "selector" else 100}
    for name in findings.ELSEWHERE:
        study_of(name, kinds | {"random": 0.7 if name == "events" else 0.8}, **saved)
    asked = [analyses.elsewhere(name) for name in findings.ELSEWHERE]
    verdicts = [{claim: verdict for claim, (_, verdict) in each.items()} for each in asked]
    assert [of["C1"] for of in verdicts] == ["not supported", "supported"]
    assert [of["C3"] for of in verdicts] == ["supported", "supported"]
    assert [of["C4"] for of in verdicts] == ["not supported", "not supported"]  # nothing saved


def test_q_values_are_no_smaller_than_ps_and_of_every_comparison_but_hints():
    qs = analyses.q_values()
    for (name, *pair), q in qs.items():
        estimate = findings.compared(name)[tuple(pair)]
        assert estimate.seeds >= analyses.SEVERAL and estimate.p <= q <= 1


def test_the_seeds_needed_give_the_power_and_one_less_does_not():
    """By drawing: the share of samples that the test rejects."""
    n = analyses.seeds_needed(0.01, 0.0127)
    rng = np.random.default_rng(0)
    for seeds, enough in ((n, True), (n - 2, False)):
        samples = rng.normal(0.01, 0.0127, (20_000, seeds))
        p = stats.ttest_1samp(samples, 0, axis=1, alternative="greater").pvalue
        assert ((p < 0.05).mean() >= 0.79) == enough
    assert analyses.seeds_needed(0.0, 0.01) is None and analyses.seeds_needed(0.0001, 0.01) is None


def test_a_pooled_spread_is_that_of_all_comparisons():
    narrow, wide = Estimate((0.010, 0.011, 0.012)), Estimate((-0.02, 0.0, 0.02))
    assert analyses.pooled(narrow, [narrow]) == pytest.approx(narrow.interval)
    low, high = analyses.pooled(narrow, [narrow, wide])
    variance = (0.001**2 + 0.02**2) / 2
    half = stats.t.ppf(0.975, 4) * (variance / 3) ** 0.5
    assert (low, high) == pytest.approx((0.011 - half, 0.011 + half))


def test_a_claims_p_is_of_the_test_that_its_verdict_rests_on():
    for name, (p, corrected) in analyses.corrected().items():
        decided = ledger.CLAIMS[name][1]()["verdict"] != "undecided"
        assert (p < ledger.LEVEL) is decided and p <= corrected <= 1


def test_holms_correction_is_that_of_a_worked_example():
    """0.01 · 4, 0.02 · 3 and 0.03 · 2 are the same 0.06, which the largest may not fall below."""

    def holm(ps):
        found = analyses.with_holm(dict(enumerate(ps)))
        assert [p for p, _ in found.values()] == ps
        return [corrected for _, corrected in found.values()]

    assert holm([0.02, 0.01, 0.5, 0.03]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
