"""The parts of the search for duplicates, each against a slow or independent truth."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from snellen.datasets import open_dataset
from snellen.mining.duplicates import near as duplicates_near
from snellen.mining.duplicates.check import FLAT, agreement, compare
from snellen.mining.duplicates.clusters import Pair, clusters, keep, links
from snellen.mining.duplicates.hash import ORIENTATIONS, UPRIGHT, distances, image_hashes, near_orientations, turned
from snellen.mining.duplicates.near import Nearest, add_all, view_similarity
from snellen.mining.duplicates.points import SIDE, Frame, find_frame, find_points, grey
from snellen.zoom.render import decode

# What Pillow does to an image for each of ORIENTATIONS.
PILLOW = {
    (False, False, False): (),
    (False, True, False): (Image.Transpose.FLIP_LEFT_RIGHT,),
    (False, False, True): (Image.Transpose.FLIP_TOP_BOTTOM,),
    (False, True, True): (Image.Transpose.ROTATE_180,),
    (True, False, False): (Image.Transpose.TRANSPOSE,),
    (True, True, False): (Image.Transpose.TRANSPOSE, Image.Transpose.FLIP_LEFT_RIGHT),
    (True, False, True): (Image.Transpose.TRANSPOSE, Image.Transpose.FLIP_TOP_BOTTOM),
    (True, True, True): (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_180),
}


def by_pillow(image, orientation):
    for step in PILLOW[orientation]:
        image = image.transpose(step)
    return image


@pytest.fixture(scope="module")
def photographs():
    data = open_dataset("examples")
    return {item.id: decode(data.read(k)) for k, item in enumerate(data.items)}


@pytest.fixture(scope="module")
def points(photographs):
    return {name: find_points(grey(image)) for name, image in photographs.items()}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_orientation_is_what_pillow_makes_of_it(photographs, orientation):
    image = photographs["bridge.jpg"]
    small = image.convert("L")
    assert np.array_equal(turned(np.asarray(small), orientation), np.asarray(by_pillow(small, orientation)))
    for image in photographs.values():
        ahead = image_hashes(image)[ORIENTATIONS.index(orientation)]
        found = image_hashes(by_pillow(image, orientation))[UPRIGHT]
        # Rounding may turn the sign of a frequency that is all but absent.
        assert int(ahead ^ found).bit_count() <= 3


def test_points_of_a_turned_image_are_its_turned_points(photographs):
    image = grey(photographs["koala.jpg"])
    for orientation in ORIENTATIONS:
        expected = find_points(by_pillow(image, orientation))
        found = find_points(image).turned(orientation)
        assert found.size == expected.size
        frame = find_frame(found, expected)
        assert frame.matches > 200
        assert frame.scale == pytest.approx((1, 1), abs=0.01)
        assert frame.shift == pytest.approx((0, 0), abs=1)


def test_distances_are_counted_bits():
    rng = np.random.default_rng(0)
    ones, others = rng.integers(0, 2**63, 7, np.uint64), rng.integers(0, 2**63, (5, 8), np.uint64)
    others[2, 6] = ones[3] ^ np.uint64(0b1011)
    expected = [[min((int(a) ^ int(b)).bit_count() for b in other) for other in others] for a in ones]
    assert distances(ones, others).tolist() == expected
    assert expected[3][2] == 3
    one, other = rng.integers(0, 2**63, (2, 8), np.uint64)
    one[4] = other[UPRIGHT] ^ np.uint64(0b110)
    assert [list(near_orientations(one, other, most)) for most in (1, 2)] == [[], [4]]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_nearest_are_those_that_sorting_finds(data):
    rows, cols = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    count, same = data.draw(st.integers(1, 5)), data.draw(st.booleans())
    cols = rows if same else cols
    few = data.draw(st.booleans())  # few different values, so that many are equal
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    matrix = (rng.integers(0, 4, (rows, cols)) if few else rng.normal(size=(rows, cols))).astype(np.float32)
    floor = data.draw(st.sampled_from([-np.inf, 0.5]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates_near, "ROWS", data.draw(st.integers(1, 5)))
        patch.setattr(duplicates_near, "COLS", data.draw(st.integers(1, 5)))
        nearest = Nearest(rows, count, floor)
        add_all(nearest, lambda r, c: matrix[r, c].copy(), np.arange(100, 100 + cols), same)
    found = [[] for _ in range(rows)]
    for row, other in nearest.pairs().tolist():
        assert not (same and row == other - 100)
        found[row].append(other - 100)
    for row in range(rows):
        rest = [matrix[row, k] for k in range(cols) if not (same and k == row) and matrix[row, k] >= floor]
        assert len(set(found[row])) == len(found[row])
        assert sorted(matrix[row, k] for k in found[row]) == sorted(rest)[-count:]


def test_views_are_compared_with_the_whole_of_the_other():
    rng = np.random.default_rng(0)
    ones, others = rng.normal(size=(4, 3, 16)), rng.normal(size=(6, 3, 16))
    ones, others = ones.astype(np.float16), others.astype(np.float16)
    found = view_similarity(ones, others)
    for (a, one), (b, other) in itertools.product(enumerate(ones.astype(float)), enumerate(others.astype(float))):
        expected = max(max(one[0] @ view for view in other), max(view @ other[0] for view in one))
        assert found[a, b] == pytest.approx(expected, abs=1e-4)


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_clusters_are_what_pairs_reach(drawn):
    images, pairs = drawn
    pairs = [(a, b) for a, b in pairs if a != b]
    together = [{k} for k in range(images)]
    for _ in range(images):
        for a, b in pairs:
            together[a] |= together[b]
            together[b] |= together[a]
    expected = {tuple(sorted(one)) for one in together if len(one) > 1}
    found = clusters(images, pairs)
    assert found == sorted(sorted(one) for one in expected)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=6), st.integers(0, 6))
def test_the_largest_then_the_least_compressed_then_the_first_is_kept(images, reference):
    pixels, lengths = np.array(images).T
    cluster = list(range(len(images)))
    kept = keep(cluster, pixels, lengths, reference)
    if reference < len(images):
        assert kept == reference
        return
    for image in cluster:
        better = (pixels[kept], lengths[kept], -kept) >= (pixels[image], lengths[image], -image)
        assert better


def test_what_speaks_for_an_image_is_its_pair_with_the_kept_one_or_else_the_best():
    pairs = [Pair(0, 1, "copy", 0.9), Pair(1, 2, "crop", 0.95), Pair(0, 3, "flip", 0.85), Pair(1, 3, "copy", 0.99)]
    of = {k: [pair for pair in pairs if k in (pair.one, pair.other)] for k in range(4)}
    assert links([0, 1, 2, 3], 0, of) == {1: pairs[0], 2: pairs[1], 3: pairs[2]}


@pytest.mark.parametrize(("left", "top", "share"), [(0.0, 0.0, 0.9), (0.2, 0.1, 0.7), (0.4, 0.5, 0.5)])
def test_a_part_is_found_where_it_was_cut(photographs, points, left, top, share):
    errors = []
    for name, image in photographs.items():
        box = [round(x) for x in (left * image.width, top * image.height)]
        box += [box[0] + round(share * image.width), box[1] + round(share * image.height)]
        part = grey(image.crop(box))
        frame = find_frame(find_points(part), points[name])
        factor = SIDE / max(image.size)
        scale = (box[2] - box[0]) * factor / part.width
        corners = np.array(frame.scale) * [[0, 0], part.size] + frame.shift
        expected = scale * np.array([[0, 0], part.size]) + np.array(box[:2]) * factor
        errors.append(np.abs(corners - expected).max())
    assert np.median(errors) < 0.5
    assert np.max(errors) < 4


def test_two_pictures_share_no_details(photographs, points):
    greys = {name: grey(image) for name, image in photographs.items()}
    for a, b in itertools.combinations(photographs, 2):
        everywhere = range(len(ORIENTATIONS))
        assert compare(points[a], points[b], lambda a=a, b=b: (greys[a], greys[b]), everywhere) is None


CHANGES = {
    "copy": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX),
    "crop": lambda image: image.crop((0, 0, int(0.8 * image.width), image.height)),
    "flip": ImageOps.mirror,
    "rotation": lambda image: ImageOps.mirror(image.transpose(Image.Transpose.ROTATE_270)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_copies_are_told_by_kind(photographs, points, kind):
    for name, image in photographs.items():
        both = grey(image), grey(CHANGES[kind](image))
        match = compare(points[name], find_points(both[1]), lambda both=both: both)
        assert match.kind == kind
        assert match.score > 0.95


def test_a_part_of_a_part_and_a_squashed_copy_are_found(photographs, points):
    image = photographs["pagoda.jpg"]
    left = grey(image.crop((0, 0, int(0.7 * image.width), image.height)))
    right = grey(image.crop((int(0.3 * image.width), 0, image.width, image.height)))
    match = compare(find_points(left), find_points(right), lambda: (left, right))
    assert match.kind == "crop"
    square = image.resize((300, 300))
    whole = list(near_orientations(image_hashes(square), image_hashes(image), 2))
    assert whole == [UPRIGHT]
    squashed = grey(square)
    match = compare(find_points(squashed), points["pagoda.jpg"], lambda: (squashed, grey(image)), whole)
    assert match.kind == "copy"


def test_agreement_is_of_details():
    rng = np.random.default_rng(0)
    noise, other = (grey(Image.fromarray(rng.integers(0, 256, (40, 60), np.uint8))) for _ in range(2))
    one, other = np.asarray(noise), np.asarray(other)
    same = Frame((1, 1), (0, 0), 0)
    score, shares = agreement(one, one // 2 + 60, same)
    assert score > 0.99
    assert shares == pytest.approx((1, 1))
    assert abs(agreement(one, other, same)[0]) < 0.2
    # A light that fades from left to right has no details, whatever it shares with another.
    fading = np.tile(np.linspace(50, 200, one.shape[1]).astype(np.uint8), (one.shape[0], 1))
    assert np.std(fading) > FLAT
    assert agreement(fading, fading, same)[0] == 0
    half = Frame((1, 1), (one.shape[1] / 2, 0), 0)
    assert agreement(one, other, half)[1] == pytest.approx((0.5, 0.5))
    for nonsense in (Frame((-1, 1), (0, 0), 9), Frame((3, 1), (0, 0), 9), Frame((1, 1), (9999, 0), 9)):
        assert agreement(one, other, nonsense) == (0, (0, 0))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (7, 5), (400, 300)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_image_of_one_colour_is_like_nothing(size, value):
    image = grey(Image.new("RGB", size, (value,) * 3))
    found = find_points(image)
    assert len(found.places) == 0
    assert compare(found, found, lambda: (image, image), [UPRIGHT]) is None
