"""What the book states of the claims against recompute.py, which shares no code with the ledger."""

import re
import subprocess
import sys
from pathlib import Path

import analyses
import larger
import numpy as np
import pandas as pd
import pytest
import recompute
import texts
from recompute import MARGIN, less, told
from scipy import stats

from ssf.study import findings, ledger, results

SCRIPT = Path(recompute.__file__)
WORDS = (
    "_claim",
    "_words",
    "_sentence",
    "_count_verdict",
    "_holm_means",
)  # the ends of their names
# experiment | networks | instead of: what the findings' page compares beside the claims
FAMILY = """short | ticket r6 | dense
tickets | early_1 r4; early_2 r4; to_init r4; magnitude_at_init r4; one_shot s0.82 | ticket r4
tickets | early_1 r6; early_2 r6; to_init r6; magnitude_at_init r6; one_shot s0.92 | ticket r6
tickets | early_1 r4 | one_shot s0.82; random r4
tickets | early_1 r6 | one_shot s0.92; random r6
tickets | ticket r4 | dense
selectors | firing_rate k0.5; attention k0.5; information k0.5; oracle k0.5 | learned k0.5
selectors | before block 0; before blocks 0 and 1; no distillation; weak ratio loss | learned k0.5
selectors | learned, bypass | learned k0.5
selectors | firing_rate, bypass | firing_rate k0.5
selectors | random, bypass | random k0.5
selectors | oracle, bypass | oracle k0.5
selectors | all_tokens, no distillation | all_tokens
selectors | no distillation | all_tokens, no distillation
codesign | selector_first r6; together r6 | both r6 k0.7
habits | teacher in training mode; head averages dropped tokens | none
habits | keeps 0.8 at inference; keeps 0.5 at inference | none
habits | pruned weights found by size | ticket
cifar10 | ticket r3; random; stem | dense
cifar10 | ticket r3 | random
cifar10 | selector; both | all_tokens
cifar10 | both | ticket, trained on
cifar10 | selector | random_selector
events | ticket r6; random; stem | dense
events | ticket r6 | random
events | selector; both | all_tokens
events | both | ticket, trained on
events | selector | random_selector
controls | stem; 16 channels; 24 channels; 56 channels; dense, the search's epochs | tickets/dense
controls | stem; all_tokens, no distillation; learned k0.3; random k0.3 | codesign/all_tokens
controls | learned k0.2; random k0.2; learned k0.1; random k0.1 | codesign/all_tokens
controls | tickets/ticket r6 | 24 channels
controls | codesign/selector k0.7 | 56 channels
controls | selector, no distillation | all_tokens, no distillation"""


@pytest.fixture(scope="module")
def table():
    return recompute.claims()


@pytest.fixture(scope="module")
def stated():
    return texts.substitutions()


@pytest.fixture(scope="module")
def compared():
    """{(network, instead of): difference} of the FAMILY, where three seeds or more have both."""
    found = {}
    for line in FAMILY.splitlines():
        experiment, these, those = line.split(" | ")
        for pair in ((a, b) for a in these.split("; ") for b in those.split("; ")):
            pair = tuple(n if "/" in n else f"{experiment}/{n}" for n in pair)
            if (recompute.RESULTS / f"study_{experiment}.csv").exists():
                found[pair] = less(*pair)
    return {pair: d for pair, d in found.items() if len(d) > 2}


def points(share):
    rounded = f"{100 * share:+.1f}".replace("-", "−")
    return "+0.0" if rounded == "−0.0" else rounded


def p_text(p):
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def in_words(d):
    x = told(d)
    interval = f"{points(x['low'])} to {points(x['high'])}"
    return f"{points(x['mean'])} points (95 % interval {interval}, {x['seeds']} seeds)"


