"""The ledger's numbers a second time: `python tests/recompute.py` prints them, claim by claim.

From data/results/study_*.csv, by pandas, numpy and scipy's distributions; nothing is imported from
ssf. The rules are those of book/protocol.md. Differences are shares (0.01: a point), over seeds.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import nct, t

RESULTS = Path(__file__).parents[1] / "data" / "results"
MARGIN, LEVEL, SAVING, POWER = 0.01, 0.05, 0.2, 0.8
# A network is written as its experiment, its kind, and numbers that columns hold (r: the ticket's
# round, s: the share it prunes in one, k: the keep ratio): "codesign/both r6 k0.7".
COLUMNS = {"r": "ticket.round", "s": "ticket.fraction", "k": "selector.keep_ratio"}
WHOLE, STUDENT = "codesign/all_tokens k1", "codesign/selector k0.7"
BOTH = "codesign/both r6 k0.7"


def of(network, value="accuracy"):
    """A column of a network's rows, by seed; all its settings but the seed must be the same."""
    experiment, kind = re.sub(r" [rsk][\d.]+", "", network).split("/")
    rows = pd.read_csv(RESULTS / f"study_{experiment}.csv").query("kind == @kind")
    for name, number in re.findall(r" ([rsk])([\d.]+)", network):
        rows = rows[(rows[COLUMNS[name]] - float(number)).abs() < 0.005]
    settings = rows.loc[:, "data.name":"train.mixup_epochs"].nunique(dropna=False)
    assert rows.seed.is_unique and (settings <= 1).all(), f"{network}: more than one network"
    return rows.set_index("seed")[value]


def less(these, those, value="accuracy"):
    """The difference of two networks over the seeds that both have."""
    return (of(these, value) - of(those, value)).dropna()


def p_above(d, bound):
    """Of the one-sided t test that the mean is above the bound."""
    return t.sf((d.mean() - bound) / (d.std() / len(d) ** 0.5), len(d) - 1)


def told(d):
    """A difference's mean, 95 % interval, and the p that it is a loss, one of more than the margin,
    comparable (no loss of the margin), small (no gain of it), a gain, both (TOST), not zero."""
    half = t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
    p = {"any": p_above(-d, 0), "more": p_above(-d, MARGIN), "comparable": p_above(d, -MARGIN)}
    p |= {"small": p_above(-d, -MARGIN), "gain": p_above(d, 0)}
    p |= {"tost": max(p["comparable"], p["small"]), "zero": 2 * min(p["any"], p["gain"])}
    return {"mean": d.mean(), "low": d.mean() - half, "high": d.mean() + half, "seeds": len(d)} | p


def control(d):
    """What a gain over a control says of it; one that is significant and small is a gain."""
    if told(d)["gain"] < LEVEL:
        return "does worse"
    return "does as well" if told(d)["small"] < LEVEL else "may do as well"


def verdict(loss=None, controls=(), saved=1.0):
    """The verdict and its p: of the tests that support a claim only together the largest, of those
    that refute it each the smallest; the smaller of the two. The saving is a count, no test."""
    needed = [told(d)["gain"] for d in controls]
    against = [told(d)["small"] for d in controls if control(d) != "does worse"]
    if loss is not None:
        needed, against = needed + [p_above(loss, -MARGIN)], against + [p_above(-loss, MARGIN)]
    support, refute = max(needed), min(against, default=1.0)
    answer = "supported" if support < LEVEL else "undecided"
    wrong = saved < SAVING or refute < LEVEL
    return "not supported" if wrong else answer, min(support, refute)


