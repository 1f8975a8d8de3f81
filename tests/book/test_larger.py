"""The page of four blocks: no verdict before its seeds, then the protocol's; what training does."""

import re

import analyses
import computation
import larger
import pandas as pd
import pytest
import tables
from four_blocks import PLANNED
from scipy.stats import false_discovery_control

from ssf.model import cost
from ssf.study import experiments


@pytest.fixture
def four_blocks(study_of):
    """A function that writes made rows of both trainings and of the small network."""

    def write(short, long):
        others = {"events": {}, "cifar10": {}}  # whose verdicts are shown beside
        for name, base in (others | {"four_blocks": short, "four_blocks_long": long}).items():
            kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.7)
            cost = {"macs": lambda kind: 75 if kind in ("selector", "both") else 100}
            numbers = {key: lambda kind: 1 for key in ("threads", "seconds", "validation_accuracy")}
            numbers["densities"] = lambda kind: "{}"
            path = study_of(name, kinds | base, **cost, **numbers)
        return path

    return write


def after_each(tell):
    return larger.after_each(tell, "")


def test_without_rows_the_page_says_so(study_of, tmp_path):
    for name in ("events", "cifar10"):
        study_of(name, dict.fromkeys((k for k, _ in experiments.EXPERIMENTS[name](0)), 0.6))
    told = larger.substitutions()
    assert told["larger_small"] == "60.0 %"
    assert told["larger_trained"].startswith("0 of 52")
    assert told["larger_verdicts"] == larger.NONE
    assert "being measured" in told["larger_state"] and "right on" not in told["larger_state"]
    assert larger.bars() == {} and larger.message() == ""
    assert told["larger_in_short"] == "What they change is not measured yet."
    larger.pages(tmp_path)
    assert (tmp_path / "_larger_matters.md").read_text() == "*Not measured yet.*\n"


def test_the_verdicts_are_the_protocols(four_blocks):
    worse = {"ticket": 0.5, "both": 0.65}
    four_blocks(worse, {"random": 0.6, "reinit": 0.6, "both": 0.65})
    told = larger.substitutions()["larger_verdicts"]
    assert told == (
        "The verdicts: after three epochs C1 *not supported*, C3 *supported*, C4 *not supported*; "
        "after ten epochs C1 *supported*, C3 *supported*, C4 *not supported*."
    )
    planned = [line for line in larger.claims() if line["difference"] != larger.AGAIN]
    assert {x["verdict"] for x in larger.claims() if x not in planned} == {"none"}
    lines = {(line["difference"][:2], line["network"]): line for line in planned}
    assert lines["C1", "four blocks, three epochs"]["seeds"] == PLANNED
    assert lines["C1", larger.SMALL[1]]["verdict"] == analyses.elsewhere("cifar10")["C1"][1]
    assert lines["C1", larger.SMALL[1]]["difference"] == "C1: ticket − dense"
    assert len(larger.bars()) == len(list(larger.claims())) == 12


def test_c1_needs_both_controls_and_c3_its_saving(four_blocks):
    path = four_blocks({}, {"random": 0.6, "reinit": 0.7})
    assert larger.judged("four_blocks_long")["C1"][0] == "not supported"
    rows = pd.read_csv(path)
    rows.assign(macs=rows.macs.where(rows.kind != "selector", 90)).to_csv(path, index=False)
    assert larger.judged("four_blocks_long")["C3"][0] == "not supported"


def test_no_verdict_before_the_last_network_of_the_last_seed(four_blocks):
    path = four_blocks({}, {})
    assert larger.judged("four_blocks_long")["C4"][0] == "supported"
    rows = pd.read_csv(path)
    rows[~((rows.seed == 3) & (rows.kind == "stem"))].to_csv(path, index=False)
    assert larger.judged("four_blocks_long") == {}
    long = [line["verdict"] for line in larger.claims() if "ten epochs" in line["network"]]
    assert [verdict for verdict in long if verdict != "none"] == [larger.AFTER] * 3
    assert "51 of 52 networks with ten epochs" in larger.substitutions()["larger_trained"]
    assert larger.told_verdicts().endswith(
        "ten epochs there is none yet: its numbers are provisional."
    )


