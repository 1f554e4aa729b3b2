"""The bootstrap over images against SciPy's, and against the distribution it draws from."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from snellen.analysis import bootstrap
from snellen.analysis.bootstrap import percentiles, resample, two_sided

values = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8), elements=st.integers(-8, 8))


def all_different(images, seed=0):
    """Values of images that no two share, so that images are drawn one by one."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(images), rng.integers(0, 2, images), rng.integers(-8, 9, images)], axis=1)


def test_the_same_draws_as_scipy():
    data = all_different(50)
    theirs = stats.bootstrap(
        (data,), np.mean, n_resamples=300, method="percentile", axis=0, rng=np.random.default_rng(7)
    )
    drawn = resample(data, 300, seed=7)
    assert np.allclose(drawn.sums.T / 50, theirs.bootstrap_distribution, rtol=0, atol=1e-12)
    for column in range(3):
        ours = drawn.estimate(column)
        assert ours.value == pytest.approx(data[:, column].mean())
        interval = theirs.confidence_interval
        assert (ours.low, ours.high) == pytest.approx((interval.low[column], interval.high[column]), abs=1e-12)


def test_a_paired_difference_is_scipys():
    data = all_different(40)
    theirs = stats.bootstrap(
        (data[:, 0], data[:, 1]),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    found = resample(data, 500, seed=3).difference(0, 1)
    assert found.value == pytest.approx(data[:, 0].mean() - data[:, 1].mean())
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 130, 1000, 1 << 22])
@pytest.mark.parametrize("alike", [False, True])
def test_the_number_of_draws_at_once_changes_nothing(monkeypatch, at_once, alike):
    data = np.repeat([[1, 0], [0, 0], [3, -2]], 40, axis=0) if alike else all_different(60)
    whole = resample(data, 64, seed=1)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", at_once)
    assert np.array_equal(resample(data, 64, seed=1).sums, whole.sums)


def test_large_numbers_stay_exact():
    data = all_different(30)
    large = data * 10**9
    assert np.array_equal(resample(large, 50).sums, resample(data, 50).sums * 10**9)


@given(values, st.booleans())
def test_sums_are_of_as_many_images(rows, alike):
    rows = np.repeat(rows, 20, axis=0) if alike else rows
    counted = np.concatenate([rows, np.ones((len(rows), 1), np.int64)], axis=1)
    drawn = resample(counted, 20)
    assert (drawn.sums[:, -1] == len(rows)).all(), "each resample draws as many images as there are"
    assert drawn.totals.tolist() == counted.sum(axis=0).tolist()
    assert (drawn.sums <= len(rows) * counted.max(axis=0)).all()
    assert (drawn.sums >= len(rows) * counted.min(axis=0)).all()
    for column in range(rows.shape[1]):
        found = drawn.estimate(column)
        assert rows[:, column].min() <= found.low <= found.high <= rows[:, column].max()
        same = drawn.difference(column, column)
        assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_the_distribution_of_four_images():
    """Every draw of four images is as likely as any other: by enumeration."""
    data = np.array([0, 1, 3, 10])
    exact = Counter(sum(draw) for draw in itertools.product(data.tolist(), repeat=4))
    found = Counter(resample(data[:, None], 40_000).sums[:, 0].tolist())
    assert found.keys() <= exact.keys()
    expected = [40_000 * count / 4**4 for count in exact.values()]
    assert stats.chisquare([found[total] for total in exact], expected).pvalue > 0.001


def test_groups_of_images_have_the_distribution_of_single_ones():
    """Drawn as a group or one by one: the same binomial."""
    right = (np.arange(400) < 120)[:, None]
    apart = np.concatenate([right, np.arange(400)[:, None]], axis=1)
    for sums in (resample(right, 5000).sums[:, 0], resample(apart, 5000).sums[:, 0]):
        assert stats.kstest(sums + np.random.default_rng(0).random(5000), smeared_binomial).pvalue > 0.001


def smeared_binomial(x):
    """Distribution function of a binomial plus a uniform number."""
    whole = np.floor(x)
    return stats.binom.cdf(whole - 1, 400, 0.3) + (x - whole) * stats.binom.pmf(whole, 400, 0.3)


def test_independent_data_sets():
    a, b = (np.arange(500) < 300)[:, None], (np.arange(800) < 400)[:, None]
    found = resample(a, 20_000, seed=1).difference_from(resample(b, 20_000, seed=2), 0)
    spread = (0.6 * 0.4 / 500 + 0.5 * 0.5 / 800) ** 0.5
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - 1.96 * spread, abs=0.003)
    assert found.high == pytest.approx(0.1 + 1.96 * spread, abs=0.003)
    assert found.p == pytest.approx(2 * stats.norm.sf(0.1 / spread), abs=0.001)


def test_weights_are_columns_and_sums_of_them():
    drawn = resample(all_different(30), 100)
    assert drawn.estimate([0, 1, 0]) == drawn.estimate(1)
    assert drawn.difference(0, 1) == drawn.difference([1, -1, 0], [0, 0, 0])


@given(arrays(np.float64, st.integers(1, 300), elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0])))
def test_p_counts_the_far_side(draws):
    p = two_sided(draws)
    far = min((draws <= 0).sum(), (draws >= 0).sum())
    assert p == min(1, 2 * (far + 1) / (len(draws) + 1))
    assert p == two_sided(-draws)
    if len(draws) > 200 and p < 0.04:
        low, high = percentiles(draws)
        assert low >= 0 or high <= 0


def test_without_resamples_the_value_alone_is_known():
    found = resample(all_different(30), 0).difference(0, 1)
    assert found.value == found.value
    assert np.isnan([found.low, found.high, found.p]).all()


def test_without_images_nothing_is_known():
    for found in (resample(np.zeros((0, 2), bool)).estimate(0), resample(np.zeros((0, 2), bool)).difference(0, 1)):
        assert np.isnan([found.value, found.low, found.high]).all()
        assert found.to_json()["value"] is found.to_json()["low"] is None
    assert np.isnan(resample(np.zeros((0, 2), bool)).difference(0, 1).p)
    assert resample(np.zeros((5, 0), bool), 10).sums.shape == (10, 0)
