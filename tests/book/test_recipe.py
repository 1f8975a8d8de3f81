"""The recipe's page: what its trials change, what it reached, and the command that repeats it."""

import itertools
import shlex

import pandas as pd
import pytest
import recipe

from ssf.__main__ import option
from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments, results


def test_the_recipes_training_is_told_by_its_own_row(study_of):
    numbers = {"threads": lambda _: 2, "seconds": lambda _: 1800}
    numbers["validation_accuracy"] = lambda _: 0.75
    assert "not measured yet" in recipe.of_the_preset()["recipe_reached"]
    path = study_of("half_hour", {"dense": 0.8, "dense, AdamW": 0.7}, **numbers)
    rows = pd.read_csv(path).assign(processor="a processor")
    rows[rows.seed == 0].to_csv(path, index=False)
    told = recipe.of_the_preset()["recipe_reached"]
    first = rows[(rows.kind == "dense") & (rows.seed == 0)].accuracy.item()
    assert f"{100 * first:.1f} % of the test images" in told and "(seed 0)" in told
    assert "75.0 % of the validation images" in told and "30 minutes on two cores" in told
    rows.to_csv(path, index=False)
    told = recipe.of_the_preset()
    planned = rows[(rows.kind == "dense") & rows.seed.isin(recipe.REACHED_WITH)]
    mean = planned.accuracy.mean()
    assert told["recipe_test"] == f"{100 * mean:.1f} %"
    assert "the mean of seeds 0, 1, 2 and 3" in told["recipe_reached"]


def test_a_change_is_compared_with_its_optimisers_plain_network_of_its_seed(study_of, monkeypatch):
    kinds = dict.fromkeys((kind for kind, _ in experiments.recipes(100)), 0.5)
    shares = kinds | {"Muon": 0.6, "AdamW, threshold 0.5": 0.53, "Muon, threshold 0.5": 0.61}
    shares |= {"AdamW, together": 0.65}
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "recipes", lambda seed: experiments.recipes(100 + seed)
    )
    assert recipe.gains() == {}
    assert "not measured" in recipe.draw_trials().axes[0].texts[0].get_text()
    path = study_of("recipes", kinds, validation_accuracy=lambda kind: shares[kind],
                    firing_rate=lambda _: 0.1)  # fmt: skip
    rows = pd.read_csv(path)
    rows.validation_accuracy += 0.02 * (rows.seed - 100)  # means over other seeds would differ
    rows[~((rows.kind == "AdamW") & (rows.seed > 100))].to_csv(path, index=False)
    gains = recipe.gains()
    assert gains["threshold 0.5"]["AdamW"].values == pytest.approx([0.03])
    assert gains["threshold 0.5"]["Muon"].values == pytest.approx([0.01] * 5)
    assert not [change for change in gains if change.endswith(recipe.LONGER) or not change]
    told, lines = recipe.of_the_trials(), {line["change"]: line for line in recipe.parts()}
    assert "+15.0" in told["recipe_together"]
    assert told["recipe_lead"].startswith("+10.0 points in the plain network after two epochs (one")
    assert (
        lines["threshold 0.5"]["by AdamW"] == "+3.0"
        and lines["batches of 50"]["by AdamW"] == "+0.0"
    )
    assert (
        lines["pooling late in the stem"]["MACs"] > "1.4" and lines["plain network"]["seeds"] == 1
    )
    parts = {"threshold 0.5", "pooling late in the stem", "batches of 50"}
    assert lines.keys() == parts | {"plain network"} and lines["threshold 0.5"]["seeds"] == 1
    (ax,) = recipe.draw_trials().axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    bold = {label.get_text() for label in ax.get_yticklabels() if label.get_weight() == "bold"}
    assert bold == parts
    assert "seven" not in " ".join(labels) and {*labels} == gains.keys() | {"no change"}
    marks = {(line.get_label(), *line.get_ydata()): line.get_xdata()[0] for line in ax.lines}
    assert marks["AdamW", labels.index("threshold 0.5")] == pytest.approx(53)
    plain = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    expected = [50, 60 + 2 * 2]  # Muon's has five seeds, two hundredths apart
    assert plain == pytest.approx(expected)
    assert [marks[name, labels.index("no change")] for name in recipe.LOOKS] == plain


