"""View sets against torchvision's own crops, and the one grid that methods share."""

import numpy as np
import pytest
import torchvision.transforms.functional as tf
from PIL import Image
from torchvision.transforms import InterpolationMode

from snellen.analysis.cover import greedy_cover
from snellen.classifiers.base import OwnTransform
from snellen.errors import UsageError
from snellen.store import load_run
from snellen.tta.views import spread, union, view_set
from snellen.zoom import PAPER_GRID
from snellen.zoom.render import render


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 500), (256, 256), (257, 300), (100, 60)])
def test_crops_are_torchvisions(size):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    resized = tf.resize(image, 256, InterpolationMode.BILINEAR)
    centre = tf.center_crop(resized, 224)
    corners = tf.five_crop(resized, 224)
    assert np.array_equal(render(image, view_set("center").rules), [np.asarray(centre)])
    assert np.array_equal(render(image, view_set("5crop").rules), [np.asarray(crop) for crop in corners])


def test_ten_crops_are_torchvisions_in_another_order():
    """Where the rest is even: of an odd one torchvision mirrors the image first, and its centre moves by a pixel."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (288, 360, 3), np.uint8))
    ten = tf.ten_crop(tf.resize(image, 256, InterpolationMode.BILINEAR), 224)
    expected = sorted(np.asarray(crop).tobytes() for crop in ten)
    assert sorted(view.tobytes() for view in render(image, view_set("10crop").rules)) == expected


def test_groups_are_the_papers():
    for group in ("in", "out", "224"):
        zooms = PAPER_GRID.groups[f"zoom-{group}"]
        assert view_set(f"paper:{group}").rules == tuple(PAPER_GRID.rules[zoom] for zoom in zooms)
    assert view_set("paper:all").rules == PAPER_GRID.rules
    assert [(r.scale, r.row, r.col) for r in view_set("paper:centre").rules][12] == (256, 1, 1)
    assert len(view_set("paper:centre")) == 36
    assert view_set("1crop").rules == (PAPER_GRID.rules[PAPER_GRID.one_crop],)


def test_flip_adds_mirror_images_once():
    views = view_set("5crop+flip")
    assert set(views.rules) == set(view_set("10crop").rules)
    assert len(view_set("10crop+flip")) == 10
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    plain, mirrored = render(image, view_set("center+flip").rules)
    assert np.array_equal(mirrored, plain[:, ::-1])


@pytest.mark.parametrize("name", ["paper:in", "paper:out", "paper:all+flip", "paper:centre", "5crop", "10crop"])
def test_a_spread_is_even(name):
    """Neither a scale nor an anchor is taken more than once more than another, and no view twice."""
    whole = view_set(name).rules
    for count in {*range(1, len(whole), 1 + len(whole) // 60), len(whole)}:
        some = spread(whole, count)
        assert len(set(some)) == count
        assert set(some) <= set(whole)
        for of in (lambda rule: rule.scale, lambda rule: (rule.row, rule.col), lambda rule: rule.flip):
            taken = [sum(of(rule) == value for rule in some) for value in {of(rule) for rule in whole}]
            assert max(taken) - min(taken) <= 1, (count, taken)
    assert spread(whole, len(whole) + 1) == spread(whole, len(whole))


def test_a_spread_reaches_from_small_to_large_scales():
    scales = [rule.scale for rule in spread(view_set("paper:all").rules, 5)]
    assert scales == sorted(scales)
    assert scales[0] < 100 < 800 < scales[-1]


def test_other_sizes_are_resized_in_proportion():
    assert view_set("center", 336).rules[0].resize == 384
    assert view_set("paper:in", 336).rules[0].resize == round(235 * 336 / 224)


def test_own_transform():
    own = OwnTransform(224, 248, "bicubic")
    assert view_set("own", own=own).rules == (own.rule(),)
    with pytest.raises(UsageError, match="cuts 288 pixels"):
        view_set("own", own=OwnTransform(288, 300, "bicubic"))
    with pytest.raises(UsageError, match="no transform is known"):
        view_set("own")


def test_top_zooms_of_a_run(make_run):
    made = make_run(30, seed=3)
    run = load_run(made.path)
    cover = greedy_cover(run.correct())
    views = view_set(f"top3@{made.path}")
    assert views.rules == tuple(PAPER_GRID.rules[zoom] for zoom in cover[:3])
    assert len(view_set(f"top36@{made.path}")) == min(36, len(cover))
    assert views.images.split() == sorted(digest[-12:] for digest in run.samples["sha256"].to_pylist())
    assert view_set("paper:in").images == ""
    with pytest.raises(UsageError, match="336"):
        view_set(f"top3@{made.path}", 336)


@pytest.mark.parametrize(
    "text", ["", "paper:", "paper:up", "top0@x", "top3@", "6crop", "center+flop", "5crop+flip+flip"]
)
def test_unknown_views(text):
    with pytest.raises(UsageError, match="views"):
        view_set(text)


def test_union_holds_each_rule_once():
    sets = [view_set(text).rules for text in ("center", "10crop", "paper:in", "paper:centre")]
    grid, places = union(sets)
    assert len(set(grid.rules)) == len(grid)
    assert set(grid.rules) == {rule for rules in sets for rule in rules}
    for rules, place in zip(sets, places, strict=True):
        assert tuple(grid.rules[k] for k in place) == rules
