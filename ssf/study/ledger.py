"""What the study's rows say of the paper's claims: differences over seeds, their intervals, the tests, the verdicts.

The rules are those of book/protocol.md. Accuracies, recalls and differences are shares here, and points in the text.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ssf.config import Failed, RunConfig
from ssf.engine import records
from ssf.engine.records import Missing
from ssf.model import cost
from ssf.model.spikformer import Spikformer
from ssf.study import experiments

MARGIN, LEVEL = 0.01, 0.05  # "comparable": a loss below one point; the tests' level


def rows(name):
    """The committed rows of an experiment, a trained network each. ValueError, one sentence, where there is no file."""
    return records.committed(experiments.path(name).stem, f"python -m ssf study {name}")


def complete(name):
    """Those of the seeds that have every comparison: means of different networks are then over the same seeds."""
    frame = rows(name)
    return frame[frame.seed < experiments.FIRST].copy()


def pick(frame, kind, **fields):
    """Rows of a kind; fields: what columns hold, "__" for the dot: ticket__round=6."""
    chosen = frame[frame.kind == kind]
    for name, value in fields.items():
        chosen = chosen[np.isclose(chosen[name.replace("__", ".")].astype(float), value)]
    return chosen


@dataclass(frozen=True)
class Estimate:
    """What was measured once a seed: its mean, 95 % interval and one-sided tests, by Student's t over seeds."""

    values: tuple

    def __post_init__(self):
        if not self.values:
            raise Missing(
                "an estimate of no values; python -m ssf study NAME trains what is missing."
            )

    @property
    def seeds(self):
        return len(self.values)

    @property
    def mean(self):
        return float(np.mean(self.values))

    @property
    def error(self):
        """Standard error of the mean; not a number with one seed."""
        return float(np.std(self.values, ddof=1) / self.seeds**0.5) if self.seeds > 1 else np.nan

    @property
    def interval(self):
        """95 %; not a number with one seed."""
        half = records.half_interval(self.error, self.seeds)
        return self.mean - half, self.mean + half

    def above(self, bound):
        """p of the one-sided t test that the mean is above the bound; 1 with one seed."""
        if self.seeds < 2:
            return 1.0
        if self.error == 0:
            return float(self.mean <= bound)
        return float(stats.t.sf((self.mean - bound) / self.error, self.seeds - 1))

    def below(self, bound):
        return Estimate(tuple(-v for v in self.values)).above(-bound)

    def equivalent(self, margin=MARGIN):
        """p of the two one-sided tests (TOST; Schuirmann 1987) that the mean is nearer to 0 than the margin."""
        return max(self.above(-margin), self.below(margin))


def difference(these, those, value="accuracy"):
    """Estimate of these minus those, paired by seed; one row a seed in each."""
    a, b = by_seed(value, these, those)
    both = (a - b).dropna()
    if both.empty:
        kinds = " and ".join(", ".join(frame.kind.unique()) or "none" for frame in (these, those))
        raise Missing(
            f"no seed has rows of both sides of a comparison ({kinds}); python -m ssf study trains them."
        )
    return Estimate(tuple(both))


def by_seed(value, *frames):
    """Each frame's value, indexed by seed. ValueError where a seed has two rows."""
    for frame in frames:
        if not frame.seed.is_unique:
            raise Failed(
                f"two rows of one seed are compared: {', '.join(frame.id[frame.seed.duplicated()])}."
            )
    return [frame.set_index("seed")[value] for frame in frames]


def control(gain):
    """What a gain says of the control: "does worse", "does as well" (no gain of the margin), else "may do as well"."""
    if gain.above(0) < LEVEL:
        return "does worse"
    return "does as well" if gain.below(MARGIN) < LEVEL else "may do as well"


def verdict(loss, gains=(), holds=True):
    """supported, not supported or undecided.

    loss: the difference to what the claim calls comparable, None where it does not say. gains: those over controls that
    must do worse. holds: whether what the claim needs besides is there.
    """
    if not holds:
        return "not supported"
    controls = [control(gain) for gain in gains]
    if (loss is None or loss.above(-MARGIN) < LEVEL) and all(
        found == "does worse" for found in controls
    ):
        return "supported"
    if (loss and loss.below(-MARGIN) < LEVEL) or "does as well" in controls:
        return "not supported"
    return "undecided"


