"""What the page of four blocks shows: the claims' losses by how long the networks were trained."""

from contextlib import suppress

import analyses
import choices
import numpy as np
import said
import tables
import texts
from scipy.stats import t

from ssf.engine.observe import MAC_PICOJOULE
from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.figures.chapters import draw_layers
from ssf.figures.style import (
    COLOURS,
    MARKERS,
    done,
    draw_differences,
    draw_paired,
    draw_sentence,
    figure,
)
from ssf.model import cost
from ssf.study import experiments, ledger, results
from ssf.study.ledger import additivity, difference, pick, rows
from ssf.study.statistics import holm, percent, points

PLANNED = 4  # seeds of each experiment; a verdict needs them all
TRAININGS = {"four_blocks": "three epochs", "four_blocks_long": "ten epochs"}
SMALL = ("cifar10", "two blocks, five epochs")  # shown beside
PAIRS = {  # claim: (these, those, what these must beat)
    "C1": ("ticket", "dense", ("reinit", "random")),
    "C3": ("selector", "all_tokens", ()),
    "C4": ("both", "all_tokens", ()),
}
ROUNDS = {"cifar10": experiments.CIFAR10_ROUNDS}  # of a search; the others have EARNEST_ROUNDS
ONCE = {  # what each kind is, of those that are trained once
    "dense": "all weights",
    "ticket": "the weights that four rounds of pruning leave, from their values after one epoch on",
    "reinit": "the same weights are left, but start from new values",
    "random": "as many weights in every layer, drawn at random",
    "stem": "the convolutional stem and the head, without blocks",
}
TWICE = {
    "all_tokens": "the dense network; no token is dropped",
    "selector": "the dense network; a learned selector drops tokens",
    "random_selector": "the dense network; as many tokens are dropped at random",
    "ticket, trained on": "the ticket; no token is dropped",
    "both": "the ticket; a learned selector drops tokens",
}
BESIDE = [("ticket", kind) for kind in ("reinit", "random")]
BESIDE += [("random", "dense"), ("random", "stem"), ("reinit", "stem"), ("stem", "dense")]
BESIDE += [("selector", "random_selector"), ("both", "ticket, trained on")]
BESIDE += [("all_tokens", "dense"), ("both", "dense")]
SAID = {  # differences of the shorter training that the page tells
    "c1": ("ticket", "dense"),
    "c1_twice": ("ticket, trained on", "all_tokens"),
    "c3": ("selector", "all_tokens"),
    "c3_random": ("random_selector", "all_tokens"),
    "c4": ("both", "all_tokens"),
    "random_stem": ("random", "stem"),
}
AFTER = "after four seeds"
NONE = "There are no verdicts yet: they come when all networks of a training are trained."
CALLED = tables.CALLED | {"stem": "the stem alone"}


def every(name, kind):
    """A kind's rows of the planned seeds, of a search those of all rounds; none without a file."""
    if not results.path(name).exists():
        return rows(SMALL[0]).iloc[:0]
    return pick(rows(name).query("seed < @PLANNED"), kind)


def trained(name, kind):
    """The same, of a search those of its last round."""
    last = {"ticket.round": ROUNDS.get(name, experiments.EARNEST_ROUNDS)}
    return pick(every(name, kind), kind, last if kind == "ticket" else None)


def planned(name):
    """The ids of an experiment's networks, all seeds."""
    return {c.hash() for s in range(PLANNED) for _, c in experiments.EXPERIMENTS[name](s)}


def minus(name, these, those):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(trained(name, these), trained(name, those))


def judged(name):
    """{claim: (verdict, p of what it would rest on, Holm's of the three)}, by the protocol's rules.

    {} before all networks of all seeds are trained.
    """
    if not results.path(name).exists() or planned(name) - {*rows(name).id}:
        return {}
    verdicts, ps = {}, {}
    for claim, (these, those, controls) in PAIRS.items():
        loss, *gains = (minus(name, these, other) for other in (those, *controls))
        saved = ledger.saving(trained(name, these), trained(name, those)).mean()
        holds = claim == "C1" or saved >= ledger.SAVING
        verdicts[claim] = ledger.verdict(loss, gains, holds)
        ps[claim] = min(ledger.evidence(loss, gains))
    corrected = dict(zip(ps, holm(list(ps.values())), strict=True))
    return {claim: (verdicts[claim], ps[claim], corrected[claim]) for claim in PAIRS}


