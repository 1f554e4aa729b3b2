import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from snellen.tta import augment
from snellen.tta.augment import OPERATIONS, crop_box, image_generator, random_views
from snellen.tta.memo_options import MemoOptions, memo_preset


@pytest.fixture(scope="module")
def photographs(examples_dir):
    return [Image.open(path).convert("RGB") for path in sorted(examples_dir.rglob("*.jpg"))[:4]]


def boxes(size, scale, count=3000):
    rng = np.random.default_rng(0)
    return np.array([crop_box(*size, scale, rng) for _ in range(count)])


@pytest.mark.parametrize("size", [(500, 375), (224, 224), (900, 100), (100, 900), (7, 5)])
def test_crops_are_distributed_as_torchvisions(size):
    ours = boxes(size, (0.08, 1.0))
    picture = Image.new("RGB", size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transforms.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]
    theirs = np.array([(left, top, left + w, top + h) for top, left, h, w in drawn])
    for values in (
        (lambda b: b[:, 2] - b[:, 0]),
        (lambda b: b[:, 3] - b[:, 1]),
        (lambda b: b[:, 0]),
        (lambda b: b[:, 1]),
    ):
        assert stats.ks_2samp(values(ours), values(theirs)).pvalue > 0.001
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] <= size).all()


@pytest.mark.parametrize("size", [(4000, 10), (10, 4000), (1, 1), (3, 1)])
def test_the_fallback_is_torchvisions(size):
    """Shares of the area that never fit: only the central crop is left, in which nothing is random."""
    left, top, right, bottom = crop_box(*size, (50.0, 60.0), np.random.default_rng(0))
    expected = transforms.RandomResizedCrop.get_params(Image.new("RGB", size), [50.0, 60.0], [3 / 4, 4 / 3])
    assert (top, left, bottom - top, right - left) == tuple(expected)


def test_scale_bounds_the_area():
    width, height, left, top = (boxes((1000, 1000), (0.2, 0.3))[:, k] for k in (2, 3, 0, 1))
    share = (width - left) * (height - top) / 1e6
    assert 0.199 < share.min() < share.max() < 0.301


@pytest.mark.parametrize("flip", [False, True])
def test_rrc_pixels_are_torchvisions(photographs, flip, monkeypatch):
    options = MemoOptions("rrc", views=6, flip=flip)
    seen = []
    monkeypatch.setattr(augment, "crop_box", lambda *given: seen.append(crop_box(*given)) or seen[-1])
    views = random_views(photographs[0], options, "a")
    assert views.dtype == np.uint8
    mirrored = 0
    for view, (left, top, right, bottom) in zip(views, seen, strict=True):
        box = top, left, bottom - top, right - left
        expected = np.asarray(tv.resized_crop(photographs[0], *box, [224, 224], InterpolationMode.BICUBIC))
        same = np.array_equal(view, expected)
        assert same or (flip and np.array_equal(view, expected[:, ::-1]))
        mirrored += not same
    assert bool(mirrored) == flip


@pytest.mark.parametrize("kind", ["rrc", "augmix"])
def test_an_image_has_its_own_random_numbers(photographs, kind):
    options = MemoOptions(kind, views=5, flip=True)
    views = {k: random_views(image, options, f"image {k}") for k, image in enumerate(photographs)}
    for k in reversed(views):
        assert np.array_equal(random_views(photographs[k], options, f"image {k}"), views[k])
    again = random_views(photographs[0], options, "image 1")
    assert not np.array_equal(again, views[0])
    assert not np.array_equal(
        random_views(photographs[0], MemoOptions(kind, 5, flip=True, seed=1), "image 0"), views[0]
    )
    more = random_views(photographs[0], MemoOptions(kind, 9, flip=True), "image 0")
    assert np.array_equal(more[:5], views[0])
    assert len({view.tobytes() for view in more}) == 9


def test_keys_of_other_kinds_are_other_images():
    draws = {image_generator(seed, key).random() for seed in (0, 1, 12) for key in ("1", 1, 2, "12", 12)}
    assert len(draws) == 15


