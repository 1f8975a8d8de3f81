"""What the recipe's page shows: the trials, the choice among them, and what was reached."""

import shlex

import numpy as np
import said
import tables
import texts
from texts import hundredfold

from ssf.config import RunConfig
from ssf.figures.style import COLOURS, DOTS, INK, MARKERS, done, draw_sentence, figure
from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments, ledger, results
from ssf.study.ledger import pick, rows
from ssf.study.statistics import percent, points


def work(rows):
    """MACs of a dense training's forward passes, up to the number of images; the rows' mean."""
    macs = []
    for config in map(RunConfig.from_flat, rows.to_dict("records")):
        early = min(config.train.early_epochs, config.train.epochs)
        whole = config.train.epochs - early
        macs.append(early * cost.macs(config.early_model) + whole * cost.macs(config.model))
    return sum(macs) / len(macs)


LONGER = ", half an hour"  # the recipes' kinds that are no trial of one change
TRIAL_SEEDS = (experiments.CHOSEN_WITH, experiments.CHOSEN_WITH + 1)


def longer():
    """The rows of the recipe's longer trainings."""
    frame = rows("recipes")
    return frame[frame.kind.str.endswith(LONGER)]


def best(trainings):
    """The row, as a frame, of the one that is best on validation images."""
    return trainings.nlargest(1, "validation_accuracy")


def of_seven_epochs():
    """{name: text} of what the trainings of seven epochs reached, and of what is missing."""
    frame, trained = rows("recipes"), longer()
    sentences = [
        f"Trained with {kind.removesuffix(LONGER)} (seed{'s' * (len(part) > 1)} "
        f"{said.listed(part.seed.map(str))}), the network is right on "
        f"{said.listed(part.validation_accuracy.map(hundredfold))} % of its validation images "
        f"and on {said.listed(part.accuracy.map(hundredfold))} % of the test images, and its "
        f"neurons fire in {percent(part.firing_rate)} of the steps. That took "
        f"{part.seconds.mean() / 60:.0f} minutes"
        for kind, part in trained.groupby("kind")
    ]
    hours = frame.seconds.groupby(frame.kind.str.endswith(LONGER)).median() / 3600
    planned = [(k, c.hash()) for seed in TRIAL_SEEDS for k, c in experiments.recipes(seed)]
    missing = [kind for kind, name in planned if name not in set(frame.id)]
    return {
        "seven_epochs": ". ".join(sentences),
        "recipe_hours": f"{sum(hours[kind.endswith(LONGER)] for kind in missing):.0f}",
        "recipe_missing": f"{len(missing)}",
        "cifar10_dense": percent(pick(rows("cifar10"), "dense").accuracy),
    }


def of_the_trials():
    """{name: text} of what the trials change with AdamW: those that the recipe has, the others."""
    found, usual = gains(), preset("study-cifar10")
    told = {change: each["AdamW"] for change, each in found.items() if "AdamW" in each}
    parts = [name for name, fields in experiments.CHANGES.items() if usual.with_(**fields) == usual]
    parts.append("together")
    others = [name for name in told if name not in (*parts, "small first")]
    return {
        "recipe_parts": "; ".join(f"{name} {told.get(name, 'not yet')}" for name in parts),
        "recipe_others": "; ".join(f"{name} {told[name]}" for name in others) or "none yet",
    }


def of_the_preset():
    """{name: text} of the recipe's training, and of what it reached with seed 0."""
    train, test = preset("study-cifar10").train, "an accuracy that is not measured yet"
    told = "What it reaches is not measured yet."
    first = rows("half_hour").query("seed == 0") if results.path("half_hour").exists() else ()
    for row in first.itertuples() if len(first) else ():
        cores = "one core" if row.threads == 1 else f"{texts.WHOLE[int(row.threads)]} cores"
        test = f"{hundredfold(row.accuracy)} %"
        told = (
            f"With seed 0, the network is right on {hundredfold(row.accuracy)} % of the test "
            f"images and on {hundredfold(row.validation_accuracy)} % of the validation images. "
            f"Training took {row.seconds / 60:.0f} minutes of {cores}, the measurements after "
            f"each epoch not counted."
        )
    return {
        "recipe_epochs": str(train.epochs),
        "recipe_early": str(train.early_epochs),
        "recipe_reached": told,
        "recipe_test": test,
    }


