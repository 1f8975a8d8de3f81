"""The controls of four blocks: small dense networks, and six epochs at once."""

import narrower
import pandas as pd
import pytest
from four_blocks import SHORT

from ssf.model import cost
from ssf.study import experiments


@pytest.fixture
def controls(study_of):
    """A function that writes made rows of the shorter training and of its controls."""

    def write(base, controls):
        for name, given in ((SHORT, base), (narrower.NAME, controls)):
            kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.7)
            path = study_of(name, kinds | given, macs_left=lambda _: 2, energy_left=lambda _: 5)
        return path

    return write


def test_the_ticket_lies_between_the_two_small_networks():
    """Of its weights, nine percent are left: more parameters than one has, fewer than the other."""
    networks = narrower.controls()
    dense = dict(experiments.four_blocks(0))["dense"]
    prunable = sum(row.parameters for row in cost.layers(dense.model) if row.weight)
    left = cost.parameters(dense.model) - prunable * (1 - 0.55**experiments.EARNEST_ROUNDS)
    fewer, more = (
        cost.parameters(networks[kind].model) for kind in (narrower.FEWER, narrower.MORE)
    )
    assert fewer < left < more
    selector = dict(experiments.four_blocks(0))["selector"]
    macs = [cost.macs(networks[f"{width} channels"].model) for width in (80, 88)]
    assert macs[0] < cost.macs(selector.model, selector.selector) < macs[1]


def test_what_the_small_networks_show_goes_by_the_tests_of_the_controls(controls):
    path = controls({}, {narrower.FEWER: 0.5, narrower.MORE: 0.6})
    told = (
        "The dense networks of 24 channels and 32 channels do significantly worse than the ticket."
    )
    assert narrower.beats().startswith(told)
    told = narrower.substitutions()
    assert told["narrower_fewer"].startswith("+20.") and told["narrower_more"].startswith("+10.")
    controls({}, {narrower.FEWER: 0.5, narrower.MORE: 0.74})
    assert "24 channels does significantly worse" in narrower.beats()
    assert "32 channels does significantly better than the ticket" in narrower.beats()
    controls({"ticket": 0.7, "reinit": 0.6}, {narrower.FEWER: 0.5, narrower.MORE: 0.7})
    assert "32 channels and 32 channels, ten epochs do as well as the ticket." in narrower.beats()
    rows = pd.read_csv(path)
    rows[rows.kind != narrower.FEWER].to_csv(path, index=False)
    assert "24 channels" not in narrower.beats() and "32 channels and" in narrower.beats()
    rows[rows.seed < 2].to_csv(path, index=False)
    assert "not enough seeds" in narrower.beats()
    path.unlink()
    assert narrower.substitutions()["narrower_more"] == narrower.NOT_YET
    assert narrower.draw_sizes().axes[0].texts[0].get_text() == narrower.NOT_YET


def test_the_tables_and_the_figure_have_what_is_trained(controls):
    path = controls({}, {narrower.FEWER: 0.5})
    assert len(list(narrower.compared())) == len(narrower.PAIRS)
    lines = {line["network"]: line for line in narrower.sizes()}
    assert lines[narrower.FEWER]["accuracy (%)"].startswith("50.") and len(lines) == 8
    labels = narrower.draw_sizes().axes[0].get_legend_handles_labels()[1]
    assert {"dense networks", "tickets, round by round"} < {*labels} and len(labels) == 6
    rows = pd.read_csv(path)
    rows[rows.kind != narrower.SIX].to_csv(path, index=False)
    assert len(list(narrower.compared())) == len(narrower.PAIRS) - 3
    assert narrower.substitutions()["narrower_trained"] == "20 of 24"


def test_a_width_that_saves_as_much_lies_on_the_line_between_its_neighbours(study_of):
    saved = [*map(narrower.saved_by, narrower.CHEAPER)]
    macs = {"selector": 100 * (1 - sum(saved) / 2)}  # half way
    kinds = {
        name: dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.7)
        for name in (SHORT, narrower.NAME)
    }
    study_of(SHORT, kinds[SHORT], macs=lambda kind: macs.get(kind, 100))
    assert narrower.as_much_saved() == narrower.NOT_YET
    study_of(narrower.NAME, kinds[narrower.NAME] | {"88 channels": 0.69, "80 channels": 0.65})
    few, more = (narrower.minus(kind, "dense").mean for kind in ("88 channels", "80 channels"))
    assert narrower.as_much_saved() == f"{narrower.points((few + more) / 2)} points"
    assert narrower.as_much_saved().startswith(("−3.0", "−2.9", "−3.1"))
