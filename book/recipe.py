"""What the recipe's page shows: the trials, the choice among them, and what was reached."""

import shlex
from statistics import median

import said
import tables
import texts
from tables import rows_of
from texts import hundredfold

from ssf.config import RunConfig
from ssf.figures.style import COLOURS, DOTS, GREY, MARKERS, done, draw_sentence, figure
from ssf.model import cost
from ssf.presets import preset
from ssf.study import experiments, ledger
from ssf.study.ledger import pick, rows
from ssf.study.statistics import percent, points

LONGER = ", seven epochs"  # the kinds that are no trial of one change
OPTIMISERS = {"adamw": "AdamW", "muon": "Muon"}  # as they are called
LOOKS = {"AdamW": "ticket", "Muon": "reinit"}  # as what an optimiser is drawn
# experiment and kind of the trainings that two threads did, for a seed at least
TIMED = (("four_blocks_long", "dense"), ("half_hour", "dense, AdamW"), ("half_hour", "dense"))
TRIAL_SEEDS = (experiments.CHOSEN_WITH, experiments.CHOSEN_WITH + 1)
REACHED_WITH = (0, 1, 2, 3)  # the planned seeds of the recipe's own network


def work(frame):
    """MACs of a dense training's forward passes, up to the number of images; the rows' mean."""
    macs = []
    for config in map(RunConfig.from_flat, frame.to_dict("records")):
        early = min(config.train.early_epochs, config.train.epochs)
        whole = config.train.epochs - early
        macs.append(early * cost.macs(config.early_model) + whole * cost.macs(config.model))
    return sum(macs) / len(macs)


def longer():
    """The rows of the trainings of seven epochs."""
    frame = rows_of("recipes")
    return frame[frame.kind.str.endswith(LONGER)]


def seeds(part):
    """seed 100; seeds 100 and 101."""
    return f"seed{'s' * (len(part) > 1)} {said.listed(part.seed.map(str))}"


def of_seven_epochs():
    """{name: text} of what the trainings of seven epochs reached, and of what is missing."""
    sentences = [
        f"Trained with {kind.removesuffix(LONGER)} ({seeds(part)}), the network is right on "
        f"{said.listed(part.validation_accuracy.map(hundredfold))} % of its validation images "
        f"and on {said.listed(part.accuracy.map(hundredfold))} % of the test images, and its "
        f"neurons fire in {percent(part.firing_rate)} of the steps. That took "
        f"{part.seconds.mean() / 60:.0f} minutes"
        for kind, part in longer().groupby("kind")
    ]
    frame = rows_of("recipes")
    planned = [(k, c.hash()) for seed in TRIAL_SEEDS for k, c in experiments.recipes(seed)]
    missing = [kind for kind, name in planned if name not in set(frame.id)]
    hours = {  # an optimiser's usual trial, as far as there is one
        optimiser: median(frame[frame.kind.str.startswith(optimiser)].seconds / 3600)
        for optimiser in {kind.partition(",")[0] for kind in frame.kind}
    }
    needed = sum(hours.get(kind.partition(",")[0], 0) for kind in missing)
    return {
        "seven_epochs": ". ".join(sentences) or "They are not trained yet",
        "recipe_hours": f"{needed:.0f}",
        "recipe_missing": f"{len(missing)} of {len(planned)}",
        "cifar10_dense": percent(pick(rows("cifar10"), "dense").accuracy),
    }


def gains():
    """{change: {optimiser: Estimate}} of what each trial changes in validation accuracy, in the
    plain network of the same optimiser."""
    frame, changes = rows_of("recipes"), {}
    for kind in dict.fromkeys(kind for kind, _ in experiments.recipes(experiments.CHOSEN_WITH)):
        optimiser, _, change = kind.partition(", ")
        start, part = pick(frame, optimiser), pick(frame, kind)
        if change and kind != optimiser + LONGER and {*part.seed} & {*start.seed}:
            gain = ledger.difference(part, start, "validation_accuracy")
            changes.setdefault(change, {})[optimiser] = gain
    return changes


SEVERAL = ("together", "small first")  # no single changes


def in_the_recipe():
    """{name: its fields} of the single changes to the plain network that the recipe has."""
    usual = preset("study-cifar10")
    return {
        k: fields for k, fields in experiments.CHANGES.items() if usual.with_(**fields) == usual
    }