def test_a_search_that_is_not_finished_is_no_ticket(four_blocks):
    path = four_blocks({}, {})
    rows = pd.read_csv(path)
    rows[~(rows["ticket.round"] == experiments.EARNEST_ROUNDS)].to_csv(path, index=False)
    found = [(claim, name) for claim, name, *_ in larger.losses()]
    assert ("C1", "four_blocks") in found and ("C1", "four_blocks_long") not in found
    assert "C1" not in dict(larger.longer_less_shorter())
    assert ("C3", "four_blocks_long") in found


def test_the_corrected_p_is_holms_of_three(four_blocks):
    four_blocks({}, {"ticket": 0.66, "random": 0.6, "reinit": 0.6})
    judged = larger.judged("four_blocks_long")
    ps = sorted(p for _, p, _ in judged.values())
    assert min(c for *_, c in judged.values()) == pytest.approx(min(1, 3 * ps[0]))
    (line,) = [x for x in larger.claims() if x["difference"][:3] == "C1:" and "ten" in x["network"]]
    assert line["verdict"].startswith("not supported (p")


def test_a_search_and_its_ticket_take_the_dense_training_and_all_rounds():
    told = "{} epochs, of which {} show"
    early, whole = larger.small_and_whole("four_blocks", "ticket")
    assert told.format(early + whole, early) == told.format(3 + 4 * 2, 2 + 4 * 1)
    early, whole = larger.small_and_whole("four_blocks_long", "ticket")
    assert told.format(early + whole, early) == told.format(10 + 4 * 9, 6 + 4 * 5)


def test_a_loss_that_grows_with_training_is_negative(four_blocks):
    four_blocks({"ticket": 0.69}, {"ticket": 0.66, "both": 0.71})
    change = dict(larger.longer_less_shorter())
    assert change["C1"].mean == pytest.approx(-0.03, abs=1e-6)
    assert change["C4"].mean == pytest.approx(0.01, abs=1e-6) and change["C1"].seeds == 4


def test_what_each_training_changes_is_told_in_a_sentence(four_blocks):
    four_blocks({"random": 0.6, "reinit": 0.65}, {"ticket": 0.66})
    told = larger.substitutions()
    assert "After ten epochs, we found a loss of more than one point: −4.0" in told["larger_c1"]
    short, _, long = told["larger_sparser"].partition(" After ten epochs")
    assert "points (four seeds)" in short
    assert "random ticket differs by −10.0, and the mask with new weights by −5.0" in short
    assert long.count("−4.") == experiments.EARNEST_ROUNDS


def test_the_time_of_a_search_is_compared_with_the_longer_training(four_blocks):
    path = four_blocks({"ticket": 0.6}, {"dense": 0.75})
    told = computation.equal_time()
    assert "dense network is −15.0 points (95 % interval −1" in told and "4 seeds)." in told
    model = dict(experiments.four_blocks(0))["dense"]
    small = cost.macs(model.early_model) / cost.macs(model.model)
    assert f"take {100 * (6 * small + 4) / (6 * small + 5):.1f} % of the MACs" in told
    rows = pd.read_csv(path)  # paired by seed: what seed 1 has does not matter
    rows = rows[(rows.kind != "dense") | (rows.seed == 0)]
    rows.to_csv(path, index=False)
    assert "dense network is −15.0 points (one seed)." in computation.equal_time()


