"""What was measured once a seed: means, 95 % intervals and one-sided tests, by Student's t.

Accuracies, recalls and their differences are shares (0 to 1); texts have percent and points.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_1samp

from ssf.engine.records import Missing

EQUAL = 1e-12  # values that differ by less are the same: scipy's tests need some variance


def points(share):
    """+0.4, −1.2: a difference of shares in points. What rounds to zero is +0.0."""
    return f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")


def percent(shares):
    """The mean of shares: 81.3 %."""
    return f"{100 * np.mean(shares):.1f} %"


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds of a value each. As text: +0.4 points (95 % interval −1.2 to +2.0, …)."""

    values: tuple

    def __post_init__(self):
        if not self.values:
            raise Missing("an estimate of no values; python -m ssf study NAME trains the networks.")

    def __str__(self):
        if self.seeds < 2:
            return f"{points(self.mean)} points (one seed)"
        low, high = map(points, self.interval)
        return f"{points(self.mean)} points (95 % interval {low} to {high}, {self.seeds} seeds)"

    @property
    def seeds(self):
        return len(self.values)

    @property
    def mean(self):
        return float(np.mean(self.values))

    @property
    def interval(self):
        """(low, high) of 95 %; not a number with one seed."""
        return self.between(0.95)

    def between(self, level):
        """(low, high) that hold the true mean at this level, by Student's t."""
        if self.seeds < 2:
            return np.nan, np.nan
        if np.ptp(self.values) < EQUAL:
            return self.mean, self.mean
        return tuple(map(float, ttest_1samp(self.values, 0).confidence_interval(level)))

    def above(self, bound):
        """p of the one-sided t test that the mean is above the bound; 1 with one seed."""
        if self.seeds < 2:
            return 1.0
        if np.ptp(self.values) < EQUAL:
            return float(self.mean <= bound)
        return float(ttest_1samp(self.values, bound, alternative="greater").pvalue)

    def below(self, bound):
        """The same test that it is below."""
        return Estimate(tuple(-value for value in self.values)).above(-bound)

    @property
    def p(self):
        """Of the two-sided t test that the mean is 0."""
        return min(1.0, 2 * min(self.above(0), self.below(0)))

    def without_each(self):
        """The estimates that leave one seed out, in the order of the seeds."""
        parts = (self.values[:i] + self.values[i + 1 :] for i in range(self.seeds))
        return [Estimate(part) for part in parts]

    def equivalent(self, margin):
        """p of two one-sided tests (TOST; Schuirmann 1987): the mean is within the margin of 0."""
        return max(self.above(-margin), self.below(margin))