AT = {"ticket__round": experiments.HEADLINE}
HALF, CLAIMED = {"selector__keep_ratio": 0.5}, {"selector__keep_ratio": experiments.CLAIMED}
SAVING = 0.2  # of the MACs, as the paper claims


def c1():
    """{comparison: Estimate} of the ticket at 92 % sparsity, and the verdict.

    "later": the loss without seed 0, whose first results had a say in how long all are trained (see the protocol).
    """
    frame = rows("tickets")
    ticket = pick(frame, "ticket", **AT)
    found = {
        "loss": difference(ticket, pick(frame, "dense")),
        "later": difference(ticket[ticket.seed > 0], pick(frame, "dense")),
        "reinit": difference(ticket, pick(frame, "reinit", **AT)),
        "random": difference(ticket, pick(frame, "random", **AT)),
    }
    return found | {"verdict": verdict(found["loss"], (found["reinit"], found["random"]))}


def c2():
    """The same of the learned selector that keeps half of the tokens, its recall of the foreground's.

    The claim's control is a random choice. Whether it takes a network to choose is reported beside it: "rate".
    """
    frame = rows("selectors")
    learned, chance, rate = (
        pick(frame, kind, **HALF) for kind in ("learned", "random", "firing_rate")
    )
    found = {
        "random": difference(learned, chance, "recall"),
        "recall": Estimate(tuple(learned.recall)),
        "rate": difference(learned, rate, "recall"),
        "accuracy": difference(learned, chance),
        "loss": difference(learned, pick(frame, "all_tokens")),
    }
    return found | {"verdict": verdict(None, (found["random"],))}


def c3():
    """The same of a selector that saves at least 20 %, beside the network that keeps all tokens and trains as long."""
    frame = rows("codesign")
    selector, longer = pick(frame, "selector", **CLAIMED), pick(frame, "all_tokens")
    found = {
        "loss": difference(selector, longer),
        "random": difference(selector, pick(frame, "random_selector")),
        "saved": Estimate(tuple(1 - selector.macs / longer.macs.mean())),
    }
    return found | {"verdict": verdict(found["loss"], holds=found["saved"].mean >= SAVING)}


def c4():
    """The same of ticket and selector together, and whether their losses add up."""
    frame = rows("codesign")
    selector, longer = pick(frame, "selector", **CLAIMED), pick(frame, "all_tokens")
    ticket, both = pick(frame, "ticket", **AT), pick(frame, "both", **AT, **CLAIMED)
    found = {
        "loss": difference(both, longer),
        "ticket": difference(ticket, longer),
        "interaction": additivity(both, selector, ticket, longer),
        "saved": Estimate(tuple(1 - both.macs / longer.macs.mean())),
        "parameters": Estimate(tuple(1 - both.parameters_left / longer.parameters.mean())),
    }
    return found | {"verdict": verdict(found["loss"], holds=found["saved"].mean >= SAVING)}


CLAIMS = {
    "C1": ("a ticket of at least 90 % sparsity is as accurate as the dense network", c1),
    "C2": ("the selector drops the background and keeps the foreground", c2),
    "C3": ("the selector saves 20 % of the GFLOPs without loss", c3),
    "C4": ("a ticket and a selector together do both, without loss", c4),
}


def additivity(both, one, other, neither, value="accuracy"):
    """Estimate of (both - neither) - (one - neither) - (other - neither).

    0 where the two differences add up, negative where both together lose more than that.
    """
    b, x, y, n = by_seed(value, both, one, other, neither)
    return Estimate(tuple((b - x - y + n).dropna()))


def points(share):
    """+0.4, −1.2: a difference of shares in points."""
    return f"{100 * share:+.1f}".replace("-", "−")


