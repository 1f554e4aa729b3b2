"""Pixels cut on a device against Pillow's own resize of the whole image and its crop."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snellen.zoom import PAPER_GRID, ViewRule, bands, paper_grid, render_gpu
from snellen.zoom.bands import Bands, bands_of, can_be_banded
from snellen.zoom.weights import PILLOW as PILLOW_VERSION
from snellen.zoom.weights import vertical_first

PILLOW = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos")}
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


def noise(width, height, seed=0):
    """Black and white and little between, so that filters overshoot and sums are as large as they get."""
    rng = np.random.default_rng([seed, width, height])
    return (rng.integers(0, 2, (height, width, 3)) * 255 - rng.integers(-3, 4, (height, width, 3))).clip(0, 255)


def expected(pixels, rules):
    """Every view by Pillow alone: the whole image resized, then cropped; Pillow's crop is black outside."""
    image, resized, views = Image.fromarray(pixels), {}, []
    for rule in rules:
        size = rule.resized(*image.size)
        if (size, rule.filter) not in resized:
            resized[size, rule.filter] = image.resize(size, PILLOW[rule.filter])
        left, top = rule.window(*size)
        view = np.asarray(resized[size, rule.filter].crop((left, top, left + rule.size, top + rule.size)))
        views.append(view[:, ::-1] if rule.flip else view)
    return np.stack(views)


def assert_same(width, height, rules, device="cpu", seed=0):
    pixels = noise(width, height, seed).astype(np.uint8)
    views = render_gpu.render_gpu(torch.from_numpy(pixels).to(device), rules)
    assert (views.dtype, views.shape) == (torch.uint8, (len(rules), rules[0].size, rules[0].size, 3))
    assert views.is_contiguous()
    assert views.device.type == device
    wanted = expected(pixels, rules)
    wrong = [
        rule for rule, ours, theirs in zip(rules, views.cpu().numpy(), wanted, strict=True) if (ours != theirs).any()
    ]
    assert not wrong


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("width", "height"), [(90, 67), (53, 71)])
def test_every_zoom_of_the_study_is_pillows(width, height, device):
    assert_same(width, height, PAPER_GRID.rules, device)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (224, 224), (1300, 1000), (600, 2000)])
def test_every_zoom_of_photographs_is_pillows(width, height, device):
    assert_same(width, height, PAPER_GRID.rules, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 7), (5, 1), (3, 3), (33, 32), (223, 225), (256, 256), (640, 480), (31, 700), (700, 31)],
)
def test_shapes(width, height, device):
    assert_same(width, height, paper_grid(scales=(10, 64, 224, 240, 320)).rules, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("width", "height"), [(30, 290), (100, 500), (60, 900)])
def test_columns_before_rows(width, height, device):
    """Shapes of which Pillow 13 resizes some scales columns first; in one grid with others."""
    rules = paper_grid(scales=(10, 32, 48, 224)).rules
    orders = {vertical_first(width, height, *rule.resized(width, height)) for rule in rules}
    assert True in orders or PILLOW_VERSION < (13, 0)
    assert {half.across for half in bands_of(width, height, rules)[0].halves} == orders
    assert_same(width, height, rules, device)


@pytest.mark.parametrize("kernel", PILLOW)
@pytest.mark.parametrize("size", [1, 96, 100, 336])
def test_filters_anchors_sizes_and_flips(kernel, size):
    rules = [
        ViewRule(resize, row, col, size, kernel, anchor, flip, fit=fit)
        for resize, fit, anchor in ((97, "shorter", "spread"), (128, "squash", "floor"), (200, "shorter", "thirds"))
        for row, col in ((0, 0), (1, 1), (2, 0), (0, 2))
        for flip in (False, True)
    ]
    assert_same(171, 133, rules)


def test_order_of_rules_is_kept():
    pixels = torch.from_numpy(noise(120, 80).astype(np.uint8))
    rules = paper_grid(scales=(16, 224, 256)).rules
    order = np.random.default_rng(0).permutation(27)[:20]
    views = render_gpu.render_gpu(pixels, rules)
    assert torch.equal(render_gpu.render_gpu(pixels, [rules[i] for i in order]), views[torch.from_numpy(order)])


@settings(max_examples=15)
@given(st.data())
def test_any_view_of_any_image(data):
    side, place = st.integers(1, 400), st.integers(0, 2)
    size = data.draw(st.integers(1, 150))
    rules = [
        ViewRule(
            data.draw(st.integers(1, 500)),
            data.draw(place),
            data.draw(place),
            size,
            data.draw(st.sampled_from(sorted(PILLOW))),
            data.draw(st.sampled_from(["thirds", "spread", "floor"])),
            data.draw(st.booleans()),
            fit="squash",
        )
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    assert_same(data.draw(side), data.draw(side), rules, seed=data.draw(st.integers(0, 9)))


@pytest.mark.parametrize("chunk", [1, 5000])
def test_in_parts_as_at_once(chunk, monkeypatch):
    monkeypatch.setattr(render_gpu, "CHUNK", chunk)
    assert_same(61, 47, paper_grid(scales=(10, 224, 348)).rules)


def test_the_plan_survives_json():
    rules = [rule for rule in PAPER_GRID if rule.scale in (10, 32, 256)] + [ViewRule(256, 1, 1, flip=True)]
    planned, numbers = bands_of(100, 500, rules)
    assert len(planned.halves) == 2
    assert planned.flips == (len(rules) - 1,)
    assert Bands.from_json(json.loads(json.dumps(asdict(planned)))) == planned
    assert numbers.dtype == np.int32


def test_what_is_left_to_the_cpu():
    rules = PAPER_GRID.rules
    assert can_be_banded(3840, 2160, rules)
    assert not can_be_banded(bands.MAX_SIDE + 1, 10, rules)
    assert not can_be_banded(4097, 4096, rules)
    assert not can_be_banded(100, 100, [*rules, ViewRule(256, 1, 1, filter="nearest")])


@NO_GPU
def test_the_largest_images_fit_a_gpu():
    """4096 x 4096 and 2048 x 8192: views are right, and what is needed beside them stays below 3 GB."""
    for width, height in ((4096, 4096), (2048, 8192), (8192, 2048)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        assert_same(width, height, paper_grid(scales=(10, 48, 224, 640)).rules, "cuda")
        assert torch.cuda.max_memory_allocated() < 3e9
