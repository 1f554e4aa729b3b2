"""Shares against counting by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from snellen.analysis.accuracy import best_zoom, oracle_curve, per_zoom, random_baseline, share, shares, upper_bound
from snellen.analysis.cover import greedy_cover

matrices = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))


@given(arrays(bool, st.integers(1, 40)))
def test_share_counts(right):
    found = share(right)
    hits = sum(bool(value) for value in right)
    interval = binomtest(hits, len(right)).proportion_ci(0.95, "wilson")
    assert (found.hits, found.n, found.value) == (hits, len(right), hits / len(right))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert json.loads(json.dumps(found.to_json())) == {
        "hits": hits,
        "n": len(right),
        "value": hits / len(right),
        "low": found.low,
        "high": found.high,
        "stderr": found.stderr,
    }
    assert found.stderr == pytest.approx(np.std(right) / math.sqrt(len(right)))


def test_a_share_of_nothing():
    nothing = share(np.zeros(0, bool))
    assert (nothing.hits, nothing.n, nothing.low, nothing.high) == (0, 0, 0.0, 1.0)
    assert math.isnan(nothing.value)
    assert json.loads(json.dumps(nothing.to_json(), allow_nan=False))["value"] is None


@given(matrices, st.data())
def test_upper_bound_is_any_of_the_zooms(correct, data):
    zooms = data.draw(st.lists(st.integers(0, correct.shape[1] - 1), unique=True))
    some = upper_bound(correct, np.array(zooms, np.intp))
    assert some.hits == sum(any(row[z] for z in zooms) for row in correct)
    assert some.n == upper_bound(correct).n == len(correct)
    assert upper_bound(correct).hits == sum(any(row) for row in correct) >= some.hits
    more = [*zooms, data.draw(st.integers(0, correct.shape[1] - 1))]
    assert upper_bound(correct, np.array(more, np.intp)).hits >= some.hits


@given(st.integers(0, 40), st.data())
def test_shares_are_those_of_each_count(n, data):
    counts = data.draw(st.lists(st.integers(0, n), max_size=5))
    found = shares(counts, n)
    assert [repr(one) for one in found] == [repr(share(np.arange(n) < count)) for count in counts]
    for one in found:
        if n:
            low, high = proportion_confint(one.hits, n, method="wilson")
            assert (one.low, one.high) == pytest.approx((low, high), abs=1e-9)


@given(matrices, st.data())
def test_oracle_curve_is_the_upper_bound_of_the_first_zooms(correct, data):
    zooms = range(correct.shape[1])
    order = np.array(data.draw(st.lists(st.sampled_from(zooms), unique=True)), np.intp)
    curve = oracle_curve(correct, order)
    assert curve == [upper_bound(correct, order[: k + 1]) for k in zooms]
    hits = [bound.hits for bound in curve]
    assert hits == sorted(hits)
    rows = data.draw(st.permutations(range(len(correct))))
    assert oracle_curve(correct[rows], order) == curve
    places = np.array(data.draw(st.permutations(zooms)))
    assert oracle_curve(correct[:, places], np.argsort(places)[order]) == curve


@given(matrices)
def test_the_greedy_curve_lies_between_the_best_zoom_and_the_upper_bound(correct):
    curve = oracle_curve(correct, greedy_cover(correct))
    assert curve[0].hits == correct.sum(axis=0).max()
    assert curve[-1] == upper_bound(correct)
    gains = np.diff([0, *(bound.hits for bound in curve)])
    assert (np.diff(gains) <= 0).all(), "each zoom adds at most what the one before did"


@given(matrices)
def test_per_zoom_and_the_best(correct):
    counts = [sum(row[z] for row in correct.tolist()) for z in range(correct.shape[1])]
    assert [(found.hits, found.n) for found in per_zoom(correct)] == [(count, len(correct)) for count in counts]
    assert best_zoom(correct) == counts.index(max(counts))
    assert upper_bound(correct).hits >= max(counts)


@pytest.mark.parametrize(
    ("zooms", "classes", "expected"), [(324, 1000, 0.324), (36, 1000, 0.036), (324, 200, 1.0), (113, 113, 1.0)]
)
def test_random_baseline(zooms, classes, expected):
    assert random_baseline(zooms, classes) == expected


def test_as_text():
    assert str(share(np.array([True, False, False, False]))) == "25.00% [4.56%, 69.94%] (n = 4)"
