"""What the study's rows say of the paper's claims: differences over seeds, tests, verdicts.

The rules are those of book/protocol.md.
"""

import json

import numpy as np
import pandas as pd

from ssf.config import Failed, RunConfig
from ssf.engine import records
from ssf.engine.records import Missing
from ssf.model import cost
from ssf.model.spikformer import Spikformer
from ssf.study import experiments, results
from ssf.study.statistics import Estimate, percent

MARGIN, LEVEL = 0.01, 0.05  # "comparable": a loss below one point; the tests' level
SAVING = 0.2  # of the MACs, as the paper claims
AT = {"ticket.round": experiments.HEADLINE}  # the rows of a claim's ticket, for `pick`
HALF = {"selector.keep_ratio": 0.5}
AT_RATIO = {"selector.keep_ratio": experiments.CLAIMED}


def rows(name):
    """An experiment's committed rows, a network each. Raises Missing where there is no file."""
    return records.committed(results.path(name).stem, f"python -m ssf study {name}")


def complete(name):
    """Those of the seeds with every comparison: means of all networks are over the same seeds."""
    frame = rows(name)
    return frame[frame.seed < experiments.FIRST].copy()


def pick(frame, kind, fields=None):
    """The rows of a kind; fields: the numbers that columns hold, {"ticket.round": 6}."""
    chosen = frame[frame.kind == kind]
    for name, value in (fields or {}).items():
        chosen = chosen[np.isclose(chosen[name].astype(float), value)]
    return chosen


def by_seed(value, *frames):
    """A column for each frame with the value of its rows, over the seeds that all have."""
    for frame in frames:
        if not frame.seed.is_unique:
            twice = ", ".join(frame.id[frame.seed.duplicated()])
            raise Failed(f"two rows of one seed are compared: {twice}.")
    columns = [frame.set_index("seed")[value] for frame in frames]
    table = pd.concat(columns, axis=1, join="inner", keys=range(len(frames))).dropna().sort_index()
    if table.empty:
        kinds = " and ".join(", ".join(frame.kind.unique()) or "none" for frame in frames)
        raise Missing(
            f"no seed has rows of both sides of a comparison ({kinds}); "
            "python -m ssf study trains them."
        )
    return [table[column] for column in table]


def difference(these, those, value="accuracy"):
    """Estimate of these minus those, paired by seed; one row a seed in each."""
    a, b = by_seed(value, these, those)
    return Estimate(tuple(a - b))


def additivity(both, one, other, neither, value="accuracy"):
    """Estimate of (both - neither) - (one - neither) - (other - neither).

    0 where the two differences add up, negative where both together lose more than that.
    """
    b, x, y, n = by_seed(value, both, one, other, neither)
    return Estimate(tuple(b - x - y + n))


def saving(these, whole):
    """Share of the MACs that each of these rows saves, of the mean of the whole's."""
    return 1 - these.macs / whole.macs.mean()


def control(gain):
    """What a gain over a control says of it: "does worse", "does as well" or "may do as well".

    It does as well where a gain of the margin is rejected.
    """
    if gain.above(0) < LEVEL:
        return "does worse"
    return "does as well" if gain.below(MARGIN) < LEVEL else "may do as well"


def evidence(loss, gains=()):
    """(p for the claim, p against it): the largest of what it needs, the smallest of what ends it.

    loss: the difference to what the claim calls comparable, None where it compares nothing. gains:
    those over controls that must do worse; one that is significant and small is a gain.
    """
    needed = [gain.above(0) for gain in gains]
    ends = [gain.below(MARGIN) for gain in gains if gain.above(0) >= LEVEL]
    if loss is not None:
        needed.append(loss.above(-MARGIN))
        ends.append(loss.below(-MARGIN))
    return max(needed), min(ends, default=1.0)


def verdict(loss, gains=(), holds=True):
    """supported, not supported or undecided; see `evidence`.

    holds: whether what the claim needs besides is so.
    """
    for_it, against = evidence(loss, gains)
    if not holds or against < LEVEL <= for_it:
        return "not supported"
    return "supported" if for_it < LEVEL else "undecided"


def c1():
    """{comparison: Estimate} of the ticket at 92 % sparsity, and the verdict.

    "later": the loss without seed 0, whose first results had a say in the protocol (see there).
    """
    frame = rows("tickets")
    ticket, dense = pick(frame, "ticket", AT), pick(frame, "dense")
    loss = difference(ticket, dense)
    reinit, random = (difference(ticket, pick(frame, kind, AT)) for kind in ("reinit", "random"))
    return {
        "loss": loss,
        "later": difference(ticket[ticket.seed > 0], dense),
        "reinit": reinit,
        "random": random,
        "verdict": verdict(loss, (reinit, random)),
    }


