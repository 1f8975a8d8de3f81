"""What the page of findings tabulates, from the study's rows: no chapter and no verdict needs it.

tables.py and texts.py write these as tables and sentences. Accuracies and differences are shares.
"""

import itertools
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, nct, t, ttest_ind

from ssf.config import Failed, RunConfig
from ssf.datasets import batches
from ssf.engine.observe import precision_recall
from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.model import tickets
from ssf.model.training import make_network
from ssf.presets import preset
from ssf.study import answers, experiments, findings, ledger, results
from ssf.study.ledger import AT, MARGIN, SAVING, additivity, difference, pick, rows
from ssf.study.statistics import EQUAL, Estimate

SEVERAL = 3  # seeds from which on a comparison is more than a hint
STRAYED = 0.05  # below the median of the same network's seeds
LOOKS = (3, 5, 7, 9)  # seeds with which the rows were looked at
TRUE_LOSSES = (0.0, 0.005, 0.01, 0.015, 0.02)


def tested():
    """{claim: (loss, gains)} of the verdicts' tests, as `ledger.evidence` has them."""
    one, two, three, four = ledger.c1(), ledger.c2(), ledger.c3(), ledger.c4()
    return {
        "C1": (one["loss"], (one["reinit"], one["random"])),
        "C2": (None, (two["random"],)),
        "C3": (three["loss"], ()),
        "C4": (four["loss"], ()),
    }


def looks():
    """Rows of what a look would have said: claim, seeds, loss, verdict; of the first so many seeds.

    Of C1, C3 and C4; C2 has three seeds.
    """
    saved = {"C3": ledger.c3()["saved"], "C4": ledger.c4()["saved"]}
    for name, (loss, gains) in tested().items():
        holds = name not in saved or saved[name].mean >= SAVING
        for count in LOOKS if loss else ():
            first = [Estimate(e.values[:count]) for e in (loss, *gains)]
            yield name, count, first[0], ledger.verdict(first[0], first[1:], holds)


def corrected():
    """{claim: (p of what its verdict would rest on, Holm's of the four)}, C1 to C4.

    Of the two tests of a claim, for it and against it, the one with the smaller p: one of the two
    would be right to reject.
    """
    return with_holm({name: min(ledger.evidence(*of)) for name, of in tested().items()})


def with_holm(ps):
    """{name: (p, Holm's)} of {name: p}: that any of the tests that reject is wrong (Holm 1979)."""
    order = sorted(ps, key=ps.get)
    scaled = [min(1.0, (len(ps) - rank) * ps[name]) for rank, name in enumerate(order)]
    largest = dict(zip(order, itertools.accumulate(scaled, max), strict=True))
    return {name: (p, largest[name]) for name, p in ps.items()}


def seeds_needed(distance, deviation, level=0.05, power=0.8, most=1000):
    """Fewest seeds with which a one-sided t test rejects a bound with this power; None: too many.

    distance: of the true mean from the bound, on the test's side. deviation: over seeds.
    """
    for n in range(2, most + 1) if distance > 0 else ():
        chance = nct.sf(t.ppf(1 - level, n - 1), n - 1, distance / deviation * n**0.5)
        if chance >= power:
            return n
    return None


def power():
    """Rows of the seeds that would decide: claim, deviation over seeds, {true loss: seeds}.

    With a power of 80 %: to exclude a loss of the margin where the true one is smaller, to show one
    where it is larger. None: no number below a thousand.
    """
    for name, (loss, _) in tested().items():
        if loss:
            spread = float(np.std(loss.values, ddof=1))
            needed = {true: seeds_needed(abs(MARGIN - true), spread) for true in TRUE_LOSSES}
            yield name, spread, needed


def right(frame, kept):
    """{seed: bool [images], where the network is right} of the rows whose answers are kept."""
    rights = {}
    for row in frame[frame.id.isin(kept)].to_dict("records"):
        rights[row["seed"]] = kept[row["id"]] == kept["labels"]
        if abs(rights[row["seed"]].mean() - row["accuracy"]) > 1e-6:
            raise Failed(f"the answers of {row['id']} are not those of the network of its row.")
    return rights