def not_taken():
    """Which single changes that the recipe does not have raise or lower accuracy with each
    optimiser that was tried, and which do either."""
    told = {"raised accuracy": [], "lowered it": [], "did either": []}
    for change, found in gains().items():
        if change not in (*in_the_recipe(), *SEVERAL):
            means = [gain.mean for gain in found.values()]
            shown = ", ".join(f"{name} {points(gain.mean)}" for name, gain in found.items())
            does = "raised accuracy" if min(means) > 0 else "did either"
            told["lowered it" if max(means) < 0 else does].append(f"*{change}* ({shown})")
    if not any(told.values()):
        return "They are not measured yet."
    clauses = [f"{said.listed(shown or ['none'])} {does}" for does, shown in told.items()]
    return f"{'; '.join(clauses)}."


def lead():
    """How far Muon is ahead of AdamW: in the plain network, with the changes together, longer."""
    compared = {
        "": "in the plain network after two epochs",
        ", together": "with the three changes together after two",
        LONGER: "with these after seven",
    }
    leads = []
    for kind, words in compared.items():
        ahead, behind = (rows_of("recipes", f"{name}{kind}") for name in ("Muon", "AdamW"))
        if {*ahead.seed} & {*behind.seed}:
            gain = ledger.difference(ahead, behind, "validation_accuracy")
            leads.append(f"{points(gain.mean)} points {words} ({texts.seeds(gain.values)})")
    return f"{said.listed(leads or ['not measured yet'])}."


def last_of_search(optimiser):
    """The rows of a search's last ticket, its random ticket and its dense network, one seed."""
    frame = rows_of("optimisers")
    frame = frame[frame.seed == experiments.CHOSEN_WITH]
    last = {"ticket.round": experiments.EARNEST_ROUNDS}
    return [
        pick(frame, f"{optimiser}, {kind}", last if kind == "ticket" else None)
        for kind in ("ticket", "random", "dense")
    ]


def searched():
    """What the last ticket of each optimiser's search changes."""
    changes = []
    for optimiser in LOOKS:
        ticket, _, dense = (part.validation_accuracy for part in last_of_search(optimiser))
        if len(ticket) and len(dense):
            changes.append(f"{optimiser}'s by {points(ticket.item() - dense.item())}")
    if not changes:
        return "The searches are not finished yet."
    return f"The last tickets differ from their dense networks: {said.listed(changes)} points."


def draw_trials():
    """What each trial reaches, by optimiser: a dot a seed, and the mean; a line at no change.

    Of the seeds that the plain network of the same optimiser has, too.
    """
    changes, frame = gains(), rows_of("recipes")
    if not changes:
        return draw_sentence("not measured yet")
    first = {"": 0.0} | {change: next(iter(gain.values())).mean for change, gain in changes.items()}
    single = sorted((change for change in first if change not in SEVERAL), key=first.get)
    order = single + [change for change in SEVERAL if change in first]
    fig, ax = figure(height=0.3 * len(order) + 0.9)
    for optimiser, kind in LOOKS.items():
        plain = pick(frame, optimiser)
        style = {"color": COLOURS[kind], "marker": MARKERS.get(kind, "o"), "ms": 6}
        for y, change in enumerate(order):
            part = pick(frame, f"{optimiser}, {change}") if change else plain
            shares = 100 * part[part.seed.isin(plain.seed)].validation_accuracy
            ax.scatter(shares, [y] * len(shares), color=COLOURS[kind], **DOTS)
            ax.plot(shares.mean(), y, ls="none", label=optimiser, **style)
            if not change:
                ax.axvline(shares.mean(), color=COLOURS[kind], lw=0.8, ls="--")
    ax.axhline(len(single) - 0.5, color=GREY, lw=0.8, ls=":")
    ax.set(yticks=range(len(order)), yticklabels=[change or "no change" for change in order])
    taken = in_the_recipe()
    for change, label in zip(order, ax.get_yticklabels(), strict=True):
        label.set_weight("bold" if change in taken else "normal")
    ax.set_xlabel("validation accuracy (%)")
    return done(fig, legend=2)