def of_the_choice():
    """{name: text} of what the rules of the recipe go by: validation accuracy, over two seeds."""
    frame = rows("recipes")
    by_kind = frame[frame.seed.isin(TRIAL_SEEDS)].groupby("kind").validation_accuracy
    means, told = by_kind.mean()[by_kind.count() == 2], {}
    for name, one, other in (
        ("first_rule", f"Muon{LONGER}", f"AdamW{LONGER}"),
        ("second_rule", "Muon, small first", "Muon, together"),
    ):
        told[name] = ", ".join(
            f"*{kind.removesuffix(LONGER).removeprefix('Muon, ')}* {hundredfold(means[kind])} %"
            for kind in (one, other)
            if kind in means
        )
    searched = rows("optimisers") if results.path("optimisers").exists() else frame.iloc[:0]
    for optimiser in experiments.RATES:
        parts = [pick(searched, f"{optimiser}, {kind}") for kind in ("ticket", "random", "dense")]
        parts[0] = parts[0].nlargest(1, "sparsity")
        shares = [hundredfold(part.validation_accuracy.mean()) for part in parts if len(part)]
        told[f"search_{optimiser.lower()}"] = (
            "the ticket of {} sparsity is right on {} % of the validation images, its random "
            "control on {} %, and the dense network on {} %".format(
                percent(parts[0].sparsity), *shares
            )
            if len(shares) == len(parts)
            else "the search is not finished yet"
        )
    return told


def trials():
    """The recipe's trials, the best on validation images first; a training's operations."""
    if not results.path("recipes").exists():
        return
    frame = ledger.rows("recipes")
    frame = frame[~frame.kind.str.endswith(LONGER)]
    start = ledger.pick(frame, "AdamW")
    means = frame.groupby("kind").validation_accuracy.mean().sort_values(ascending=False)
    for kind in means.index:
        rows = ledger.pick(frame, kind)
        change = ledger.difference(rows, start, "validation_accuracy").mean
        yield {
            "change": kind,
            "validation accuracy (%)": hundredfold(means[kind]),
            "minus AdamW (points)": "–" if kind == "AdamW" else points(change),
            "firing rate (%)": hundredfold(rows.firing_rate.mean()),
            "min": f"{rows.seconds.mean() / 60:.0f}",
            "MACs": f"{work(rows) / work(start):.2f}",
            "seeds": len(rows),
        }


def searches():
    """Each optimiser's search for tickets, a line a network, by validation images."""
    if not results.path("optimisers").exists():
        return
    frame = ledger.rows("optimisers").set_index("id")
    for kind, config in experiments.optimisers(experiments.CHOSEN_WITH):
        if config.hash() in frame.index:
            row = frame.loc[config.hash()]
            yield {
                "network": kind,
                "sparsity (%)": hundredfold(row.sparsity),
                "validation accuracy (%)": hundredfold(row.validation_accuracy),
            }


def best_recipe():
    """The command that trains the best of the longer trainings anew, a line for each option."""
    config = RunConfig.from_flat(best(longer()).iloc[0].to_dict())
    usual, reached = preset("study-cifar10", seed=config.seed).flat(), config.flat()
    changed = [f"{field}={value}" for field, value in reached.items() if value != usual[field]]
    options = [shlex.join(["-o", option]) for option in changed]
    start = f".venv/bin/python -m ssf train --preset study-cifar10 --seed {config.seed}"
    return " \\\n    ".join([start, *options])


def gains():
    """{change: {optimiser: Estimate}} of what each trial changes in validation accuracy."""
    frame, found = rows("recipes"), {}
    for kind in dict.fromkeys(kind for kind, _ in experiments.recipes(experiments.CHOSEN_WITH)):
        optimiser, _, change = kind.partition(", ")
        start, part = pick(frame, optimiser), pick(frame, kind)
        if change and not kind.endswith(LONGER) and {*part.seed} & {*start.seed}:
            gain = ledger.difference(part, start, "validation_accuracy")
            found.setdefault(change, {})[optimiser] = gain
    return found


def draw_gains():
    """What each trial changes, by either optimiser: a dot a seed, and the mean."""
    found = gains()
    if not found:
        return draw_sentence("not measured yet")
    colours = dict(zip(experiments.RATES, ("ticket", "reinit"), strict=True))
    order = sorted(
        found, key=lambda change: np.mean([each.mean for each in found[change].values()])
    )
    fig, ax = figure(height=0.3 * len(found) + 0.9)
    for y, change in enumerate(order):
        for optimiser, gain in found[change].items():
            colour, at = COLOURS[colours[optimiser]], y + 0.12 * (optimiser != "AdamW")
            ax.scatter(100 * np.array(gain.values), [at] * gain.seeds, color=colour, **DOTS)
            marker = MARKERS.get(colours[optimiser], "o")
            ax.plot(100 * gain.mean, at, marker, ms=6, color=colour, label=optimiser)
    ax.axvline(0, color=INK, lw=0.8)
    ax.set(yticks=range(len(order)), yticklabels=order)
    ax.set_xlabel("change in validation accuracy (points)")
    return done(fig, legend=2)


def substitutions():
    """{name: text} of what the page says."""
    return of_seven_epochs() | of_the_trials() | of_the_choice() | of_the_preset()


def pages(book):
    """Write what the page includes."""
    for name, lines in {"trials": trials(), "searches": searches()}.items():
        (book / f"_{name}.md").write_text(tables.in_markdown(lines))
    (book / "_best_recipe.md").write_text(f"```sh\n{best_recipe()}\n```\n")