def of_claims(table):
    """{name: text} as the pages ask for them."""
    mine = {}
    corrected = recompute.holm({name: p for name, (*_, (_, p)) in table.items()})
    for claim, (differences, shares, (verdict, p)) in table.items():
        name = claim.lower()
        mine |= {f"{name}_verdict": verdict, f"{name}_p": p_text(p)}
        mine[f"{name}_holm"] = p_text(corrected[claim])
        mine |= {f"{name}_{key}_mean": f"{100 * share:.1f} %" for key, share in shares.items()}
        for key, d in differences.items():
            mine |= {f"{name}_{key}": in_words(d), f"{name}_{key}_control": recompute.control(d)}
            mine |= {f"{name}_{key}_{p}": p_text(told(d)[p]) for p in ("any", "more", "tost")}
    two = table["C2"][0]
    mine["c2_strict_verdict"] = recompute.verdict(None, [two["random"], two["rate"]])[0]
    less_p, verdicts = zip(*recompute.without_each(table["C4"][0]["loss"]).values(), strict=True)
    mine["c4_less_p"] = f"{min(less_p):.3f} to {max(less_p):.3f}"
    other = sum(verdict != table["C4"][2][0] for verdict in verdicts)
    mine["c4_less_other"] = f"{other} of {len(verdicts)}"
    for name, controls in (("C1", ("reinit", "random")), ("C3", ())):
        differences, shares, (whole, _) = table[name]
        less = [
            recompute.verdict(
                differences["loss"].drop(seed),
                [differences[control].drop(seed) for control in controls],
                shares.get("saved", 1.0),
            )[0]
            for seed in differences["loss"].index
        ]
        changed = sum(verdict != whole for verdict in less)
        mine[f"{name.lower()}_less_other"] = f"{changed} of {len(less)}"
    loss = table["C4"][0]["loss"].sort_index()  # the first look had three seeds
    mine["c4_first"] = f"{points(loss[:3].mean())} with 3 seeds"
    mine["c4_last"] = f"{points(loss.mean())} with {len(loss)}"
    mine |= {"c4_later": in_words(loss.drop(0)), "c4_rest": in_words(loss[3:])}
    return mine | {"c4_rest_verdict": recompute.verdict(loss[3:])[0]}


@pytest.mark.slow
def test_nothing_of_the_library_is_imported():
    code = "import sys, recompute; sys.exit(any(m.split('.')[0] == 'ssf' for m in sys.modules))"
    subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, check=True)


def test_every_number_of_the_ledger_as_stated(table, stated):
    mine, page = of_claims(table), (SCRIPT.parents[1] / "book" / "findings.md").read_text()
    asked = set(re.findall(r"{{ (c[1-4]_\w+) }}", page))
    # but for words, and a count of the paper's network, which has no rows
    asked = {name for name in asked if not name.endswith(WORDS)}
    assert len(asked) > 25 and asked <= mine.keys()
    assert mine["c4_holm"] in stated["c4_holm_means"]  # a sentence around that p
    assert {name: stated[name] for name in mine.keys() & stated} == {
        name: mine[name] for name in mine.keys() & stated
    }


def test_every_number_of_the_ledger_to_nine_digits(table):
    for name, (_, measure) in ledger.CLAIMS.items():
        differences, shares, (verdict, _) = table[name]
        ledgers = measure()
        assert verdict == ledgers.pop("verdict")
        assert ledgers.keys() <= differences.keys() | shares.keys()
        for key, estimate in ledgers.items():
            if key in shares:
                assert shares[key] == pytest.approx(estimate.mean, rel=1e-9)
                continue
            x = told(differences[key])
            low, high = estimate.interval
            theirs = {
                "mean": estimate.mean, "low": low, "high": high, "seeds": estimate.seeds,
                "any": estimate.below(0), "more": estimate.below(-MARGIN),
                "gain": estimate.above(0), "comparable": estimate.above(-MARGIN),
                "small": estimate.below(MARGIN), "tost": estimate.equivalent(MARGIN),
            }  # fmt: skip
            assert {k: x[k] for k in theirs} == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_what_stands_beside_the_claims(stated):
    short = less("short/ticket r6", "short/dense")
    long, dense = recompute.of("tickets/ticket r6"), recompute.of("tickets/dense")
    again = less("codesign/ticket r6 k1", recompute.WHOLE)
    order = less("codesign/selector_first r6", recompute.WHOLE)
    ours = less(recompute.BOTH, recompute.WHOLE)[order.index]
    fresh = {
        "C1": less("replication/ticket r6", "replication/dense"),
        "C3": less("replication/selector", "replication/all_tokens"),
        "C4": less("replication/both", "replication/all_tokens"),
    }
    mine = {
        "short_loss": in_words(short),
        "short_verdict": recompute.verdict(short)[0],
        "fresh_more": p_text(told(fresh["C4"])["more"]),
        "short_seed_0": f"{points(short[0])} points (one seed)",
        "short_less": in_words((short - (long - dense)).dropna()),
        "trained_on": in_words(again - (long - dense)),
        "published_order": in_words(order),
        "published_order_more": p_text(told(order)["more"]),
        "published_order_verdict": recompute.verdict(order)[0],
        "our_order": in_words(ours),
        "our_order_verdict": recompute.verdict(ours)[0],
        "fresh_losses": ", ".join(f"{claim} {in_words(d)}" for claim, d in fresh.items()),
        "one_shot_control": recompute.control(less("tickets/ticket r6", "tickets/one_shot s0.92")),
    }
    assert {name: stated[name] for name in mine} == mine
    saved = 1 - recompute.of("codesign/selector_first r6", "macs").mean() / (
        recompute.of(recompute.WHOLE, "macs").mean()
    )
    assert saved >= recompute.SAVING  # which that verdict takes for granted