def of_the_trials():
    """{name: text} of what the trials change, and of the cheap start."""
    changes, model = gains(), preset("study-cifar10")
    together = changes.get("together", {})
    together = said.listed([f"{name}'s by {gain}" for name, gain in together.items()])
    share = cost.macs(model.early_model) / cost.macs(model.model)
    return {
        "recipe_together": together or "by an unknown number of points",
        "recipe_lead": lead(),
        "recipe_not_taken": not_taken(),
        "recipe_searched": searched(),
        "recipe_twice_the_rate": str(changes.get("rate 0.02", {}).get("AdamW", "an unknown share")),
        "recipe_muon_twice": str(changes.get("rate 0.04", {}).get("Muon", "an unknown share")),
        "recipe_early_share": percent(share),
    }


def parts():
    """What each of the recipe's changes to the plain network does with AdamW, and costs."""
    changes, start = gains(), rows_of("recipes", "AdamW")
    for name, fields in {"plain network": {}, **in_the_recipe()}.items():
        part = rows_of("recipes", f"AdamW, {name}") if fields else start
        if len(part):
            gain, by_muon = (changes.get(name, {}).get(optimiser) for optimiser in LOOKS)
            yield {
                "change": name,
                "by AdamW": points(gain.mean) if gain else "–",
                "by Muon": points(by_muon.mean) if by_muon else "–",
                "seeds": gain.seeds if gain else len(part),
                "MACs": f"{work(part) / work(start):.2f}",
                "fires (%)": hundredfold(part.firing_rate.mean()),
            }


def training_of(frame):
    return RunConfig.from_flat(frame.iloc[0].to_dict()).train


def precision(train):
    return "bfloat16" if train.mixed_precision else "float32"


def lengths():
    """What the recipe's network reaches by how long it is trained, the least computation first."""
    whole = cost.macs(preset("study-cifar10").model)
    kinds = [("recipes", f"{optimiser}{LONGER}") for optimiser in LOOKS]
    frames = [rows_of(name, kind) for name, kind in (*kinds, ("four_blocks", "dense"), *TIMED)]
    for frame in sorted(filter(len, frames), key=work):
        train = training_of(frame)
        yield {
            "epochs (small)": f"{train.epochs} ({train.early_epochs})",
            "computation": f"{work(frame) / whole:.1f}",
            "optimiser": OPTIMISERS[train.optimiser],
            "precision": precision(train),
            "test accuracy (%)": f"{hundredfold(frame.accuracy.mean())} ({len(frame)})",
        }


def times():
    """How long the TIMED trainings took with two threads, by processor."""
    clauses = []
    for name, kind in TIMED:
        frame = rows_of(name, kind)
        for processor, part in frame[frame.threads == 2].groupby("processor"):
            train = training_of(part)
            clauses.append(
                f"{part.seconds.mean() / 60:.0f} minutes ({train.epochs} epochs by "
                f"{OPTIMISERS[train.optimiser]}, {precision(train)}, {processor})"
            )
    return said.listed(clauses or ["a time that is not measured yet"])


def of_the_preset():
    """{name: text} of the recipe's training, and of what it reached."""
    train, dense = preset("study-cifar10").train, rows_of("half_hour", "dense")
    dense, adamw = dense[dense.seed.isin(REACHED_WITH)], rows_of("half_hour", "dense, AdamW")
    told = {
        "recipe_epochs": str(train.epochs),
        "recipe_early": str(train.early_epochs),
        "recipe_times": times(),
        "recipe_by_adamw": percent(adamw.accuracy) if len(adamw) else "an unknown share",
        "recipe_planned": texts.seeds(REACHED_WITH),
        "recipe_reached": "What the recipe reaches is not measured yet.",
        "recipe_seeds": "no seed yet",
        "recipe_test": "an accuracy that is not measured yet",
    }
    if dense.empty:
        return told
    threads = set(dense.threads.astype(int))
    mean = "the mean of " if len(dense) > 1 else ""
    return told | {
        "recipe_reached": (
            f"A spiking transformer that you can train yourself is right on "
            f"{percent(dense.accuracy)} of the test images of CIFAR-10 (JPEG) and on "
            f"{percent(dense.validation_accuracy)} of the validation images ({mean}"
            f"{seeds(dense)}). Training took "
            f"{dense.seconds.mean() / 60:.0f} minutes on "
            f"{said.listed(sorted(texts.WHOLE[n] for n in threads))} "
            f"core{'s' * (threads != {1})} ({said.listed(sorted(set(dense.processor)))}) in "
            "bfloat16. Measuring accuracy after each epoch takes additional time."
        ),
        "recipe_seeds": texts.seeds(dense),
        "recipe_test": percent(dense.accuracy),
    }


