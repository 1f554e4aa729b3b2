"""Groups of zooms against sets of images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snellen.analysis.accuracy import upper_bound
from snellen.analysis.groups import group_bounds
from snellen.zoom import PAPER_GRID, SCALES, paper_grid

GRID = paper_grid(224, (16, 192, 224, 235, 1024))
OF_ZOOM = ["zoom-out"] * 18 + ["zoom-224"] * 9 + ["zoom-in"] * 18

matrices = st.integers(0, 6).flatmap(
    lambda n: arrays(bool, (n, len(GRID)), elements=st.booleans(), fill=st.just(False))
)


def solved_by(correct, of_zoom):
    """For each image the set of groups that get it right."""
    return [{group for right, group in zip(row, of_zoom, strict=True) if right} for row in correct]


@given(matrices)
def test_equals_sets(correct):
    by = solved_by(correct, OF_ZOOM)
    bounds = group_bounds(correct, GRID)
    assert sorted(bounds) == sorted(set(OF_ZOOM))
    for group, (bound, only) in bounds.items():
        assert bound.hits == sum(group in groups for groups in by)
        assert only.hits == sum(groups == {group} for groups in by)
        assert bound.n == only.n == len(correct)


@given(matrices, st.integers(0, len(GRID) - 1))
def test_properties(correct, zoom):
    bounds = group_bounds(correct, GRID)
    upper = upper_bound(correct).hits
    reached = {group: bound.hits for group, (bound, _) in bounds.items()}
    alone = {group: only.hits for group, (_, only) in bounds.items()}
    assert max(reached.values()) <= upper <= sum(reached.values())
    assert sum(alone.values()) <= upper
    for group in bounds:
        assert alone[group] <= reached[group]
        # What a group alone reads is what is lost without it.
        others = np.flatnonzero(np.array(OF_ZOOM) != group)
        assert alone[group] == upper - upper_bound(correct, others).hits
    more = correct.copy()
    more[:, zoom] = True
    for group, (bound, _) in group_bounds(more, GRID).items():
        assert bound.hits >= reached[group]


def test_the_papers_groups():
    rng = np.random.default_rng(0)
    correct = rng.random((200, 324)) < rng.random((200, 1)) ** 9
    of_zoom = [("zoom-out", "zoom-224", "zoom-in")[(s > 224) + (s >= 224)] for s in SCALES for _ in range(9)]
    by = solved_by(correct, of_zoom)
    for grid in (PAPER_GRID, paper_grid(336)):
        found = {group: (bound.hits, only.hits) for group, (bound, only) in group_bounds(correct, grid).items()}
        assert found == {
            group: (sum(group in groups for groups in by), sum(groups == {group} for groups in by))
            for group in ("zoom-in", "zoom-224", "zoom-out")
        }


def test_of_two_groups_the_other_is_left_out():
    grid = paper_grid(224, (10, 1024))
    correct = np.zeros((3, 18), bool)
    correct[0, 0] = correct[1, [0, 17]] = True
    found = {group: (bound.hits, only.hits) for group, (bound, only) in group_bounds(correct, grid).items()}
    assert found == {"zoom-out": (2, 1), "zoom-in": (1, 0)}
