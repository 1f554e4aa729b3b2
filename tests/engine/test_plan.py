"""Shards and names of directories."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.engine.names import model_name, safe_name
from snellen.engine.plan import HAND_OUTS, LAST_SECONDS, SHARD_SECONDS, SHARDS_PER_WORKER, _bounds


@given(
    st.integers(1, 5000),
    st.integers(1, 3000),
    st.floats(1, 5000),
    st.integers(1, 16),
    st.lists(st.integers(0, 8000), max_size=6, unique=True).map(sorted),
)
def test_shards_are_small_enough_and_hold_every_image_once(images, more, rate, workers, breaks):
    rate /= 324
    first = _bounds([0], images, rate, workers, breaks)
    both = _bounds(first, images + more, rate, workers, breaks)
    assert {b for b in breaks if b < images + more} <= set(both), "a shard ends at every break"
    assert both == sorted(set(both))
    assert first[0] == 0
    assert first[-1] == images
    assert both[: len(first)] == first, "an extension moves no bound"
    assert both[-1] == images + more
    assert _bounds(both, images, rate, workers, breaks) == both, "a smaller limit changes nothing"
    for bounds, todo in ((first, images), (both[len(first) - 1 :], more)):
        sizes = [b - a for a, b in itertools.pairwise(bounds)]
        assert min(sizes) >= 1
        assert max(sizes) <= max(1, SHARD_SECONDS * rate)
        handy = workers / HAND_OUTS * rate
        assert max(sizes) <= max(1, todo / (SHARDS_PER_WORKER * workers), handy)
        assert max(sizes) <= max(1, todo / workers)


@given(st.integers(1000, 60_000), st.floats(0.1, 100), st.integers(100, 5000))
def test_many_workers_ask_for_no_more_shards_a_second_than_one_command_hands_out(images, rate, workers):
    sizes = [b - a for a, b in itertools.pairwise(_bounds([0], images, rate, workers, []))]
    seconds = min(SHARD_SECONDS, workers / HAND_OUTS)
    # The first shard of each worker comes with the others'; the last one is what is left.
    assert all(size >= min(int(seconds * rate), images // (2 * workers)) for size in sizes[:-1])


@given(st.integers(1, 3000), st.floats(0.1, 100), st.integers(1, 16))
def test_workers_end_together(images, rate, workers):
    """Workers that each take the next shard when they are ready: the first to find none waits for an image or two."""
    sizes = [b - a for a, b in itertools.pairwise(_bounds([0], images, rate, workers, []))]
    ends = [0.0] * workers
    for size in sizes:
        at = ends.index(min(ends))
        ends[at] += size / rate
    if images >= 2 * SHARDS_PER_WORKER * workers:
        assert max(ends) - min(ends) <= max(2 / rate, LAST_SECONDS)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("embedded/efficientnet_lite0", "embedded-efficientnet_lite0"),
        ("timm/vit@/a/b/w.safetensors,mean=0.5", "timm-vit@w.safetensors,mean=0.5-"),
        ("/home/me/own.py:net", "own.pynet-"),
        ("torchvision/resnet50:IMAGENET1K_V1", "torchvision-resnet50IMAGENET1K_V1-"),
        ("module/My Net", "module-MyNet-"),
    ],
)
def test_model_directories(text, start):
    assert model_name(text).startswith(start)
    assert model_name(text) == start or len(model_name(text)) == len(start) + 6


def test_names_that_differ_never_share_a_directory():
    names = ["a b", "ab", "a/b", "a", "..", ".", "", "日本", "\udcff", "a" * 300, "a" * 299]
    found = [safe_name(name, name) for name in names]
    assert len(set(found)) == len(names)
    assert all("/" not in name and name not in ("", ".", "..") and len(name) < 100 for name in found)
