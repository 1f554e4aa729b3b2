"""Views cut without the resized image against Pillow's full resize, in every shape; and what happens without them."""

import os
import resource
import subprocess
import sys
import textwrap
import weakref

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import snellen.zoom.windows
from snellen.engine.worker import ready_event
from snellen.errors import Stopped
from snellen.zoom import PAPER_GRID, ViewRule, paper_grid
from snellen.zoom.render import UnreadableImage, checked_resample, decode, render, render_plain
from snellen.zoom.resample import compile_resample

# Resized images of more pixels are left to the tests of panoramas.
MOST = 4_000_000
sides = st.integers(1, 40) | st.integers(1, 400) | st.integers(1, 3000)


def noise(width, height, seed=0):
    rng = np.random.default_rng([seed, width, height])
    pixels = rng.integers(0, 2 if seed % 2 else 256, (height, width, 3)) * (255 if seed % 2 else 1)
    return Image.fromarray(pixels.astype(np.uint8))


@st.composite
def rules_of_one_size(draw):
    size = draw(st.integers(1, 64) | st.sampled_from([224, 336]))
    one = st.builds(
        ViewRule,
        resize=st.integers(1, 64) | st.integers(1, 1100),
        row=st.integers(0, 2),
        col=st.integers(0, 2),
        size=st.just(size),
        filter=st.sampled_from(["bicubic", "bilinear", "lanczos", "nearest"]),
        anchor=st.sampled_from(["thirds", "spread", "floor"]),
        flip=st.booleans(),
        fit=st.sampled_from(["shorter", "squash"]),
    )
    return draw(st.lists(one, min_size=1, max_size=5))


@settings(max_examples=300)
@given(sides, sides, rules_of_one_size(), st.integers(0, 1))
def test_any_views_of_any_shape(width, height, rules, seed):
    rules = [rule for rule in rules if np.prod(rule.resized(width, height)) <= MOST]
    if rules:
        image = noise(width, height, seed)
        assert np.array_equal(render(image, rules), render_plain(image, rules))


SHAPES = [(1, 1), (1, 90), (90, 1), (2, 3), (31, 33), (500, 375), (375, 500), (60, 500), (500, 60), (1300, 900)]


@pytest.mark.parametrize(("width", "height"), SHAPES)
@pytest.mark.parametrize("size", [224, 336])
def test_every_zoom(width, height, size):
    image = noise(width, height, 1)
    grid = paper_grid(size)
    rules = [rule for rule in grid if np.prod(rule.resized(width, height)) <= 4 * MOST]
    assert np.array_equal(render(image, rules), render_plain(image, rules))


def test_every_zoom_of_photographs(sample_images):
    for path in sorted(sample_images.glob("*/*"))[::25]:
        image = decode(path)
        assert np.array_equal(render(image, PAPER_GRID.rules), render_plain(image, PAPER_GRID.rules)), path


@pytest.mark.parametrize("strip", [1, 5_000, 60_000])
@pytest.mark.parametrize(("width", "height"), [(40, 333), (333, 40), (60, 256), (90, 500)])
def test_a_large_image_is_laid_out_strip_by_strip(width, height, strip, monkeypatch):
    monkeypatch.setattr(snellen.zoom.windows, "STRIP_BYTES", strip)
    image = noise(width, height)
    rules = [ViewRule(resize, row, row, 96) for resize in (20, 120) for row in range(3)]
    assert np.array_equal(render(image, rules), render_plain(image, rules))


def by_axis(image, rule):
    """A view of a panorama that Pillow cuts one axis at a time: all rows resized, few columns kept, those resized."""
    width, height = rule.resized(*image.size)
    left, top = rule.window(width, height)
    rows = image.resize((width, image.height), Image.Resampling.BICUBIC).crop((left, 0, left + rule.size, image.height))
    cols = rows.resize((rule.size, height), Image.Resampling.BICUBIC)
    return np.asarray(cols.crop((0, top, rule.size, top + rule.size)))