def told(estimate):
    """ "+0.4 points (95 % interval −1.2 to +2.0, 5 seeds)"."""
    if estimate.seeds < 2:
        return f"{points(estimate.mean)} points (one seed)"
    low, high = map(points, estimate.interval)
    return f"{points(estimate.mean)} points (95 % interval {low} to {high}, {estimate.seeds} seeds)"


def percent(values):
    return f"{100 * np.mean(values):.1f} %"


def grid():
    """The co-design's rows of ticket by keep ratio: learned scores, the ticket first, seeds that have all of it."""
    frame = complete("codesign")
    return frame[~frame.kind.isin(("random_selector", "together", "selector_first"))]


def networks():
    """{(kind, label): rows} of the study: dense, trained on, with a ticket, with a selector, with both."""
    frame = grid()
    dense, sparse = (
        frame[frame["ticket.round"].isna()],
        frame[frame["ticket.round"] == experiments.HEADLINE],
    )
    ticket = f"ticket of {percent(sparse.sparsity)}, "
    found = {("dense", "dense"): pick(complete("tickets"), "dense")}
    for kinds, part, name in (
        (("longer", "learned"), dense, ""),
        (("ticket", "both"), sparse, ticket),
    ):
        for rho in experiments.CODESIGN_RATIOS:
            chosen = part[part["selector.keep_ratio"] == rho]
            if len(chosen):
                found[kinds[rho < 1], name + ("all tokens" if rho == 1 else f"ρ = {rho}")] = chosen
    return found


def account(networks):
    """Accuracy and costs of {(kind, label): rows}, a row each: means, the accuracy's `low`, `high` and `values`."""
    found = []
    for (kind, label), part in networks.items():
        about = (
            part[["macs", "macs_left", "parameters_left", "sops_left", "energy_left", "accuracy"]]
            .mean()
            .to_dict()
        )
        about["low"], about["high"] = Estimate(tuple(part.accuracy)).interval
        about |= {
            "gflops": 2 * about.pop("macs") / 1e9,
            "gflops_left": 2 * about.pop("macs_left") / 1e9,
        }
        found.append({"kind": kind, "label": label, "values": tuple(part.accuracy), **about})
    return pd.DataFrame(found)


def costs():
    """`account` of the study's `networks`, and the `time` of an image, deployed, in ms: of those that were timed."""
    table = account(networks())
    timed = records.timings("bench_codesign_cpu", "python -m ssf bench --only codesign")
    timed = timed[timed.implementation == "ssf, deployed"].set_index("variable")
    named = {
        "dense": "dense",
        "longer": "all_tokens",
        "learned": "selector",
        "ticket": "ticket",
        "both": "both",
    }
    claimed = table.label.str.endswith(("dense", "all tokens", f"ρ = {experiments.CLAIMED}"))
    return table.assign(
        time=table.kind.map(named).map(1e3 * timed.seconds / timed.batch).where(claimed)
    )


def densities(frame):
    """Mean over rows of the share of its weights that each layer keeps, all if dense: layer, role, weights, kept."""
    model = RunConfig.from_flat(frame.iloc[0].to_dict()).model
    kept = pd.DataFrame([json.loads(text) for text in frame.densities]).mean()
    about = [(row.name, row.role, row.weight) for row in cost.layers(model) if row.weight]
    sizes = {name: tensor.numel() for name, tensor in Spikformer(model).named_parameters()}
    return pd.DataFrame(
        [(name, role, sizes[weight], kept.get(weight, 1.0)) for name, role, weight in about],
        columns=["layer", "role", "weights", "kept"],
    )


def truth():
    """The study's selectors against the truth, over seeds: kind, measure, mean, error (half of a 95 % interval)."""
    frame, found = rows("selectors"), []
    for kind in ("learned", "firing_rate", "attention", "information", "random", "oracle"):
        chosen = pick(frame, kind, **HALF)
        for measure in ("recall", "precision", "average_precision") if len(chosen) else ():
            estimate = Estimate(tuple(chosen[measure]))
            error = records.half_interval(estimate.error, estimate.seeds)
            about = {"kind": kind, "measure": measure.replace("_", " ")}
            found.append(about | {"mean": estimate.mean, "error": error})
    return pd.DataFrame(found)
