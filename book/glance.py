"""All verdicts at a glance, network by network; and made results that show how one comes about."""

from typing import NamedTuple

import analyses
import larger
import pandas as pd
import said
import tables
import texts
from four_blocks import PAIRS, TRAININGS, called, judged, minus, trained

from ssf.study import findings, ledger
from ssf.study.ledger import difference, pick, rows
from ssf.study.statistics import Estimate, points

LEGEND = (
    "Are the verdicts the same in other networks? Read each column from top to bottom. *Dense* is "
    "trained once. *All tokens* is the same network, trained a second time with the dense one as "
    "its teacher: C3 and C4 are measured against it. (C1 must also beat its controls, and C3 and "
    "C4 must save a fifth of the MACs.) Each cell gives the mean difference in points, ± half the "
    "width of its 95 % interval over seeds, and the verdict. *Event-fashion* is Fashion-MNIST as a "
    "simulated event camera sees it, and CIFAR-10 (JPEG) has compressed images."
)
KINDS = ("dense", "all_tokens", "ticket, trained on")
# made differences of five seeds, one for each way in which a verdict can come about: mean, spread
MADE = {"A": (-0.001, 0.004), "B": (-0.006, 0.0025), "C": (-0.009, 0.005), "D": (-0.022, 0.007),
        "E": (0.02, 0.009)}  # fmt: skip
SPREAD = (-1.3, -0.6, 0.1, 0.6, 1.2)


def examples():
    """{label: Estimate} of `MADE`, labelled with the verdict by the protocol's rules."""
    for name, (mean, spread) in MADE.items():
        estimate = Estimate(tuple(mean + spread * place for place in SPREAD))
        yield f"{name}: {ledger.verdict(estimate)}", estimate


class Asked(NamedTuple):
    """A network in which the claims were asked."""

    name: str
    dense: pd.DataFrame  # its rows, trained once
    whole: pd.DataFrame  # and trained a second time, with all tokens
    answers: dict  # {claim: (Estimate of its loss, verdict)}
    twice: Estimate  # the ticket minus the dense network, both trained a second time


def networks():
    """[Asked], the study's first."""
    own = {"C1": ledger.c1(), "C3": ledger.c3(), "C4": ledger.c4()}
    answers = {claim: (answer["loss"], answer["verdict"]) for claim, answer in own.items()}
    whole, twice = pick(rows("codesign"), "all_tokens"), own["C4"]["ticket"]
    dense = pick(rows("tickets"), "dense")
    yield Asked(f"Fashion-MNIST, {blocks(dense)}", dense, whole, answers, twice)
    for name, data in reversed(findings.ELSEWHERE.items()):
        frame = rows(name)
        dense, whole, again = (pick(frame, kind) for kind in KINDS)
        answers, twice = analyses.elsewhere(name), difference(again, whole)
        yield Asked(f"{data}, {blocks(dense)}", dense, whole, answers, twice)
    for name, training in TRAININGS.items():
        answers = {
            claim: (minus(name, *PAIRS[claim][:2]), verdict)
            for claim, (verdict, *_) in judged(name).items()
        }
        if answers:
            dense, whole, again = (trained(name, kind) for kind in KINDS)
            network, twice = f"CIFAR-10 (JPEG), four blocks, {training}", difference(again, whole)
            yield Asked(network, dense, whole, answers, twice)


def blocks(dense):
    """Two blocks, six epochs: what the networks of these rows are."""
    row = dense.iloc[0]
    depth, epochs = (texts.WHOLE[int(row[key])] for key in ("model.depth", "train.epochs"))
    return f"{depth} blocks, {epochs} epochs"


def cell(loss, verdict):
    """−1.4 ± 0.9, and in the next line *undecided*: points, with half of the 95 % interval."""
    half = texts.hundredfold(loss.interval[1] - loss.mean)
    return f"{points(loss.mean)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{half}<br>*{verdict}*"


def table():
    """A line for each network: accuracies, and by claim the difference and the verdict."""
    for network in networks():
        seeds = texts.seeds(network.answers["C1"][0].values)
        line = {"network": f"{network.name} ({seeds})"}
        means = [part.accuracy.mean() for part in (network.dense, network.whole)]
        line["dense, all tokens (%)"] = ", ".join(map(texts.hundredfold, means))
        yield line | {called(claim): cell(*answer) for claim, answer in network.answers.items()}


def how_many(shown):
    """None, all, or the number in words, of bools."""
    number = sum(shown)
    return "none" if not number else "all" if number == len(shown) else texts.WHOLE[number]


def compared():
    """Whether the networks agree, and what becomes of C1 when both are trained a second time."""
    lines = list(networks())
    number = texts.WHOLE[len(lines)]
    losses = {claim: [line.answers[claim][0] for line in lines] for claim in PAIRS}
    spans = [f"{said.span(estimates)} points for {claim}" for claim, estimates in losses.items()]
    same = [claim for claim in PAIRS if len({line.answers[claim][1] for line in lines}) == 1]
    agree = f"{said.listed(same)} ha{'s' if len(same) == 1 else 've'}" if same else "No claim has"
    twice = said.listed([points(line.twice.mean) for line in lines])
    ends = " So on average it loses in each." if all(line.twice.mean < 0 for line in lines) else ""
    clear = how_many([said.excludes_zero(line.twice) for line in lines])
    ends += f" The 95 % interval excludes zero in {clear} of them."
    return (
        f"{agree} the same verdict in all {number} networks. The means are {said.listed(spans)}. "
        "The networks differ in data, structure and training, so a column does not show what any "
        "one of these does. With three or four seeds, *undecided* may mean too few seeds. All "
        "verdicts on C1 compare networks that are trained once. When both are trained a second "
        f"time, the ticket minus the dense network is {twice} points, from the first line to the "
        f"last.{ends}"
    )


def message():
    """What other networks add to the book's message."""
    both = [line.answers["C4"][0] for line in networks()]
    shown = how_many([each.below(-ledger.MARGIN) < ledger.LEVEL for each in both])
    together = (
        f"Together, ticket and selector change accuracy by {said.span(both)} points on average in "
        f"our {texts.WHOLE[len(both)]} networks, compared with a network that is trained as long. "
        f"That this is a loss of more than a point is shown in {shown} of them."
    )
    return f"{larger.message()} {together}".strip()


def substitutions():
    """{name: text} of what the pages say of the table."""
    return {"glance_legend": LEGEND, "glance_compared": compared()}


def pages(book):
    """Write the table that pages include."""
    (book / "_glance.md").write_text(tables.in_markdown(table()))
