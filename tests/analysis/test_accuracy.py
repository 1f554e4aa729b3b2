"""Shares against counting by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import binomtest

from snellen.analysis.accuracy import best_zoom, per_zoom, random_baseline, share, upper_bound

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
