"""Controls of four blocks: small dense networks, and the dense network trained for six epochs."""

from contextlib import suppress
from dataclasses import replace

import analyses
import numpy as np
import said
import tables
import texts
from four_blocks import LONG, SHORT, config_of, named, planned, rounds, trained

from ssf.engine.records import Missing
from ssf.figures.style import COLOURS, DOTS, MARKERS, done, draw_sentence, figure
from ssf.model import cost
from ssf.study import experiments, ledger
from ssf.study.ledger import difference
from ssf.study.statistics import Estimate, percent, points

NAME = "four_blocks_controls"
FEWER, MORE, LONGER = "24 channels", "32 channels", "32 channels, ten epochs"
SIX = "dense, six epochs"
CHEAPER = (88, 80)  # channels of the networks that save about as many MACs as the selector
PAIRS = {  # differences: beside a ticket, beside a selector, and beside a second training
    "fewer": ("ticket", FEWER),
    "more": ("ticket", MORE),
    "longer": ("ticket", LONGER),
    "reinit": ("reinit", MORE),
    "random": ("random", MORE),
    "80": ("80 channels", "dense"),
    "88": ("88 channels", "dense"),
    "selector": ("selector", "all_tokens"),
    "six": (SIX, "dense"),
    "taught": ("all_tokens", SIX),
    "ticket_six": ("ticket, trained on", SIX),
}
SHOWS = {  # what a control's tests show, beside the ticket
    "does better": "significantly better than",
    "does worse": "significantly worse than",
    "does as well": "as well as",
    "may do as well": "perhaps as well as",
}
TICKS, ENOUGH = (40, 70, 100, 200, 300, 600), 350  # thousands; behind it, names are on the left
NOT_YET = "not measured yet"


def controls():
    """{kind: config} of the experiment's first seed, the smallest network first."""
    return dict(experiments.EXPERIMENTS[NAME](0))


def dense_model():
    return config_of("dense").model


def called(kind):
    return "dense, 96 channels" if kind == "dense" else named(kind)


def of(kind):
    """The rows of a kind after the shorter training, or of a control; of a ticket its last."""
    return trained(NAME if kind in controls() else SHORT, kind)


def minus(these, those):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(of(these), of(those))


def compared():
    """The differences as a table, with the q of each among them."""
    found = {}
    for pair in PAIRS.values():
        with suppress(Missing):
            found[pair] = minus(*pair)
    qs = analyses.q_of(found)
    for pair, change in found.items():
        q = {"q": tables.q_text(qs.get(pair))}
        yield {"difference": " − ".join(map(called, pair))} | tables.columns(change) | q


def sizes():
    """What networks of each size have, take and reach, after three epochs or those of their name.

    Numbers are of what is left: a ticket's zeros are neither counted nor computed.
    """
    kinds = ["dense", "88 channels", "80 channels", "stem", MORE, LONGER, "ticket", FEWER]
    for kind in kinds:
        part = of(kind)
        if len(part):
            yield {
                "network": called(kind),
                "parameters": f"{part.parameters_left.mean():,.0f}",
                "MACs (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "energy (µJ)": f"{part.energy_left.mean():.2f}",
                "accuracy (%)": f"{texts.hundredfold(part.accuracy.mean())} ({len(part)})",
            }


def told(pair):
    with suppress(Missing):
        return str(minus(*pair))
    return NOT_YET


def beats():
    """What the ticket's gains over the small networks show, by the tests of the controls."""
    shown = {}
    for kind in (FEWER, MORE, LONGER):
        with suppress(Missing):
            gain = minus("ticket", kind)
            if gain.seeds > 2:
                worse = gain.below(0) < ledger.LEVEL
                shown.setdefault("does better" if worse else ledger.control(gain), []).append(kind)
    sentences = []
    for word, kinds in shown.items():
        these = "networks" if len(kinds) > 1 else "network"
        do = "do" if len(kinds) > 1 else "does"
        listed = said.listed(kinds)
        sentences.append(f"The dense {these} of {listed} {do} {SHOWS[word]} the ticket.")
    return " ".join(sentences) or "There are not enough seeds to tell what they show."


def saved_by(width):
    """The share of the dense network's MACs that one of fewer channels does without."""
    return 1 - cost.macs(controls()[f"{width} channels"].model) / cost.macs(dense_model())


def as_much_saved():
    """What the width would cost that saves the selector's MACs: a line between its neighbours."""
    try:
        changes = [minus(f"{width} channels", "dense").mean for width in CHEAPER]
    except Missing:
        return NOT_YET
    share = ledger.saving(of("selector"), of("all_tokens")).mean()
    return f"{points(np.interp(share, [*map(saved_by, CHEAPER)], changes))} points"


