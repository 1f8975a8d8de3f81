"""All verdicts at a glance: what a claim's comparison came to in every network that it was asked
in."""

from collections import Counter

import analyses
import larger
import said
import tables
import texts
from four_blocks import PAIRS, TRAININGS, judged, minus, trained

from ssf.study import findings, ledger
from ssf.study.ledger import pick, rows
from ssf.study.statistics import points

LEGEND = (
    "Is this so in other networks, too? Go down a column of the table. Each cell is the mean "
    "difference in accuracy that the claim is about, in points, with half of its 95 % interval "
    "over seeds, and the verdict. *Dense* is the accuracy of the network that keeps everything."
)
BY = {"C3": " by accuracy"}  # its verdict by count is the same everywhere


def networks():
    """(network, its dense rows, {claim: (Estimate of its loss, verdict)}), the study's first."""
    own = {"C1": ledger.c1(), "C3": ledger.c3(), "C4": ledger.c4()}
    asked = {claim: (answer["loss"], answer["verdict"]) for claim, answer in own.items()}
    yield "Fashion-MNIST, two blocks", pick(rows("tickets"), "dense"), asked
    for name, data in reversed(findings.ELSEWHERE.items()):
        yield f"{data}, two blocks", pick(rows(name), "dense"), analyses.elsewhere(name)
    for name, training in TRAININGS.items():
        asked = {
            claim: (minus(name, *PAIRS[claim][:2]), verdict)
            for claim, (verdict, *_) in judged(name).items()
        }
        if asked:
            network = f"CIFAR-10 (JPEG), four blocks, {training}"
            yield network, trained(name, "dense"), asked


def cell(loss, verdict):
    """−1.4 ± 0.9, and in the next line *undecided*: points, with half of the 95 % interval."""
    half = texts.hundredfold(loss.interval[1] - loss.mean)
    return f"{points(loss.mean)} ± {half}<br>*{verdict}*"


def table():
    """A line for each network: the dense one's accuracy, and difference and verdict by claim."""
    for network, dense, asked in networks():
        line = {"network": f"{network} ({texts.seeds(dense)})"}
        line["dense (%)"] = texts.hundredfold(dense.accuracy.mean())
        yield line | {f"{claim}{BY.get(claim, '')}": cell(*of) for claim, of in asked.items()}


def counted():
    """How many networks gave which verdict, claim by claim, and what is doubtful about C1's."""
    lines = [asked for *_, asked in networks()]
    clauses = []
    for claim in PAIRS:
        words = Counter(asked[claim][1] for asked in lines)
        given = [f"*{word}* in {texts.WHOLE[number]}" for word, number in words.most_common()]
        clauses.append(f"{claim} is {said.listed(given)}")
    counts = f"Of these {texts.WHOLE[len(lines)]} networks, {said.listed(clauses)}."
    return f"{counts} {larger.doubt()}".strip()


def substitutions():
    """{name: text} of what the pages say of the table."""
    return {"glance_legend": LEGEND, "glance_counted": counted()}


def pages(book):
    """Write the table that pages include."""
    (book / "_glance.md").write_text(tables.in_markdown(table()))