def test_every_comparison(compared, stated):
    mine = [told(d) for d in compared.values()]
    names = [name for name in findings.COMPARED if name != "precision"]  # of another page
    theirs = [e for name in names for e in findings.compared(name).values()]
    theirs = [(e.mean, *e.interval, e.seeds) for e in theirs if e.seeds > 2]
    mine = [(x["mean"], x["low"], x["high"], x["seeds"]) for x in mine]
    assert np.sort(mine, 0) == pytest.approx(np.sort(theirs, 0), rel=1e-9, abs=1e-12)
    assert stated["compared"] == str(len(mine))


def test_q_values(compared, stated):
    mine = recompute.q_values([told(d)["zero"] for d in compared.values()])
    assert np.sort(mine) == pytest.approx(sorted(analyses.q_values().values()), rel=1e-9)
    assert stated["apart"].count(" minus ") == (mine < recompute.LEVEL).sum()


def test_equal_budgets():
    theirs = [(e.mean, *e.interval, e.seeds) for _, _, e, _ in findings.budgets()]
    mine = [[told(d)[k] for k in ("mean", "low", "high", "seeds")]
            for d in recompute.budgets().values()]  # fmt: skip
    assert np.array(mine) == pytest.approx(np.array(theirs), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in larger.TRAININGS if results.path(name).exists()])
def test_the_losses_in_four_blocks(name):
    """Each that has rows of both sides, and no other."""
    pairs = {"C1": ("ticket r4", "dense"), "C3": ("selector", "all_tokens")}
    pairs["C4"] = ("both", "all_tokens")
    theirs = {claim: e for claim, own, _, e in larger.losses() if own == name}
    for claim, pair in pairs.items():
        mine = less(*(f"{name}/{kind}" for kind in pair))
        assert (claim in theirs) == bool(len(mine))
        if len(mine):
            assert theirs[claim].mean == pytest.approx(mine.mean()) and len(mine) <= 4
            assert theirs[claim].seeds == len(mine)


def test_seeds_that_would_decide(table):
    for name, deviation, needed in analyses.power():
        spread = table[name][0]["loss"].std()
        assert deviation == pytest.approx(spread, rel=1e-9)
        assert needed == {loss: recompute.seeds_needed(loss, spread) for loss in needed}


def test_the_scripts_own_statistics():
    """Against scipy's tests, a textbook's numbers and a simulation."""
    d = pd.Series([-0.02, 0.01, -0.03, 0.0, -0.01])
    test = stats.ttest_1samp(d, -MARGIN, alternative="less")
    assert told(d)["more"] == pytest.approx(test.pvalue)
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (told(d)["low"], told(d)["high"]) == pytest.approx((low, high))
    p = [0.04, 0.01, 0.03, 0.005]
    assert list(recompute.holm(p)) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert list(recompute.q_values(p)) == pytest.approx(stats.false_discovery_control(p))
    assert recompute.seeds_needed(MARGIN, 0.01) is None
    n = recompute.seeds_needed(0.0, 0.01)
    for count, enough in ((n, True), (n - 1, False)):
        drawn = np.random.default_rng(0).normal(0, 0.01, (100_000, count))
        rejected = stats.ttest_1samp(drawn, -MARGIN, axis=1, alternative="greater").pvalue < 0.05
        assert (rejected.mean() >= recompute.POWER) == enough


@pytest.mark.parametrize(
    "loss, controls, saved, expected",
    [
        ([0.002, 0.001, 0.003], (), 0.2, "supported"),
        ([0.002, 0.001, 0.003], (), 0.19, "not supported"),
        ([-0.05, -0.052, -0.049], ([0.02, 0.03, 0.025],), 1, "not supported"),
        ([0.002, 0.001, 0.003], ([0.001, 0.0, -0.001],), 1, "not supported"),
        ([0.002, 0.001, 0.003], ([0.003, 0.0031, 0.0029],), 1, "supported"),
        ([-0.03, 0.02, 0.0], ([0.02, 0.03, 0.025],), 1, "undecided"),
    ],
)
def test_verdicts(loss, controls, saved, expected):
    answer, _ = recompute.verdict(pd.Series(loss), [pd.Series(c) for c in controls], saved)
    assert answer == expected


@pytest.mark.slow
def test_the_script_prints_the_ledger():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    found = re.findall(r"^(C\d): ([a-z ]+), p", done.stdout, re.M)
    assert dict(found) == {
        name: measure()["verdict"] for name, (_, measure) in ledger.CLAIMS.items()
    }