def losses():
    """Rows (claim, experiment, network, Estimate) of what is trained, the small network first."""
    for claim, (these, those, _) in PAIRS.items():
        for name, training in (SMALL, *TRAININGS.items()):
            network = training if name == SMALL[0] else f"four blocks, {training}"
            with suppress(Missing):
                yield claim, name, network, minus(name, these, those)


def called(claim):
    these, those, _ = PAIRS[claim]
    return f"{claim}: {named(these)} − {named(those)}"


def named(kind):
    return CALLED.get(kind, kind.replace("_", " "))


def claims():
    """The losses as a table, with the verdicts that this study gives."""
    answers = {name: judged(name) for name in TRAININGS}
    before = analyses.elsewhere().iloc[0].rename({"C3 by accuracy": "C3"})
    for claim, name, network, estimate in losses():
        line = {"difference": called(claim), "network": network} | tables.columns(estimate)
        given = AFTER if name in TRAININGS else before[claim]
        if answer := answers.get(name):
            verdict, p, corrected = answer[claim]
            given = f"{verdict} ({texts.p_text(p)}, corrected {texts.p_text(corrected)})"
        yield line | {"verdict": given}


def beside():
    """The comparisons that have no verdict of their own."""
    for these, those in BESIDE:
        for name, training in TRAININGS.items():
            with suppress(Missing):
                estimate = minus(name, these, those)
                line = {"network": named(these), "compared with": named(those)}
                yield line | {"training": training} | tables.columns(estimate)


def changes():
    """{name: text} of differences after the shorter training."""
    texts_, name = {}, next(iter(TRAININGS))
    for key, pair in SAID.items():
        texts_[f"larger_{key}"] = "not measured yet"
        with suppress(Missing):
            texts_[f"larger_{key}"] = str(minus(name, *pair))
    kinds = ("both", "selector", "ticket, trained on", "all_tokens")
    texts_["larger_sum"] = "not measured yet"
    with suppress(Missing):
        texts_["larger_sum"] = str(additivity(*(trained(name, kind) for kind in kinds)))
    return texts_


def enough():
    """How wide the intervals of all planned seeds will be, if those to come spread as these do."""
    halves = []
    for claim, (these, those, _) in PAIRS.items():
        with suppress(Missing):
            values = minus("four_blocks", these, those).values
            if 1 < len(values) < PLANNED:
                half = t.ppf(0.975, PLANNED - 1) * np.std(values, ddof=1) / PLANNED**0.5
                halves.append(f"± {100 * half:.1f} for {claim}")
    if not halves:
        return "The figure below shows the intervals."
    return (
        f"If the seeds to come spread as these do, {texts.WHOLE[PLANNED]} will give 95 % intervals "
        f"of about {said.listed(halves)}, in points. With so few seeds this guess is rough, too."
    )


def equal_time():
    """What the time of a search buys instead: the longer training of the dense network."""
    (short, few), (long, many) = TRAININGS.items()
    ticket, dense = trained(short, "ticket"), trained(long, "dense")
    if ticket.empty or dense.empty:
        return "What a dense network reaches in that time is not measured yet."
    early = dict(experiments.EXPERIMENTS[long](0))["dense"].train.early_epochs
    change = points(ticket.accuracy.mean() - dense.accuracy.mean())
    return (
        f"A search and its last ticket take {whole_search(short)} small images. "
        f"{texts.upper(many)}, of which {early} show them, take nearly the same. So compare the "
        f"ticket of {few} with the dense network of {many}: the difference is {change} points "
        f"({texts.seeds(ticket)} and {texts.seeds(dense)})."
    )


