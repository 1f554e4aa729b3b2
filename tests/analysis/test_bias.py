"""Maps of location and scale against loops over the grid."""

import numpy as np
import pytest

from snellen.analysis.bias import location_map, scale_curve
from snellen.zoom import PAPER_GRID, SCALES, Grid, ViewRule, Zoom, paper_grid


@pytest.fixture(params=range(3))
def correct(request):
    rng = np.random.default_rng(request.param)
    return rng.random((60, 324)) < rng.random((60, 1)) ** 8


def hits(correct, wanted):
    """Images that any zoom wanted gets right."""
    zooms = [z for z in range(324) if wanted(SCALES[z // 9], z % 9 // 3, z % 3)]
    return sum(any(row[z] for z in zooms) for row in correct)


def test_each_location_is_the_upper_bound_over_its_scales(correct):
    cells = location_map(correct, PAPER_GRID)
    assert [len(line) for line in cells] == [3, 3, 3]
    for r in range(3):
        for c in range(3):
            assert cells[r][c].hits == hits(correct, lambda scale, row, col, r=r, c=c: (row, col) == (r, c))
            assert cells[r][c].n == 60


def test_one_zoom_lights_its_own_cell():
    for scale, row, col in [(10, 0, 0), (256, 0, 2), (1024, 2, 1)]:
        correct = np.zeros((2, 324), bool)
        correct[1, Zoom(scale, row, col).index] = True
        lit = np.array([[cell.hits for cell in line] for line in location_map(correct, PAPER_GRID)])
        assert np.argwhere(lit).tolist() == [[row, col]]


def test_each_scale_at_the_centre_and_at_any_anchor(correct):
    curve = scale_curve(correct, PAPER_GRID)
    assert [scale for scale, _, _ in curve] == sorted(SCALES)
    for s, centre, bound in curve:
        assert centre.hits == sum(correct[:, Zoom(s, 1, 1).index])
        assert bound.hits == hits(correct, lambda scale, row, col, s=s: scale == s) >= centre.hits
        assert centre.n == bound.n == 60


def test_scales_are_nominal_and_sorted_whatever_the_grid():
    rng = np.random.default_rng(0)
    correct = rng.random((20, 324)) < 0.05
    assert scale_curve(correct, paper_grid(336)) == scale_curve(correct, PAPER_GRID)
    order = rng.permutation(324)
    shuffled = Grid("shuffled", tuple(PAPER_GRID.rules[i] for i in order))
    assert scale_curve(correct[:, order], shuffled) == scale_curve(correct, PAPER_GRID)
    assert location_map(correct[:, order], shuffled) == location_map(correct, PAPER_GRID)


def test_a_location_without_zooms_reads_nothing():
    grid = Grid("centre", (ViewRule(224, 1, 1, scale=224),))
    cells = location_map(np.ones((4, 1), bool), grid)
    assert [[cell.hits for cell in line] for line in cells] == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]
