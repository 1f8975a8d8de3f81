"""What the study found beside its verdicts: other differences, what was reached, what strayed, every number by name.

Nothing here has a say in ssf/ledger.py. Accuracies and differences are shares; in tables and texts percent and points.
"""

import contextlib
import functools
import re
from dataclasses import replace

import pandas as pd

from ssf.config import RunConfig
from ssf.engine import records
from ssf.engine.records import Missing
from ssf.model import cost, tickets
from ssf.model.training import make_network
from ssf.presets import preset
from ssf.study import experiments, ledger
from ssf.study.ledger import (
    AT,
    CLAIMED,
    HALF,
    Estimate,
    difference,
    percent,
    pick,
    points,
    rows,
    told,
)

STRAYED = 0.05  # below the median of the same network's seeds


def _ways():
    """What else could find a ticket, at each sparsity that has all comparisons."""
    few = "mask found with {} of 4 time steps"
    for number in experiments.CONTROLLED:
        at, size = {"ticket__round": number}, f", {100 * experiments.removed(number):.0f} %"
        one_shot = "one_shot", {"ticket__fraction": experiments.removed(number)}
        for steps in (1, 2):
            yield few.format(steps) + size, "ticket", (f"early_{steps}", at), ("ticket", at)
        yield "rewound to the initialisation" + size, "ticket", ("to_init", at), ("ticket", at)
        yield "pruned in one shot" + size, "ticket", one_shot, ("ticket", at)
        yield (
            "untrained weights pruned by size" + size,
            "ticket",
            ("magnitude_at_init", at),
            ("ticket", at),
        )
        yield few.format(1) + size, "one shot", ("early_1", at), one_shot
        yield few.format(1) + size, "random ticket", ("early_1", at), ("random", at)
        if number != experiments.HEADLINE:  # that one is C1
            yield "ticket" + size, "dense", ("ticket", at), ("dense", {})


def _choices():
    """What else could choose the tokens, where, and how it could be trained."""
    learned, undistilled = ("learned", HALF), ("all_tokens, no distillation", {})
    for kind in ("firing_rate", "attention", "information", "oracle"):
        yield kind.replace("_", " "), "learned", (kind, HALF), learned
    for kind in ("learned", "firing_rate", "random", "oracle"):
        yield (
            f"{kind.replace('_', ' ')}, tokens bypass",
            "removed",
            (f"{kind}, bypass", {}),
            (kind, HALF),
        )
    yield "before block 0", "before block 1", ("before block 0", {}), learned
    yield (
        "before both, keeping 0.7 and 0.49",
        "before block 1",
        ("before blocks 0 and 1", {}),
        learned,
    )
    yield "a tenth of the ratio loss", "all of it", ("weak ratio loss", {}), learned
    yield "learned, undistilled", "distilled", ("no distillation", {}), learned
    yield "all tokens, undistilled", "distilled", undistilled, ("all_tokens", {})
    yield "learned, undistilled", "all tokens, undistilled", ("no distillation", {}), undistilled


def _elsewhere(last):
    """The claims' comparisons, on other data."""
    at = {"ticket__round": last}
    yield "ticket", "dense", ("ticket", at), ("dense", {})
    yield "random ticket", "dense", ("random", {}), ("dense", {})
    yield "ticket", "random ticket", ("ticket", at), ("random", {})
    yield "selector", "all tokens", ("selector", {}), ("all_tokens", {})
    yield "both", "all tokens", ("both", {}), ("all_tokens", {})


BOTH = "both", AT | CLAIMED
# experiment: (what, instead of what, these, those), each of these (kind, what its columns hold)
COMPARED = {
    "tickets": [*_ways()],
    "short": [("ticket, four epochs", "dense, four epochs", ("ticket", AT), ("dense", {}))],
    "selectors": [*_choices()],
    "codesign": [
        ("student pruned", "ticket taught", ("selector_first", AT), BOTH),
        ("found together", "ticket taught", ("together", AT), BOTH),
    ],
    "habits": [
        *((habit, "without", (habit, {}), ("none", {})) for habit in experiments.HABITS),
        (experiments.BY_SIZE, "by the mask", (experiments.BY_SIZE, {}), ("ticket", {})),
    ],
    "cifar10": [*_elsewhere(experiments.CIFAR10_ROUNDS)],
    "events": [*_elsewhere(experiments.HEADLINE)],
}


