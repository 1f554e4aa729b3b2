"""Geometry against a recipe written from the protocol in other arithmetic, and against torchvision."""

import json
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from snellen.zoom import PAPER_GRID, SCALES, Grid, ViewRule, Zoom, paper_grid

PROTOCOL_OUT = "10 16 32 48 64 96 122 128 192"
PROTOCOL_IN = "235 240 256 288 320 348 384 448 460 512 573 576 640 664 672 680 686 690 700 720 768 798 832 896 911 1024"
PROTOCOL_SCALES = [int(s) for s in f"{PROTOCOL_OUT} 224 {PROTOCOL_IN}".split()]

sides = st.integers(1, 5000)
one_rule = st.builds(
    ViewRule,
    resize=st.integers(1, 2000),
    row=st.integers(0, 2),
    col=st.integers(0, 2),
    size=st.integers(1, 600),
    filter=st.sampled_from(["bicubic", "bilinear", "lanczos", "nearest"]),
    anchor=st.sampled_from(["thirds", "spread"]),
    flip=st.booleans(),
    scale=st.integers(0, 2000),
)


def protocol_resized(scale, width, height):
    """The shorter side becomes `scale`, the longer the truncated exact product."""
    if width == height:
        return scale, scale
    longer = scale * max(width, height) // min(width, height)
    return (scale, longer) if width < height else (longer, scale)


def protocol_window(row, col, width, height):
    """Left and top: a tile is a third of the side; the window's middle is the tile's, both floored."""

    def start(cell, side):
        tile = floor(Fraction(side, 3))
        return cell * tile + floor(Fraction(tile, 2)) - 112

    return start(col, width), start(row, height)


def test_scales_are_the_protocols():
    assert list(SCALES) == PROTOCOL_SCALES
    assert len(SCALES) == 36
    assert list(SCALES) == sorted(set(SCALES))


@given(sides, sides)
def test_every_zoom_follows_the_protocol(width, height):
    index = 0
    for scale in PROTOCOL_SCALES:
        resized = protocol_resized(scale, width, height)
        for row in range(3):
            for col in range(3):
                rule = PAPER_GRID.rules[index]
                assert rule == Zoom(scale, row, col).rule()
                assert Zoom(scale, row, col).index == index
                assert rule.resized(width, height) == resized
                assert (rule.size, rule.filter, rule.flip, rule.scale) == (224, "bicubic", False, scale)
                assert rule.window(*resized) == protocol_window(row, col, *resized)
                index += 1
    assert index == len(PAPER_GRID) == 324


