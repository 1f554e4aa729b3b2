"""Which thirds of an image a window sees, against windows cut from real, marked images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snellen.analysis.bias import location_hits
from snellen.analysis.tiles import resized_sides, tile_hits, tile_map
from snellen.zoom import PAPER_GRID, SCALES, Grid, ViewRule, Zoom, paper_grid
from snellen.zoom.render import render

# Squares, upright and lying images, very long ones, some of one pixel, some whose long side rounds down.
SIZES = [(500, 375), (375, 500), (300, 300), (224, 1000), (2000, 150), (31, 17), (1, 1), (1, 9), (333, 334)]
SOME = Grid(
    "some", tuple(Zoom(s, r, c).rule() for s in (10, 96, 224, 256, 448, 700, 1024) for r in range(3) for c in range(3))
)
OTHERS = Grid(
    "others",
    tuple(
        ViewRule(resize, row, col, 64, anchor=anchor, flip=flip, fit=fit)
        for resize, anchor, flip, fit in [
            (50, "spread", False, "shorter"),
            (97, "floor", True, "squash"),
            (256, "thirds", True, "squash"),
        ]
        for row in range(3)
        for col in range(3)
    ),
)


def seen(grid, width, height):
    """Which tiles each zoom sees in an image of this size: bool `[zooms, 9]`, one zoom right at a time."""
    n = len(grid)
    return tile_hits(np.eye(n, dtype=bool), grid, np.full(n, width), np.full(n, height))


@pytest.mark.parametrize("grid", [SOME, OTHERS], ids=lambda grid: grid.name)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_marked_pixel_is_in_the_window(grid, width, height):
    """The image is really resized, one pixel marked at the middle of a tile, the window cut by Pillow."""
    found = seen(grid, width, height)
    for zoom, rule in enumerate(grid):
        if rule.fit == "squash":
            size = (rule.resize, rule.resize)
        else:
            size = Image.new("L", (width, height)).resize(rule.resized(width, height)).size
        left, top = rule.window(*size)
        for tile in range(9):
            third_x, third_y = size[0] // 3, size[1] // 3
            marked = Image.new("L", size)
            marked.putpixel((tile % 3 * third_x + third_x // 2, tile // 3 * third_y + third_y // 2), 255)
            window = np.asarray(marked.crop((left, top, left + rule.size, top + rule.size)))
            assert found[zoom, tile] == (window.max() == 255), (rule, tile)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (360, 540), (400, 400)])
def test_views_show_what_the_map_says(width, height):
    """A white spot at the middle of each tile, views as the study renders them; edges of windows are left out."""
    spot = 11
    for tile in range(9):
        pixels = np.zeros((height, width, 3), np.uint8)
        x, y = (2 * (tile % 3) + 1) * width // 6, (2 * (tile // 3) + 1) * height // 6
        pixels[y - spot : y + spot + 1, x - spot : x + spot + 1] = 255
        views = render(Image.fromarray(pixels), SOME.rules)
        for zoom, sees in enumerate(seen(SOME, width, height)[:, tile]):
            bright = (views[zoom] > 200).sum() / 3
            whole = (views[zoom] > 20).sum() / 3
            rule = SOME.rules[zoom]
            area = ((2 * spot + 1) * rule.resize / min(width, height)) ** 2
            if rule.resize >= 96 and (whole < 0.25 * area or bright > 0.75 * area):
                assert sees == (bright > 0.75 * area), (rule, tile)


@given(
    st.sampled_from([*SCALES, 7]), st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["shorter", "squash"])
)
def test_resized_sides_are_those_of_the_rule(scale, width, height, fit):
    rule = ViewRule(scale, 1, 1, fit=fit)
    assert tuple(int(side[0]) for side in resized_sides(rule, np.array([width]), np.array([height]))) == rule.resized(
        width, height
    )


@pytest.fixture(params=range(3))
def study(request):
    rng = np.random.default_rng(request.param)
    correct = rng.random((150, 324)) < rng.random((150, 1)) ** 8
    sizes = np.array(SIZES)[rng.integers(0, len(SIZES), 150)]
    return correct, sizes[:, 0], sizes[:, 1]


def test_images_of_many_sizes_are_independent(study):
    correct, widths, heights = study
    found = tile_hits(correct, PAPER_GRID, widths, heights)
    for size in SIZES:
        sees = seen(PAPER_GRID, *size)
        for image in np.flatnonzero((widths == size[0]) & (heights == size[1])):
            assert np.array_equal(found[image], sees[correct[image]].any(axis=0))


def test_properties(study):
    correct, widths, heights = study
    found = tile_hits(correct, PAPER_GRID, widths, heights)
    assert (found >= location_hits(correct, PAPER_GRID)).all(), "a window sees the tile it is centred on"
    assert (found <= correct.any(axis=1)[:, None]).all()
    order = np.random.default_rng(9).permutation(150)
    assert np.array_equal(tile_hits(correct[order], PAPER_GRID, widths[order], heights[order]), found[order])
    more = correct.copy()
    more[:, 112] = True
    assert (tile_hits(more, PAPER_GRID, widths, heights) >= found).all()
    mirrored = [9 * (z // 9) + 3 * (z % 3) + z % 9 // 3 for z in range(324)]
    turned = tile_hits(correct[:, mirrored], PAPER_GRID, heights, widths)
    assert np.array_equal(turned, found[:, [0, 3, 6, 1, 4, 7, 2, 5, 8]]), "turned over its diagonal"


def test_only_some_zooms(study):
    correct, widths, heights = study
    zooms = [3, 112, 250]
    kept = np.zeros_like(correct)
    kept[:, zooms] = correct[:, zooms]
    assert np.array_equal(
        tile_hits(correct, PAPER_GRID, widths, heights, zooms), tile_hits(kept, PAPER_GRID, widths, heights)
    )
    assert not tile_hits(correct, PAPER_GRID, widths, heights, []).any()


def test_the_whole_image_at_the_smallest_scales_one_tile_at_the_largest():
    sees = seen(PAPER_GRID, 300, 300)
    assert sees[:9].all()
    assert np.array_equal(sees[-9:], np.eye(9, dtype=bool))


def test_a_grid_at_another_size_of_window(study):
    """Scales and windows grow together, but for rounding."""
    here, there = seen(PAPER_GRID, 600, 600), seen(paper_grid(448), 600, 600)
    assert (here == there).mean() > 0.99


@pytest.mark.parametrize("right", [False, True])
def test_the_ends(right):
    for n in (0, 5):
        cells = tile_map(np.full((n, 324), right), PAPER_GRID, np.full(n, 640), np.full(n, 480))
        assert {(cell.hits, cell.n) for line in cells for cell in line} == {(n if right else 0, n)}
