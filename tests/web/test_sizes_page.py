"""The page at the sizes that people have: letters grow with the window, tables say that they go on, no gaps."""

import io

import numpy as np
import pytest
from PIL import Image
from view_site import make_site, open_page, serve
from waits import wait_equal, wait_page

FONT = "() => parseFloat(getComputedStyle(document.querySelector('.caption')).fontSize)"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    make_site(folder, 400)
    with serve(folder) as found:
        yield found


def box(page, name):
    return page.locator(name).first.bounding_box()


def test_letters_and_pictures_grow_with_the_window(browser, address):
    seen = {}
    for width, height in ((390, 844), (1400, 900), (3840, 2160)):
        with open_page(browser, address + "#/s0/grid", width=width, height=height) as found:
            found.page.wait_for_selector(".cell")
            # What is written under a picture has its room.
            cell, under = box(found.page, ".cell"), box(found.page, ".under")
            assert under["y"] + under["height"] <= cell["y"] + cell["height"]
            seen[width] = found.page.evaluate(FONT), cell["width"], found.page.locator(".cell").count()
    assert seen[390][0] == seen[1400][0] == pytest.approx(12.8)
    assert seen[3840][0] > 1.6 * seen[1400][0]
    assert seen[3840][1] > 1.5 * seen[1400][1]
    assert max(cells for _, _, cells in seen.values()) <= 200


@pytest.mark.parametrize("width", [1400, 3840])
def test_what_stands_below_a_wide_picture_is_near_it_and_keeps_its_place(browser, address, width):
    with open_page(browser, address + "#/s0/image/3?zoom=256-1-1", width=width, height=width // 16 * 9) as seen:
        page = seen.page
        wait_page(page, "() => document.querySelector('.picture:not(.waiting)') !== null")
        picture, facts = box(page, ".picture"), box(page, ".facts")
        assert picture["width"] > picture["height"]
        assert 0 <= facts["y"] - picture["y"] - picture["height"] <= width / 40
        # At a scale at which the window reaches over the picture, more is drawn in the same frame.
        frame = box(page, ".picture-frame")
        page.goto(address + "#/s0/image/3?zoom=64-0-0")
        page.get_by_text("scale 64, top left").wait_for()
        assert (box(page, ".picture-frame"), box(page, ".facts")) == (frame, facts)
        drawn = box(page, ".picture")
        assert drawn["width"] < picture["width"]
        assert drawn["x"] >= frame["x"] - 1
        assert drawn["y"] >= frame["y"] - 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_shows_at_its_edge_that_it_goes_on(browser, address, scheme):
    with open_page(browser, address, width=390, height=844, scheme=scheme) as seen:
        page = seen.page
        page.wait_for_selector(".numbers .bar")
        table = page.locator(".wide").first

        def shaded():
            """Whether the first and the last pixels of a line without letters differ from those in the middle."""
            with Image.open(io.BytesIO(table.screenshot())) as image:
                line = np.asarray(image.convert("L"), int)[2]
            return [bool(abs(line[at] - line[len(line) // 2]) > 8) for at in (1, -2)]

        wait_equal(shaded, [False, True])
        table.evaluate("one => { one.scrollLeft = one.scrollWidth / 4; }")
        wait_equal(shaded, [True, True])
        table.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
        wait_equal(shaded, [True, False])
        assert seen.overflow() == 0
        assert table.get_attribute("style") is None