def bars():
    """The losses, labelled for a figure; none before the first of four blocks."""
    found = list(losses())
    if {name for _, name, *_ in found} <= {SMALL[0]}:
        return {}
    return {f"{called(claim)}, {network}": each for claim, _, network, each in found}


def longer_less_shorter():
    """(claim, Estimate of its difference after the longer training less that after the shorter)."""
    short, long = TRAININGS
    for claim, pair in PAIRS.items():
        with suppress(Missing):
            parts = [trained(name, kind) for name in (long, short) for kind in pair[:2]]
            yield claim, additivity(*parts)


def matters():
    for claim, estimate in longer_less_shorter():
        yield {"difference": called(claim)} | tables.columns(estimate)


def reached(kinds, what):
    """Accuracy of networks, {kind: what it is}, by training; what: that column's name."""
    for kind, words in kinds.items():
        parts = {training: trained(name, kind) for name, training in TRAININGS.items()}
        there = [part for part in parts.values() if len(part)]
        if there:
            line = {"network": named(kind), what: words, "sparsity": percent(there[0].sparsity)}
            for training, part in parts.items():
                mean = texts.hundredfold(part.accuracy.mean())
                line[f"accuracy after {training} (%)"] = (
                    f"{mean} ({len(part)})" if len(part) else "–"
                )
            yield line


def costs():
    """What an image takes in the networks of the shorter training, means over seeds."""
    dense = trained("four_blocks", "dense")
    for kind in (*ONCE, *TWICE):
        part = trained("four_blocks", kind)
        if len(part):
            energy = part.energy_left.mean()
            yield {
                "network": named(kind),
                "parameters left": f"{part.parameters_left.mean():,.0f}",
                "MACs (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "fires (%)": texts.hundredfold(part.firing_rate.mean()),
                "energy (µJ)": f"{energy:.1f}",
                "of the dense network's (%)": f"{100 * energy / dense.energy_left.mean():.0f}",
            }


def thinned():
    """Which layers the sparsest ticket thins out most and least, of the shorter training."""
    ticket = trained("four_blocks", "ticket")
    if ticket.empty:
        return "They are not measured yet."
    kept = ledger.densities(ticket).set_index("layer").kept
    low, high = kept.idxmin(), kept.idxmax()
    return (
        f"It keeps least of `{low}` ({percent([kept[low]])}) and most of `{high}` "
        f"({percent([kept[high]])}). So {percent(1 - ticket.sparsity)} of the weights are left, "
        f"and {percent(ticket.macs_left / ticket.macs)} of the MACs, because weights in the stem "
        "are used at more places of the image than others."
    )


def draw_rounds():
    """The tickets of every round beside the dense network, and the controls of the last."""
    curves, colours = {}, {"four_blocks": "ticket", "four_blocks_long": "both"}
    for name, training in TRAININGS.items():
        dense = trained(name, "dense")
        for kind in ("ticket", "random", "reinit"):
            part = every(name, kind)
            part = part[part.seed.isin(dense.seed)].assign(percent=100 * part.sparsity)
            if len(part):
                colour = colours[name] if kind == "ticket" else kind
                curves[f"{named(kind)}, {training}"] = (colour, part, dense)
    if not curves:
        return draw_sentence("not measured yet")
    return draw_paired(curves, "percent", "sparsity (%)", "the dense network's", ledger.MARGIN)


def draw_densities():
    """The share of its weights that each layer of the last ticket keeps, the mean over seeds."""
    ticket = trained("four_blocks", "ticket")
    if ticket.empty:
        return draw_sentence("not measured yet")
    kept = ledger.densities(ticket).set_index("layer").kept
    return draw_layers((100 * kept).to_dict(), "weights kept (%)")


RATES = {"dense": "dense", "all_tokens": "longer", "selector": "learned"}  # kind: its colour's


def fired():
    """The firing rates, a row a kind and layer. Raises Missing where they are not measured."""
    frame = inside.look("rates")
    return frame.assign(layer=frame.layer.str.removesuffix("lif").str.strip("._"))