def of_sizes():
    """What the last ticket and the small network next to it take, and their stems."""
    ticket, small = trained(SHORT, "ticket"), controls()[MORE].model
    dense = dense_model()
    stems = [replace(model, depth=0) for model in (dense, small)]
    saved = {f"saves_{width}": percent([saved_by(width)]) for width in CHEAPER}
    left = f"{ticket.parameters_left.mean():,.0f}" if len(ticket) else "some"
    macs = f"{ticket.macs_left.mean() / 1e6:.1f} M" if len(ticket) else "some"
    return saved | {
        "between": as_much_saved(),
        "left": left,
        "macs_ticket": macs,
        "macs_32": f"{cost.macs(small) / 1e6:.1f} M",
        "stems": said.listed([f"{cost.parameters(stem):,}" for stem in stems]),
        "first": f"{small.width // 8} channels instead of {dense.width // 8}",
        "parameters_24": f"{cost.parameters(controls()[FEWER].model):,}",
        "parameters_32": f"{cost.parameters(small):,}",
    }


def marks(ax, label, colour, line, places):
    """Mean accuracies (%) with 95 % intervals, hollow where one seed is all, and a dot a seed.

    line: that connects them, or "". places: [(x, rows)].
    """
    style = {"marker": MARKERS.get(colour, "o"), "color": COLOURS[colour], "lw": 1, "ms": 6}
    if places:
        found = [Estimate(tuple(rows.accuracy)) for _, rows in places]
        means = [100 * each.mean for each in found]
        ax.plot([x for x, _ in places], means, ls=line or "none", label=label, zorder=3, **style)
    for x, rows in places:
        ax.scatter([x] * len(rows), 100 * rows.accuracy, c=COLOURS[colour], **DOTS)
        each = Estimate(tuple(rows.accuracy))
        if each.seeds > 1:
            ax.plot([x, x], [100 * bound for bound in each.interval], color=COLOURS[colour], lw=1.2)
        else:
            ax.plot(x, 100 * each.mean, mfc="white", zorder=4, **style)


def by(ax, what, ticks):
    """Label the axes of accuracies by something on a logarithmic scale."""
    ax.set(xscale="log", xlabel=what, ylabel="test accuracy (%)")
    ax.set_xticks(ticks, map(str, ticks))
    ax.minorticks_off()


def draw_sizes():
    """Test accuracy against the parameters that are left: of dense networks, and of tickets."""
    fig, ax = figure(height=4.4)
    widths = [of(kind) for kind in controls() if kind not in (LONGER, SIX)] + [of("dense")]
    if not any(len(part) for part in widths[:-1]):
        return draw_sentence(NOT_YET)
    longer = [of(LONGER), of(SIX), trained(LONG, "dense")]
    groups = {
        "dense networks": ("dense", widths, "--"),
        "the same, six or ten epochs": ("longer", longer, ""),
        "tickets, round by round": ("ticket", [of("dense"), *rounds()], "-"),
        named("reinit"): ("reinit", [of("reinit")], ""),
        named("random"): ("random", [of("random")], ""),
        named("stem"): ("learned", [of("stem")], ""),
    }
    for label, (colour, parts, line) in groups.items():
        places = [(part.parameters_left.mean() / 1000, part) for part in parts if len(part)]
        marks(ax, label, colour, line, places)
        for place, part in places if colour in ("dense", "longer") else ():
            name = f"{part['model.width'].iloc[0]:.0f} channels"
            name += f", {part['train.epochs'].iloc[0]:.0f} epochs" * (colour == "longer")
            left = {"ha": "right", "va": "top"} if place > ENOUGH else {"va": "center"}
            beside = (-6, -3) if place > ENOUGH else (8, -1)
            at = place, 100 * part.accuracy.mean()
            ax.annotate(name, at, beside, textcoords="offset points", **left)
    by(ax, "parameters that are left (thousands)", TICKS)
    return done(fig, legend=2)


def substitutions():
    """{name: text} of what the page says of these networks."""
    ids = planned(NAME)
    trained_ = f"{tables.rows_of(NAME).id.isin(ids).sum()} of {len(ids)}"
    texts_ = {key: told(pair) for key, pair in PAIRS.items()} | of_sizes()
    texts_ |= {"beats": beats(), "trained": trained_}
    return {f"narrower_{key}": text for key, text in texts_.items()}
