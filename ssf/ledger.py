"""What the study's rows say of the paper's claims: differences over seeds, their intervals, the tests, the verdicts.

The rules are those of book/protocol.md. Accuracies, recalls and differences are shares here, and points in the text.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ssf import cost, study
from ssf.config import Failed, RunConfig

MARGIN, LEVEL = 0.01, 0.05  # "comparable": a loss below one point; the tests' level


def rows(name):
    """The committed rows of an experiment, one a trained network. ValueError, one sentence, where the file is missing."""
    path = study.path(name)
    if not path.exists():
        raise Failed(f"{path} is not there; python -m ssf study {name} trains its networks and writes it.")
    return pd.read_csv(path)


def pick(frame, kind, **fields):
    """Rows of a kind; fields: what columns hold, "__" for the dot: ticket__round=6."""
    chosen = frame[frame.kind == kind]
    for name, value in fields.items():
        chosen = chosen[np.isclose(chosen[name.replace("__", ".")].astype(float), value)]
    return chosen


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its standard error."""

    mean: float
    error: float
    seeds: int

    @classmethod
    def of(cls, values):
        values = np.asarray(values, float)
        if len(values) == 0:
            raise Failed("the study has no row to compare; python -m ssf study trains what is missing.")
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        return cls(values.mean(), spread / len(values) ** 0.5, len(values))

    @property
    def interval(self):
        """95 %, Student t; not a number with one seed."""
        half = stats.t.ppf(0.975, self.seeds - 1) * self.error if self.seeds > 1 else np.nan
        return self.mean - half, self.mean + half

    def above(self, bound):
        """p of the one-sided t test that the mean is above the bound; 1 with one seed."""
        if self.seeds < 2:
            return 1.0
        if self.error == 0:
            return float(self.mean <= bound)
        return float(stats.t.sf((self.mean - bound) / self.error, self.seeds - 1))

    def below(self, bound):
        return Estimate(-self.mean, self.error, self.seeds).above(-bound)

    def equivalent(self, margin=MARGIN):
        """p of the two one-sided tests (TOST; Schuirmann 1987) that the mean is nearer to 0 than the margin."""
        return max(self.above(-margin), self.below(margin))


def difference(these, those, value="accuracy"):
    """Estimate of these minus those, paired by seed; one row a seed in each."""
    pair = [frame.set_index("seed", verify_integrity=True)[value] for frame in (these, those)]
    return Estimate.of((pair[0] - pair[1]).dropna())


def verdict(loss, gains=()):
    """supported, not supported or undecided.

    loss: the difference to what the claim calls comparable, None where it does not say. gains: those over controls that
    must do worse.
    """
    if (loss is None or loss.above(-MARGIN) < LEVEL) and all(gain.above(0) < LEVEL for gain in gains):
        return "supported"
    if (loss and loss.below(-MARGIN) < LEVEL) or any(gain.below(MARGIN) < LEVEL for gain in gains):
        return "not supported"
    return "undecided"


def headline():
    """{name: Estimate} of the comparisons that the verdicts rest on, from the committed rows.

    Accuracies are those of the last epoch on the test images; recall is that of the foreground's tokens.
    """
    tickets, selectors, codesign = rows("tickets"), rows("selectors"), rows("codesign")
    dense, at = pick(tickets, "dense"), {"ticket__round": study.HEADLINE}
    found = {kind: pick(tickets, kind, **at) for kind in ("ticket", "reinit", "random")}
    half = {"selector__keep_ratio": 0.5}
    learned, rate, chance = (pick(selectors, kind, **half) for kind in ("learned", "firing_rate", "random"))
    longer, claimed = pick(codesign, "all_tokens"), {"selector__keep_ratio": study.CLAIMED}
    selector, ticket, both = (
        pick(codesign, "selector", **claimed),
        pick(codesign, "ticket", **at),
        pick(codesign, "both", **claimed, **at),
    )
    return {
        "c1_loss": difference(found["ticket"], dense),
        "c1_reinit": difference(found["ticket"], found["reinit"]),
        "c1_random": difference(found["ticket"], found["random"]),
        "c2_random": difference(learned, chance, "recall"),
        "c2_rate": difference(learned, rate, "recall"),
        "c2_accuracy": difference(learned, chance),
        "c3_loss": difference(selector, longer),
        "c3_random": difference(selector, pick(codesign, "random_selector")),
        "c3_saved": Estimate.of(1 - selector.macs / longer.macs.mean()),
        "c4_loss": difference(both, longer),
        "c4_ticket": difference(ticket, longer),
        "c4_interaction": additivity(both, selector, ticket, longer),
    }


def additivity(both, one, other, neither, value="accuracy"):
    """Estimate of (both - neither) - (one - neither) - (other - neither): 0 where the two losses add up."""
    b, x, y, n = (frame.set_index("seed", verify_integrity=True)[value] for frame in (both, one, other, neither))
    return Estimate.of((b - x - y + n).dropna())


def verdicts(found):
    """{claim: verdict} from what `headline` found."""
    saved = found["c3_saved"].mean >= 0.2
    return {
        "C1": verdict(found["c1_loss"], (found["c1_reinit"], found["c1_random"])),
        "C2": verdict(None, (found["c2_random"],)),
        "C3": verdict(found["c3_loss"]) if saved else "not supported",
        "C4": verdict(found["c4_loss"]) if saved else "not supported",
    }
