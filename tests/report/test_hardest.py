"""Which images the lists hold and what is said of them, against loops; where the fixing window lies, by pixels."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo_runs import paint, photo_run
from PIL import Image

from snellen.analysis.summary import summarise
from snellen.datasets import open_dataset
from snellen.report import pictures as pictures_module
from snellen.report.hardest import choose, find_cases, frame, wanted_pictures
from snellen.report.pictures import CHANGED, GONE, MOST_CHARACTERS, REFUSED, ImageKey, encode, take_pictures
from snellen.report.studies import clipped
from snellen.zoom import PAPER_GRID, Zoom
from snellen.zoom.render import render

NAMES = [f"a/{k:02d}.jpg" for k in range(9)]
# Shares of right zooms: none, few, many, all.
EASE = [0, 0.05, 0.9, 1, 0, 0.3, 0.6, 0.02, 1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return photo_run(folder / "run", paint(folder / "photos", NAMES), ease=EASE, bad=[5])


def entropy(row):
    counts = [list(row).count(answer) for answer in set(row)]
    return -sum(c / len(row) * math.log2(c / len(row)) for c in counts)


def test_both_lists_against_loops(run):
    summary = summarise(run)
    ids, p = run.answers("id0").tolist(), run.answers("p0")
    labels = run.labels()
    right = [[answer in accepted for answer in row] for row, accepted in zip(ids, labels, strict=True)]
    agree = [max(row.count(answer) for answer in set(row)) for row in ids]
    hard = sorted((sum(right[k]), -agree[k], k) for k in range(8) if not all(right[k]))
    fixed = sorted((-entropy(ids[k]), k) for k in range(8) if any(right[k]) and entropy(ids[k]) > 0)
    lists = find_cases(run, summary, None, 4)
    assert [case.key.image_id for case in lists.hardest] == [run.image_ids[k] for _, _, k in hard[:4]]
    assert [case.key.image_id for case in lists.sensitive] == [run.image_ids[k] for _, k in fixed[:4]]
    for case in (*lists.hardest, *lists.sensitive):
        k = run.image_ids.index(case.key.image_id)
        assert (case.winning, case.zooms) == (sum(right[k]), 324)
        assert case.sensitivity == pytest.approx(entropy(ids[k]), abs=1e-5)
        assert case.labels == tuple(f"kind-{label}" for label in labels[k])
        wrong = [answer for answer, good in zip(ids[k], right[k], strict=True) if not good]
        ranked = sorted(set(wrong), key=lambda answer: (-wrong.count(answer), answer))[:3]
        assert [(a.name, a.share) for a in case.wrong] == [(f"kind-{a}", wrong.count(a) / 324) for a in ranked]
        assert case.one_crop.name == f"kind-{ids[k][112]}"
        assert case.one_crop.share == pytest.approx(p[k, 112])
        assert case.one_crop_right == right[k][112]
        winners = [zoom for zoom in range(324) if right[k][zoom]]
        if not winners:
            assert case.fix is None
            continue
        best = max(winners, key=lambda zoom: p[k, zoom])
        assert (case.fix.zoom, case.fix.rule) == (best, PAPER_GRID.rules[best])
        assert case.fix.answer.name in case.labels
        assert case.fix.answer.share == pytest.approx(p[k, best])


def test_lists_are_of_what_is_wanted(tmp_path):
    photos = paint(tmp_path / "photos", ["a/1.png", "a/2.png"])
    assert choose(summarise(photo_run(tmp_path / "right", photos, ease=1)), 9) == ([], [])
    hard, sensitive = choose(summarise(photo_run(tmp_path / "wrong", photos, ease=0)), 9)
    assert sorted(hard) == [0, 1]
    assert sensitive == []
    unsure = photo_run(tmp_path / "unsure", photos, ease=0.5, confidence=False)
    first = find_cases(unsure, summarise(unsure), None, 1).sensitive[0]
    assert first.fix.zoom == min(np.flatnonzero(unsure.correct()[unsure.image_ids.index(first.key.image_id)]))
    assert math.isnan(first.fix.answer.share)


@given(st.integers(20, 900), st.integers(20, 900), st.integers(0, 323))
def test_the_frame_is_where_the_view_was_cut(width, height, zoom):
    """Of an image whose colours are its coordinates, the middle of each view says where it was."""
    across = np.broadcast_to(np.linspace(0, 255, width, dtype=np.float32), (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height, dtype=np.float32)[:, None], (height, width))
    image = Image.fromarray(np.stack([across, down, np.full_like(across, 255)], axis=2).round().astype(np.uint8))
    rule = PAPER_GRID.rules[zoom]
    view = render(image, [rule])[0]
    left, top, wide, high = frame(rule, image.size)
    ys, xs = np.mgrid[8:216:52, 8:216:52]
    x, y = left + (xs + 0.5) * wide / 224, top + (ys + 0.5) * high / 224
    resized = rule.resized(width, height)
    margin = 4 * max(width / resized[0], height / resized[1], 1)  # of what the filter mixes at an edge
    inside = (x > margin) & (x < width - margin) & (y > margin) & (y < height - margin)
    for axis, place, length in ((0, x, width), (1, y, height)):
        expected = (place[inside] - 0.5) / (length - 1) * 255
        assert np.abs(view[ys, xs][inside][:, axis] - expected).max(initial=0) <= 4 + 255 / length
    outside = (x < -margin) | (x > width + margin) | (y < -margin) | (y > height + margin)
    assert (view[ys, xs][outside] == 0).all()
    box = clipped((left, top, wide, high), image.size)
    assert 0 <= box[0] <= box[0] + box[2] <= width + 0.1
    assert 0 <= box[1] <= box[1] + box[3] <= height + 0.1


def test_every_image_is_read_once(tmp_path, monkeypatch):
    photos = paint(tmp_path / "photos", NAMES)
    runs = [photo_run(tmp_path / f"run-{k}", photos, ease=0.3, seed=k) for k in range(3)]
    lists = [find_cases(run, summarise(run), None, 9) for run in runs]
    dataset, reads = open_dataset(photos), []
    original = type(dataset).read
    monkeypatch.setattr(type(dataset), "read", lambda self, k: reads.append(k) or original(self, k))
    pictures = take_pictures(wanted_pictures(lists))
    assert sorted(reads) == list(range(9))
    for case in (case for one in lists for case in (*one.hardest, *one.sensitive)):
        shown = pictures[case.key]
        with Image.open(photos / case.key.image_id) as image:
            assert shown.size == image.size
            wide, high = shown.thumbnail.width, shown.thumbnail.height
            assert max(wide, high) <= pictures_module.THUMBNAIL
            assert wide / high == pytest.approx(image.width / image.height, rel=0.03)
        assert shown.views[case.fix.rule].width == pictures_module.VIEW


def test_images_that_are_gone_changed_or_broken(tmp_path):
    photos = paint(tmp_path / "photos", NAMES)
    keys = [ImageKey(str(photos), name, hashlib.sha256((photos / name).read_bytes()).hexdigest()) for name in NAMES]
    (photos / NAMES[0]).unlink()
    (photos / NAMES[1]).write_bytes((photos / NAMES[2]).read_bytes())
    broken = (photos / NAMES[3]).read_bytes()[:60]
    (photos / NAMES[3]).write_bytes(broken)
    keys[3] = keys[3]._replace(sha256=hashlib.sha256(broken).hexdigest())
    nowhere = ImageKey(str(tmp_path / "nowhere"), "x.jpg", "0" * 64)
    rule = Zoom(256, 1, 1).rule()
    found = take_pictures({key: {rule} for key in [*keys, nowhere]})
    assert [found[key].why for key in [*keys[:5], nowhere]] == [GONE, CHANGED, "", REFUSED, "", GONE]
    assert all(
        (one.thumbnail is None) == (one.size is None) == (not one.views) == bool(one.why) for one in found.values()
    )


@pytest.mark.parametrize("size", [(3, 2), (288, 288), (2000, 1500), (5000, 40)])
def test_a_picture_has_a_size_that_the_page_can_bear(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = encode(Image.fromarray(noise), 288)
    assert 0 < len(picture.data) <= MOST_CHARACTERS
    assert max(picture.width, picture.height) <= min(288, max(size))


def test_a_border_is_no_part_of_the_image(tmp_path, monkeypatch):
    photos = paint(tmp_path / "photos", ["a/1.png"])
    key = ImageKey(str(photos), "a/1.png", hashlib.sha256((photos / "a/1.png").read_bytes()).hexdigest())
    rule = Zoom(224, 0, 0).rule()
    whole = take_pictures({key: {rule}})[key]
    monkeypatch.setattr(type(open_dataset(photos)), "border", 3)
    inner = take_pictures({key: {rule}})[key]
    assert inner.size == (whole.size[0] - 6, whole.size[1] - 6)
    assert inner.views[rule] != whole.views[rule]