def compared(experiment, instead_of=None):
    """{(what, instead of what): Estimate of the difference in accuracy}, of those that have rows; or only some."""
    frame, found = rows(experiment), {}
    for what, other, (kind, where), (reference, there) in COMPARED[experiment]:
        if instead_of in (None, other):
            with contextlib.suppress(Missing):
                found[what, other] = difference(
                    pick(frame, kind, **where), pick(frame, reference, **there)
                )
    return found


def bars(experiment, instead_of=None):
    """`compared`, labelled for a figure."""
    found = compared(experiment, instead_of).items()
    return {
        what if instead_of else f"{what} − {other}": estimate for (what, other), estimate in found
    }


def columns(estimate, text):
    """A table's columns for an Estimate of shares."""
    low, high = map(text, estimate.interval)
    interval = f"{low} to {high}" if estimate.seeds > 1 else "–"
    return {"mean": text(estimate.mean), "95 % interval": interval, "seeds": estimate.seeds}


def differences(experiment):
    """`compared` as a table, in points of accuracy."""
    found = [
        {"what": what, "instead of": o} | columns(e, points)
        for (what, o), e in compared(experiment).items()
    ]
    return pd.DataFrame(found, columns=["what", "instead of", "mean", "95 % interval", "seeds"])


ELSEWHERE = {"cifar10": "CIFAR-10 (JPEG)", "events": "event-fashion"}


def elsewhere():
    """A table: what the claims' verdicts would be on other data, by the same rules; C1 with one control."""
    found = []
    for experiment, data in ELSEWHERE.items():
        frame = rows(experiment)
        ticket = pick(frame, "ticket", ticket__round=frame["ticket.round"].max())
        dense, random, whole = (pick(frame, kind) for kind in ("dense", "random", "all_tokens"))
        about = {
            "data": data,
            "C1": ledger.verdict(difference(ticket, dense), (difference(ticket, random),)),
        }
        for claim, kind in (("C3", "selector"), ("C4", "both")):
            part = pick(frame, kind)
            saved = 1 - part.macs.mean() / whole.macs.mean()
            about[claim] = ledger.verdict(difference(part, whole), holds=saved >= ledger.SAVING)
        found.append(about | {"seeds": len(ticket)})
    return pd.DataFrame(found)


def interactions():
    """A table: accuracy of ticket and selector together beyond the sum of the two differences, for each of the grid."""
    frame, found = ledger.grid(), []

    def cell(number, rho):
        return frame[
            (frame["ticket.round"].fillna(0) == number) & (frame["selector.keep_ratio"] == rho)
        ]

    for number in experiments.CODESIGN_ROUNDS[1:]:
        for rho in experiments.CODESIGN_RATIOS[1:]:
            with contextlib.suppress(Missing):
                beyond = ledger.additivity(
                    cell(number, rho), cell(0, rho), cell(number, 1.0), cell(0, 1.0)
                )
                about = {"sparsity": percent(cell(number, rho).sparsity), "keep ratio": rho}
                found.append(about | columns(beyond, points))
    return pd.DataFrame(found)


REACHED = {
    "embedded": [
        *(
            ("tickets", kind, {} if kind == "dense" else AT)
            for kind in ("dense", "ticket", "reinit", "random")
        ),
        *(
            ("codesign", kind, {})
            for kind in ("all_tokens", "selector", "random_selector", "ticket", "both")
        ),
    ],
    "cluttered-fashion": [
        *(
            ("selectors", kind, {})
            for kind in ("dense", "all_tokens", "all_tokens, no distillation")
        ),
        *(
            ("selectors", kind, HALF)
            for kind in ("learned", "no distillation", "firing_rate", "random", "oracle")
        ),
    ],
    **{
        data: [
            (experiment, kind, {})
            for kind in dict.fromkeys(kind for kind, _ in experiments.EXPERIMENTS[experiment](0))
        ]
        for experiment, data in ELSEWHERE.items()
    },
}


def reached():
    """What the networks that the claims are about reached, a table: data, network, sparsity, MACs, accuracy (%)."""
    found, read = [], functools.cache(rows)
    for data, networks in REACHED.items():
        for experiment, kind, where in networks:
            part = pick(read(experiment), kind, **where)
            part = part[part["ticket.round"].fillna(0) == part["ticket.round"].fillna(0).max()]
            name = kind.replace("_", " ") + (
                ", trained on" if (experiment, kind) == ("codesign", "ticket") else ""
            )
            about = {"data": data, "network": name, "sparsity": percent(part.sparsity)}
            about["MACs (M)"] = f"{part.macs.mean() / 1e6:.1f}"
            with contextlib.suppress(Missing):
                found.append(
                    about
                    | columns(Estimate(tuple(part.accuracy)), lambda share: f"{100 * share:.1f}")
                )
    return pd.DataFrame(found).rename(columns={"mean": "accuracy (%)"})


