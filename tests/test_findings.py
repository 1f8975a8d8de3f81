"""What is measured beside the verdicts: differences, searches, strayed networks, inflation."""

import pandas as pd
import pytest

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


def test_a_search_takes_every_round_from_the_rewind_and_is_cheaper_with_fewer_time_steps():
    dense = preset("study")
    rounds = [config for _, config in experiments.search("ticket", dense, experiments.HEADLINE - 1)]
    expected = dense.train.epochs + sum(c.train.epochs - c.ticket.rewind_epoch for c in rounds)
    assert findings.search_epochs() == expected and findings.search_epochs(1) == dense.train.epochs
    assert 0 < findings.search_cost(1) < findings.search_cost(2) < 1


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


def test_controls_are_compared_with_the_networks_of_other_experiments(study_of):
    for name, base in (("controls", 0.7), ("tickets", 0.8), ("codesign", 0.9)):
        study_of(name, dict.fromkeys((k for k, _ in experiments.EXPERIMENTS[name](0)), base))
    estimates = findings.compared("controls")
    assert estimates["the stem alone", "dense"].mean == pytest.approx(-0.1, abs=0.004)
    assert estimates["the stem alone", "all tokens"].mean == pytest.approx(-0.2, abs=0.004)
