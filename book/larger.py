"""What the page of four blocks shows: the claims' losses by how long the networks were trained."""

from contextlib import suppress

import analyses
import pandas as pd
import said
import tables
import texts

from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.figures.chapters import draw_layers
from ssf.figures.style import done, draw_differences, draw_paired, draw_sentence, figure
from ssf.study import experiments, ledger, results
from ssf.study.ledger import additivity, difference, pick, rows
from ssf.study.statistics import Estimate, holm, percent, points

PLANNED = 4  # seeds of each experiment; a verdict needs them all
TRAININGS = {"four_blocks": "three epochs", "four_blocks_long": "ten epochs"}
SMALL = ("cifar10", "two blocks, five epochs")  # shown beside
PAIRS = {  # claim: (these, those, what these must beat)
    "C1": ("ticket", "dense", ("reinit", "random")),
    "C3": ("selector", "all_tokens", ()),
    "C4": ("both", "all_tokens", ()),
}
ROUNDS = {"cifar10": experiments.CIFAR10_ROUNDS}  # of a search; the others have EARNEST_ROUNDS
ARMS = ("dense", "ticket", "reinit", "random", "all_tokens", "selector", "random_selector")
ARMS += ("ticket, trained on", "both", "stem")
BESIDE = [("ticket", kind) for kind in ("reinit", "random")]
BESIDE += [("random", "dense"), ("selector", "random_selector"), ("both", "ticket, trained on")]
BESIDE += [("all_tokens", "dense"), ("both", "dense"), ("stem", "dense")]
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


SUM = ("both", "selector", "ticket, trained on", "all_tokens")


def sums():
    """What both together lose beyond the sum of what each loses, by training."""
    for name, training in TRAININGS.items():
        with suppress(Missing):
            beyond = additivity(*(trained(name, kind) for kind in SUM))
            yield {"training": training} | tables.columns(beyond)


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


def reached():
    """Accuracy of every network, by training."""
    for kind in ARMS:
        parts = {training: trained(name, kind) for name, training in TRAININGS.items()}
        there = [part for part in parts.values() if len(part)]
        if there:
            line = {"network": named(kind), "sparsity": percent(there[0].sparsity)}
            for training, part in parts.items():
                line[f"after {training} (%)"] = accuracy(part)
            yield line


def costs():
    """What an image takes in the networks of the shorter training, means over seeds."""
    for kind in ARMS:
        part = trained("four_blocks", kind)
        if len(part):
            yield {
                "network": named(kind),
                "parameters left": f"{part.parameters_left.mean():,.0f}",
                "MACs (M)": f"{part.macs.mean() / 1e6:.1f}",
                "MACs, weights left (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "fires (%)": texts.hundredfold(part.firing_rate.mean()),
                "energy (µJ)": f"{part.energy_left.mean():.1f}",
            }


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


def accuracy(part):
    """71.3 (71.0 to 71.6, 4 seeds)."""
    if part.empty:
        return "–"
    cells = tables.columns(Estimate(tuple(part.accuracy)), texts.hundredfold)
    between = f"{cells['95 % interval']}, " if len(part) > 1 else ""
    return f"{cells['mean']} ({between}{seeds(part)})"


def seeds(part):
    return "one seed" if len(part) == 1 else f"{texts.WHOLE[len(part)]} seeds"


def dense_after():
    """What the dense network reaches after each training, a clause each."""
    clauses = []
    for name, training in TRAININGS.items():
        dense = trained(name, "dense")
        if len(dense):
            clauses.append(f"{percent(dense.accuracy)} after {training} ({seeds(dense)})")
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
            f"{said.listed(steps)} points ({seeds(dense)}), from the first round to the last. "
            f"There, the random ticket differs by {random}, and the mask with new weights by "
            f"{reinit}."
        )
    return " ".join(told) or "It is not measured yet."


CHOICES = {
    "learned": "the selector's own",
    "another image's": "those it would keep in another image",
    "usual places": "the places that it keeps most often",
    "firing_rate": "the tokens that fire most",
    "random": "random tokens",
    "untrained": "those it would have kept before its training",
}


def looks():
    """What other choices, by `kind`, do in the learned selector's networks; perhaps no rows."""
    with suppress(Missing):
        return inside.look("choices").rename(columns={"choice": "kind"})
    return pd.DataFrame(columns=["seed", "kind", "accuracy", "same"])


def choices():
    """Accuracy of the learned selector's networks with other choices, less that with its own."""
    frame = looks()
    own = pick(frame, "learned")
    for choice, label in CHOICES.items():
        part = pick(frame, choice)
        if part.empty:
            continue
        change = tables.columns(difference(part, own))
        if choice == "learned":
            change = dict.fromkeys(change, "–") | {"seeds": len(own)}
        yield {
            "tokens that stay": label,
            "shared with its own (%)": texts.hundredfold(part.same.mean()),
            "accuracy (%)": texts.hundredfold(part.accuracy.mean()),
            "minus its own": change.pop("mean"),
        } | change


