"""What training takes in four blocks."""

import computation
import narrower
import pandas as pd
import pytest
from four_blocks import LONG, SHORT

from ssf.model import cost
from ssf.study import experiments


@pytest.fixture
def four_blocks(study_of):
    """A function that writes made rows of both trainings and of the controls."""

    def write(**accuracies):
        for name in (SHORT, LONG, narrower.NAME):
            kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.7)
            own = accuracies if name == narrower.NAME else {}
            path = study_of(name, kinds | own, macs_left=lambda _: 2)  # a fiftieth of the MACs
        return path

    return write


def test_a_search_counts_every_round_and_a_second_training_its_teacher():
    config = dict(experiments.four_blocks(0))["dense"]
    small = cost.macs(config.early_model) / cost.macs(config.model)
    once, takes = 2 * small + 1, computation.trainings()
    assert takes["dense"] == 1 and takes[narrower.SIX] == pytest.approx(2)
    assert takes["round 1"] == pytest.approx((3 * small + 2) / once)
    assert takes["round 4"] == pytest.approx((6 * small + 5) / once)
    assert takes["dense, ten epochs"] == pytest.approx((6 * small + 4) / once)
    assert takes["all_tokens"] == pytest.approx(2 + 1 / once)  # three answers are a step
    assert takes["ticket, trained on"] == pytest.approx(takes["round 4"] + 1 + 1 / once)
    narrow = narrower.controls()[narrower.LONGER]
    own = 6 * cost.macs(narrow.early_model) + 4 * cost.macs(narrow.model)
    assert takes[narrower.LONGER] == pytest.approx(own / (once * cost.macs(config.model)))


def test_six_epochs_are_twice_three():
    six, three = (
        config.train
        for config in (narrower.controls()[narrower.SIX], dict(experiments.four_blocks(0))["dense"])
    )
    assert (six.epochs, six.early_epochs) == (2 * three.epochs, 2 * three.early_epochs)


def test_skipped_zeros_make_a_search_cheaper(four_blocks):
    four_blocks()
    config = dict(experiments.four_blocks(0))["dense"]
    small = cost.macs(config.early_model) / cost.macs(config.model)
    takes = 1 + 0.02 * 4 * (small + 1) / (2 * small + 1)
    assert computation.skipped() == pytest.approx(takes)
    told = f"If they were skipped, the last ticket would take {takes:.1f} times as much"
    assert (
        told in computation.if_skipped() and "That is less than the 2.0" in computation.if_skipped()
    )


def test_longer_trainings_that_take_less_are_told(four_blocks):
    path = four_blocks(**{narrower.SIX: 0.8})
    told = computation.dense_for_less()
    assert "The dense network itself reaches 79.9 % in six epochs (2.0 times, four seeds)" in told
    assert "% in ten epochs (3." in told and told.endswith(" times, four seeds).")
    labels = computation.draw().axes[0].get_legend_handles_labels()[1]
    assert "tickets, round by round" in labels and len(labels) == 5
    rows = pd.read_csv(path)
    rows[rows.kind != narrower.SIX].to_csv(path, index=False)
    assert "six epochs" not in computation.dense_for_less()
    path.with_name(f"study_{SHORT}.csv").unlink()
    assert computation.dense_for_less() == "The ticket is not trained yet."
    assert computation.draw().axes[0].texts[0].get_text() == narrower.NOT_YET
    told = computation.substitutions()["computation_skipped"]
    assert told == "What skipping pruned weights would change is not measured yet."


def test_the_message_tells_what_the_searchs_computation_gives_the_dense_network(four_blocks):
    path = four_blocks()
    assert computation.instead().startswith("The dense network itself changes nothing if it is")
    path.with_name(f"study_{LONG}.csv").unlink()
    assert computation.instead() == ""
