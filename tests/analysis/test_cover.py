"""The greedy cover against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from snellen.analysis.cover import greedy_cover

matrices = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))


def plain_cover(correct):
    """Take the first zoom that solves most of what is left, until nothing that can be solved is left."""
    left = {i for i, row in enumerate(correct) if any(row)}
    chosen = []
    while left:
        best, solved = None, set()
        for zoom in range(correct.shape[1]):
            new = {i for i in left if correct[i, zoom]}
            if len(new) > len(solved):
                best, solved = zoom, new
        chosen.append(best)
        left -= solved
    return chosen


@given(matrices)
def test_equals_the_plain_loop(correct):
    assert greedy_cover(correct).tolist() == plain_cover(correct)


@given(matrices)
def test_reaches_the_upper_bound_without_a_zoom_to_spare_at_the_end(correct):
    cover = greedy_cover(correct)
    solved = [correct[:, cover[:k]].any(axis=1).sum() for k in range(len(cover) + 1)]
    assert solved[-1] == correct.any(axis=1).sum()
    gains = np.diff(solved)
    assert (gains > 0).all()
    assert (np.diff(gains) <= 0).all(), "each step gains at most what the one before did"
    assert len(set(cover.tolist())) == len(cover)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_loop_at_the_studys_size(seed):
    rng = np.random.default_rng(seed)
    correct = rng.random((80, 324)) < rng.random(80)[:, None] ** 6
    assert greedy_cover(correct).tolist() == plain_cover(correct)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["0110", "0110"], [1]),  # a tie goes to the lowest
        (["1001", "1001", "0110", "0110"], [0, 1]),
        (["001", "001", "010", "100"], [2, 0, 1]),  # the largest first, then ties by number
        # Greedy is not minimal: zooms 0 and 1 would do, but zoom 2 solves most.
        (["101", "101", "100", "011", "011", "010"], [2, 0, 1]),
        (["000"], []),
    ],
)
def test_small_cases(rows, expected):
    assert greedy_cover(np.array([[int(cell) for cell in row] for row in rows], bool)).tolist() == expected


def test_the_matrix_is_left_as_it_was():
    correct = np.eye(4, dtype=bool)
    greedy_cover(correct)
    assert np.array_equal(correct, np.eye(4, dtype=bool))