def draw_rates():
    """How much each layer's neurons fire, in three networks of one seed."""
    try:
        frame = fired()
    except Missing:
        return draw_sentence("not measured yet")
    layers = list(dict.fromkeys(frame.layer))
    fig, ax = figure(height=0.23 * len(layers) + 1.1)
    for kind, colour in RATES.items():
        part = pick(frame, kind)
        marker = MARKERS.get(colour, "o")
        ax.plot(
            100 * part.rate,
            part.layer,
            marker,
            color=COLOURS[colour],
            alpha=0.85,
            label=named(kind),
        )
    ax.invert_yaxis()
    ax.grid(axis="y", lw=0.4)
    ax.set(xlabel="neurons and time steps with a spike (%)", xlim=(0, None))
    return done(fig, legend=3)


def fires():
    """In how many layers the selector's network fires more than all tokens, and where most."""
    try:
        rates = fired().pivot(index="layer", columns="kind", values="rate")
    except Missing:
        return "It is not measured yet."
    more = (rates.selector - rates.all_tokens).sort_values()
    low, high, grown = rates.all_tokens.idxmin(), rates.all_tokens.idxmax(), more.index[-1]
    shares = *rates.all_tokens[[low, high, grown]], rates.selector[grown]
    least, most, before, after = (percent([share]) for share in shares)
    return (
        f"With all tokens, `{high}` fires most ({most}) and `{low}` least ({least}). With the "
        f"selector, {sum(more > 0)} of {len(more)} layers fire more than with all tokens, most of "
        f"all `{grown}`, with {after} instead of {before}."
    )


def dense_after():
    """What the dense network reaches after each training, a clause each."""
    clauses = []
    for name, training in TRAININGS.items():
        dense = trained(name, "dense")
        if len(dense):
            clauses.append(f"{percent(dense.accuracy)} after {training} ({texts.seeds(dense)})")
    return " and ".join(clauses) or "a share that is not measured yet"


def answers():
    """What ticket, selector and both change, a sentence for each training that has them."""
    told = []
    for name, training in TRAININGS.items():
        parts = []
        for these, those, _ in PAIRS.values():
            with suppress(Missing):
                change = minus(name, these, those)
                parts.append(f"*{named(these)}* minus *{named(those)}* is {change}")
        if parts:
            told.append(f"After {training}, in accuracy, {said.listed(parts)}.")
    return " ".join(told) or "It is not measured yet."


def sparser():
    """What the tickets of all rounds change, and the last round's controls: means over the seeds
    that have all of these."""
    told, kinds = [], ("dense", "ticket", "random", "reinit")
    for name, training in TRAININGS.items():
        whole = set.intersection(*({*trained(name, kind).seed} for kind in kinds))
        if not whole:
            continue
        dense, tickets, *controls = (
            part[part.seed.isin(whole)] for part in (every(name, kind) for kind in kinds)
        )
        parts = [part for _, part in tickets.groupby("ticket.round")] + controls
        *steps, random, reinit = (points(difference(part, dense).mean) for part in parts)
        told.append(
            f"After {training}, the tickets differ from the dense network by "
            f"{said.listed(steps)} points ({texts.seeds(dense)}), from the first round to the "
            f"last. There, the random ticket differs by {random}, and the mask with new weights by "
            f"{reinit}."
        )
    return " ".join(told) or "It is not measured yet."


def whole_search(name):
    """11 epochs, of which 6 show small images: what a search and its last ticket take together."""
    configs = [config for kind, config in experiments.EXPERIMENTS[name](0) if kind == "ticket"]
    train, last = configs[0].train, configs[-1]
    begun = len(configs) * last.ticket.rewind_epoch
    epochs = (1 + len(configs)) * train.epochs - begun
    return f"{epochs} epochs, of which {(1 + len(configs)) * train.early_epochs - begun} show"