def networks():
    """Every network of the study that is compared or searched, each once."""
    names = [
        name
        for name in experiments.EXPERIMENTS
        if name != "rates" and experiments.path(name).exists()
    ]
    there = [rows(name).assign(experiment=name) for name in names]
    return pd.concat(there).drop_duplicates("id")


def strayed():
    """Networks far below the median of the same network with the other seeds, a table."""
    there = networks()
    same = [replace(RunConfig.from_flat(row), seed=0).hash() for row in there.to_dict("records")]
    there["median"] = there.groupby(same).accuracy.transform("median")
    there = there[~(there.accuracy > there["median"] - STRAYED)].sort_values("accuracy")
    found = there[["experiment", "kind"]].rename(columns={"kind": "network"})
    found["round"] = [f"{number:.0f}" if number > 0 else "–" for number in there["ticket.round"]]
    found["seed"] = there.seed
    for name, values in (("accuracy", there.accuracy), ("median", there["median"])):
        found[f"{name} (%)"] = (100 * values).round(1)
    return found


def inflation():
    """Test maximum less the last epoch's accuracy of every network of the seeds with every comparison."""
    there = networks().query("seed < @experiments.FIRST")
    return there.accuracy_test_maximum - there.accuracy


def search_cost(steps):
    """Time of a training step with so few time steps, as a share of the study's, side by side in the benchmark."""
    timed = records.timings("bench_cpu", "python -m ssf bench")
    timed = timed[
        (timed.measure == "growth") & (timed.variable == "T") & (timed.implementation == "ssf")
    ]
    seconds = timed.set_index("value").seconds
    return float(seconds[steps] / seconds[preset("study").model.time_steps])


def search_epochs(number=experiments.HEADLINE):
    """Epochs of training before a round's mask is known: the dense network's, then each round's from the rewind."""
    epochs = preset("study").train.epochs
    return epochs + (number - 1) * (epochs - experiments.ticket(number).rewind_epoch)


def trained_on():
    """Estimate of what one more training by the same teacher gives the ticket, less what it gives the dense network."""
    first, second = rows("tickets"), rows("codesign")
    ticket, dense = pick(second, "ticket", **AT), pick(second, "all_tokens")
    return ledger.additivity(ticket, pick(first, "ticket", **AT), dense, pick(first, "dense"))


def classes_cut_off(seed):
    """Classes to which no weight leads where untrained weights were pruned by size: the mask says it, untrained."""
    network = make_network(preset("study", seed=seed))
    masks = tickets.magnitude_at_init(network, experiments.HEADLINE, experiments.FRACTION)
    return int((~masks["head.weight"].any(1)).sum())


def share_of_training():
    """(images seen, MACs) of one dense training on CIFAR-10 here, as shares of the published one's."""
    here, there = (
        preset("study-cifar10"),
        preset("spikformer-4-384"),
    )  # of the same images; there, none is held out
    images = here.train.epochs * (1 - here.data.validation_share) / there.train.epochs
    return images, images * cost.macs(here.model) / cost.macs(there.model)


def tried():
    """{preset: {learning rate: validation accuracy}} of the dense networks that each rate was chosen with."""
    frame = rows("rates").sort_values("train.lr")
    return {
        name: part.set_index("train.lr").validation_accuracy.to_dict()
        for name, part in frame.groupby("kind")
    }


def slug(*words):
    """A name that a page can ask for: C1, loss -> c1_loss."""
    return re.sub(r"\W+", "_", " ".join(words).lower()).strip("_")


def of_claims():
    """{name: text} of the claims' estimates and verdicts."""
    texts = {}
    for name, (claim, measured) in ledger.CLAIMS.items():
        texts[slug(name, "claim")] = claim
        for key, value in measured().items():
            if key == "verdict":
                texts[slug(name, key)] = value
                continue
            texts[slug(name, key)] = told(value)
            texts[slug(name, key, "mean")] = percent(value.values)
            tests = {
                "tost": value.equivalent(),
                "any": value.below(0),
                "more": value.below(-ledger.MARGIN),
            }
            for test, p in tests.items():
                texts[slug(name, key, test)] = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
            texts[slug(name, key, "control")] = ledger.control(value)
    return texts


