"""The table of all verdicts: of the same rows and rules as the verdicts themselves."""

import analyses
import glance
import pandas as pd
from four_blocks import PAIRS, judged

from ssf.study import experiments, ledger
from ssf.study.statistics import Estimate


def test_every_network_that_was_asked_has_a_line_with_its_own_verdicts():
    asked = {network: answers for network, _, answers in glance.networks()}
    of_study = asked["Fashion-MNIST, two blocks"]
    for claim, measure in {"C1": ledger.c1, "C3": ledger.c3, "C4": ledger.c4}.items():
        answer = measure()
        assert of_study[claim] == (answer["loss"], answer["verdict"])
    assert asked["CIFAR-10 (JPEG), two blocks"] == analyses.elsewhere("cifar10")
    four = asked["CIFAR-10 (JPEG), four blocks, three epochs"]
    given = {claim: answer for claim, (answer, *_) in judged("four_blocks").items()}
    assert {claim: verdict for claim, (_, verdict) in four.items()} == given
    for line in glance.table():
        assert len(line) == 2 + len(PAIRS)


def test_a_cell_has_half_of_the_interval():
    loss = Estimate((-0.01, -0.02, -0.03))
    low, high = loss.interval
    assert glance.cell(loss, "undecided") == f"−2.0 ± {50 * (high - low):.1f}<br>*undecided*"


def test_networks_without_verdicts_have_no_line_and_no_count(study_of):
    for name in ("tickets", "codesign", "cifar10", "events", "four_blocks"):
        kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.8)
        path = study_of(name, kinds | {"random": 0.6, "reinit": 0.6}, macs=lambda kind: 75)
    assert "Of these four networks, " in glance.counted()
    rows = pd.read_csv(path)
    rows[rows.seed < 3].to_csv(path, index=False)
    assert len(list(glance.table())) == 3
    assert "Of these three networks, C1 is " in glance.counted()
