"""The recipe's page: what its trials change, what it reached, and the command that repeats it."""

import itertools
import shlex

import pandas as pd
import pytest
import recipe

from ssf.__main__ import option
from ssf.presets import preset
from ssf.study import experiments, results


def test_the_recipes_training_is_told_by_its_own_row(study_of):
    numbers = {"threads": lambda _: 2, "seconds": lambda _: 1800}
    numbers["validation_accuracy"] = lambda _: 0.75
    assert "not measured yet" in recipe.of_the_preset()["recipe_reached"]
    path = study_of("half_hour", {"dense": 0.8}, **numbers)
    rows = pd.read_csv(path)
    told = recipe.of_the_preset()["recipe_reached"]
    first = rows[(rows.kind == "dense") & (rows.seed == 0)].accuracy.item()
    assert f"{100 * first:.1f} % of the test images" in told
    assert "75.0 % of the validation images" in told and "30 minutes of two cores" in told


def test_a_change_is_compared_with_its_optimisers_plain_network(study_of, monkeypatch):
    kinds = dict.fromkeys((kind for kind, _ in experiments.recipes(100)), 0.5)
    shares = kinds | {"Muon": 0.6, "AdamW, threshold 0.5": 0.53, "Muon, threshold 0.5": 0.61}
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "recipes", lambda seed: experiments.recipes(100 + seed)
    )
    study_of("recipes", kinds, validation_accuracy=lambda kind: shares[kind])
    gains = recipe.gains()
    assert gains["threshold 0.5"]["AdamW"].mean == pytest.approx(0.03)
    assert gains["threshold 0.5"]["Muon"].mean == pytest.approx(0.01)
    assert gains["threshold 0.5"]["Muon"].seeds == 5
    assert not [change for change in gains if change.endswith("half an hour") or not change]
    told = recipe.of_the_trials()
    assert told["recipe_parts"].startswith("threshold 0.5 +3.0 points")
    assert "batches of 50 +0.0" in told["recipe_parts"]
    assert "one time step" in told["recipe_others"] and "small" not in told["recipe_others"]
    labels = [label.get_text() for label in recipe.draw_gains().axes[0].get_yticklabels()]
    assert labels[-1] == "threshold 0.5" and set(labels) == gains.keys()


def test_the_recipes_command_trains_the_network_of_its_row():
    words = shlex.split(recipe.best_recipe().replace("\\\n", ""))
    options = [option(value) for flag, value in itertools.pairwise(words) if flag == "-o"]
    config = preset(words[words.index("--preset") + 1], seed=100, **dict(options))
    row = results.as_text("recipes")[config.hash()]
    assert row["seed"] == "100" and row["train.optimiser"] == "muon"
