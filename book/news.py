"""What the landing page shows of the rows: the news, each with its figure."""

from html import escape
from math import ceil, floor

import analyses
import glance
import larger
import recipe
import texts

from ssf.figures.style import COLOURS, draw_differences
from ssf.study import experiments, findings, ledger
from ssf.study.ledger import AT, HALF, difference, pick, rows
from ssf.study.statistics import Estimate, percent, points

WIDTH, EDGE, LINE = 360, 16, 44  # of the news' figures, in the units of their viewBox


def reach(estimates):
    """(low, high) in whole points that hold all intervals, zero and a point on either side."""
    ends = [100 * end for e in estimates for end in (*e.interval, e.mean) if end == end]
    return min(-2, floor(min(ends))), max(2, ceil(max(ends)))


def strip(lines, low, high, said, unit, text=points, band=None):
    """A small figure: {label: (Estimate, colour)}, mean and interval of each on one scale."""

    def x(value):
        return round(EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low), 1)

    bottom = LINE * len(lines) + 6
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50) if (high - low) / s <= 8)
    ticks = [t for t in range(floor(low), ceil(high) + 1) if t % step == 0]
    parts = []
    if band:
        parts.append(f'<rect class="band" x="{x(-band)}" width="{x(band) - x(-band):.1f}" '
                     f'height="{bottom}"/>')  # fmt: skip
    if low < 0 < high:
        parts.append(f'<path class="zero" d="M{x(0)} 0V{bottom}"/>')
    for number, (label, (estimate, colour)) in enumerate(lines.items()):
        y, mean = LINE * number + 16, 100 * estimate.mean
        parts.append(f'<text x="2" y="{y}">{escape(label)}</text>')
        parts.append(f'<text class="value" x="{WIDTH - 2}" y="{y}">{text(estimate.mean)}</text>')
        for level, width in ((0.95, 2), (0.9, 5)):
            ends = [x(100 * end) for end in estimate.between(level) if end == end]
            if ends:
                parts.append(f'<path stroke="{colour}" stroke-width="{width}" '
                             f'd="M{ends[0]} {y + 14}H{ends[1]}"/>')  # fmt: skip
        parts.append(f'<circle fill="{colour}" cx="{x(mean)}" cy="{y + 14}" r="5"/>')
    parts.append(f'<path class="axis" d="M{EDGE} {bottom}H{WIDTH - EDGE}"/>')
    for tick in ticks:
        name = f"{tick:+d}".replace("-", "−") if low < 0 and tick else str(tick)
        parts.append(f'<path class="axis" d="M{x(tick)} {bottom}v5"/><text class="tick" '
                     f'x="{x(tick)}" y="{bottom + 20}">{name}</text>')  # fmt: skip
    parts.append(f'<text class="tick" x="{WIDTH / 2}" y="{bottom + 39}">{escape(unit)}</text>')
    return (f'<svg viewBox="0 0 {WIDTH} {bottom + 46}" role="img" aria-label="{escape(said)}">'
            + "".join(parts) + "</svg>")  # fmt: skip


def recalls():
    """{label: (Estimate, colour)} of the foreground that four choices of half the tokens keep."""
    frame = rows("selectors")
    brightest = {"brightest tokens": (Estimate((analyses.brightest(),)), COLOURS["longer"])}
    lines = {
        "tokens at random": ("random", "random"),
        "tokens that fire most": ("firing_rate", "events"),
        "learned selector": ("learned", "learned"),
    }
    return brightest | {
        label: (Estimate(tuple(pick(frame, kind, HALF).recall)), COLOURS[colour])
        for label, (kind, colour) in lines.items()
    }


def of_the_news():
    """{name: {label: (Estimate, colour)}} of the news' differences in accuracy."""
    one, three = ledger.c1(), ledger.c3()
    frame = rows("codesign")
    random = difference(pick(frame, "random_selector"), pick(frame, "all_tokens"))
    budgets = {
        label.partition(":")[0]: e for data, label, e, _ in findings.budgets() if "CIFAR" in data
    }
    stem = findings.compared("controls")["the stem alone", "dense"]
    ink, blue, grey, pink = "currentColor", *(COLOURS[k] for k in ("ticket", "longer", "both"))
    return {
        "ticket": {"ticket − dense": (one["loss"], blue),
                   "ticket − random ticket": (one["random"], COLOURS["random"])},
        "tokens": {"selector − all tokens": (three["loss"], COLOURS["learned"]),
                   "random choice − all tokens": (random, COLOURS["random"])},
        "budgets": {"second training alone − dense": (budgets["all tokens − dense"], grey),
                    "both − dense, trained half as long": (budgets["both − dense"], pink),
                    "both − all tokens, trained as long":
                        (budgets["both − all tokens"], pink)},
        "stem": {"no blocks − dense": (stem, ink)},
    }  # fmt: skip


