"""Animations read back: how many frames, how long, how large, and what is on them."""

import builtins
import importlib.util
import io
import itertools

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw
from sights import sights

from snellen.errors import UsageError
from snellen.report.animate import MARGIN, TOP, check_video, frame_of, gif, mp4, side_of
from snellen.zoom.path import zoom_path

SPAN = (32, 1024)


def film(frames, size=224, scales=SPAN, labels=(0,)):
    """What was seen on a path, and the view of each frame."""
    path = zoom_path(scales, (1, 1), frames, size)
    rules = list(dict.fromkeys(path))
    return sights(rules, labels), [rules.index(rule) for rule in path]


def gif_frames(data):
    """The frames of a GIF and how long each is shown, in ms."""
    image = Image.open(io.BytesIO(data))
    frames, durations = [], []
    for k in range(image.n_frames):
        image.seek(k)
        frames.append(np.asarray(image.convert("RGB")))
        durations.append(image.info["duration"])
    return frames, durations, image


def local_palettes(data):
    """How many frames of a GIF bring a palette of their own (GIF89a, appendix A)."""
    at, found = 13 + (3 << (data[10] & 7) + 1), 0
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at += 2
        else:
            flags = data[at + 9]
            found += flags >> 7
            at += 11 + ((3 << (flags & 7) + 1) if flags >> 7 else 0)
        while data[at]:
            at += 1 + data[at]
        at += 1
    return found


@pytest.mark.parametrize(("fps", "seconds"), [(10, 2), (12, 1.5), (7, 3), (50, 0.5), (3.3, 2)])
def test_gif_has_its_length_and_every_frame(fps, seconds):
    seen, order = film(round(fps * seconds))
    frames, durations, image = gif_frames(gif(seen, order, fps))
    runs = sum(a != b for a, b in itertools.pairwise(order)) + 1
    assert len(frames) == runs
    assert sum(durations) == pytest.approx(1000 * len(order) / fps, abs=5)
    assert image.info["loop"] == 0
    assert image.size == frame_of(seen, SPAN, 0).size


def test_gif_frames_show_what_was_seen():
    """One palette for all: colours of the view nearly, flat colours exactly, still parts bit for bit."""
    seen, order = film(20)
    data = gif(seen, order, 10)
    frames, _, _ = gif_frames(data)
    views = list(dict.fromkeys(order))
    assert local_palettes(data) == 0
    for frame, view in zip(frames, views, strict=True):
        drawn = np.asarray(frame_of(seen, SPAN, view))
        assert np.abs(frame.astype(int) - drawn).mean() < 6
        np.testing.assert_array_equal(frame[:TOP], frames[0][:TOP])
        flat = (drawn == 255).all(axis=2) | (drawn == 0).all(axis=2)
        np.testing.assert_array_equal(frame[flat], drawn[flat])


def test_gif_of_a_still():
    seen, order = film(10, scales=(256, 256))
    frames, durations, _ = gif_frames(gif(seen, order, 10))
    assert len(frames) == 1
    assert durations == [1000]


@pytest.mark.parametrize(("fps", "size", "labels"), [(25, 224, (0,)), (12.5, 32, ()), (29.97, 225, (1, 2))])
def test_mp4_is_what_browsers_and_quicktime_play(fps, size, labels):
    seen, order = film(20, size, labels=labels)
    data = mp4(seen, order, fps)
    assert data.index(b"moov") < data.index(b"mdat")  # the index first: it plays before it is all there
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.colorspace, context.color_range) == ("h264", "yuv420p", 1, 1)
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-3)
        assert float(stream.duration * stream.time_base) == pytest.approx(20 / fps, rel=1e-3)
        frames = [frame.to_ndarray(format="rgb24", src_colorspace="ITU709") for frame in container.decode(stream)]
    assert len(frames) == 20
    for frame, view in zip(frames, order, strict=True):
        drawn = np.asarray(frame_of(seen, SPAN, view)).astype(int)
        assert frame.shape == drawn.shape
        assert not frame.shape[0] % 2
        assert not frame.shape[1] % 2
        assert np.abs(frame - drawn).mean() < 4
        assert np.abs(frame.mean(axis=(0, 1)) - drawn.mean(axis=(0, 1))).max() < 3  # the colours are not shifted


@pytest.mark.parametrize("size", [32, 224, 225, 336, 449, 600])
def test_a_frame_shows_the_pixels_that_the_model_saw(size):
    seen, order = film(5, size)
    side = side_of(size)
    for view in set(order):
        frame = np.asarray(frame_of(seen, SPAN, view))[TOP : TOP + side, MARGIN : MARGIN + side]
        each = side // size
        assert each * size == side
        np.testing.assert_array_equal(frame[::each, ::each], seen.views[view])
        np.testing.assert_array_equal(frame[each - 1 :: each, each - 1 :: each], seen.views[view])


@pytest.mark.parametrize(
    ("anchor", "place"), [((1, 1), "centre"), ((0, 0), "top left"), ((0, 1), "top"), ((1, 2), "right")]
)
def test_a_frame_names_its_anchor(anchor, place, monkeypatch):
    said = []
    text = ImageDraw.ImageDraw.text

    def heard(self, at, words, **how):
        said.append(words)
        text(self, at, words, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", heard)
    frame_of(sights(zoom_path((256, 256), anchor, 1)[:1], (0,)), SPAN, 0)
    assert place in said


@pytest.mark.parametrize("labels", [(), (0,)])
def test_bars_are_as_long_as_the_confidence(labels):
    seen, _ = film(12, labels=labels)
    for view in range(len(seen.rules)):
        frame = np.asarray(frame_of(seen, SPAN, view))
        bars = [row for row in frame[-120:, MARGIN : MARGIN + 448] if (row == row[-1]).all(axis=1)[-1]]
        lengths = []
        for row in bars:  # a bar is a line of two colours, the second pale
            pale = (row == (0xDA, 0xDC, 0xE0)).all(axis=1)
            if pale.any() and (row[~pale] == row[0]).all():
                lengths.append(448 - pale.sum())
        expected = [seen.confidence[view], *([seen.label_confidence[view]] if labels else [])]
        found = sorted(set(lengths))
        assert found == sorted({max(1, round(448 * float(share))) for share in expected})


def test_without_pyav_it_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    monkeypatch.setattr(builtins, "__import__", _no_av(builtins.__import__))
    with pytest.raises(UsageError, match=r"pip install 'snellen\[video\]'"):
        check_video()
    seen, order = film(3)
    with pytest.raises(UsageError, match="PyAV"):
        mp4(seen, order, 25)
    assert gif(seen, order, 10).startswith(b"GIF89a")


def _no_av(real):
    def wanted(name, *rest):
        assert name.split(".")[0] != "av"
        return real(name, *rest)

    return wanted
