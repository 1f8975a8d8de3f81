"""Means over seeds, their intervals and their tests, beside scipy's and a table's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssf.config import Failed
from ssf.study.statistics import Estimate, aggregate, holm, percent, points, seeds_needed


def test_an_estimate_is_students_and_its_tests_are_scipys():
    values = (0.012, -0.004, 0.006, 0.009)
    estimate = Estimate(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert estimate.interval == pytest.approx((low, high)) and estimate.mean == pytest.approx(
        sum(values) / 4
    )
    for bound in (-0.01, 0.0, 0.02):
        above = stats.ttest_1samp(values, bound, alternative="greater").pvalue
        below = stats.ttest_1samp(values, bound, alternative="less").pvalue
        assert (estimate.above(bound), estimate.below(bound)) == pytest.approx((above, below))
    assert estimate.equivalent(0.01) == pytest.approx(
        max(
            stats.ttest_1samp(values, b, alternative=a).pvalue
            for b, a in ((-0.01, "greater"), (0.01, "less"))
        )
    )


def test_values_without_variance_are_their_mean():
    same = Estimate((0.25, 0.25, 0.25))
    assert same.interval == (0.25, 0.25)
    assert (same.above(0), same.below(0), same.above(0.25), same.equivalent(0.5)) == (0, 1, 1, 0)
    # a rounding error is no variance
    assert Estimate((0.1 + 0.2, 0.3, 0.3)).above(0.2) == 0


def test_an_estimate_needs_a_value():
    with pytest.raises(Failed, match="no values"):
        Estimate(())


def test_shares_are_written_in_percent_and_points():
    assert percent([0.5, 0.75]) == "62.5 %" and points(-0.0123) == "−1.2"
    two = str(Estimate((0.01, 0.02)))
    assert two == "+1.5 points (95 % interval −4.9 to +7.9, 2 seeds)"


def test_aggregate_is_students_interval_over_seeds():
    rows = pd.DataFrame({"kind": ["a", "a", "a", "b"], "accuracy": [0.1, 0.2, 0.3, 0.7]})
    a, b = aggregate(rows, ["kind"]).to_dict("records")
    half = 4.302653 * 0.1 / 3**0.5  # the t quantile of two degrees of freedom, by table
    assert a["mean"] == pytest.approx(0.2) and a["seeds"] == 3
    assert (a["low"], a["high"]) == (
        pytest.approx(0.2 - half, abs=1e-6),
        pytest.approx(0.2 + half, abs=1e-6),
    )
    assert b["mean"] == 0.7 and pd.isna(b["low"]) and pd.isna(b["high"])


def test_holms_correction_is_that_of_a_worked_example():
    """0.01 · 4, 0.02 · 3 and 0.03 · 2 are the same 0.06, which the largest may not fall below."""
    assert holm([0.02, 0.01, 0.5, 0.03]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_seeds_needed_give_the_power_and_one_less_does_not():
    """By drawing: the share of samples that the test rejects."""
    n = seeds_needed(0.01, 0.0127)
    rng = np.random.default_rng(0)
    for seeds, enough in ((n, True), (n - 2, False)):
        samples = rng.normal(0.01, 0.0127, (20_000, seeds))
        p = stats.ttest_1samp(samples, 0, axis=1, alternative="greater").pvalue
        assert ((p < 0.05).mean() >= 0.79) == enough
    assert seeds_needed(0.0, 0.01) is None and seeds_needed(0.0001, 0.01) is None


def test_a_seed_less_and_a_p_of_both_sides():
    estimate = Estimate((0.01, 0.02, 0.04))
    assert [e.values for e in estimate.without_each()] == [
        (0.02, 0.04), (0.01, 0.04), (0.01, 0.02)]  # fmt: skip
    assert estimate.p == pytest.approx(stats.ttest_1samp(estimate.values, 0).pvalue)