def budgets_told(numbers, lines):
    """The heading and the sentences on the published comparison, as far as the rows bear it."""
    published = numbers["budget_cifar_10_both_dense_verdict"]
    equal = numbers["budget_cifar_10_both_all_tokens_verdict"]
    longer = lines["budgets"]["second training alone − dense"][0]
    differ, gain = published != equal, longer.above(0) < ledger.LEVEL
    return (
        "In our networks, an unequal budget hides the loss on CIFAR-10." if differ and gain
        else "An unequal budget changes the verdict little in our networks.",
        "The published scripts train the pruned network twice, the second time with the trained "
        "dense network as its teacher, and compare it with a network trained once. (It is "
        "[doubtful](05_audit.ipynb) whether their second training starts where the first ended.) "
        "On CIFAR-10, a second training alone, length and teacher together, "
        f"{numbers['budget_cifar_10_all_tokens_dense_changes']}. Against a network trained once, "
        "the claim that ticket and selector together (*both*) lose less than a point is "
        f"*{published}*. Against one trained as long, it is *{equal}*. This is after short "
        f"trainings and with {longer.seeds} seeds, not after the paper's 300 epochs. "
        "[How we compared](#unequal-budgets)",
    )  # fmt: skip


def dropping(loss):
    """What dropping tokens costs, by C3's loss, without a full stop."""
    cost = texts.changes(loss, "costs", "gains")
    cost = "costs less than a point" if texts.no_point_lost(loss) else cost
    return (
        f"Dropping {100 * (1 - experiments.CLAIMED):.0f} % of the tokens before each block {cost}"
    )


def told(lines):
    """{name: (heading, sentences)} of the news, their signs and sizes from the rows.

    lines: `of_the_news`.
    """
    numbers = texts.of_claims() | texts.of_budgets()
    one, three = ledger.c1(), ledger.c3()
    kept = percent(1 - pick(rows("tickets"), "ticket", AT).sparsity)
    stem = lines["stem"]["no blocks − dense"][0]
    same = texts.no_point_lost(stem)
    fires = ledger.control(ledger.c2()["rate"]) == "does as well"
    random = ledger.control(three["random"])
    brightest, _, by_rate, learned = (percent(e.values) for e, _ in recalls().values())
    beats = one["random"].above(0) < ledger.LEVEL
    return {
        "ticket": (
            f"A ticket that keeps {kept} of the weights "
            f"{texts.changes(one['loss'])} here.",
            "That is accuracy, compared with the dense network, which keeps all weights: "
            f"{texts.shown(one['loss'])}. "
            + ("The ticket beats one drawn at random, so the search does find something. " if beats
               else "We could not show that it beats a ticket drawn at random. ")
            + "[How tickets are found](02_winning_tickets.ipynb)",
        ),
        "tokens": (
            f"{dropping(three['loss'])}.",
            f"That saves {numbers['c3_saved_mean']} of the "
            "{term}`multiply-accumulates <MACs>`. "
            "(*All tokens* drops none, and is trained as long.) "
            f"A random choice of tokens {random}"
            + (", so this speaks for dropping tokens, and not for the selector that chooses them. "
               if random == "does as well" else ". ")
            + "[What tokens cost](04_gflops_accuracy.ipynb)",
        ),
        "stem": (
            "A network without blocks "
            + ("does as well on Fashion-MNIST." if same else "may do worse on Fashion-MNIST."),
            "It has only its convolutional {term}`stem` and its head. "
            + ("Where the blocks bring so little, dropping tokens before them costs little, too. "
               if same else "")
            + "A fair test needs a network whose blocks matter. [The floor](#the-floor)",
        ),
        "fires": (
            "Among clutter, the tokens that fire most hold the foreground." if fires
            else "The learned selector and the firing rate choose differently.",
            "Where we put other things behind the item, the half of the tokens that fires most "
            f"holds {by_rate} of the tokens that show it (and background, too). The learned "
            f"selector's half holds {learned}, and the brightest half, without any network, "
            f"{brightest}. "
            "[Which tokens to keep](03_token_selector.ipynb)",
        ),
        "budgets": budgets_told(numbers, lines),
    }  # fmt: skip