def over_images(these, those):
    """(`difference`, `error_of_images`) of these rows minus those, of seeds with kept answers.

    None without two seeds. Raises Failed where an answer's accuracy is not its row's.
    """
    kept = answers.read(these["data.name"].iloc[0])
    rights = [right(frame, kept) for frame in (these, those)]
    seeds = sorted(rights[0].keys() & rights[1].keys())
    if len(seeds) < 2:
        return None
    one, other = (np.stack([right[seed] for seed in seeds]) for right in rights)
    values = one.astype(float) - other
    these, those = (frame[frame.seed.isin(seeds)] for frame in (these, those))
    return difference(these, those), error_of_images(values)


def error_of_images(values):
    """Standard error that other images give the mean of values [seeds, images], whatever the seeds.

    From what seeds share: the mean covariance of two of them. What an image does to one seed alone
    is in the spread over seeds.
    """
    (seeds, images), together = values.shape, np.cov(values)
    shared = (together.sum() - np.trace(together)) / (seeds * (seeds - 1))
    return float(max(shared, 0) / images) ** 0.5


def replicated():
    """{comparison: (its Estimate in the study, that of the fresh seeds, their `error_of_images`)}.

    Of the fresh seeds with all networks; {} without two of them.
    """
    if not results.path("replication").exists():
        return {}
    frame, one, three, four = rows("replication"), ledger.c1(), ledger.c3(), ledger.c4()
    counts = frame.seed.value_counts()
    complete = [s for s in counts.index if counts[s] == len(list(experiments.replication(s)))]
    frame = frame[frame.seed.isin(complete)]
    pairs = {
        "C1: ticket − dense": (one["loss"], "ticket", "dense"),
        "C1: ticket − random ticket": (one["random"], "ticket", "random"),
        "C3: selector − all tokens": (three["loss"], "selector", "all_tokens"),
        "C3: selector − random selector": (three["random"], "selector", "random_selector"),
        "C4: both − all tokens": (four["loss"], "both", "all_tokens"),
    }
    measured = {}
    for name, (study, these, those) in pairs.items():
        these = pick(frame, these, AT if these == "ticket" else None)
        if len(these) and (parts := over_images(these, pick(frame, those))):
            measured[name] = (study, *parts)
    return measured


def pooled(estimate, others):
    """(low, high) of 95 % of an Estimate, by the spread over seeds of several comparisons.

    With few seeds one comparison's own spread may be small by luck. This takes it to be the same in
    all, and them to be independent, which comparisons that share networks are not quite.
    """
    freedom = [each.seeds - 1 for each in others]
    variances = [np.var(each.values, ddof=1) for each in others]
    error = (np.average(variances, weights=freedom) / estimate.seeds) ** 0.5
    half = t.ppf(0.975, sum(freedom)) * error
    return estimate.mean - half, estimate.mean + half


def widened(estimate, error):
    """An Estimate over seeds with the standard error of other test images, too: its values, spread
    about the same mean, so that intervals and tests have the variances of both."""
    mean, squared = estimate.mean, np.var(estimate.values, ddof=1) / estimate.seeds
    factor = (1 + error**2 / max(squared, EQUAL)) ** 0.5
    return Estimate(tuple(mean + factor * (value - mean) for value in estimate.values))


def times_as_wide(estimate, error):
    """How many times as wide the 95 % interval is once it is `widened`."""
    return float(np.ptp(widened(estimate, error).interval) / np.ptp(estimate.interval))


def change(fresh, study):
    """(mean, (low, high)) of one Estimate minus another of other seeds, by Student's t of both."""
    bounds = ttest_ind(fresh.values, study.values).confidence_interval(0.95)
    return fresh.mean - study.mean, tuple(map(float, bounds))


def q_of(estimates):
    """{name: q} of those of {name: Estimate} that are no hints.

    q: the share of false ones among those with no larger p (Benjamini and Hochberg 1995).
    """
    ps = {name: each.p for name, each in estimates.items() if each.seeds >= SEVERAL}
    qs = false_discovery_control(list(ps.values())) if ps else ()
    return dict(zip(ps, map(float, qs), strict=True))


