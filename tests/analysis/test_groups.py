"""Groups of zooms against sets of images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snellen.analysis.accuracy import upper_bound
from snellen.analysis.cover import greedy_cover
from snellen.analysis.groups import group_bounds, group_bounds_published, group_solves
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


def test_published_by_the_loops_that_were_published():
    """The released loops, written out: the inner one takes over the outer one's variable and its zooms."""
    rng = np.random.default_rng(3)
    corrects = {
        name: rng.random((300, len(GRID))) < rng.random((300, 1)) ** power
        for name, power in zip("abc", (9, 7, 5), strict=True)
    }
    bounds, exclusive = {}, {}
    for name, correct in corrects.items():
        cover = greedy_cover(correct).tolist()
        of = {group: [zoom for zoom in cover if OF_ZOOM[zoom] == group] for group in set(OF_ZOOM)}
        bounds[name] = {group: sum(any(row[z] for z in zooms) for row in correct) for group, zooms in of.items()}
        exclusive = {}
        for name, correct in corrects.items():
            by = solved_by(correct[:, cover], [OF_ZOOM[zoom] for zoom in cover])
            exclusive[name] = {group: sum(groups == {group} for groups in by) for group in of}
    found = group_bounds_published(list(corrects.values()), GRID)
    for name, groups in zip(corrects, found, strict=True):
        assert {group: bound.hits for group, (bound, _) in groups.items()} == bounds[name]
        assert {group: only.hits for group, (_, only) in groups.items()} == exclusive[name]


def test_published_is_right_for_the_last_alone_and_never_more_than_the_upper_bound():
    rng = np.random.default_rng(5)
    corrects = [rng.random((200, len(GRID))) < rng.random((200, 1)) ** power for power in (9, 6)]
    forth, back = group_bounds_published(corrects, GRID), group_bounds_published(corrects[::-1], GRID)
    for group in forth[0]:
        assert forth[0][group][0] == back[1][group][0], "upper bounds are each classifier's own"
        for groups, correct in zip(forth, corrects, strict=True):
            assert groups[group][0].hits <= group_bounds(correct, GRID)[group][0].hits
    assert {group: only.hits for group, (_, only) in forth[0].items()} != {
        group: only.hits for group, (_, only) in back[1].items()
    }, "exclusive shares depend on the order"
    alone = group_solves(corrects[1], GRID, greedy_cover(corrects[1]))[1]
    assert {group: only.hits for group, (_, only) in forth[1].items()} == {g: right.sum() for g, right in alone.items()}


@given(matrices)
def test_some_zooms_are_as_if_the_others_were_wrong(correct):
    zooms = [2, 20, 40]
    kept = np.zeros_like(correct)
    kept[:, zooms] = correct[:, zooms]
    for ours, theirs in zip(group_solves(correct, GRID, zooms), group_solves(kept, GRID), strict=True):
        assert {group: right.tolist() for group, right in ours.items()} == {
            group: right.tolist() for group, right in theirs.items()
        }


def test_published_of_none_and_at_the_ends():
    assert group_bounds_published([], GRID) == []
    for n in (0, 4):
        for right in (False, True):
            (groups,) = group_bounds_published([np.full((n, len(GRID)), right)], GRID)
            assert sum(bound.hits for bound, _ in groups.values()) == (n if right else 0)
