"""What the tables of the findings show, a sentence each: of rows, as every number of the pages."""

import analyses

from ssf.study import experiments, findings, ledger, results
from ssf.study.ledger import AT, HALF, difference, pick, rows
from ssf.study.statistics import percent, points


def excludes_zero(estimate):
    low, high = estimate.interval
    return low > 0 or high < 0


def span(estimates):
    """−0.9 to +0.8: the smallest and the largest mean of several."""
    means = [estimate.mean for estimate in estimates]
    return f"{points(min(means))} to {points(max(means))}"


def listed(parts):
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def apart(qs, experiment=None):
    """Which comparisons have a small q, of one experiment or of all."""
    small = []
    for (name, what, other), q in qs.items():
        if experiment in (None, name) and q < ledger.LEVEL:
            data = findings.ELSEWHERE.get(name)
            on = f" on {data}" if data and not experiment else ""
            small.append(f"*{what}* minus *{other}*{on}")
    if not small:
        return f"no comparison has a q below {ledger.LEVEL:g}"
    return f"only {listed(small)} ha{'s' if len(small) == 1 else 've'} a q below {ledger.LEVEL:g}"


def counted(estimates):
    """How many of the intervals exclude zero, in words."""
    number, of = sum(map(excludes_zero, estimates)), len(estimates)
    if number == of:
        return f"all {of} intervals exclude zero"
    return f"{number or 'none'} of the {of} intervals exclude{'s' * (number < 2)} zero"


def of_all(number, group):
    return f"all {number}" if number == len(group) else f"{number or 'none'} of the {len(group)}"


def of_searches():
    compared, texts = findings.compared("tickets"), {}
    for name, number in zip(("sparse", "sparser"), experiments.CONTROLLED, strict=True):
        share = f"{100 * experiments.removed(number):.0f} %"
        ways = [e for (what, other), e in compared.items() if other == "ticket" and share in what]
        lower = sum(e.mean < 0 for e in ways)
        texts[f"ways_{name}"] = (
            f"At {share} sparsity, {of_all(lower, ways)} other ways end below the ticket "
            f"on average. Their means differ from its by {span(ways)} points, and {counted(ways)}."
        )
    frame = rows("tickets")
    removed = experiments.removed(experiments.HEADLINE)
    one_shot = pick(frame, "one_shot", {"ticket.fraction": removed})
    texts["one_shot_gain"] = str(difference(pick(frame, "ticket", AT), one_shot))
    return texts


def of_selectors():
    compared, frame = findings.compared("selectors"), rows("selectors")
    free = [compared[score, "learned"] for score in ("firing rate", "attention", "information")]
    kinds = ("learned", "random", "firing_rate", "oracle")
    chosen = {kind: pick(frame, kind, HALF) for kind in kinds}
    precision = {kind: percent(part.precision) for kind, part in chosen.items()}
    kept = HALF["selector.keep_ratio"]
    dropped = {  # of the background: what is kept of it is the rest of what is kept at all
        f"dropped_{kind}": percent(1 - kept * (1 - part.precision) / (1 - part.share))
        for kind, part in chosen.items()
    }
    learned, bright = pick(frame, "learned", HALF), analyses.brightest()
    texts = {
        "free_scores": f"differ from the learned selector by {span(free)} points, and "
        + counted(free),
        "oracle_gain": str(compared["oracle", "learned"]),
        "teacher_loss": str(compared["learned, undistilled", "distilled"]),
        "true_tokens": percent(learned.share),
        "brightest_recall": percent([bright]),
    }
    return texts | dropped | {f"precision_{kind}": text for kind, text in precision.items()}


def of_the_rest():
    beyond = list(analyses.interactions().estimate)
    orders, habits = (list(findings.compared(name).values()) for name in ("codesign", "habits"))
    matter = any(map(excludes_zero, orders))
    below, above = (sum(excludes_zero(e) and s * e.mean > 0 for e in beyond) for s in (-1, 1))
    return {
        "orders": "The order makes a difference"
        if matter
        else "We could not show that the order matters: both intervals include zero",
        "losses_add": f"the means run from {span(beyond)} points. Of the {len(beyond)} intervals, "
        f"{below or 'none'} shows that together they lose more, and {above or 'none'} that they "
        "lose less",
        "habits_open": f"the means run from {span(habits)} points, and {counted(habits)}",
    }


def of_looks():
    """What each look would have said, a clause a claim; how many seeds would decide."""
    verdicts = {}
    for claim, seeds, _, verdict in analyses.looks():
        verdicts.setdefault(claim, {}).setdefault(verdict, []).append(str(seeds))
    clauses = []
    for claim, by in verdicts.items():
        if len(by) == 1:
            clauses.append(f"{claim} was *{next(iter(by))}* at every look")
        else:
            parts = [f"*{verdict}* with {listed(seeds)} seeds" for verdict, seeds in by.items()]
            clauses.append(f"{claim} was {listed(parts)}")
    needed = {claim: numbers[0.005] for claim, _, numbers in analyses.power()}
    return {
        "looked": ". ".join(clauses) + ".",
        "seeds_needed": listed([f"{seeds} seeds for {claim}" for claim, seeds in needed.items()]),
    }


COMPARED = [name for name in experiments.EXPERIMENTS if name not in experiments.UNCOMPARED]


def untrained(names=COMPARED):
    """How many networks of these experiments' first seeds have no row yet, a clause each."""
    clauses = []
    for name in names:
        first = experiments.FRESH if name == "replication" else 0
        seeds, there = range(first, first + experiments.FIRST), results.as_text(name)
        planned = {c.hash() for seed in seeds for _, c in experiments.EXPERIMENTS[name](seed)}
        if missing := len(planned - there.keys()):
            clauses.append(f"{missing} of {len(planned)} networks of **{name}**")
    return listed(clauses) if clauses else "none"


def sentences():
    """{name: text} that the pages ask for."""
    qs = analyses.q_values()
    texts = {"apart": apart(qs), "untrained": untrained()}
    texts["dirty_rows"] = str(int(findings.every_network(without=()).dirty.eq(True).sum()))
    texts |= {f"apart_{name}": apart(qs, name) for name in findings.COMPARED if name != "precision"}
    elsewhere = {data: texts[f"apart_{name}"] for name, data in findings.ELSEWHERE.items()}
    texts["apart_elsewhere"] = listed([f"{text} on {data}" for data, text in elsewhere.items()])
    if len({*elsewhere.values()}) == 1:
        either = "either" if texts["apart_elsewhere"].startswith("no") else "both"
        texts["apart_elsewhere"] = f"{next(iter(elsewhere.values()))} on {either}"
    for part in (of_searches, of_selectors, of_the_rest, of_looks):
        texts |= part()
    return texts