def saved():
    """What the selector saves of MACs and energy, beside all tokens, and what it takes itself."""
    part, whole, chance = (
        trained("four_blocks", kind) for kind in ("selector", "all_tokens", "random_selector")
    )
    if part.empty or whole.empty or chance.empty:
        return "What the selector saves is not measured yet."
    learned, before, random = (each.energy_left.mean() for each in (part, whole, chance))
    config = dict(experiments.four_blocks(0))["selector"]
    layers = cost.layers(config.model, config.selector)
    own = MAC_PICOJOULE / 1e6 * sum(row.macs for row in layers if row.role == "selector")
    twice, both = (trained("four_blocks", kind) for kind in ("ticket, trained on", "both"))
    told = (
        f"Beside *all tokens*, the selector saves {percent(ledger.saving(part, whole))} of the "
        f"MACs and {percent([1 - learned / before])} of the energy. A random choice of as many "
        f"tokens saves {percent([1 - random / before])} of the energy. The two are "
        f"{learned - random:.1f} µJ apart, and the selector's own layers take {own:.1f} µJ: they "
        "multiply numbers, where most others add spikes."
    )
    if twice.empty or both.empty:
        return told
    without, with_it = (each.energy_left.mean() for each in (twice, both))
    return told + (
        f" A ticket that is trained as long takes {without:.1f} µJ without a selector, and "
        f"{with_it:.1f} µJ with one (*both*)."
    )


def verdicts():
    """The verdicts that have been given, a clause for each training."""
    for name, training in TRAININGS.items():
        given = [f"{claim} *{answer}*" for claim, (answer, *_) in judged(name).items()]
        if given:
            yield f"after {training} {', '.join(given)}"


def state():
    """Whether the claims are measured in these networks, and what the dense one reaches."""
    words = "are being measured" if len(list(verdicts())) < len(TRAININGS) else "were measured"
    dense = any(len(trained(name, "dense")) for name in TRAININGS)
    if not dense:
        return f"The claims [{words}](larger.md) in networks of four blocks."
    return (
        f"The claims [{words}](larger.md) in networks of four blocks, too, with a better training. "
        f"Of the test images of CIFAR-10 (JPEG), the dense one is right on {dense_after()}."
    )


def substitutions():
    """{name: text} of what the pages say of these networks."""
    counts = []
    for name, training in TRAININGS.items():
        ids = planned(name)
        there = len(ids & {*rows(name).id}) if results.path(name).exists() else 0
        counts.append(f"{there} of {len(ids)} networks with {training}")
    return changes() | {
        "larger_trained": " and ".join(counts),
        "larger_dense": dense_after(),
        "larger_answers": answers(),
        "larger_sparser": sparser(),
        "larger_looked": choices.looked(),
        "larger_small": percent(pick(rows(SMALL[0]), "dense").accuracy),
        "larger_densities": thinned(),
        "larger_enough": enough(),
        "larger_equal_time": equal_time(),
        "larger_keep_ratio": f"{dict(experiments.four_blocks(0))['selector'].selector.keep_ratio}",
        "larger_photographs": choices.alike(),
        "larger_uniform": choices.uniform(),
        "larger_rates": fires(),
        "larger_saved": saved(),
        "larger_untrained": choices.untrained(),
        "larger_state": state(),
        "larger_verdicts": f"The verdicts: {told}." if (told := "; ".join(verdicts())) else NONE,
    }


def figures():
    """{name: figure} of the page."""
    drawn = {"larger": draw_differences(bars(), ledger.MARGIN), "places": choices.draw_places()}
    drawn |= {"densities": draw_densities(), "rates": draw_rates(), "rounds": draw_rounds()}
    return drawn | choices.photographs()


def pages(book):
    """Write the tables that the page includes."""
    included = {"claims": claims(), "beside": beside(), "matters": matters(), "costs": costs()}
    included |= {"once": reached(ONCE, "what is left"), "twice": reached(TWICE, "starts from")}
    included["choices"] = choices.others()
    for name, lines in included.items():
        (book / f"_larger_{name}.md").write_text(tables.in_markdown(lines))