def test_a_lead_that_is_lost_with_more_training_is_doubted(four_blocks):
    ahead = {"ticket": 0.73, "all_tokens": 0.75, "selector": 0.74, "both": 0.72}
    path = four_blocks({"ticket": 0.6}, ahead | {"ticket, trained on": 0.73, "random": 0.6})
    short, long = larger.in_short().split(" On average, after ten epochs, ")
    assert "the ticket loses about ten points (−10" in short and "lead" not in short
    assert long.startswith("the ticket gains about three points (+3.0, four seeds) compared")
    assert "So its lead may only show" in long and "A learned selector loses about one" in long
    assert "A ticket with a selector loses about three points (−3." in long
    rows = pd.read_csv(path)
    new = rows.accuracy.where(rows.kind != "reinit", 0.6)
    rows.assign(accuracy=new).to_csv(path, index=False)
    assert after_each(larger.doubt).startswith("C1's verdict after ten epochs is about networks")
    assert "a second time, it loses about two points (−2." in larger.in_short()
    four_blocks({}, ahead | {"ticket, trained on": 0.77})
    assert "lead" not in larger.in_short() and after_each(larger.doubt) == ""
    again = ahead | {"ticket, trained on": 0.73, "random": 0.6, "reinit": 0.6}
    four_blocks(again, again | {"ticket": 0.71, "random_selector": 0.74})
    told = larger.message()
    assert told.startswith("We asked a network") and "After ten epochs, the ticket there" in told
    assert "gains about one point compared with the dense network. After a second" in told
    assert "second training of both, it loses about two points." in told
    assert "costs about one point compared with a network that is trained as long, and so" in told
    four_blocks(again | {"random_selector": 0.7, "stem": 0.6}, {})
    (path.with_name("study_four_blocks_long.csv")).unlink()
    told = larger.message()
    assert told.startswith("A harder test is a network") and "After three epochs, the" in told
    assert "loses about ten points without its blocks" in told
    assert "and a random choice of as many tokens costs about five points." in told
    four_blocks(again, again)
    assert "C1's verdict after three epochs is" in after_each(larger.doubt)
    assert "C1's verdict after ten epochs is" in after_each(larger.doubt)
    four_blocks({}, again | {"reinit": 0.73})  # not supported, for another reason
    assert after_each(larger.doubt) == ""
    four_blocks({}, ahead | {"ticket, trained on": 0.77})
    rows = pd.read_csv(path)
    rows[rows.kind != "ticket, trained on"].to_csv(path, index=False)
    told = larger.in_short()
    assert "On average, after ten epochs, a learned selector" in told  # no lead, but which training
    assert told.count("ten epochs") == 1 and told.count("A ticket with") == 2
    assert larger.draw_rounds().axes[0].texts[1].get_text() == " the stem alone, ten epochs"


def test_the_other_comparisons_have_a_q_among_those_of_their_training(four_blocks):
    path = four_blocks({}, {"random": 0.6})
    lines = {(line["difference"], line["training"]): line for line in larger.beside()}
    assert len(lines) == 2 * len(larger.BESIDE)
    assert lines["random ticket − dense", "ten epochs"]["q"] == "< 0.001"
    for name, training in larger.TRAININGS.items():
        ps = [larger.minus(name, *pair).p for pair in larger.BESIDE]
        found = [
            lines[" − ".join(map(larger.named, pair)), training]["q"] for pair in larger.BESIDE
        ]
        assert found == list(map(tables.q_text, false_discovery_control(ps)))
    rows = pd.read_csv(path)
    rows[rows.seed < 2].to_csv(path, index=False)  # too few to have one
    assert {x["q"] for x in larger.beside() if x["training"] == "ten epochs"} == {"–"}


