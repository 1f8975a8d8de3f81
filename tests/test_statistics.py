"""Means over seeds, their intervals and their tests, beside scipy's and a table's."""

import pytest
from scipy import stats

from ssf.config import Failed
from ssf.study.statistics import Estimate, percent, points


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


def test_a_seed_less_and_a_p_of_both_sides():
    estimate = Estimate((0.01, 0.02, 0.04))
    assert [e.values for e in estimate.without_each()] == [
        (0.02, 0.04), (0.01, 0.04), (0.01, 0.02)]  # fmt: skip
    assert estimate.p == pytest.approx(stats.ttest_1samp(estimate.values, 0).pvalue)
