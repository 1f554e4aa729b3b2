"""The page of one image before the real server, and as an export: views to the pixel, windows, answers of a run."""

import base64
import functools
import subprocess

import numpy as np
import photo_runs
import pytest
from photo_runs import CLASSES, paint, photo_run
from PIL import Image
from review_site import COMMAND, server_of
from view_site import Quiet, listening, open_page

from snellen.store import load_run
from snellen.zoom import PAPER_GRID, Grid, ViewRule
from snellen.zoom.render import decode, render_plain

# Milliseconds until a server that was just started has read its runs.
START = 60_000
NAMES = [f"kind-{k % 3}/{k:02d}.png" for k in range(5)]
# What no study shows: sizes, places and filters of its own, one of them turned over.
OWN = Grid(
    "own",
    (
        ViewRule(236, 1, 1, 224, "bilinear", "spread", scale=236),
        ViewRule(236, 1, 1, 224, "bilinear", "spread", True, scale=236),
        ViewRule(256, 0, 2, 240, "bicubic", "floor", scale=239),
        ViewRule(240, 1, 1, 240, "bicubic", "spread", scale=224, fit="squash"),
    ),
)
PIXELS = """async (image) => {
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let k = 0; k < data.length; k += 4096) text += String.fromCharCode(...data.subarray(k, k + 4096));
  return btoa(text);
}"""


def true_size(dataset, image, bad, plain=photo_runs._sample):
    width, height = decode(dataset.read(image)).size
    return plain(dataset, image, bad) | {"width": width, "height": height}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two runs in the study's grid and one in a grid of its own, of pictures whose sizes are known."""
    folder = tmp_path_factory.mktemp("views")
    pictures = paint(folder / "pictures", NAMES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(photo_runs, "_sample", true_size)
        for k, grid in enumerate((PAPER_GRID, PAPER_GRID, OWN)):
            place = folder / "out" / "p" / f"model-{k}" / "g"
            photo_run(place, pictures, model=f"timm/model_{k}", seed=k, grid=grid)
    return folder / "out"


@pytest.fixture(scope="module")
def address(out, tmp_path_factory):
    with server_of(out, tmp_path_factory.mktemp("cache")) as running:
        yield running.address


def of(model):
    return f"section[aria-label='model_{model}']"


def expected_view(out, row, rule):
    return render_plain(decode(out.parent / "pictures" / sorted(NAMES)[row]), [rule])[0]


def shown_view(page, zoom, key):
    """Pixels of a view once it is the one of that zoom."""
    found = page.locator(f".view img[src*='/{zoom}.png'][src*='model={key}']")
    found.wait_for(timeout=START)  # the first of all has to compile how views are cut
    pixels = found.evaluate(PIXELS)
    side = int(found.evaluate("one => one.naturalWidth"))
    return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(-1, side, 4)[..., :3]


def drawn_window(page):
    return [float(part) for part in page.locator(".window").get_attribute("data-window").split()]


def test_the_view_under_the_pointer_is_the_one_that_the_model_got(browser, address, out):
    row = 3
    with open_page(browser, f"{address}#/s0/image/{row}") as seen:
        page = seen.page
        page.wait_for_selector(f"{of(2)} .heat-cell", timeout=START)
        for zoom in (0, 40, 112, 190, 323):
            page.locator(f"{of(0)} [data-zoom='{zoom}']").hover()
            assert np.array_equal(shown_view(page, zoom, "m0"), expected_view(out, row, PAPER_GRID.rules[zoom]))
            with Image.open(out.parent / "pictures" / sorted(NAMES)[row]) as picture:
                across, down = PAPER_GRID.rules[zoom].resized(*picture.size)
            left, top = PAPER_GRID.rules[zoom].window(across, down)
            assert drawn_window(page) == pytest.approx([left / across, top / down, 224 / across, 224 / down])
        for zoom, rule in enumerate(OWN):
            page.locator(f"{of(2)} [data-zoom='{zoom}']").hover()
            page.locator(f"{of(2)} [data-zoom='{zoom}'][aria-selected=true]").wait_for()
            assert np.array_equal(shown_view(page, zoom, "m2"), expected_view(out, row, rule))
        assert seen.complaints == seen.requests == []


def told(page, model):
    return page.eval_on_selector_all(
        f"{of(model)} .top-five li",
        "all => all.map(li => [li.querySelector('.class').textContent, li.querySelector('.bar-text').textContent])",
    )


def check_answers(page, out, row):
    """Maps and best answers of two models against their runs."""
    for model in (0, 1):
        run = load_run(out / "p" / f"model-{model}" / "g")
        ids, shares = (run.answers(name)[row] for name in ("id0", "p0"))
        right = run.correct()[row]
        cells = page.eval_on_selector_all(
            f"{of(model)} .heat-cell", "all => all.map(one => [one.dataset.zoom, one.getAttribute('aria-label')])"
        )
        words = ["right" if one else "wrong" for one in right]
        assert len(cells) == len(right) == 324
        for zoom, text in ((int(zoom), text) for zoom, text in cells):
            rule = PAPER_GRID.rules[zoom]
            place = f"{('top', 'middle', 'bottom')[rule.row]} {('left', 'centre', 'right')[rule.col]}"
            said = f"scale {rule.scale}, {place}, {words[zoom]}: {CLASSES[ids[zoom]]}, "
            assert text.startswith(said)
        for zoom in (5, 200):
            page.locator(f"{of(model)} [data-zoom='{zoom}']").hover()
            page.locator(f"{of(model)} [data-zoom='{zoom}'][aria-selected=true]").wait_for()
            best = [CLASSES[(ids[zoom] + k) % len(CLASSES)] for k in range(5)]
            found = told(page, model)
            assert [name for name, _ in found] == best
            assert [float(text.split()[0]) for _, text in found] == pytest.approx(
                [100 * shares[zoom] / (k + 1) for k in range(5)], abs=0.06
            )


def test_maps_and_best_answers_are_those_of_the_runs(browser, address, out):
    with open_page(browser, f"{address}#/s0/image/1") as seen:
        seen.page.wait_for_selector(f"{of(1)} .heat-cell", timeout=START)
        check_answers(seen.page, out, 1)
        assert seen.complaints == []


def test_in_an_export_the_picture_with_the_window_stands_for_the_view(browser, out, tmp_path):
    site = tmp_path / "site"
    command = (*COMMAND, str(out), "--export", str(site), "--cache", str(tmp_path / "cache"))
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with (
        listening(functools.partial(Quiet, directory=str(site))) as where,
        open_page(browser, f"{where}#/s0/image/2") as seen,
    ):
        page = seen.page
        page.wait_for_selector(f"{of(1)} .heat-cell", timeout=START)
        check_answers(page, out, 2)
        assert page.locator(".view").count() == 0
        assert page.locator(".picture img").evaluate("one => one.decode().then(() => one.naturalWidth)") > 50
        rule = PAPER_GRID.rules[200]  # the one that was pointed at last
        with Image.open(out.parent / "pictures" / sorted(NAMES)[2]) as picture:
            across, down = rule.resized(*picture.size)
        left, top = rule.window(across, down)
        assert drawn_window(page) == pytest.approx([left / across, top / down, 224 / across, 224 / down])
        assert seen.complaints == seen.requests == []
