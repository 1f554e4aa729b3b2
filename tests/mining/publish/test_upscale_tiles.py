"""Tiles of an image that a network enlarges, against the whole: equal where it sees no further, else without edges."""

import itertools

import numpy as np
import pytest
from enlarging import noise
from PIL import Image

from snellen.mining.publish.upscale import Network, bands


def whole(network, pixels):
    (made,) = bands(pixels, network, tile=10_000, context=0)
    return made.astype(int)


@pytest.mark.parametrize("blend", [0, 3, 100])
@pytest.mark.parametrize(("tile", "size"), [(16, (50, 41)), (7, (23, 64)), (64, (65, 64)), (40, (30, 20))])
def test_tiles_are_the_whole_where_the_context_covers_what_the_network_sees(compact, tile, size, blend):
    from snellen.mining.publish.upscale_network import load_network

    network, pixels = load_network(compact(2), "cpu"), noise(*size)
    expected = whole(network, pixels)
    assert expected.std() > 20, "a network that makes one colour of everything shows nothing"
    made = np.concatenate(list(bands(pixels, network, tile, context=4, blend=blend))).astype(int)
    assert made.shape == expected.shape == (size[1] * 4, size[0] * 4, 3)
    # Sums of floats in another order: at most a rounding.
    assert np.abs(made - expected).max() <= 1
    assert (made != expected).mean() < 1e-3


def test_too_little_context_would_show(compact):
    """The same comparison sees a context that is too small."""
    from snellen.mining.publish.upscale_network import load_network

    network, pixels = load_network(compact(2), "cpu"), noise(50, 41)
    made = np.concatenate(list(bands(pixels, network, 16, context=0, blend=0))).astype(int)
    assert np.abs(made - whole(network, pixels)).max() > 5


def test_a_network_as_large_as_real_esrgans_compact_ones_needs_no_fading(compact):
    """32 convolutions between a first and a last one, with the tiles that are the default."""
    from snellen.mining.publish.upscale_network import load_network

    network, pixels = load_network(compact(32), "cpu"), noise(170, 30)
    expected = whole(network, pixels)
    assert expected.std() > 20
    assert np.abs(np.concatenate(list(bands(pixels, network))).astype(int) - expected).max() <= 1
    short = np.concatenate(list(bands(pixels, network, context=4, blend=0))).astype(int)
    assert np.abs(short - expected).max() > 1, "it does see further than a little"


def test_where_a_network_sees_too_far_tiles_fade_into_each_other(compact):
    """A seam is a line at which the error steps, from the last pixels of a tile to the first of the next."""
    from snellen.mining.publish.upscale_network import load_network

    tile, scale = 32, 4
    small = Image.fromarray(noise(6, 4))
    network, pixels = load_network(compact(12), "cpu"), np.asarray(small.resize((96, 64), Image.Resampling.BICUBIC))
    expected = whole(network, pixels)

    def seams(blend):
        error = np.concatenate(list(bands(pixels, network, tile, context=1, blend=blend))).astype(int) - expected
        lines = [np.abs(np.diff(error, axis=axis)).mean(axis=(1 - axis, 2)) for axis in (0, 1)]
        met = [np.arange(tile, size, tile) * scale - 1 for size in pixels.shape[:2]]
        return np.mean([line[at].mean() for line, at in zip(lines, met, strict=True)]), max(map(max, lines))

    (hard, worst), (soft, worst_of_soft), (faded, worst_of_faded) = seams(0), seams(3), seams(6)
    assert hard > 10
    assert hard > 2 * soft > 3 * faded
    assert worst > 2 * worst_of_soft > 3 * worst_of_faded, "nor is there a seam where a tile begins to fade"


@pytest.mark.parametrize("axis", [0, 1])
def test_one_colour_fades_into_another_in_even_steps(axis):
    """Tiles of a network that answers with the number of the tile."""
    count = itertools.count()

    def numbered(pixels):
        return np.full((2 * pixels.shape[0], 2 * pixels.shape[1], 3), 40 * next(count), np.uint8)

    size = (30, 4) if axis else (4, 30)
    network = Network("numbered", "0" * 64, 2, 1, numbered)
    made = np.concatenate(list(bands(noise(*size), network, tile=10, context=0, blend=2)))
    line = np.moveaxis(made, axis, 0)[:, 0, 0].astype(int)
    fade = [round(40 * (k + 0.5) / 8) for k in range(8)]
    assert line.tolist() == [0] * 16 + fade + [40] * 12 + [40 + one for one in fade] + [80] * 16
