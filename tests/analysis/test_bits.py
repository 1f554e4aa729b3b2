"""Packed bits against the matrices they stand for."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from snellen.analysis.bits import distinct, packed, unpacked

matrices = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=70))


@given(matrices)
def test_there_and_back(correct):
    bits = packed(correct)
    assert bits.shape == (correct.shape[1], -(-len(correct) // 64))
    assert np.array_equal(np.bitwise_count(bits).sum(axis=1), correct.sum(axis=0)), "the fill is zeros"
    assert np.array_equal(unpacked(bits, len(correct)), correct)


@pytest.mark.parametrize("kind", [bool, np.int8, np.int64])
@given(rows=arrays(np.int8, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements={"max_value": 1}))
def test_distinct_rows(rows, kind):
    rows = rows.astype(kind)
    first, counts = distinct(rows)
    listed = [tuple(row) for row in rows.tolist()]
    assert {listed[at]: count for at, count in zip(first, counts, strict=True)} == Counter(listed)
    assert all(listed.index(listed[at]) == at for at in first)
