"""The greedy cover against a plain loop, and what of it holds on other images."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from snellen.analysis.cover import ExactCover, cover_transfer, greedy_cover, transferred

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


@given(matrices)
def test_the_order_of_images_changes_nothing(correct):
    order = np.random.default_rng(0).permutation(len(correct))
    assert greedy_cover(correct[order]).tolist() == greedy_cover(correct).tolist()


def solved(correct, zooms):
    return sum(any(row[zoom] for zoom in zooms) for row in correct)


@pytest.mark.parametrize("first", [3, 36])
def test_a_cover_tested_on_other_images(first):
    rng = np.random.default_rng(0)
    learn, test = (rng.random((n, 40)) < rng.random((n, 1)) ** 6 for n in (90, 70))
    cover = plain_cover(learn)
    found = transferred(learn, test, "one run", "another", first)
    assert [one.zooms for one in found] == sorted({min(first, len(cover)), len(cover)})
    for one in found:
        assert (one.learned_on, one.tested_on) == ("one run", "another")
        assert (one.oracle.hits, one.oracle.n) == (solved(learn, cover[: one.zooms]), 90)
        assert (one.transferred.hits, one.transferred.n) == (solved(test, cover[: one.zooms]), 70)
    assert found[-1].oracle.hits == learn.any(axis=1).sum()
    assert json.loads(json.dumps(found[0].to_json()))["oracle"]["hits"] == found[0].oracle.hits


def test_halves_are_tested_on_each_other():
    """Each image has one zoom, which no other has: what is learned on one half is worth nothing on the other."""
    found = cover_transfer(np.eye(101, dtype=bool), first=36)
    assert [(one.zooms, one.oracle.n, one.transferred.n) for one in found] == [
        (36, 51, 50),
        (51, 51, 50),
        (36, 50, 51),
        (50, 50, 51),
    ]
    assert all(one.oracle.hits == one.zooms and one.transferred.hits == 0 for one in found)
    assert found[0].learned_on == found[2].tested_on != found[0].tested_on


def test_halves_are_random_and_the_same_for_the_same_seed():
    rng = np.random.default_rng(0)
    correct = rng.random((200, 40)) < rng.random((200, 1)) ** 6
    assert cover_transfer(correct) == cover_transfer(correct) != cover_transfer(correct, seed=1)
    ordered = np.repeat([[True, False], [False, True]], 50, axis=0)
    assert all(0 < one.oracle.hits == one.oracle.n for one in cover_transfer(ordered)), "halves are not cut in order"


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_images(n, right):
    for one in cover_transfer(np.full((n, 5), right)):
        assert one.zooms == (1 if right and one.oracle.n else 0)
        assert one.oracle.hits == (one.oracle.n if right else 0)


def test_another_grid_is_an_error():
    with pytest.raises(ValueError, match="learned on 3 zooms, tested on 4"):
        transferred(np.ones((2, 3), bool), np.ones((2, 4), bool), "a", "b")


def test_an_exact_cover_in_plain_form():
    found = ExactCover((3, 5), 2, 2, 0, True, 0.1, 60.0)
    assert json.loads(json.dumps(found.to_json()))["zooms"] == [3, 5]
