"""What is measured beside the verdicts: differences, searches, strayed networks, inflation."""

import pandas as pd
import pytest
import torch

from ssf.presets import preset
from ssf.study import experiments, findings, results


def test_a_difference_is_to_what_it_is_told_to_be_to(study_of):
    base = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7)
    study_of("tickets", base | {"dense": 0.8, "ticket": 0.75, "early_1": 0.74, "one_shot": 0.72})
    estimates = findings.compared("tickets")
    assert estimates["pruned in one shot, 92 %", "ticket"].mean == pytest.approx(-0.03, abs=0.004)
    assert estimates["mask found with 1 of 4 time steps, 92 %", "one shot"].mean == pytest.approx(
        0.02, abs=0.004
    )
    assert estimates["ticket, 82 %", "dense"].mean == pytest.approx(-0.05, abs=0.004)
    assert set(findings.bars("tickets", "dense")) == {"ticket, 82 %"}


def test_an_interaction_is_what_both_lose_beyond_the_sum(study_of):
    kinds = {kind: 0.8 for kind, _ in experiments.codesign(0)} | {
        "selector": 0.79,
        "ticket": 0.78,
        "both": 0.75,
    }
    path = study_of("codesign", kinds)
    rows = pd.read_csv(path)
    rows.assign(accuracy=rows.kind.map(kinds)).to_csv(path, index=False)
    table = findings.interactions()
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
    assert findings.trained_on().mean == pytest.approx(-0.03)


def test_a_search_takes_every_round_from_the_rewind_and_is_cheaper_with_fewer_time_steps():
    dense = preset("study")
    rounds = [config for _, config in experiments.search("ticket", dense, experiments.HEADLINE - 1)]
    expected = dense.train.epochs + sum(c.train.epochs - c.ticket.rewind_epoch for c in rounds)
    assert findings.search_epochs() == expected and findings.search_epochs(1) == dense.train.epochs
    assert 0 < findings.search_cost(1) < findings.search_cost(2) < 1


def test_classes_without_a_weight_are_counted(monkeypatch):
    make_network = findings.make_network

    def small_for_two_classes(config):
        network = make_network(config)
        with torch.no_grad():
            network.head.weight.fill_(10.0)
            network.head.weight[[2, 7]] = 0
        return network

    monkeypatch.setattr(findings, "make_network", small_for_two_classes)
    assert findings.classes_cut_off(0) == 2


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
    assert list(findings.strayed().seed) == seeds


def test_the_inflation_is_that_of_all_networks_each_once():
    """Of the first three seeds; one of several experiments counts once, those of rates never."""
    gains = {
        row["id"]: row["accuracy_test_maximum"] - row["accuracy"]
        for name in set(experiments.EXPERIMENTS) - {*experiments.UNCOMPARED}
        for row in (
            pd.read_csv(results.path(name)).to_dict("records")
            if results.path(name).exists()
            else ()
        )
        if row["seed"] < 3
    }
    assert sorted(findings.inflation()) == sorted(gains.values())


def test_the_study_learns_at_the_rates_that_were_best_on_validation():
    """But for the one that the protocol's deviations tell of."""
    best = {
        name: max(accuracies, key=accuracies.get) for name, accuracies in findings.tried().items()
    }
    assert {name for name, rate in best.items() if preset(name).train.lr != rate} == {
        "study-clutter"
    }


def test_verdicts_on_other_data_follow_the_same_rules(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.events(0)), 0.8)
    saved = {"macs": lambda kind: 75 if kind == "selector" else 100}
    for name in findings.ELSEWHERE:
        study_of(name, kinds | {"random": 0.7 if name == "events" else 0.8}, **saved)
    table = findings.elsewhere()
    assert list(table.C1) == ["not supported", "supported"] and set(table.C3) == {"supported"}
    assert set(table.C4) == {"not supported"}  # nothing saved


def test_budgets_compare_both_with_the_dense_network_and_with_equal_training(study_of):
    first = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.8)
    second = dict.fromkeys((kind for kind, _ in experiments.codesign(0)), 0.84)
    other = dict.fromkeys((kind for kind, _ in experiments.events(0)), 0.84) | {"dense": 0.8}
    saved = {"macs": lambda kind: 75 if kind == "both" else 100}
    study_of("tickets", first)
    study_of("codesign", second | {"both": 0.8}, **saved)
    for name in findings.ELSEWHERE:
        study_of(name, other | {"both": 0.8}, **saved)
    lines = list(findings.budgets())
    assert [round(100 * e.mean) for _, _, e, _ in lines] == [4, 0, -4] * 3
    assert [verdict for *_, verdict in lines] == ["–", "supported", "not supported"] * 3


def test_q_values_are_no_smaller_than_ps_and_of_every_comparison_with_seeds():
    qs = findings.q_values()
    for (name, *pair), q in qs.items():
        estimate = findings.compared(name)[tuple(pair)]
        assert estimate.seeds > 1 and estimate.p <= q <= 1


def test_controls_are_compared_with_the_networks_of_other_experiments(study_of):
    for name, base in (("controls", 0.7), ("tickets", 0.8), ("codesign", 0.9)):
        study_of(name, dict.fromkeys((k for k, _ in experiments.EXPERIMENTS[name](0)), base))
    estimates = findings.compared("controls")
    assert estimates["the stem alone", "dense"].mean == pytest.approx(-0.1, abs=0.004)
    assert estimates["the stem alone", "all tokens"].mean == pytest.approx(-0.2, abs=0.004)
