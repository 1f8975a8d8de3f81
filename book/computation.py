"""What training takes in four blocks: searches and second trainings beside longer ones."""

from functools import cache

import narrower
import said
import texts
from four_blocks import LONG, SHORT, TRAININGS, config_of, rounds, small_and_whole, trained
from narrower import LONGER, SIX, controls, of

from ssf.engine.records import Missing
from ssf.figures.style import done, draw_sentence, figure
from ssf.model import cost
from ssf.study import experiments
from ssf.study.ledger import difference
from ssf.study.statistics import percent

LAST = f"round {experiments.EARNEST_ROUNDS}"
PASSES = 3  # forward passes that a step of training takes, its backward pass with it


def training(config, small, whole):
    """Forward MACs of an image that is trained on so often small and so often whole."""
    return small * cost.macs(config.early_model) + whole * cost.macs(config.model)


def of_config(config):
    """The same of a config's own training."""
    early = config.train.early_epochs
    return training(config, early, config.train.epochs - early)


@cache  # of configs alone
def trainings():
    """{name: what it takes, in multiples of the dense network's of three epochs}.

    A ticket takes its search, too, with pruned weights multiplied as zeros. The teacher of a second
    training sees whole images, and only forward.
    """
    dense = config_of("dense")
    once, search = of_config(dense), training(dense, *small_and_whole(SHORT, "ticket"))
    again = once + dense.train.epochs * cost.macs(dense.model) / PASSES
    numbers = range(1, experiments.EARNEST_ROUNDS + 1)
    takes = {"dense": once, "all_tokens": once + again, "ticket, trained on": search + again}
    takes |= {f"round {n}": once + n * (search - once) / len(numbers) for n in numbers}
    takes |= {kind: of_config(controls()[kind]) for kind in (LONGER, SIX)}
    takes["stem"] = of_config(config_of("stem"))
    takes |= {f"{k}, ten epochs": of_config(config_of(k, LONG)) for k in ("dense", "stem")}
    return {name: each / once for name, each in takes.items()}


def skipped():
    """The last ticket's, if pruned weights were skipped; None before all rounds are trained."""
    parts = rounds()
    if len(parts) < experiments.EARNEST_ROUNDS:
        return None
    left = sum((part.macs_left / part.macs).mean() for part in parts) / len(parts)
    return 1 + left * (trainings()[LAST] - 1)  # rounds are alike


def if_skipped():
    """What a search takes if pruned weights are skipped, in a sentence."""
    without, six = skipped(), trainings()[SIX]
    if not without:
        return "What skipping pruned weights would change is not measured yet."
    beside = "more" if without > six else "less"
    return (
        f"Pruned weights are multiplied as zeros in this account. If they were skipped, the last "
        f"ticket would take {without:.1f} times as much as the dense network of "
        f"{TRAININGS[SHORT]}. That is {beside} than the {six:.1f} times of the dense network of "
        "six epochs."
    )


def equal_time():
    """What the time of a search buys instead: the longer training of the dense network."""
    takes = trainings()
    share = takes["dense, ten epochs"] / takes[LAST]
    try:
        change = difference(trained(SHORT, "ticket"), trained(LONG, "dense"))
    except Missing:
        return "What the dense network reaches in that time is not measured yet."
    return (
        f"{texts.upper(TRAININGS[LONG])} of the dense network take {percent([share])} of the MACs "
        f"that the ticket of {TRAININGS[SHORT]} takes, for search and final training together. "
        f"The ticket minus this dense network is {change}."
        + (" So its lead is gone where its search is counted." if change.interval[1] < 0 else "")
    )


def dense_for_less():
    """What the dense network reaches where it takes less than the last ticket with its search."""
    takes, ticket = trainings(), trained(SHORT, "ticket")
    if ticket.empty:
        return "The ticket is not trained yet."
    whole = takes[LAST]
    told = []
    for name, epochs, rows in (
        (SIX, "six epochs", of(SIX)),
        ("dense, ten epochs", "ten epochs", trained(LONG, "dense")),
        ("stem, ten epochs", "ten epochs without its blocks", trained(LONG, "stem")),
    ):
        if len(rows) and takes[name] < whole:
            told.append(
                f"{percent(rows.accuracy)} in {epochs} ({takes[name]:.1f} times, "
                f"{texts.seeds(rows)})"
            )
    sentence = (
        f"With its search, the last ticket takes {whole:.1f} times as much computation as the "
        f"dense network of {TRAININGS[SHORT]}, and is right on {percent(ticket.accuracy)} of the "
        f"test images ({texts.seeds(ticket)})."
    )
    if not told:
        return sentence
    return f"{sentence} The dense network itself reaches {said.listed(told)}."


def instead():
    """What less than the search's computation gives the dense network, in a sentence; or ""."""
    takes = trainings()
    try:
        change = difference(trained(LONG, "dense"), trained(SHORT, "dense"))
    except Missing:
        return ""
    if takes["dense, ten epochs"] >= takes[LAST]:
        return ""
    return (
        f"The dense network itself {texts.changes(change)} if it is trained for {TRAININGS[LONG]}, "
        "and that [takes less computation](#computation) than to search for the ticket "
        f"({texts.seeds(change.values)})."
    )


def draw():
    """Test accuracy against all computation that led to a network."""
    tickets = {f"round {number}": part for number, part in enumerate(rounds(), 1)}
    if not tickets:
        return draw_sentence(narrower.NOT_YET)
    takes = trainings()
    kinds = {
        "dense, three, six and ten epochs": ("dense", "-", {
            "dense": of("dense"), SIX: of(SIX), "dense, ten epochs": trained(LONG, "dense")}),
        "all tokens": ("longer", "", {"all_tokens": of("all_tokens")}),
        "tickets, round by round": ("ticket", "-", {"dense": of("dense")} | tickets),
        "ticket, trained on": ("both", "", {
            "ticket, trained on": of("ticket, trained on")}),
        "the stem alone, three and ten epochs": ("learned", "-", {
            "stem": of("stem"), "stem, ten epochs": trained(LONG, "stem")}),
    }  # fmt: skip
    fig, ax = figure(height=4.6)
    for label, (colour, line, parts) in kinds.items():
        places = [(takes[name], rows) for name, rows in parts.items() if len(rows)]
        narrower.marks(ax, label, colour, line, places)
    narrower.by(ax, "computation of all trainings (dense, three epochs = 1)", (0.5, 1, 2, 3, 4, 6))
    return done(fig, legend=1)


def substitutions():
    """{name: text} of what the page says of computation."""
    takes = trainings()
    share = takes[LONGER] / takes[LAST]
    told = instead() or "The dense network with as much computation is not measured yet."
    return {
        "computation_instead": told,
        "computation_instead_lower": told[0].lower() + told[1:],
        "larger_equal_time": equal_time(),
        "computation_less": dense_for_less(),
        "computation_share": percent([share]),
        "computation_skipped": if_skipped(),
    }