def message():
    """What the book found, in short, for those who read no more."""
    loss, three = ledger.c1()["loss"], ledger.c3()
    stem = findings.compared("controls")["the stem alone", "dense"]
    weights = percent(1 - pick(rows("tickets"), "ticket", AT).sparsity)
    random = ledger.control(three["random"])
    told = (
        "**In short.** Our small dense network for Fashion-MNIST is right on "
        f"{percent(pick(rows('tickets'), 'dense').accuracy)} of the test images. A ticket that "
        f"keeps {weights} of its weights {texts.changes(loss)}. "
        + dropping(three["loss"])
        + (", and a random choice of tokens does as well. " if random == "does as well" else ". ")
        + ("But a network without these blocks does as well as the dense one, so this is a mild "
           "test of dropping tokens." if texts.no_point_lost(stem) else "")
    )  # fmt: skip
    return f"{told}\n\n{glance.message()}\n"


def news():
    """The news: for each a heading, two or three sentences, and a figure."""
    lines, unit = of_the_news(), "points of accuracy; the band is ± one point"
    low, high = reach([e for part in lines.values() for e, _ in part.values()])
    figures = {name: strip(part, low, high, described(part), unit, band=100 * ledger.MARGIN)
               for name, part in lines.items()}  # fmt: skip
    part = recalls()
    figures["fires"] = strip(part, 0, 100, described(part, percent), "% of the foreground kept",
                             text=lambda share: percent([share]))  # fmt: skip
    for name, (heading, sentences) in told(lines).items():
        yield (f'<div class="news"><div>\n\n**{heading}**\n{sentences}\n\n</div>\n'
               f"<figure>{figures[name]}</figure></div>\n")  # fmt: skip


def size():
    """Whether the networks are too small: what is known, and a figure of it."""
    lines = {f"{claim}, {network}": (change, COLOURS["ticket"])
             for claim, _, network, change in larger.losses(larger.SHOWN)
             if claim.startswith("C1")}  # fmt: skip
    if not larger.bars():
        return f"Perhaps. {larger.state()}\n"
    low, high = reach([change for change, _ in lines.values()])
    unit = "points of accuracy; the band is ± one point"
    figure = strip(lines, low, high, described(lines), unit, band=100 * ledger.MARGIN)
    return (f'<div class="news"><div>\n\nPerhaps. {larger.state()}\n\n</div>\n'
            f"<figure>{figure}</figure></div>\n")  # fmt: skip


def described(part, text=None):
    """A figure's alternative text."""
    return "; ".join(f"{label}: {text(e.values) if text else e}" for label, (e, _) in part.items())


# the figures of the findings' page


def overview():
    """{label: Estimate} of the differences in accuracy that the claims are about, and controls."""
    one = ledger.c1()
    return {
        "C1: ticket − dense": one["loss"],
        "C1: ticket − same mask, new weights": one["reinit"],
        "C1: ticket − random ticket": one["random"],
        "C2: learned − random selector (no say)": ledger.c2()["accuracy"],
        "C3: selector − all tokens": ledger.c3()["loss"],
        "C4: both − all tokens": ledger.c4()["loss"],
    }


def figures(folder):
    """Write what the claims are about, here, on other data and in four blocks, and the rule."""
    drawn = {"findings": overview(), "budgets": findings.budget_bars()}
    drawn["rule"] = dict(glance.examples())
    drawn |= {name: findings.bars(name) for name in findings.ELSEWHERE}
    drawn = {name: draw_differences(each, ledger.MARGIN) for name, each in drawn.items()}
    for name, picture in (drawn | larger.figures() | recipe.figures()).items():
        picture.savefig(folder / f"{name}.svg", metadata={"Date": None})


def landing(book):
    """Write what the landing page includes, and the figures of its and the findings' page."""
    figures(book / "_static")
    (book / "_news.md").write_text("\n".join(news()))
    (book / "_message.md").write_text(message())
    (book / "_size.md").write_text(size())
