"""What the page of four blocks shows: the claims' losses by how long the networks were trained."""

from contextlib import suppress

import pandas as pd
import tables
import texts

from ssf.engine.records import Missing
from ssf.figures import inside
from ssf.figures.chapters import draw_layers
from ssf.figures.style import done, draw_differences, draw_sentence, figure
from ssf.study import experiments, ledger, results
from ssf.study.ledger import additivity, difference, pick, rows
from ssf.study.statistics import Estimate, percent, points

PLANNED = 4  # seeds of each experiment; a verdict needs them all
TRAININGS = {"four_blocks": "three epochs", "four_blocks_long": "ten epochs"}
SMALL = ("cifar10", "two blocks, five epochs")  # shown beside
PAIRS = {  # claim: (these, those, what these must beat)
    "C1": ("ticket", "dense", ("reinit", "random")),
    "C3": ("selector", "all_tokens", ()),
    "C4": ("both", "all_tokens", ()),
}
ARMS = ("dense", "ticket", "reinit", "random", "all_tokens", "selector", "random_selector")
ARMS += ("ticket, trained on", "both", "stem")
BESIDE = [("ticket", kind) for kind in ("reinit", "random")]
BESIDE += [("random", "dense"), ("selector", "random_selector"), ("both", "ticket, trained on")]
BESIDE += [("all_tokens", "dense"), ("stem", "dense")]
AFTER = "after four seeds"


def trained(name):
    """The rows of the planned seeds; none where nothing is trained."""
    if not results.path(name).exists():
        return rows(SMALL[0]).iloc[:0]
    return rows(name).query("seed < @PLANNED")


def last(frame, kind):
    """Its rows; of a search those of the last round."""
    part = pick(frame, kind)
    most = frame["ticket.round"].max()
    return part[part["ticket.round"] == most] if kind == "ticket" else part


def minus(these, those, frame):
    """Estimate of a kind's accuracy minus another's. Raises Missing without a seed of both."""
    return difference(last(frame, these), last(frame, those))


def verdict(claim, frame):
    """The claim's verdict by the protocol's rules, as soon as all planned seeds are trained."""
    these, those, controls = PAIRS[claim]
    with suppress(Missing):
        loss, *gains = (minus(these, other, frame) for other in (those, *controls))
        if all(each.seeds == PLANNED for each in (loss, *gains)):
            saved = ledger.saving(last(frame, these), last(frame, those)).mean()
            return ledger.verdict(loss, gains, claim == "C1" or saved >= ledger.SAVING)
    return AFTER


def losses():
    """Rows (claim, experiment, training, Estimate) of what is trained, the small network first."""
    for claim in PAIRS:
        for name, training in (SMALL, *TRAININGS.items()):
            frame = rows(name) if name == SMALL[0] else trained(name)
            with suppress(Missing):
                yield claim, name, training, minus(*PAIRS[claim][:2], frame)


def called(claim):
    these, those, _ = PAIRS[claim]
    return f"{claim}: {named(these)} − {named(those)}"


def named(kind):
    return tables.CALLED.get(kind, kind.replace("_", " "))


def claims():
    """The losses as a table, with the verdicts that this study gives."""
    for claim, name, training, estimate in losses():
        judged = verdict(claim, trained(name)) if name in TRAININGS else "–"
        line = {"difference": called(claim), "training": training}
        yield line | tables.columns(estimate) | {"verdict": judged}


def beside():
    """The comparisons that have no verdict of their own."""
    for name, training in TRAININGS.items():
        for these, those in BESIDE:
            with suppress(Missing):
                estimate = minus(these, those, trained(name))
                line = {"network": named(these), "compared with": named(those)}
                yield line | {"training": training} | tables.columns(estimate)


def bars():
    """The losses, labelled for a figure; none before the first of four blocks."""
    found = list(losses())
    if {name for _, name, *_ in found} <= {SMALL[0]}:
        return {}
    return {f"{called(claim)}, {training}": each for claim, _, training, each in found}


def longer_less_shorter():
    """{claim: Estimate of the loss after the longer training minus that after the shorter}."""
    short, long = map(trained, TRAININGS)
    for claim, (these, those, _) in PAIRS.items():
        with suppress(Missing):
            parts = [last(frame, kind) for frame in (long, short) for kind in (these, those)]
            yield claim, additivity(*parts)


def matters():
    for claim, estimate in longer_less_shorter():
        yield {"loss": called(claim)} | tables.columns(estimate)


def reached():
    """Accuracy of every network, by training."""
    frames = {training: trained(name) for name, training in TRAININGS.items()}
    for kind in ARMS:
        parts = {training: last(frame, kind) for training, frame in frames.items()}
        there = [part for part in parts.values() if len(part)]
        if there:
            line = {
                "network": named(kind),
                "sparsity": percent(there[0].sparsity),
            }
            for training, part in parts.items():
                line[f"after {training} (%)"] = accuracy(part)
            yield line


