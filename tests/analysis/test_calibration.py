"""The calibration error against a plain loop over answers and bins."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.analysis.calibration import BINS, calibration


def by_loop(confidence, right):
    """The error and the count of each bin, one answer at a time; edges as float32 rounds k / 15."""
    bins = [[] for _ in range(BINS)]
    for value, hit in zip(confidence, right, strict=True):
        if not math.isnan(value):
            k = next(k for k in range(BINS) if value <= float(np.float32((k + 1) / BINS)))
            bins[k].append((Fraction(float(value)), int(hit)))
    total = sum(map(len, bins))
    error = Fraction(0)
    for answers in bins:
        if answers:
            gap = Fraction(sum(h for _, h in answers), len(answers)) - sum(c for c, _ in answers) / len(answers)
            error += abs(gap) * Fraction(len(answers), total)
    return float(error), [len(answers) for answers in bins]


confidences = st.one_of(
    st.floats(0, 1, width=32), st.integers(0, BINS).map(lambda k: float(np.float32(k / BINS))), st.just(math.nan)
)


@given(st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=60))
def test_equals_a_loop(answers):
    confidence = np.array([c for c, _ in answers], np.float32)
    right = np.array([r for _, r in answers], bool)
    found = calibration(confidence, right)
    assert (found.n, found.left_out) == (int((~np.isnan(confidence)).sum()), int(np.isnan(confidence).sum()))
    if not found.n:
        assert math.isnan(found.ece)
        return
    error, counts = by_loop(confidence.tolist(), right.tolist())
    assert found.ece == pytest.approx(error, abs=1e-9, rel=1e-9)
    assert [row.n for row in found.bins] == counts


def test_fifteen_bins_closed_above():
    confidence = np.array([0, 1 / 15, 2 / 15, 0.2, 1], np.float32)
    found = calibration(confidence, np.array([0, 0, 1, 1, 1], bool))
    assert len(found.bins) == 15
    assert [row.n for row in found.bins] == [2, 1, 1, *[0] * 11, 1]
    assert [(row.low, row.high) for row in found.bins] == [(k / 15, (k + 1) / 15) for k in range(15)]
    assert (found.bins[-1].accuracy, found.bins[-1].confidence) == (1, 1)
    assert math.isnan(found.bins[5].accuracy)


@pytest.mark.parametrize(
    ("confidence", "right", "ece"), [([0.75] * 4, [1, 1, 1, 0], 0), ([1.0] * 4, [0] * 4, 1), ([0.0] * 4, [1] * 4, 1)]
)
def test_known_errors(confidence, right, ece):
    assert calibration(np.array(confidence, np.float32), np.array(right, bool)).ece == pytest.approx(ece)


@pytest.mark.parametrize("value", [-0.01, 1.01, 55.3, math.inf])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(ValueError, match=r"must lie in 0 … 1"):
        calibration(np.array([0.5, value], np.float32), np.array([1, 1], bool))


def test_json_has_no_nan():
    record = calibration(np.array([np.nan], np.float32), np.array([False])).to_json()
    json.dumps(record, allow_nan=False)
    assert (record["ece"], record["n"], record["left_out"]) == (None, 0, 1)