def claims():
    """{claim: ({comparison: difference by seed}, {what: share}, (verdict, its p))}."""
    one = {k: less("tickets/ticket r6", f"tickets/{k} r6") for k in ("reinit", "random")}
    one["loss"] = less("tickets/ticket r6", "tickets/dense")
    one["later"] = one["loss"].drop(0)  # without the seed that had a say in the protocol
    learned, chance = "selectors/learned k0.5", "selectors/random k0.5"
    two = {"random": less(learned, chance, "recall"), "accuracy": less(learned, chance)}
    two["rate"] = less(learned, "selectors/firing_rate k0.5", "recall")
    two["loss"] = less(learned, "selectors/all_tokens k1")
    two["oracle"] = less("selectors/oracle k0.5", chance)
    three = {"loss": less(STUDENT, WHOLE), "random": less(STUDENT, "codesign/random_selector k0.7")}
    four = {"loss": less(BOTH, WHOLE), "ticket": less("codesign/ticket r6 k1", WHOLE)}
    four["interaction"] = (four["loss"] - three["loss"] - four["ticket"]).dropna()
    saved = [1 - of(n, "macs").mean() / of(WHOLE, "macs").mean() for n in (STUDENT, BOTH)]
    gone = 1 - of(BOTH, "parameters_left").mean() / of(WHOLE, "parameters").mean()
    return {
        "C1": (one, {}, verdict(one["loss"], (one["reinit"], one["random"]))),
        "C2": (two, {"recall": of(learned, "recall").mean()}, verdict(None, [two["random"]])),
        "C3": (three, {"saved": saved[0]}, verdict(three["loss"], (), saved[0])),
        "C4": (four, {"saved": saved[1], "parameters": gone}, verdict(four["loss"], (), saved[1])),
    }


def budgets():
    """{(network, instead of): difference} of dense, all tokens (as much training as both), both."""
    kinds, names = ("dense", "all_tokens k1", "both k0.7"), ("cifar10", "events")
    sets = [("tickets/dense", WHOLE, BOTH), *([f"{n}/{kind}" for kind in kinds] for n in names)]
    return {ab: less(*ab) for d, w, b in sets for ab in ((w, d), (b, d), (b, w))}


def without_each(d):
    """{seed left out: (p of a loss above the margin, verdict by that loss alone)}."""
    return {seed: (told(d.drop(seed))["more"], verdict(d.drop(seed))[0]) for seed in d.index}


def holm(p):
    """The p of several tests, corrected for their number (Holm 1979), in their order."""
    p = pd.Series(p).sort_values()
    return (p * np.arange(len(p), 0, -1)).cummax().clip(upper=1).sort_index()


def q_values(p):
    """The same by Benjamini and Hochberg (1995)."""
    p = pd.Series(p).sort_values(ascending=False)
    return (p * len(p) / np.arange(len(p), 0, -1)).cummin().clip(upper=1).sort_index()


def seeds_needed(loss, spread):
    """Fewest seeds with which a one-sided t test tells this true loss from the margin, on its side
    of it, with a power of 0.8; None where no number does."""
    n = np.arange(2, 9999)
    power = nct.sf(t.ppf(1 - LEVEL, n - 1), n - 1, abs(MARGIN - loss) / spread * n**0.5)
    return int(n[power >= POWER][0]) if (power >= POWER).any() else None


def main():
    def show(differences):
        table = pd.DataFrame({str(key): told(d) for key, d in differences.items()}).T
        table[["mean", "low", "high"]] *= 100  # points
        print(table.round(4).to_string(), "\n")

    table = claims()
    for name, (differences, shares, (answer, p)) in table.items():
        print(f"{name}: {answer}, p {p:.4g}", *(f"{k} {v:.1%}" for k, v in shares.items()))
        show(differences)
    show(budgets())
    print("Holm's p:", holm({name: p for name, (*_, (_, p)) in table.items()}).to_dict())
    for seed, (p, answer) in without_each(table["C4"][0]["loss"]).items():
        print(f"C4 without seed {seed}: {answer}, p of a loss above the margin {p:.5f}")
    for name in ("C1", "C3", "C4"):
        spread = table[name][0]["loss"].std()
        needed = {loss: seeds_needed(loss, spread) for loss in (0, 0.005, 0.01, 0.02)}
        print(f"{name}: deviation over seeds {spread:.4f}; seeds needed, by true loss: {needed}")


if __name__ == "__main__":
    main()