def c2():
    """The same of the learned selector that keeps half of the tokens: recall of the foreground.

    The claim's control is a random choice; "rate": the tokens that fire most, without a say.
    """
    frame = rows("selectors")
    kinds = ("learned", "random", "firing_rate", "oracle")
    learned, chance, rate, oracle = (pick(frame, kind, HALF) for kind in kinds)
    gain = difference(learned, chance, "recall")
    return {
        "random": gain,
        "recall": Estimate(tuple(learned.recall)),
        "rate": difference(learned, rate, "recall"),
        "accuracy": difference(learned, chance),
        "oracle": difference(oracle, chance),
        "loss": difference(learned, pick(frame, "all_tokens")),
        "verdict": verdict(None, (gain,)),
    }


def c3():
    """The same of a selector that saves 20 %, beside all tokens and as much training."""
    frame = rows("codesign")
    selector, longer = pick(frame, "selector", AT_RATIO), pick(frame, "all_tokens")
    loss, saved = difference(selector, longer), saving(selector, longer)
    return {
        "loss": loss,
        "random": difference(selector, pick(frame, "random_selector")),
        "saved": Estimate(tuple(saved)),
        "verdict": verdict(loss, holds=saved.mean() >= SAVING),
    }


def c4():
    """The same of ticket and selector together, and whether their losses add up."""
    frame = rows("codesign")
    selector, longer = pick(frame, "selector", AT_RATIO), pick(frame, "all_tokens")
    ticket, both = pick(frame, "ticket", AT), pick(frame, "both", AT | AT_RATIO)
    loss, saved = difference(both, longer), saving(both, longer)
    return {
        "loss": loss,
        "ticket": difference(ticket, longer),
        "interaction": additivity(both, selector, ticket, longer),
        "saved": Estimate(tuple(saved)),
        "parameters": Estimate(tuple(1 - both.parameters_left / longer.parameters.mean())),
        "verdict": verdict(loss, holds=saved.mean() >= SAVING),
    }


CLAIMS = {
    "C1": ("a ticket of at least 90 % sparsity is about as accurate as the dense network", c1),
    "C2": ("a selector driven by firing rates drops the background and keeps the foreground", c2),
    "C3": ("the selector saves 20 % of the GFLOPs without loss", c3),
    "C4": ("a ticket and a selector together do both, without loss", c4),
}


def networks():
    """{(kind, label): rows}: dense, trained on, with a ticket, with a selector, with both.

    At the claims' sparsity and keep ratio, which have the most seeds.
    """
    frame = rows("codesign")
    ticket, fewer = pick(frame, "ticket", AT), f"ρ = {experiments.CLAIMED}"
    ticket_of = f"ticket of {percent(ticket.sparsity)}"
    return {
        ("dense", "dense"): pick(rows("tickets"), "dense"),
        ("longer", "all tokens"): pick(frame, "all_tokens"),
        ("learned", f"selector, {fewer}"): pick(frame, "selector", AT_RATIO),
        ("ticket", f"{ticket_of}, all tokens"): ticket,
        ("both", f"{ticket_of}, {fewer}"): pick(frame, "both", AT | AT_RATIO),
    }


def account(groups):
    """Accuracy and costs of {(kind, label): rows}, a row each: means, and the change in accuracy.

    `change`, with `low` and `high` of 95 %: to the dense network that was trained as long
    ("longer"), paired by seed, of so many `seeds`.
    """
    left, lines = ["macs_left", "parameters_left", "sops_left", "energy_left"], []
    rival = next(part for (kind, _), part in groups.items() if kind == "longer")
    for (kind, label), part in groups.items():
        change = difference(part, rival)
        line = {"kind": kind, "label": label, "change": change.mean, "seeds": change.seeds}
        line |= dict(zip(("low", "high"), change.interval, strict=True))
        lines.append(line | dict(part[["macs", "accuracy", *left]].mean()))
    table = pd.DataFrame(lines)
    return table.assign(gflops=2 * table.macs / 1e9, gflops_left=2 * table.macs_left / 1e9)


def costs():
    """`account` of the study's `networks`; `time`: ms of an image, deployed."""
    table = account(networks())
    timed = records.timings("bench_codesign_cpu", "python -m ssf bench --only codesign")
    timed = timed[timed.implementation == "ssf, deployed"].set_index("variable")
    kinds = table.kind.replace({"longer": "all_tokens", "learned": "selector"})
    return table.assign(time=kinds.map(1e3 * timed.seconds / timed.batch))


def densities(frame):
    """Mean over rows of the share of its weights that each layer keeps: layer, role, weights, kept.

    A dense network keeps all.
    """
    model = RunConfig.from_flat(frame.iloc[0].to_dict()).model
    kept = pd.DataFrame([json.loads(text) for text in frame.densities]).mean()
    sizes = {name: tensor.numel() for name, tensor in Spikformer(model).named_parameters()}
    lines = [
        (layer.name, layer.role, sizes[layer.weight], kept.get(layer.weight, 1.0))
        for layer in cost.layers(model)
        if layer.weight
    ]
    return pd.DataFrame(lines, columns=["layer", "role", "weights", "kept"])