def test_thirds_of_every_small_side():
    for side in range(1, 1100):
        tiles = [list(range(cell * (side // 3), (cell + 1) * (side // 3))) for cell in range(3)]
        middles = [tile[len(tile) // 2] if tile else 0 for tile in tiles]
        assert [ViewRule(224, 0, cell).window(side, 9)[0] + 112 for cell in range(3)] == middles
        assert [ViewRule(224, cell, 0).window(9, side)[1] + 112 for cell in range(3)] == middles


def test_one_crop_differs_from_centre_crop_as_the_protocol_says():
    assert ViewRule(256, 1, 1).window(256, 256)[0] == 15
    assert ViewRule(256, 1, 1, anchor="spread").window(256, 256)[0] == 16


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 300))
def test_resized_is_torchvisions(width, height, scale):
    if scale * max(width, height) // min(width, height) > 4000:
        scale = 1
    resized = transforms.Resize(scale)(Image.new("L", (width, height)))
    assert ViewRule(scale, 0, 0).resized(width, height) == resized.size


def numbered(width, height):
    """An image whose every pixel says where it is, counting from 1; 0 is outside."""
    return Image.fromarray(np.arange(1, width * height + 1, dtype=np.int32).reshape(height, width))


def cut(image, rule):
    left, top = rule.window(*image.size)
    return np.asarray(image.crop((left, top, left + rule.size, top + rule.size)))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_spread_centre_is_torchvisions_centre_crop(width, height, size):
    image = numbered(width, height)
    expected = np.asarray(transforms.CenterCrop(size)(image))
    assert np.array_equal(cut(image, ViewRule(1, 1, 1, size, anchor="spread")), expected)


@given(st.data(), st.integers(1, 40))
def test_spread_corners_are_torchvisions_five_crop(data, size):
    image = numbered(data.draw(st.integers(size, size + 40)), data.draw(st.integers(size, size + 40)))
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for (row, col), expected in zip(corners, transforms.FiveCrop(size)(image), strict=True):
        assert np.array_equal(cut(image, ViewRule(1, row, col, size, anchor="spread")), np.asarray(expected))


def test_index_counts_columns_then_rows_then_scales():
    assert [(r.scale, r.row, r.col) for r in PAPER_GRID.rules[:10]] == [
        *((10, row, col) for row in (0, 1, 2) for col in (0, 1, 2)),
        (16, 0, 0),
    ]
    assert PAPER_GRID.one_crop == 9 * PROTOCOL_SCALES.index(256) + 3 + 1 == 112
    with pytest.raises(ValueError, match="index"):
        Zoom(100, 1, 1).index  # noqa: B018


def test_row_is_vertical():
    left, top = ViewRule(600, 2, 0).window(600, 900)
    assert (left, top) == (0 * 200 + 100 - 112, 2 * 300 + 150 - 112)


@pytest.mark.parametrize("size", [224, 336, 600])
def test_groups_go_by_the_nominal_scale(size):
    grid = paper_grid(size)
    groups = {name: zooms.tolist() for name, zooms in grid.groups.items()}
    wanted = {"zoom-in": PROTOCOL_IN, "zoom-224": "224", "zoom-out": PROTOCOL_OUT}
    for name, scales in wanted.items():
        assert groups[name] == [z for z in range(324) if str(PROTOCOL_SCALES[z // 9]) in scales.split()]
    assert [len(zooms) for zooms in groups.values()] == [234, 9, 81]


def test_groups_without_zooms_are_left_out():
    assert list(paper_grid(scales=(10, 300)).groups) == ["zoom-in", "zoom-out"]


def test_paper_grid_for_windows_of_336():
    grid = paper_grid(336)
    assert (grid.name, grid.size, len(grid)) == ("paper", 336, 324)
    for rule, nominal in zip(grid, PAPER_GRID, strict=True):
        exact = Fraction(nominal.resize) * 3 / 2
        assert abs(rule.resize - exact) <= Fraction(1, 2)
        assert (rule.scale, rule.row, rule.col, rule.size) == (nominal.scale, nominal.row, nominal.col, 336)
    assert grid.one_crop == 112
    assert grid.rules[112].resize == 384
    # The same thirds, a wider window: centred on the same place of the picture.
    assert grid.rules[112].window(384, 600) == (128 + 64 - 168, 200 + 100 - 168)


def test_a_grid_without_the_one_crop_says_so():
    assert paper_grid(scales=(224, 288)).one_crop is None
    assert Grid("own", (ViewRule(256, 1, 1, anchor="spread", scale=256),)).one_crop is None


@given(st.text(max_size=20), st.lists(one_rule, min_size=1, max_size=6))
def test_json_round_trip(name, rules):
    grid = Grid(name, tuple(rules))
    record = json.loads(json.dumps(grid.to_json()))
    assert Grid.from_json(record) == grid
    for row, rule in zip(record["rules"], rules, strict=True):
        assert {field: getattr(rule, field) for field in record["fields"]} == dict(
            zip(record["fields"], row, strict=True)
        )


def test_json_that_does_not_fit_is_refused():
    record = PAPER_GRID.to_json()
    record["rules"][5] = record["rules"][5][:-1]
    with pytest.raises(ValueError, match="zip"):
        Grid.from_json(record)
