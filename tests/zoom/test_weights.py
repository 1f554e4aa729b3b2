"""Fixed-point weights against Pillow's own resizes along one axis, and the order of its passes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import snellen.zoom.weights
from snellen.zoom.render import FILTERS, MAX_SHRINK
from snellen.zoom.weights import AT_ONCE, KERNELS, resample_weights, vertical_first

sides = st.integers(1, 300) | st.integers(1, 3000)
kernels = st.sampled_from(list(KERNELS))


def noise(height, width, seed=0):
    """Black and white: filters overshoot as far as they can, and every source pixel tells."""
    return (np.random.default_rng(seed).integers(0, 2, (height, width)) * 255).astype(np.uint8)


def summed(row, first, weights):
    """What the weights make of a row of values, in arithmetic that cannot overflow."""
    row = np.append(row.astype(np.int64), np.zeros(weights.shape[1], np.int64))
    sums = sum(row[first + k] * weights[:, k] for k in range(weights.shape[1])) + 2**21
    assert np.abs(sums).max() < 2**31
    return np.clip(sums >> 22, 0, 255)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("in_size", "out_size"), [(500, 37), (37, 500), (9000, 7)])
def test_weights_made_in_parts_are_those_made_at_once(kernel, in_size, out_size, monkeypatch):
    first, weights = resample_weights(in_size, out_size, kernel, 0, out_size)
    for at_once in (1, 200):
        monkeypatch.setattr(snellen.zoom.weights, "AT_ONCE", at_once)
        parts = resample_weights(in_size, out_size, kernel, 0, out_size)
        assert np.array_equal(parts[0], first)
        assert np.array_equal(parts[1], weights)


def test_the_weights_of_a_strong_reduction_take_little_more_than_themselves():
    """As far as an image is made smaller, by the longest filter: three million weights, in parts."""
    tracemalloc.start()
    try:
        _, weights = resample_weights(32 * MAX_SHRINK, 32, "lanczos", 0, 32)
        assert tracemalloc.get_traced_memory()[1] < weights.nbytes + 12 * 8 * AT_ONCE
    finally:
        tracemalloc.stop()
    assert weights.shape[1] > 4 * MAX_SHRINK


@given(sides, sides, kernels)
def test_a_row_is_resized_as_pillow_does(in_size, out_size, kernel):
    image = Image.fromarray(noise(1, in_size, in_size))
    expected = np.asarray(image.resize((out_size, 1), FILTERS[kernel]))[0]
    if in_size != out_size:
        assert np.array_equal(
            summed(noise(1, in_size, in_size)[0], *resample_weights(in_size, out_size, kernel, 0, out_size)), expected
        )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("in_size", "out_size"), [(65_535, 10), (65_535, 224), (20_000, 2_048_000), (1, 70_000)])
def test_long_rows(in_size, out_size, kernel):
    expected = np.asarray(Image.fromarray(noise(1, in_size)).resize((out_size, 1), FILTERS[kernel]))[0]
    for start in (0, out_size // 2, max(0, out_size - 300)):
        stop = min(out_size, start + 300)
        first, weights = resample_weights(in_size, out_size, kernel, start, stop)
        assert first.dtype == weights.dtype == np.int32
        assert np.array_equal(summed(noise(1, in_size)[0], first, weights), expected[start:stop])


@given(sides, sides, kernels, st.data())
def test_a_part_of_an_axis_has_the_weights_of_the_whole(in_size, out_size, kernel, data):
    start = data.draw(st.integers(0, out_size - 1))
    stop = data.draw(st.integers(start + 1, out_size))
    whole_first, whole = resample_weights(in_size, out_size, kernel, 0, out_size)
    first, weights = resample_weights(in_size, out_size, kernel, start, stop)
    assert np.array_equal(first, whole_first[start:stop])
    assert np.array_equal(weights, whole[start:stop, : weights.shape[1]])
    assert not whole[start:stop, weights.shape[1] :].any()


@given(*[st.integers(1, 120)] * 4, st.integers(-3, 3))
def test_the_order_of_the_passes_is_pillows(width, height, out_width, out_height, near):
    """The two orders differ by the rounding between them, which noise shows; heights around the border of the rule."""
    for becomes in (out_height, max(1, height - 2 * (width - out_width) + near)):
        image = Image.fromarray(noise(height, width, height))
        rows = image.resize((out_width, height), Image.Resampling.BICUBIC)
        cols = image.resize((width, becomes), Image.Resampling.BICUBIC)
        first = cols if vertical_first(width, height, out_width, becomes) else rows
        both = image.resize((out_width, becomes), Image.Resampling.BICUBIC)
        assert both.tobytes() == first.resize(both.size, Image.Resampling.BICUBIC).tobytes()