def test_flip_changes_nothing_else(photographs):
    plain, flipped = (random_views(photographs[1], MemoOptions(views=12, flip=flip), 3) for flip in (False, True))
    mirrored = [np.array_equal(a[:, ::-1], b) for a, b in zip(plain, flipped, strict=True)]
    assert 0 < sum(mirrored) < 12
    assert all(turned or np.array_equal(a, b) for turned, a, b in zip(mirrored, plain, flipped, strict=True))


def published_mixture(image, rng):
    """A mixture as the published code makes it: each part normalised, then mixed."""
    mean, std = np.float64([0.485, 0.456, 0.406]), np.float64([0.229, 0.224, 0.225])
    shares, own = rng.dirichlet([1, 1, 1]), rng.beta(1, 1)
    mix = np.zeros((224, 224, 3))
    for share in shares:
        changed = image.copy()
        for _ in range(rng.integers(1, 4)):
            changed = OPERATIONS[rng.integers(9)](changed, rng)
        mix += share * (np.asarray(changed) / 255 - mean) / std
    mix = own * (np.asarray(image) / 255 - mean) / std + (1 - own) * mix
    return 255 * (mix * std + mean)


def test_augmix_mixes_as_published(photographs):
    options = memo_preset("paper", "augmix")
    views = random_views(photographs[2], options, "b")
    assert views.dtype == np.float32
    assert views.shape == (16, 224, 224, 3)
    rng = image_generator(0, "b")
    for view in views:
        crop = photographs[2].crop(crop_box(*photographs[2].size, (0.08, 1.0), rng)).resize((224, 224), Image.BILINEAR)
        crop = crop.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop
        assert np.abs(view - published_mixture(crop, rng)).max() < 1e-3


class Strongest:
    """Draws that make every operation as strong as it can be."""

    def __init__(self, negative):
        self.negative = negative

    def uniform(self, low, high):
        return high

    def random(self):
        return 0.0 if self.negative else 1.0


RED, BILINEAR = (128, 0, 0), Image.BILINEAR
STRONGEST = {
    "rotate": lambda image, sign: image.rotate(3 * sign, BILINEAR, fillcolor=128),
    "solarize": lambda image, sign: image.point(lambda v: v if v < 256 - 25 else 255 - v),
    "shear_x": lambda image, sign: image.transform(
        (224, 224), Image.AFFINE, (1, 0.03 * sign, 0, 0, 1, 0), BILINEAR, 1, RED
    ),
    "shear_y": lambda image, sign: image.transform(
        (224, 224), Image.AFFINE, (1, 0, 0, 0.03 * sign, 1, 0), BILINEAR, 1, RED
    ),
    "translate_x": lambda image, sign: shifted(image, 7 * sign, 0),
    "translate_y": lambda image, sign: shifted(image, 0, 7 * sign),
    "posterize": lambda image, sign: image.point(lambda v: v & 0b11110000),
}


def shifted(image, x, y):
    """The image moved by whole pixels, dark red where nothing is left."""
    moved = Image.new("RGB", image.size, RED)
    moved.paste(image, (-x, -y))
    return moved


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", STRONGEST)
def test_operations_at_their_strongest(photographs, name, sign):
    image = photographs[3].resize((224, 224))
    ours = getattr(augment, f"_{name}")(image, Strongest(sign < 0))
    assert np.array_equal(np.asarray(ours), np.asarray(STRONGEST[name](image, sign)))


def test_there_are_nine_operations():
    assert len({operation.__name__ for operation in OPERATIONS}) == 9


def test_size_of_views(photographs):
    for kind in ("rrc", "augmix"):
        assert random_views(photographs[0], MemoOptions(kind, 2), 0, size=96).shape == (2, 96, 96, 3)


def test_ratio_of_a_crop_is_within_its_bounds():
    left, top, right, bottom = boxes((1000, 1000), (0.1, 0.5)).T
    logs = np.log((right - left) / (bottom - top))
    assert abs(logs.min() - math.log(3 / 4)) < 0.01
    assert abs(logs.max() - math.log(4 / 3)) < 0.01