def test_trainings_are_listed_from_the_shortest_to_the_longest(study_of):
    kinds = dict.fromkeys((kind for kind, _ in experiments.four_blocks(0)), 0.7)
    assert list(recipe.lengths()) == [] and "not measured" in recipe.times()
    numbers = {"threads": lambda _: 2, "seconds": lambda _: 1800}
    study_of("half_hour", {"dense": 0.82, "dense, AdamW": 0.8}, **numbers)
    path = study_of("four_blocks_long", kinds, **numbers)
    pd.read_csv(path).assign(processor="Some(R) processor").to_csv(path, index=False)
    lines = list(recipe.lengths())
    assert [line["epochs (small)"] for line in lines] == ["10 (6)", "24 (14)", "24 (14)"]
    assert [line["optimiser"] for line in lines] == ["AdamW", "AdamW", "Muon"]
    assert [line["test accuracy (%)"][-3:] for line in lines] == ["(5)", "(1)", "(5)"]
    assert [line["precision"] for line in lines] == ["float32", "bfloat16", "bfloat16"]
    model = preset("study-cifar10")
    share = cost.macs(model.early_model) / cost.macs(model.model)
    assert lines[0]["computation"] == f"{6 * share + 4:.1f}"
    assert lines[1]["computation"] == lines[2]["computation"] == f"{14 * share + 10:.1f}"
    assert recipe.times() == "30 minutes (10 epochs by AdamW, float32, Some(R) processor)"


def test_the_recipes_command_trains_the_network_of_its_row():
    words = shlex.split(recipe.best_recipe().replace("\\\n", ""))
    options = [option(value) for flag, value in itertools.pairwise(words) if flag == "-o"]
    config = preset(words[words.index("--preset") + 1], seed=100, **dict(options))
    row = results.as_text("recipes")[config.hash()]
    assert row["seed"] == "100" and row["train.optimiser"] == "muon"


def test_changes_that_are_not_in_the_recipe_are_told_by_what_they_do(study_of, monkeypatch):
    kinds = dict.fromkeys((kind for kind, _ in experiments.recipes(100)), 0.5)
    shares = kinds | {"AdamW, rate 0.02": 0.53, "AdamW, one time step": 0.44, "Muon": 0.6}
    shares |= {"AdamW, threshold 0.5": 0.6, "Muon, seven epochs": 0.52}
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "recipes", lambda seed: experiments.recipes(100 + seed)
    )
    assert "not measured" in recipe.not_taken() and "not measured" in recipe.lead()
    study_of("recipes", kinds, validation_accuracy=lambda kind: shares[kind])
    told = recipe.not_taken()
    assert "*rate 0.02* (AdamW +3.0) raised accuracy" in told and "threshold" not in told
    assert "*one time step* (AdamW −6.0, Muon −10.0)" in told.partition("accuracy; ")[2]
    lead = recipe.lead()
    assert "+10.0 points in the" in lead and "and +2.0 points with these after seven" in lead


def test_what_the_last_tickets_change_is_told(study_of, monkeypatch):
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "optimisers", lambda seed: experiments.optimisers(100 + seed)
    )
    assert "not finished" in recipe.searched()
    kinds = dict.fromkeys((kind for kind, _ in experiments.optimisers(100)), 0.5)
    shares = kinds | {"Muon, ticket": 0.4}
    shares |= {"Muon, dense": 0.45}
    study_of("optimisers", kinds, validation_accuracy=lambda kind: shares[kind])
    assert recipe.searched() == (
        "The last tickets differ from their dense networks: AdamW's by +0.0 and Muon's by −5.0 "
        "points."
    )