def looked():
    """What another image's choice and random tokens do to accuracy."""
    frame = looks()
    own, another, chance = (pick(frame, kind) for kind in ("learned", "another image's", "random"))
    if own.empty:
        return "It is not measured yet."
    return (
        f"With the choice that it makes for another image, accuracy changes by "
        f"{difference(another, own)}; with random tokens, by {difference(chance, own)}."
    )


def untrained():
    """How much of a selector's choice it makes before its training, too, in the same network."""
    frame = looks()
    new = pick(frame, "untrained")
    if new.empty:
        return "Whether a selector before its training would prefer the same places is not known."
    same, chance = (
        percent(pick(frame[frame.seed.isin(new.seed)], kind).same)
        for kind in ("untrained", "random")
    )
    return (
        f"In the same network, the selector before its training makes {same} of the last choice "
        f"of the trained one, too, where a random choice makes {chance} of it ({seeds(new)})."
    )


def draw_places():
    """How often the selector keeps each place of the grid, the mean over seeds; and before it is
    trained, both of the seeds where that was measured, if there are any."""
    parts = {"trained": pick(looks(), "learned"), "before training": pick(looks(), "untrained")}
    if len(asked := parts["before training"].seed):
        parts["trained"] = parts["trained"][parts["trained"].seed.isin(asked)]
    parts = {label: part.filter(like="place_").mean() for label, part in parts.items() if len(part)}
    if not parts:
        return draw_sentence("not measured yet")
    fig, axes = figure(rows=len(parts), height=2.6, squeeze=False)
    for ax, (label, shares) in zip(axes[:, 0], parts.items(), strict=True):
        side = round(len(shares) ** 0.5)
        grid = 100 * shares.to_numpy().reshape(side, side)
        shown = ax.imshow(grid, cmap="Blues", vmin=0, vmax=100)
        ax.set(xticks=[], yticks=[], title=label if len(parts) > 1 else "")
    fig.colorbar(shown, ax=axes, label="kept in so many test images (%)")
    return done(fig)


def whole_search(name):
    """11 epochs, of which 6 show small images: what a search and its last ticket take together."""
    configs = [config for kind, config in experiments.EXPERIMENTS[name](0) if kind == "ticket"]
    train, last = configs[0].train, configs[-1]
    begun = len(configs) * last.ticket.rewind_epoch
    epochs = (1 + len(configs)) * train.epochs - begun
    return f"{epochs} epochs, of which {(1 + len(configs)) * train.early_epochs - begun} show"


def saved():
    """What the selector saves of MACs and of energy, beside all tokens."""
    part, whole = (trained("four_blocks", kind) for kind in ("selector", "all_tokens"))
    if part.empty or whole.empty:
        return "What the selector saves is not measured yet."
    chance = trained("four_blocks", "random_selector")
    energies = [1 - each.energy_left.mean() / whole.energy_left.mean() for each in (part, chance)]
    random = f", a random one {percent(energies[1:])}" if len(chance) else ""
    fires = [texts.hundredfold(rows_.firing_rate.mean()) for rows_ in (whole, part)]
    return (
        f"Beside *all tokens*, the selector saves {percent(ledger.saving(part, whole))} of the "
        f"MACs and {percent(energies[:1])} of the energy{random}. (Without it, "
        f"{fires[0]} % of neurons and time steps have a spike, with it {fires[1]} %.)"
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
    return {
        "larger_trained": " and ".join(counts),
        "larger_dense": dense_after(),
        "larger_answers": answers(),
        "larger_sparser": sparser(),
        "larger_looked": looked(),
        "larger_small": percent(pick(rows(SMALL[0]), "dense").accuracy),
        "larger_saved": saved(),
        "larger_untrained": untrained(),
        "larger_whole_search": whole_search("four_blocks"),
        "larger_state": state(),
        "larger_verdicts": f"The verdicts: {told}." if (told := "; ".join(verdicts())) else NONE,
    }


def figures():
    """{name: figure} of the page."""
    drawn = {"larger": draw_differences(bars(), ledger.MARGIN), "places": draw_places()}
    return drawn | {"densities": draw_densities(), "rounds": draw_rounds()}


def pages(book):
    """Write the tables that the page includes."""
    included = {"claims": claims(), "beside": beside(), "matters": matters(), "reached": reached()}
    included |= {"choices": choices(), "costs": costs(), "sums": sums()}
    for name, lines in included.items():
        (book / f"_larger_{name}.md").write_text(tables.in_markdown(lines))
