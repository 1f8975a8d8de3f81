"""Controls of four blocks: small dense networks, and the dense network trained for six epochs."""

from contextlib import suppress

import tables
import texts
from four_blocks import LONG, SHORT, every, named, planned, small_and_whole, trained

from ssf.engine.records import Missing
from ssf.figures.style import COLOURS, DOTS, GREY, MARKERS, done, draw_sentence, figure
from ssf.model import cost
from ssf.study import experiments, ledger
from ssf.study.ledger import difference
from ssf.study.statistics import Estimate, percent

NAME = "four_blocks_controls"
FEWER, MORE, LONGER = "24 channels", "32 channels", "32 channels, ten epochs"
SIX = "dense, six epochs"
PAIRS = [  # differences: beside a ticket, beside a selector, and beside a second training
    ("ticket", FEWER), ("ticket", MORE), ("ticket", LONGER), ("reinit", MORE), ("random", MORE),
    ("80 channels", "dense"), ("88 channels", "dense"), ("selector", "all_tokens"),
    (SIX, "dense"), ("all_tokens", SIX), ("ticket, trained on", SIX),
]  # fmt: skip
TOLD = {  # those of the sentences
    "fewer": ("ticket", FEWER),
    "more": ("ticket", MORE),
    "longer": ("ticket", LONGER),
    "reinit": ("reinit", MORE),
    "80": ("80 channels", "dense"),
    "88": ("88 channels", "dense"),
    "selector": ("selector", "all_tokens"),
    "six": (SIX, "dense"),
    "taught": ("all_tokens", SIX),
}
NOT_YET = "not measured yet"


def controls():
    """{kind: config} of the experiment's first seed, the smallest network first."""
    return dict(experiments.EXPERIMENTS[NAME](0))


def of(kind):
    """The rows of a kind after the shorter training, or of a control; of a ticket its last."""
    return trained(NAME if kind in controls() else SHORT, kind)


def minus(these, those):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(of(these), of(those))


def compared():
    """The differences as a table."""
    for pair in PAIRS:
        with suppress(Missing):
            yield {"difference": " − ".join(map(named, pair))} | tables.columns(minus(*pair))


def sizes():
    """What networks of each size have, take and reach, after once three epochs unless it is said.

    Numbers are of what is left: a ticket's zeros are neither counted nor computed.
    """
    kinds = ["dense", "88 channels", "80 channels", "ticket", MORE, LONGER, FEWER]
    for kind in kinds:
        part = of(kind)
        if len(part):
            yield {
                "network": "dense, 96 channels" if kind == "dense" else named(kind),
                "parameters": f"{part.parameters_left.mean():,.0f}",
                "MACs (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "energy (µJ)": f"{part.energy_left.mean():.2f}",
                "accuracy (%)": f"{texts.hundredfold(part.accuracy.mean())} ({len(part)})",
            }


def training_macs(config, early, whole):
    """MACs of an image, seen so often small and so often whole."""
    return early * cost.macs(config.early_model) + whole * cost.macs(config.model)


def computed():
    """MACs of training: the dense network, the ticket with its search, the small one longer."""
    small, dense = controls()[LONGER], dict(experiments.EXPERIMENTS[SHORT](0))["dense"]
    once, search = (small_and_whole(SHORT, kind) for kind in ("dense", "ticket"))
    longer = training_macs(small, *small_and_whole(LONG, "dense"))
    return training_macs(dense, *once), training_macs(dense, *search), longer


def told(pair):
    with suppress(Missing):
        return str(minus(*pair))
    return NOT_YET


def beats():
    """What the ticket's gains over the two small networks show, by the tests of the controls."""
    with suppress(Missing):
        gains = {kind: minus("ticket", kind) for kind in (FEWER, MORE)}
        if min(gain.seeds for gain in gains.values()) > 2:
            words = [ledger.control(gain) for gain in gains.values()]
            if words == ["does worse"] * 2:
                return "Both small networks do significantly worse than the ticket."
            clauses = [
                f"that of {k} {texts.CONTROLS[w]}" for k, w in zip(gains, words, strict=True)
            ]
            return texts.upper(f"{'; '.join(clauses)}.")
    return "There are not enough seeds to tell what they show."


def draw_sizes():
    """Test accuracy against the parameters that are left: of dense networks, and of tickets."""
    fig, ax = figure(height=4.2)
    widths = [of(kind) for kind in controls() if kind not in (LONGER, SIX)] + [of("dense")]
    tickets = [of("dense")] + [part for _, part in every(SHORT, "ticket").groupby("ticket.round")]
    lines = {"dense networks": ("dense", widths), "tickets, round by round": ("ticket", tickets)}
    lines |= {named(kind): (kind, [of(kind)]) for kind in ("reinit", "random")}
    lines[LONGER] = ("longer", [of(LONGER)])
    if not any(len(part) for part in widths[:-1]):
        return draw_sentence(NOT_YET)
    for label, (kind, parts) in lines.items():
        parts = [part for part in parts if len(part)]
        if not parts:
            continue
        at = [part.parameters_left.mean() / 1000 for part in parts]
        for place, part in zip(at, parts, strict=True):
            ax.scatter([place] * len(part), 100 * part.accuracy, c=COLOURS[kind], **DOTS)
        found = [Estimate(tuple(part.accuracy)) for part in parts]
        means = [100 * each.mean for each in found]
        half = [100 * each.interval[1] - mean for each, mean in zip(found, means, strict=True)]
        style = {"fmt": f"-{MARKERS.get(kind, 'o')}", "lw": 1, "ms": 6, "zorder": 3}
        ax.errorbar(at, means, half, elinewidth=1.2, color=COLOURS[kind], label=label, **style)
    for part in filter(len, widths):
        name = f"{part['model.width'].iloc[0]:.0f}"
        place = part.parameters_left.mean() / 1000, 100 * part.accuracy.mean()
        ax.annotate(name, place, (0, -12), textcoords="offset points", ha="center", color=GREY)
    ax.set(xscale="log", xlabel="parameters that are left (thousands)", ylabel="test accuracy (%)")
    ticks = [40, 70, 100, 200, 300, 600]
    ax.set_xticks(ticks, map(str, ticks))
    ax.minorticks_off()
    return done(fig, legend=2)


def figures():
    """{name: figure} of the page."""
    return {"sizes": draw_sizes()}


def substitutions():
    """{name: text} of what the page says of these networks."""
    ticket, small = trained(SHORT, "ticket"), controls()
    left = f"{ticket.parameters_left.mean():,.0f}" if len(ticket) else "a number of parameters that"
    count = {kind: f"{cost.parameters(config.model):,}" for kind, config in small.items()}
    ids = planned(NAME)
    once, search, longer = computed()
    return {f"narrower_{key}": told(pair) for key, pair in TOLD.items()} | {
        "narrower_left": left,
        "narrower_parameters_24": count[FEWER],
        "narrower_parameters_32": count[MORE],
        "narrower_beats": beats(),
        "narrower_price": f"{search / once:.1f}",
        "narrower_share": percent([longer / search]),
        "narrower_trained": f"{tables.rows_of(NAME).id.isin(ids).sum()} of {len(ids)}",
    }