@pytest.mark.parametrize("scale", [96, 224, 1024])
def test_a_panorama_that_no_full_resize_can_cut(scale):
    image = noise(20_000, 10, 1)
    rules = paper_grid(scales=(scale,)).rules
    for view, rule in zip(render(image, rules), rules, strict=True):
        assert np.array_equal(view, by_axis(image, rule))


def test_a_panorama_at_all_zooms_in_little_memory_and_time():
    script = """
        import re, time
        from pathlib import Path
        import numpy as np
        from PIL import Image
        from snellen.zoom import PAPER_GRID
        from snellen.zoom.render import render
        for size in ((20_000, 10), (10, 20_000)):
            rng = np.random.default_rng(0)
            image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
            start = time.process_time()
            views = render(image, PAPER_GRID.rules)
            assert views.any(axis=(1, 2, 3)).all()
            # `ru_maxrss` would count what the process was forked from.
            peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
            print(time.process_time() - start, int(peak[1]) / 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    measured = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(measured) == 2
    for seconds, megabytes in measured:
        assert seconds < 30
        assert megabytes < 1024


def test_a_squeeze_beyond_all_measure_is_refused():
    image = Image.new("RGB", (200_000, 1))
    with pytest.raises(UnreadableImage, match="200000 x 1 pixels would be resized to 8 x 8, more than the limit of"):
        render(image, [ViewRule(8, 1, 1, 8, fit="squash")])
    assert not render(image, [ViewRule(16, 1, 1, 8, fit="squash")]).any()


@pytest.fixture
def afresh():
    """The passes are compiled and checked anew, and once more after the test."""
    checked_resample.cache_clear()
    yield
    checked_resample.cache_clear()


RULES = [ViewRule(resize, 1, 1, 32) for resize in (10, 50)]


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("wrong", ["order", "weights"])
def test_a_pillow_that_resizes_otherwise_gets_whole_resizes(wrong, monkeypatch):
    if wrong == "order":
        right = snellen.zoom.windows.vertical_first
        monkeypatch.setattr(snellen.zoom.windows, "vertical_first", lambda *a: not right(*a))
    else:
        right = snellen.zoom.windows.weights_of
        monkeypatch.setattr(snellen.zoom.windows, "weights_of", lambda *a: (right(*a)[0], right(*a)[1] + 2**13))
    image = noise(20, 90)
    with pytest.warns(RuntimeWarning, match="whole images are resized, .*Pillow .* does not resize as expected"):
        views = render(image, RULES)
    assert np.array_equal(views, render_plain(image, RULES))
    assert np.array_equal(render(image, RULES), views)  # and says so once
    with pytest.raises(Stopped, match=r"512 MB, and .* Pillow"):
        render(Image.new("RGB", (20_000, 10)), PAPER_GRID.rules)


ERRORS = [
    OSError("could not load libllvmlite.so"),
    SystemError("initialization of _internal failed"),
    numba.errors.TypingError("in no\npython mode"),
]


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("error", [None, *ERRORS])
def test_a_numba_that_does_not_work(error, monkeypatch):
    """Views are as ever; an image that only numba can cut stops the run in one line, and others are told apart."""
    if error:
        monkeypatch.setattr(numba, "njit", lambda *_, **__: (_ for _ in ()).throw(error))
    else:
        monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(RuntimeWarning, match="whole images are resized, which is slower, since numba does not work"):
        assert np.array_equal(render(noise(20, 90), RULES), render_plain(noise(20, 90), RULES))
    panorama = Image.new("RGB", (20_000, 10))
    with pytest.raises(Stopped, match=r"^20000 x 10 .* 512 MB, and .*numba.*; the same command resumes") as stopped:
        render(panorama, PAPER_GRID.rules)
    assert "\n" not in str(stopped.value)
    with pytest.raises(UnreadableImage, match=r"512 MB$"):  # with numba too
        render(panorama, [ViewRule(1024, 1, 1, filter="nearest")])


@pytest.mark.usefixtures("afresh")
def test_a_worker_that_cuts_the_slow_way_says_so(monkeypatch):
    assert ready_event() == {"event": "ready"}
    checked_resample.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(RuntimeWarning, match="numba"):
        event = ready_event()
    assert event["event"] == "ready"
    assert "which is slower, since numba does not work (ModuleNotFoundError" in event["note"]


def test_an_image_is_laid_out_for_one_order_of_the_axes_at_a_time(monkeypatch):
    """However the scales come, each order is laid out once, and the first is gone before the second is there."""
    checked_resample()
    made, alive = [], []
    right = snellen.zoom.windows.pack

    def noted(image, turned):
        alive.append([one() is not None for one in made])
        packed = right(image, turned)
        made.append(weakref.ref(packed))
        return packed

    monkeypatch.setattr(snellen.zoom.windows, "pack", noted)
    monkeypatch.setattr(snellen.zoom.windows, "vertical_first", lambda *shape: shape[2] % 2 == 0)
    render(noise(90, 90), [ViewRule(resize, 1, 1, 32) for resize in (40, 41, 50, 51, 60)])
    assert alive == [[], [False]]


def test_the_check_is_quick():
    """With the compiled passes read from disk; the quickest of some, since a busy machine slows any of them."""
    checked_resample()
    seconds = []
    for _ in range(5):
        start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        checked_resample.__wrapped__()
        seconds.append(resource.getrusage(resource.RUSAGE_SELF).ru_utime - start)
    assert min(seconds) < 0.5


IN_A_PROCESS = """
    import sys
    import numpy as np
    from PIL import Image
    import snellen.zoom.render as r
    from snellen.zoom import ViewRule
    assert "numba" not in sys.modules
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8))
    rules = [ViewRule(60, row, 1, 32) for row in range(3)]
    plain = r.render_plain(image, rules)
    assert "numba" not in sys.modules
    assert np.array_equal(r.render(image, rules), plain)
    resample, why = r.checked_resample()
    assert resample is not None and why == ""