def of_the_choice():
    """{name: text} of what the rules of the recipe go by: validation accuracy, over two seeds."""
    frame = rows_of("recipes")
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
    for optimiser in experiments.RATES:
        pruned = last_of_search(optimiser)
        shares = [hundredfold(part.validation_accuracy.mean()) for part in pruned if len(part)]
        told[f"search_{optimiser.lower()}"] = (
            "the ticket of {} sparsity is right on {} % of the validation images, its random "
            "control on {} %, and the dense network on {} %".format(
                percent(pruned[0].sparsity), *shares
            )
            if len(shares) == len(pruned)
            else "the search is not finished yet"
        )
    return told


def trials():
    """The recipe's trials, the best on validation images first; a training's operations.

    Of the seeds that AdamW's plain network has, too, which all are compared with.
    """
    frame = rows_of("recipes")
    start = pick(frame, "AdamW")
    frame = frame[~frame.kind.str.endswith(LONGER) & frame.seed.isin(start.seed)]
    means = frame.groupby("kind").validation_accuracy.mean().sort_values(ascending=False)
    for kind in means.index:
        part = pick(frame, kind)
        change = ledger.difference(part, start, "validation_accuracy").mean
        yield {
            "change": kind,
            "validation accuracy (%)": hundredfold(means[kind]),
            "minus AdamW (points)": "–" if kind == "AdamW" else points(change),
            "firing rate (%)": hundredfold(part.firing_rate.mean()),
            "MACs": f"{work(part) / work(start):.2f}",
            "seeds": len(part),
        }


def searches():
    """Each optimiser's search for tickets, a line a network, by validation images."""
    frame = rows_of("optimisers").set_index("id")
    for kind, config in experiments.optimisers(experiments.CHOSEN_WITH):
        if config.hash() in frame.index:
            row = frame.loc[config.hash()]
            yield {
                "network": kind,
                "sparsity (%)": hundredfold(row.sparsity),
                "validation accuracy (%)": hundredfold(row.validation_accuracy),
            }


def draw_searches():
    """Validation accuracy against sparsity, of each optimiser's search and of its control."""
    frame = rows_of("optimisers")
    if frame.empty:
        return draw_sentence("not measured yet")
    fig, ax = figure()
    for optimiser, kind in LOOKS.items():
        pruned = frame[frame.kind.isin([f"{optimiser}, dense", f"{optimiser}, ticket"])]
        pruned = pruned.groupby("sparsity").validation_accuracy.mean()
        style = {"color": COLOURS[kind], "marker": MARKERS.get(kind, "o"), "ms": 6}
        ax.plot(100 * pruned.index, 100 * pruned, lw=1, label=optimiser, **style)
        control = pick(frame, f"{optimiser}, random")
        ends = 100 * control.sparsity, 100 * control.validation_accuracy
        ax.plot(*ends, lw=0, mfc="none", label=f"{optimiser}, random ticket", **style)
    ax.set(xlabel="sparsity (%)", ylabel="validation accuracy (%)")
    return done(fig, legend=2)


def best_recipe():
    """The command that trains the one of seven epochs that is best on validation images anew, a
    line for each option."""
    config = RunConfig.from_flat(longer().nlargest(1, "validation_accuracy").iloc[0].to_dict())
    usual, reached = preset("study-cifar10", seed=config.seed).flat(), config.flat()
    changed = [f"{field}={value}" for field, value in reached.items() if value != usual[field]]
    options = [shlex.join(["-o", option]) for option in changed]
    start = f".venv/bin/python -m ssf train --preset study-cifar10 --seed {config.seed}"
    return " \\\n    ".join([start, *options])


def figures():
    """{name: figure} of the page."""
    return {"trials": draw_trials(), "searches": draw_searches()}


def substitutions():
    """{name: text} of what the page says."""
    return of_seven_epochs() | of_the_trials() | of_the_choice() | of_the_preset()


def pages(book):
    """Write what the page includes."""
    written = {"trials": trials(), "searches": searches(), "parts": parts(), "lengths": lengths()}
    for name, lines in written.items():
        (book / f"_{name}.md").write_text(tables.in_markdown(lines))
    (book / "_best_recipe.md").write_text(f"```sh\n{best_recipe()}\n```\n")
