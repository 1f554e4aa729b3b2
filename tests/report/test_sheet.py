"""The contact sheet: every view whole, nothing over anything else, the numbers those of the answers."""

import itertools

import numpy as np
import pytest
from PIL import Image
from sights import NAMES, picture, sights, zoom_rules

from snellen.report.lettering import RIGHT
from snellen.report.sheet import CAPTION, FRAME, HEADER, TITLE, contact_sheet, counts, layout
from snellen.zoom import PAPER_GRID, ViewRule, paper_grid

SELECTIONS = {
    "one": zoom_rules("256/1/1"),
    "two scales": zoom_rules("256/1/1 512/0/2"),
    "a scale": zoom_rules(" ".join(f"224/{row}/{col}" for row in range(3) for col in range(3))),
    "a row": zoom_rules("10/0/2 10/0/1 64/0/2"),
    "backwards": zoom_rules("1024/2/2 1024/0/0 10/1/1 256/2/0"),
    "seven": zoom_rules("10/1/1 16/1/1 32/1/1 48/1/1 64/1/1 96/1/1 122/1/1"),
    "all": list(PAPER_GRID),
    "small views": list(paper_grid(32))[:20],
    "large views": list(paper_grid(336))[100:112],
}


def boxes(places):
    """Everything that is drawn below the header: left, top, right, bottom."""
    for left, top in places.views:
        yield left - FRAME, top - FRAME, left + places.side + FRAME, top + places.side + CAPTION
    for left, top, _ in places.titles:
        yield left, top, left + 1, top + TITLE - FRAME


@pytest.mark.parametrize("rules", SELECTIONS.values(), ids=SELECTIONS)
def test_nothing_overlaps_and_all_lies_on_the_sheet(rules):
    places = layout(rules)
    found = list(boxes(places))
    assert len(places.views) == len(rules)
    assert places.side >= 200
    assert places.side % rules[0].size == 0
    for left, top, right, bottom in found:
        assert left >= 0
        assert top >= HEADER
        assert right <= places.width
        assert bottom <= places.height
    for one, other in itertools.combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1], (one, other)


@pytest.mark.parametrize(
    "rules", [rules for rules in SELECTIONS.values() if len({r.scale for r in rules}) < len(rules)]
)
def test_anchors_stand_in_a_block_as_they_lie_in_the_image(rules):
    places = layout(rules)
    for (one, at), (other, there) in itertools.combinations(zip(rules, places.views, strict=True), 2):
        if one.scale == other.scale:
            assert np.sign(one.col - other.col) == np.sign(at[0] - there[0])
            assert np.sign(one.row - other.row) == np.sign(at[1] - there[1])


@pytest.mark.parametrize("size", [32, 224, 336])
def test_views_are_the_pixels_that_the_model_saw(size):
    rules = zoom_rules("10/0/0 10/2/1 256/1/1 1024/0/2", size)
    seen = sights(rules)
    sheet = np.asarray(contact_sheet(seen, range(len(rules))))
    places = layout(rules)
    each = places.side // size
    for view, (left, top) in zip(seen.views, places.views, strict=True):
        drawn = sheet[top : top + places.side, left : left + places.side]
        for dx, dy in itertools.product(range(each), repeat=2):
            np.testing.assert_array_equal(drawn[dy::each, dx::each], view)


def test_right_answers_are_marked_and_not_by_colour_alone():
    rules = list(PAPER_GRID)[100:118]
    seen = sights(rules)
    assert 0 < seen.right.sum() < len(rules)
    sheet = contact_sheet(seen, range(len(rules)))
    places = layout(rules)
    blue = tuple(bytes.fromhex(RIGHT[1:]))
    marks = {True: set(), False: set()}
    for good, (left, top) in zip(seen.right, places.views, strict=True):
        assert (sheet.getpixel((left - 2, top + 50)) == blue) == good
        below = top + places.side + FRAME
        mark = sheet.crop((left, below, left + 11, top + places.side + CAPTION)).convert("L")
        marks[bool(good)].add(bytes(mark.point(lambda value: 255 * (value < 200)).tobytes()))
    assert len(marks[True]) == len(marks[False]) == 1
    assert marks[True] != marks[False]


def test_no_label_no_mark():
    rules = zoom_rules("256/1/1 512/1/1")
    sheet = contact_sheet(sights(rules, labels=()), [0, 1])
    colours = {colour for _, colour in sheet.crop((0, HEADER, sheet.width, layout(rules).views[0][1] - 5)).getcolors()}
    assert all(max(colour) - min(colour) == 0 for colour in colours)


def test_counts_are_those_of_the_answers():
    seen = sights(list(PAPER_GRID), labels=(0, 2))
    right = np.isin(seen.ids, [0, 2])
    assert counts(seen, range(324)) == f"right at {right.sum()} of 324 zooms"
    assert (
        counts(seen, [5, 7, 112]) == f"right at {right.sum()} of 324 zooms, {right[[5, 7, 112]].sum()} of the 3 shown"
    )
    ids, n = np.unique(seen.ids, return_counts=True)
    nothing = sights(list(PAPER_GRID), labels=())
    assert counts(nothing, [0]) == f"most often {NAMES[ids[n.argmax()]]}, at {n.max()} of 324 zooms"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("x" * 500, (300, 200)),
        ("two\nlines\x00\t\udcff.jpg", (2000, 10)),
        ("高い.jpg", (10, 2000)),
        ("", (1, 1)),
    ],
)
def test_odd_names_and_shapes_stay_inside_the_header(name, size):
    rules = zoom_rules("256/1/1")
    sheet = contact_sheet(sights(rules, name=name, image=picture(*size)), [0])
    assert np.asarray(sheet)[:, -20:].min() == 255
    assert np.asarray(sheet)[HEADER : HEADER + 20].min() == 255
    assert np.asarray(sheet)[:20].min() == 255


def test_the_same_image_at_other_views():
    seen = sights(list(PAPER_GRID))
    some = seen.only([300, 4])
    assert some.rules == (PAPER_GRID.rules[300], PAPER_GRID.rules[4])
    np.testing.assert_array_equal(some.views, seen.views[[300, 4]])
    np.testing.assert_array_equal(some.right, seen.right[[300, 4]])
    assert isinstance(some.rules[0], ViewRule)
    assert isinstance(some.whole, Image.Image)
