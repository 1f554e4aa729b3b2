"""Maps of location and scale against loops over the grid; the centre bias against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from snellen.analysis.bias import (
    bias_between,
    bias_difference,
    centre_bias,
    location_hits,
    scale_curve,
    share_map,
)
from snellen.zoom import PAPER_GRID, SCALES, Grid, ViewRule, Zoom, paper_grid


@pytest.fixture(params=range(3))
def correct(request):
    rng = np.random.default_rng(request.param)
    return rng.random((60, 324)) < rng.random((60, 1)) ** 8


def location_map(correct, grid):
    return share_map(location_hits(correct, grid))


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


maps = st.integers(1, 30).flatmap(lambda n: arrays(bool, (n, 9)))


def plain_bias(hits):
    """The centre's share less the mean of the eight others'."""
    shares = [sum(column) / len(hits) for column in hits.T.tolist()]
    return shares[4] - sum(shares[:4] + shares[5:]) / 8


@given(maps)
def test_centre_bias_is_the_centre_less_the_others(hits):
    found = centre_bias(hits, 200)
    assert found.value == pytest.approx(plain_bias(hits), abs=1e-12)
    assert -1 <= found.low <= found.high <= 1
    order = np.random.default_rng(0).permutation(len(hits))
    assert centre_bias(hits[order], 200).value == found.value
    assert found.resamples == 200
    around = hits[:, [8, 7, 6, 5, 4, 3, 2, 1, 0]]
    assert centre_bias(around, 200) == found, "the eight others weigh the same"


@given(maps, maps)
def test_differences_of_the_centre_bias(a, b):
    between = bias_between(a, b, 200)
    assert between.value == pytest.approx(plain_bias(a) - plain_bias(b), abs=1e-12)
    n = min(len(a), len(b))
    paired = bias_difference(a[:n], b[:n], 200)
    assert paired.value == pytest.approx(plain_bias(a[:n]) - plain_bias(b[:n]), abs=1e-12)
    same = bias_difference(a, a, 200)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    for found in (between, paired):
        assert 0 < found.p <= 1
        assert -2 <= found.low <= found.high <= 2


def test_intervals_are_those_of_the_normal_approximation():
    rng = np.random.default_rng(0)
    a = rng.random((4000, 9)) < np.where(np.arange(9) == 4, 0.6, 0.4)
    b = a & (rng.random((4000, 9)) < 0.9)
    weights = np.where(np.arange(9) == 4, 1, -1 / 8)

    def near(found, value, error):
        assert found.low == pytest.approx(value - 1.96 * error, abs=0.15 * error)
        assert found.high == pytest.approx(value + 1.96 * error, abs=0.15 * error)
        if hasattr(found, "p"):
            assert found.p == pytest.approx(2 * stats.norm.sf(abs(value) / error), abs=0.02)

    a_scores, b_scores = a @ weights, b @ weights
    near(centre_bias(a, 20_000), a_scores.mean(), a_scores.std() / 4000**0.5)
    near(bias_difference(a, b, 20_000), (a_scores - b_scores).mean(), (a_scores - b_scores).std() / 4000**0.5)
    apart = (a_scores.var() / 4000 + b_scores[:1000].var() / 1000) ** 0.5
    near(bias_between(a, b[:1000], 20_000), a_scores.mean() - b_scores[:1000].mean(), apart)


def test_a_pair_is_drawn_together_and_two_data_sets_are_not():
    """What two models share cancels out in a pair."""
    rng = np.random.default_rng(0)
    a = rng.random((500, 9)) < 0.5
    b = a.copy()
    b[:5, 4] ^= True
    paired, apart = bias_difference(a, b), bias_between(a, b)
    assert paired.value == pytest.approx(apart.value)
    assert paired.high - paired.low < (apart.high - apart.low) / 3
    assert bias_between(a, a.copy()).p > 0.5


def test_the_ends_of_the_centre_bias():
    centre = np.tile(np.arange(9) == 4, (7, 1))
    for hits, value in ((centre, 1), (~centre, -1), (np.ones((7, 9), bool), 0), (np.zeros((7, 9), bool), 0)):
        found = centre_bias(hits)
        assert (found.value, found.low, found.high) == (value, value, value)
    nothing = centre_bias(np.zeros((0, 9), bool)).to_json()
    assert (nothing["value"], nothing["low"], nothing["high"]) == (None, None, None)
    assert np.isnan(bias_between(centre, np.zeros((0, 9), bool)).p)


def test_a_pair_of_other_images_is_an_error():
    with pytest.raises(ValueError, match=r"same images for both models, got shapes \(3, 9\) and \(4, 9\)"):
        bias_difference(np.zeros((3, 9), bool), np.zeros((4, 9), bool))
