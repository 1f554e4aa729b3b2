"""Wilson's interval against SciPy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from snellen.analysis.stats import wilson

PAIRS = [(k, n) for n in (1, 2, 3, 7, 50, 300) for k in {0, 1, n // 3, n // 2, n - 1, n}] + [(8012, 10_000), (1, 10**6)]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("k", "n"), PAIRS)
def test_equals_scipy_and_statsmodels(k, n, confidence):
    low, high = wilson(k, n, confidence)
    by_scipy = binomtest(k, n).proportion_ci(confidence, "wilson")
    assert (float(low), float(high)) == pytest.approx(tuple(by_scipy), abs=1e-9)
    assert (float(low), float(high)) == pytest.approx(proportion_confint(k, n, 1 - confidence, "wilson"), abs=1e-9)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_any_count_equals_scipy(pair):
    k, n = pair
    low, high = wilson(k, n)
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= low <= k / n <= high <= 1
    # The interval of the failures is its mirror.
    other_low, other_high = wilson(n - k, n)
    assert (1 - float(other_high), 1 - float(other_low)) == pytest.approx((float(low), float(high)), abs=1e-9)


def test_arrays_are_done_at_once():
    k = np.array([[0, 5, 10], [3, 3, 0]])
    n = np.array([[10, 10, 10], [3, 4, 0]])
    low, high = wilson(k, n)
    assert low.shape == high.shape == (2, 3)
    for place in np.ndindex(k.shape):
        assert (low[place], high[place]) == pytest.approx([float(bound) for bound in wilson(k[place], n[place])])
    assert wilson(k, 10)[0][1] == pytest.approx([float(wilson(v, 10)[0]) for v in (3, 3, 0)])


def test_nothing_counted_says_nothing():
    assert [float(bound) for bound in wilson(0, 0)] == [0.0, 1.0]


def test_ends_are_exact():
    assert float(wilson(0, 17)[0]) == 0.0
    assert float(wilson(17, 17)[1]) == 1.0