def of_weights():
    """{name: text} of where the ticket's weights are."""
    at = pick(rows("tickets"), "ticket", **AT)
    kept = ledger.densities(at)
    kept = kept.assign(left=kept.weights * kept.kept)
    parts = {
        "mlp": kept[kept.role.isin(("fc1", "fc2"))],
        "attention": kept[kept.role.isin(("qkv", "proj"))],
    }
    gone, texts = (
        (kept.weights - kept.left).sum(),
        {"all_kept": percent(kept.left.sum() / kept.weights.sum())},
    )
    for name, part in parts.items():
        texts[f"{name}_share"] = percent(part.weights.sum() / kept.weights.sum())
        texts[f"{name}_kept"] = percent(part.left.sum() / part.weights.sum())
        texts[f"{name}_removed"] = percent((part.weights - part.left).sum() / gone)
    noise = (at.accuracy * (1 - at.accuracy) / at.test_images) ** 0.5
    return texts | {
        "sparsity": percent(at.sparsity),
        "test_noise": f"{100 * noise.mean():.1f} points",
    }


def of_searches():
    """{name: text} of what a search takes and what less of it gives."""
    few, whole = rows("short"), rows("tickets")
    sparse, dense = pick(few, "ticket", **AT), pick(few, "dense")
    shorter = ledger.additivity(sparse, pick(whole, "ticket", **AT), dense, pick(whole, "dense"))
    one_shot = pick(whole, "one_shot", ticket__fraction=experiments.removed(experiments.HEADLINE))
    epochs = search_epochs()
    return {
        "short_loss": told(difference(sparse, dense)),
        "short_seed_0": told(difference(sparse[sparse.seed == 0], dense)),
        "short_less": told(shorter),
        "trained_on": told(trained_on()),
        "one_shot_control": ledger.control(difference(pick(whole, "ticket", **AT), one_shot)),
        "search_epochs": f"{epochs}",
        "search_epochs_1": f"{epochs * search_cost(1):.0f}",
        "search_epochs_2": f"{epochs * search_cost(2):.0f}",
        "one_shot_epochs": f"{search_epochs(1)}",
        "classes_cut_off": ", ".join(
            str(classes_cut_off(seed)) for seed in range(experiments.FIRST)
        ),
    }


def of_orders():
    """{name: text} of C4 with the published order, and what its verdict would be: it has fewer seeds."""
    frame = rows("codesign")
    found = difference(pick(frame, "selector_first", **AT), pick(frame, "all_tokens"))
    return {"published_order": told(found), "published_order_verdict": ledger.verdict(found)}


def numbers():
    """{name: text} of every number that the pages state, for MyST's substitutions."""
    texts = of_claims() | of_weights() | of_searches() | of_orders()
    for name, accuracies in tried().items():
        texts[slug("rates", name)] = ", ".join(
            f"{rate:g}: {percent([found])}" for rate, found in accuracies.items()
        )
    model, selector = preset("study").model, experiments.with_selector(experiments.CLAIMED)
    images, macs = share_of_training()
    beside = [e for name in COMPARED for e in compared(name).values() if e.seeds > 1]
    apart = [e for e in beside if not e.interval[0] <= 0 <= e.interval[1]]
    gains = inflation()
    return texts | {
        "cifar10_images": f"{100 * images:.1f} %",
        "cifar10_macs": f"{100 * macs:.2g} %",
        "compared": f"{len(beside)}",
        "compared_apart": f"{len(apart)}",
        "margin": f"{100 * ledger.MARGIN:g}",
        "strayed_by": f"{100 * STRAYED:g} points",
        "inflation": f"{points(gains.mean())} points on average",
        "inflation_none": percent(gains == 0),
        "inflation_largest": f"{points(gains.max())} points",
        "largest_ratio": str(cost.keep_ratio_for(ledger.SAVING, model, selector)),
        "ratio": str(experiments.CLAIMED),
        "tokens": ", ".join(map(str, (model.tokens, *selector.counts(model.tokens)))),
    }


def overview():
    """{label: Estimate} of the differences in accuracy that the claims are about, and their controls."""
    one, three, four = ledger.c1(), ledger.c3(), ledger.c4()
    found = {
        "C1: ticket − dense": one["loss"],
        "C1: ticket − same mask, new weights": one["reinit"],
        "C1: ticket − random ticket": one["random"],
        "C2: learned − random selector": ledger.c2()["accuracy"],
        "C3: selector − all tokens": three["loss"],
        "C4: both − all tokens": four["loss"],
    }
    for experiment, title in ELSEWHERE.items():
        with contextlib.suppress(Missing):
            found |= {f"{title}: {label}": estimate for label, estimate in bars(experiment).items()}
    return found
