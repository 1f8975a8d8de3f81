"""The table of all verdicts: of the same rows and rules as the verdicts themselves."""

import analyses
import glance
import pandas as pd
import pytest
import said
import texts
from four_blocks import PAIRS, judged

from ssf.study import experiments, ledger
from ssf.study.statistics import Estimate


def test_every_network_that_was_asked_has_a_line_with_its_own_verdicts():
    asked = {network.name: network for network in glance.networks()}
    study = asked["Fashion-MNIST, two blocks, six epochs"]
    for claim, measure in {"C1": ledger.c1, "C3": ledger.c3, "C4": ledger.c4}.items():
        answer = measure()
        assert study.answers[claim] == (answer["loss"], answer["verdict"])
    small = asked["CIFAR-10 (JPEG), two blocks, five epochs"]
    assert small.answers == analyses.elsewhere("cifar10")
    four = asked["CIFAR-10 (JPEG), four blocks, three epochs"]
    given = {claim: answer for claim, (answer, *_) in judged("four_blocks").items()}
    assert {claim: verdict for claim, (_, verdict) in four.answers.items()} == given
    for network in asked.values():  # what is subtracted is in the line
        loss, _ = network.answers["C1"]
        assert network.twice.seeds == loss.seeds
    for line in glance.table():
        assert len(line) == 2 + len(PAIRS)


def test_a_cell_has_half_of_the_interval():
    loss = Estimate((-0.01, -0.02, -0.03))
    low, high = loss.interval
    cell = glance.cell(loss, "undecided").replace("\N{NO-BREAK SPACE}", " ")
    assert cell == f"−2.0 ± {50 * (high - low):.1f}<br>*undecided*"


@pytest.fixture
def made(study_of):
    """A function that writes rows of all networks, {kind: accuracy} of those that differ."""

    def write(changes, twice=0.78):
        own = {"random": 0.6, "reinit": 0.6, glance.KINDS[2]: twice} | changes
        for name in ("tickets", "codesign", "cifar10", "events", "four_blocks"):
            kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.8)
            path = study_of(name, kinds | own, macs=lambda kind: 75)
        return path

    return write


def test_networks_without_verdicts_have_no_line(made):
    path = made({})
    assert " the same verdict in all four networks. " in glance.compared()
    rows = pd.read_csv(path)
    rows[rows.seed < 3].to_csv(path, index=False)
    assert len(list(glance.table())) == 3
    assert " the same verdict in all three networks. " in glance.compared()


def test_what_the_networks_have_in_common_is_computed(made):
    made({"ticket": 0.84, "both": 0.7})  # before: all claims not supported, as nothing is saved
    told = glance.compared()
    assert told.startswith("C1, C3 and C4 have the same verdict in all four networks.")
    losses = [network.answers["C4"][0] for network in glance.networks()]
    assert f"{said.span(losses)} points for C4" in told and "−10." in said.span(losses)
    assert "So on average it loses in each." not in told  # with the study's ticket, which is ahead
    assert glance.message().endswith("a loss of more than a point is shown in all of them.")
    made({"ticket": 0.78, "both": 0.8})
    assert "So on average it loses in each." in glance.compared()
    assert glance.message().endswith("a loss of more than a point is shown in none of them.")


def test_the_made_results_show_what_the_page_says_of_them():
    made = {label[0]: (label[3:], texts.shown(e), e.between(0.9)) for label, e in glance.examples()}
    assert [verdict for verdict, *_ in made.values()] == [
        "supported", "supported", "undecided", "not supported", "supported"
    ]  # fmt: skip
    edge = -ledger.MARGIN
    assert all(edge < made[name][2][0] for name in "AB") and "smaller than" in made["B"][1]
    assert made["C"][2][0] < edge < made["C"][2][1] and "found a loss" in made["C"][1]
    assert made["D"][2][1] < edge and "found a gain" in made["E"][1]