def costs():
    """What an image takes in the networks of the shorter training, means over seeds."""
    frame = trained("four_blocks")
    for kind in ARMS:
        part = last(frame, kind)
        if len(part):
            yield {
                "network": named(kind),
                "parameters left": f"{part.parameters_left.mean():,.0f}",
                "MACs (M)": f"{part.macs.mean() / 1e6:.1f}",
                "of weights left (M)": f"{part.macs_left.mean() / 1e6:.1f}",
                "fires (%)": texts.hundredfold(part.firing_rate.mean()),
                "energy (µJ)": f"{part.energy_left.mean():.1f}",
            }


def draw_densities():
    """The share of its weights that each layer of the last ticket keeps, the mean over seeds."""
    ticket = last(trained("four_blocks"), "ticket")
    if ticket.empty:
        return draw_sentence("not measured yet")
    kept = ledger.densities(ticket).set_index("layer").kept
    return draw_layers((100 * kept).to_dict(), "weights kept (%)")


def accuracy(part):
    """71.3 (71.0 to 71.6, 4 seeds)."""
    if part.empty:
        return "–"
    cells = tables.columns(Estimate(tuple(part.accuracy)), texts.hundredfold)
    if len(part) == 1:
        return f"{cells['mean']} (one seed)"
    return f"{cells['mean']} ({cells['95 % interval']}, {len(part)} seeds)"


def dense_after():
    """What the dense network reaches after each training, a clause each."""
    clauses = []
    for name, training in TRAININGS.items():
        dense = pick(trained(name), "dense")
        if len(dense):
            clauses.append(f"{percent(dense.accuracy)} after {training}")
    return " and ".join(clauses) or "a share not measured yet"


def on_two_cores():
    """What the recipe's preset reached in the training of seed 0, and how long it took."""
    dense = pick(trained("four_blocks_long"), "dense")
    first = dense[dense.seed == 0]
    if first.empty:
        return "What it reaches is not measured yet."
    row = first.iloc[0]
    cores = "one core" if row.threads == 1 else f"{texts.WHOLE[int(row.threads)]} cores"
    return (
        f"Trained so with seed 0, the network is right on {texts.hundredfold(row.accuracy)} % of "
        f"the test images and on {texts.hundredfold(row.validation_accuracy)} % of the validation "
        f"images. That took {row.seconds / 60:.0f} minutes of {cores}."
    )


CHOICES = {
    "learned": "the selector's own",
    "usual places": "the places that it keeps most often",
    "firing_rate": "the tokens that fire most",
    "random": "random tokens",
}


def looks():
    """What other choices do in the learned selector's networks; no rows where none is there."""
    with suppress(Missing):
        return inside.look("choices")
    return pd.DataFrame(columns=["seed", "choice", "accuracy", "same"])


def choices():
    """Accuracy of the learned selector's networks with its own choice and with others."""
    frame = looks().rename(columns={"choice": "kind"})
    own = pick(frame, "learned")
    for choice, label in CHOICES.items() if len(own) else ():
        part = pick(frame, choice)
        change = difference(part, own)
        yield {
            "tokens that stay": label,
            "accuracy (%)": texts.hundredfold(part.accuracy.mean()),
            "minus its own": "–" if choice == "learned" else points(change.mean),
            "of its own, kept (%)": texts.hundredfold(part.same.mean()),
            "seeds": len(part),
        }


def draw_places():
    """How often the learned selector keeps each place of the grid, the mean over seeds."""
    own = looks().query("choice == 'learned'").filter(like="place_").mean()
    if own.empty:
        return draw_sentence("not measured yet")
    side = round(len(own) ** 0.5)
    fig, ax = figure(height=3)
    shown = ax.imshow(100 * own.to_numpy().reshape(side, side), cmap="Blues", vmin=0, vmax=100)
    ax.set(xticks=[], yticks=[])
    fig.colorbar(shown, label="kept in so many test images (%)")
    return done(fig)


def verdicts():
    """The verdicts that have been given, a clause for each training."""
    for name, training in TRAININGS.items():
        judged = {claim: verdict(claim, trained(name)) for claim in PAIRS}
        given = [f"{claim} *{answer}*" for claim, answer in judged.items() if answer != AFTER]
        if given:
            yield f"after {training} {', '.join(given)}"


def substitutions():
    """{name: text} of what the pages say of these networks."""
    counts = []
    for name, training in TRAININGS.items():
        planned = {c.hash() for s in range(PLANNED) for _, c in experiments.EXPERIMENTS[name](s)}
        there = len(planned & {*trained(name).id})
        counts.append(f"{there} of {len(planned)} with {training}")
    small = pick(rows(SMALL[0]), "dense")
    return {
        "larger_trained": " and ".join(counts),
        "larger_dense": dense_after(),
        "larger_small": percent(small.accuracy),
        "larger_verdicts": "; ".join(verdicts()) or "none before the fourth seed",
        "recipe_reached": on_two_cores(),
    }


def figures():
    """{name: figure} of the page."""
    drawn = {"larger": draw_differences(bars(), ledger.MARGIN), "places": draw_places()}
    return drawn | {"densities": draw_densities()}


def pages(book):
    """Write the tables that the page includes."""
    included = {"claims": claims(), "beside": beside(), "matters": matters(), "reached": reached()}
    included |= {"choices": choices(), "costs": costs()}
    for name, lines in included.items():
        (book / f"_larger_{name}.md").write_text(tables.in_markdown(lines))