def q_values():
    """`q_of` the findings' comparisons, by (experiment, what, instead of what)."""
    return q_of({
        (name, *pair): estimate
        for name in findings.COMPARED
        if name != "precision" and results.path(name).exists()
        for pair, estimate in findings.compared(name).items()
    })  # fmt: skip


def elsewhere(experiment):
    """{claim: (Estimate of its loss, verdict)} on other data, by the same rules, C1 with one
    control."""
    frame = rows(experiment)
    ticket = pick(frame, "ticket", {"ticket.round": frame["ticket.round"].max()})
    dense, random, whole = (pick(frame, kind) for kind in ("dense", "random", "all_tokens"))
    loss = difference(ticket, dense)
    asked = {"C1": (loss, ledger.verdict(loss, (difference(ticket, random),)))}
    for claim, kind in (("C3", "selector"), ("C4", "both")):
        part = pick(frame, kind)
        loss, holds = difference(part, whole), ledger.saving(part, whole).mean() >= SAVING
        asked[claim] = loss, ledger.verdict(loss, holds=holds)
    return asked


def interactions():
    """Accuracy of ticket and selector beyond the sum of what each changes, over the grid.

    Columns sparsity, keep ratio, estimate.
    """
    frame, lines = ledger.complete("codesign"), []
    frame = frame[~frame.kind.isin(("random_selector", "together", "selector_first"))]
    numbers, ratios = frame["ticket.round"].fillna(0), frame["selector.keep_ratio"]

    def cell(number, rho):
        return frame[(numbers == number) & (ratios == rho)]

    for number in experiments.CODESIGN_ROUNDS[1:]:
        for rho in experiments.CODESIGN_RATIOS[1:]:
            both, ticket = cell(number, rho), cell(number, 1.0)
            with suppress(Missing):
                beyond = additivity(both, cell(0, rho), ticket, cell(0, 1.0))
                lines.append((both.sparsity.mean(), rho, beyond))
    return pd.DataFrame(lines, columns=["sparsity", "keep ratio", "estimate"])


def strayed():
    """The rows of networks far below the `median` of the same network with the other seeds."""
    frame = findings.every_network()
    same = [replace(RunConfig.from_flat(row), seed=0).hash() for row in frame.to_dict("records")]
    frame["median"] = frame.groupby(same).accuracy.transform("median")
    return frame[~(frame.accuracy > frame["median"] - STRAYED)].sort_values("accuracy")


def trained_on():
    """Estimate of what a second training gives the ticket, less what it gives the dense network."""
    first, second = rows("tickets"), rows("codesign")
    ticket, dense = pick(second, "ticket", AT), pick(second, "all_tokens")
    return additivity(ticket, pick(first, "ticket", AT), dense, pick(first, "dense"))


def classes_cut_off(seed):
    """Number of classes to which no weight leads where untrained weights were pruned by size."""
    network = make_network(preset("study", seed=seed))
    masks = tickets.magnitude_at_init(network, experiments.HEADLINE, experiments.FRACTION)
    return int((~masks["head.weight"].any(1)).sum())


@cache
def brightest():
    """Mean recall of the half of the tokens that is brightest, over chapter 03's pictures."""
    _, pixels, shares = inside.pictures(range(1000))
    bright = batches.token_shares(pixels[:, 0], shares.shape[1])
    return precision_recall(bright, shares > 0, shares.shape[1] // 2)[1].mean().item()


def tried():
    """{preset or arm of C1: {learning rate: validation accuracy}}, a ticket's of its last round."""
    frame = rows("rates")
    own = pd.to_numeric(frame.get("ticket.own_lr", frame["train.lr"])).fillna(0)
    frame = frame.assign(rate=own.where(own > 0, frame["train.lr"])).sort_values("rate")
    groups = frame.set_index("rate").groupby("kind")
    return {name: part.validation_accuracy.to_dict() for name, part in groups}