def test_the_verdicts_are_compared_with_those_of_two_blocks_and_without_each_seed(four_blocks):
    clear = {"ticket": 0.74, "random": 0.6, "reinit": 0.6, "selector": 0.74, "both": 0.74}
    path = four_blocks(clear, clear)
    before = analyses.elsewhere("cifar10")
    same = ["are" if before[c][1] == "supported" else c for c in ("C1", "C4")]
    assert "Leaving out one of the seeds changes none of them." in after_each(larger.alike)
    assert ("verdicts are those" in after_each(larger.alike)) == (same == ["are", "are"])
    rows = pd.read_csv(path)
    strays = (rows.seed == 3) & (rows.kind == "both")  # only with it, C4 is open
    rows.assign(accuracy=rows.accuracy.where(~strays, 0.6)).to_csv(path, index=False)
    assert larger.judged("four_blocks_long")["C4"][0] == "undecided"
    assert after_each(larger.alike).endswith("Leaving out one of the seeds changes C4.")
    assert "After ten epochs, the verdicts differ for" in after_each(larger.alike)
    path.unlink()
    path.with_name("study_four_blocks.csv").unlink()
    assert larger.substitutions()["larger_alike"] == "There are no verdicts to compare yet."


def test_the_losses_are_summed_and_tested(four_blocks):
    path = four_blocks({}, {"selector": 0.65, "ticket, trained on": 0.55, "both": 0.5})
    _, long = after_each(larger.summed).split(" After ten epochs, ")
    assert long.startswith("the selector alone changes accuracy by −5.")
    assert "ticket alone (*ticket, trained on*) by −15." in long and "both together by −20." in long
    told = larger.substitutions()
    shown = told["larger_c1_twice_words"]
    assert shown.endswith("we found a loss of more than one point after ten epochs")
    assert "does as well" in told["larger_c3_random_words"].split(" after three epochs and ")[1]
    assert told["larger_small_epochs"] == "two of three and six of ten"
    rows = pd.read_csv(path)
    rows[rows.seed < 2].to_csv(path, index=False)
    assert "ten epochs" not in larger.substitutions()["larger_c1_twice_words"]
    path.unlink()
    path.with_name("study_four_blocks.csv").unlink()
    assert larger.substitutions()["larger_c1_twice_words"] == "there are not enough seeds to tell"
    told = larger.substitutions()["larger_c3_random_words"]
    assert told == "There are not enough seeds to tell."
    assert larger.substitutions()["larger_sum"] == "It is not measured yet."


def test_a_training_without_rows_has_no_column(four_blocks):
    path = four_blocks({}, {})
    columns = {"after three epochs (%)", "after ten epochs (%)"}
    assert all(columns <= line.keys() for line in larger.reached(larger.ONCE, "what is left"))
    path.unlink()
    for line in larger.reached(larger.ONCE, "what is left"):
        assert columns & line.keys() == {"after three epochs (%)"}


def test_a_difference_is_told_after_each_training_that_has_it(four_blocks):
    path = four_blocks({"ticket": 0.66}, {"ticket": 0.72, "random": 0.6, "reinit": 0.6})
    told = larger.substitutions()
    short, long = told["larger_c1"].split(" After ten epochs, ")
    assert short.startswith(
        "After three epochs, we found a loss of more than one point: −4.0 points"
    )
    assert long.startswith("we found a gain of more than one point: +2")
    told = told["larger_c1_random"]
    assert (
        told.startswith("−4.0 points (95 % interval −") and " after three epochs and +12." in told
    )
    assert told.endswith("4 seeds) after ten epochs")
    rows = pd.read_csv(path)
    rows[(rows.kind != "dense") | (rows.seed == 0)].to_csv(path, index=False)
    told = larger.substitutions()["larger_c1"]  # no verdict yet
    assert told.endswith(" After ten epochs, it is so far +2.0 points (one seed).")
    rows[~rows.kind.isin(["dense", "random"])].to_csv(path, index=False)
    assert larger.substitutions()["larger_c1_random"].endswith(", 4 seeds)")
    assert larger.substitutions()["larger_stem_dense"].endswith("after three epochs")
    assert "ten epochs" not in larger.substitutions()["larger_c1"]
    assert re.search(r"C1 goes from \S+ to −4\.0 \(four seeds\)", after_each(larger.moved))