"""


def run_with_cache(folder, script=IN_A_PROCESS):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


def test_machine_code_is_kept_and_may_be_damaged(tmp_path):
    run_with_cache(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    before = {path: path.stat().st_mtime_ns for path in files}
    run_with_cache(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run_with_cache(tmp_path)


def test_each_kind_of_processor_has_machine_code_of_its_own(monkeypatch, tmp_path):
    import numba.core.codegen

    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    works(compile_resample())
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.nb?")}
    features = numba.core.codegen.JITCPUCodegen.magic_tuple
    monkeypatch.setattr(numba.core.codegen.JITCPUCodegen, "magic_tuple", lambda self: (*features(self), "another"))
    works(compile_resample())
    assert {path: path.read_bytes() for path in files} == files
    assert len(list(tmp_path.rglob("*.nb?"))) == 2 * len(files) == 4


def test_no_place_for_machine_code(monkeypatch):
    """As where neither the package nor the user's folder can be written; a test that runs as root can write all."""
    import numba.core.caching

    monkeypatch.setattr(numba.core.caching.FunctionCache._impl_class, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(compile_resample)
    works(compile_resample())


def test_a_full_disk_keeps_no_machine_code(monkeypatch, tmp_path):
    import numba.core.caching

    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    tried = []

    def full(*_):
        tried.append(True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    works(compile_resample())
    assert tried


def works(resample):
    image = noise(30, 41)
    views = np.zeros((1, 32, 32, 3), np.uint8)
    corners = [RULES[1].window(*RULES[1].resized(30, 41))]
    snellen.zoom.windows.WindowCutter(image, resample).cut(RULES[1].resized(30, 41), "bicubic", corners, [0], views)
    assert np.array_equal(views, render_plain(image, RULES[1:]))
