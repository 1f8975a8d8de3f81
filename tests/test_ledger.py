"""The ledger: its verdicts, also recomputed from the committed rows; its answer to missing ones."""

from math import isnan

import pandas as pd
import pytest
from scipy import stats

from ssf import folders
from ssf.config import Failed
from ssf.figures.style import draw_paired
from ssf.study import experiments, ledger
from ssf.study.ledger import difference, verdict
from ssf.study.statistics import Estimate

TICKETS = dict.fromkeys((kind for kind, _ in experiments.tickets(0)), 0.7) | {
    "dense": 0.8,
    "ticket": 0.8,
}


def test_one_seed_decides_nothing():
    one = Estimate((0.5,))
    assert one.above(0) == one.below(1) == 1 and verdict(one, (one,)) == "undecided"
    assert str(one) == "+50.0 points (one seed)" and isnan(one.interval[0])


def test_differences_are_paired_by_seed():
    these = pd.DataFrame(
        {"kind": "a", "id": list("abc"), "seed": [2, 0, 1], "accuracy": [0.9, 0.7, 0.8]}
    )
    those = pd.DataFrame({"kind": "b", "seed": [0, 1, 2, 3], "accuracy": [0.6, 0.7, 0.8, 0.1]})
    assert difference(these, those).values == pytest.approx((0.1, 0.1, 0.1))
    with pytest.raises(Failed, match="no seed has rows of both sides"):
        difference(these[:0], those)
    with pytest.raises(Failed, match="two rows of one seed"):
        difference(pd.concat([these, these]), those)


@pytest.mark.parametrize(
    "loss, gains, expected",
    [
        ((0.002, 0.001, 0.003), ((0.02, 0.03, 0.025),), "supported"),
        (
            (0.002, 0.001, 0.003),
            ((0.001, 0.0, -0.001),),
            "not supported",
        ),  # the control does as well
        ((-0.05, -0.052, -0.049), ((0.02, 0.03, 0.025),), "not supported"),
        ((-0.03, 0.02, 0.0), ((0.02, 0.03, 0.025),), "undecided"),
        (
            (-0.03, 0.02, 0.0),
            ((0.003, 0.0031, 0.0029),),
            "undecided",
        ),  # a gain that is small and significant is one
        ((0.03, 0.032, 0.031), (), "supported"),  # better than the dense network is no loss
    ],
)
def test_verdicts_follow_the_protocol(loss, gains, expected):
    assert verdict(Estimate(loss), tuple(map(Estimate, gains))) == expected


def test_deleting_a_row_changes_the_figure_and_the_interval(study_of):
    path = study_of("tickets", TICKETS)

    def seen():
        rows = ledger.rows("tickets")
        ticket, dense = (ledger.pick(rows, kind) for kind in ("ticket", "dense"))
        curves = {"ticket": ("ticket", ticket, dense)}
        line, *_ = draw_paired(curves, "ticket.round", "round", "the dense network's").axes[0].lines
        return ledger.c1()["loss"], list(line.get_ydata())

    whole, drawn = seen()
    rows = pd.read_csv(path)
    gone = rows[
        (rows.kind == "ticket") & (rows["ticket.round"] == experiments.HEADLINE) & (rows.seed == 1)
    ]
    rows.drop(gone.index).to_csv(path, index=False)
    less, redrawn = seen()
    assert len(gone) == 1 and whole.seeds == 5 and less.seeds == 4
    assert whole.interval != less.interval and drawn != redrawn


def test_verdicts_come_from_rows(study_of):
    study_of("tickets", TICKETS)
    assert ledger.c1()["verdict"] == "supported"
    study_of("tickets", TICKETS | {"random": 0.8})
    assert ledger.c1()["verdict"] == "not supported"
    kinds = dict.fromkeys((kind for kind, _ in experiments.codesign(0)), 0.8)
    saved = {"macs": lambda kind: 75 if kind in ("selector", "both") else 100}
    study_of("codesign", kinds, **saved)
    assert ledger.c3()["verdict"] == ledger.c4()["verdict"] == "supported"
    assert ledger.c4()["interaction"].mean == pytest.approx(0, abs=0.01)
    study_of("codesign", kinds)
    assert ledger.c3()["verdict"] == "not supported"  # nothing saved
    study_of("codesign", kinds | {"both": 0.7}, **saved)
    assert ledger.c4()["verdict"] == "not supported" and ledger.c4()["interaction"].mean < -0.05


@pytest.mark.slow
def test_a_missing_file_ends_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))
    with pytest.raises(
        Failed, match="study_tickets.csv is not there; python -m ssf study tickets writes it"
    ):
        ledger.c1()
    papermill = pytest.importorskip("papermill", reason="the extra book is not installed")
    notebook = folders.home() / "notebooks" / "02_winning_tickets.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match="Error") as failure:
        papermill.execute_notebook(
            notebook, tmp_path / "out.ipynb", progress_bar=False, cwd=folders.home()
        )
    assert "study_tickets.csv is not there" in failure.value.evalue
    assert "site-packages" not in str(failure.value)


def test_the_committed_verdicts_again_by_hand():
    """With scipy and pandas alone, from the committed files."""

    def column(name, kind, where=None, value="accuracy"):
        rows = pd.read_csv(folders.shipped() / "results" / f"study_{name}.csv")
        for field, wanted in (where or {}).items():
            rows = rows[rows[field] == wanted]
        return rows[rows.kind == kind].set_index("seed")[value]

    def p(d, alternative, bound):
        return stats.ttest_1samp(d.dropna(), bound, alternative=alternative).pvalue

    def decide(loss, *gains):
        if (loss is None or p(loss, "greater", -0.01) < 0.05) and all(
            p(g, "greater", 0) < 0.05 for g in gains
        ):
            return "supported"
        worse = loss is not None and p(loss, "less", -0.01) < 0.05
        as_well = any(p(g, "less", 0.01) < 0.05 <= p(g, "greater", 0) for g in gains)
        return "not supported" if worse or as_well else "undecided"

    at = {"ticket.round": 6}
    ticket, longer = column("tickets", "ticket", at), column("codesign", "all_tokens")
    controls = [ticket - column("tickets", kind, at) for kind in ("reinit", "random")]
    half = {"selector.keep_ratio": 0.5}
    recall = [column("selectors", kind, half, "recall") for kind in ("learned", "random")]
    saved = (
        1
        - column("codesign", "selector", value="macs").mean()
        / column("codesign", "all_tokens", value="macs").mean()
    )
    expected = {
        "C1": decide(ticket - column("tickets", "dense"), *controls),
        "C2": decide(None, recall[0] - recall[1]),
        "C3": decide(column("codesign", "selector") - longer) if saved >= 0.2 else "not supported",
        "C4": decide(column("codesign", "both") - longer) if saved >= 0.2 else "not supported",
    }
    assert {
        name: measured()["verdict"] for name, (_, measured) in ledger.CLAIMS.items()
    } == expected


def test_the_headline_has_seeds():
    """Five, as the protocol asks; three for C2."""
    for name, (_, measured) in ledger.CLAIMS.items():
        estimates = measured()
        del estimates["verdict"]
        estimates.pop("later", None)
        fewest = min(estimate.seeds for estimate in estimates.values())
        assert fewest >= (3 if name == "C2" else 5), name
