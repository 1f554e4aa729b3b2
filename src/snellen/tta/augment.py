"""Random views of one image for MEMO: resized crops, and the AugMix-like mixtures that the published baseline takes.

Every choice comes from a generator of the image's own, so that order, batches and workers change nothing.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from snellen.tta.memo_options import MemoOptions
from snellen.zoom.grid import WINDOW

# Width over height of a crop; 10 tries before the fallback: torchvision's RandomResizedCrop.
RATIO = (3 / 4, 4 / 3)
TRIES = 10
# Three chains of 1, 2 or 3 operations; strength 1 of 10 for all of them: MEMO's ImageNet augmentation.
CHAINS, LONGEST, STRENGTH = 3, 3, 1 / 10
# What rotating, shearing and shifting bring in. The released code says 128, which Pillow reads as this dark red.
FILL = (128, 0, 0)

Operation = Callable[[Image.Image, np.random.Generator], Image.Image]


def image_generator(seed: int, key: str | int) -> np.random.Generator:
    """The random numbers of one image, by its key (its id, its hash or its place in the data set).

    >>> image_generator(0, "a").random() == image_generator(0, "a").random() != image_generator(1, "a").random()
    True
    """
    digest = hashlib.sha256(repr((seed, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def random_views(image: Image.Image, options: MemoOptions, key: str | int, size: int = WINDOW) -> NDArray[Any]:
    """K random views of an RGB image, `[views, size, size, 3]` in 0 … 255: uint8 for `rrc`, float32 for `augmix`.

    The first views of a larger K are the views of a smaller one. Mixtures are not rounded: the published code mixes
    after normalisation, and the weights of a mixture sum to 1, so normalising it afterwards gives the same.

    Sources: arXiv 2304.05538 (`rrc`: bicubic, no flip) and MEMO, arXiv 2110.09506, with its code (`augmix`: bilinear,
    flips, three chains of 1 to 3 out of nine operations, Dirichlet and Beta weights).
    """
    rng = image_generator(options.seed, key)
    plain = options.augment == "rrc"
    resampling = Image.Resampling.BICUBIC if plain else Image.Resampling.BILINEAR
    views = np.empty((options.views, size, size, 3), np.uint8 if plain else np.float32)
    for view in views:
        crop = _crop(image, options, size, resampling, rng)
        view[:] = np.asarray(crop) if plain else _mixture(crop, rng)
    return views


def crop_box(
    width: int, height: int, scale: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random crop of an image, distributed as torchvision's RandomResizedCrop's.

    A crop covers `scale` of the area, at a width over height of 3/4 to 4/3 (logarithms uniform). Where ten tries
    do not fit inside the image, the largest central crop of an allowed shape is taken.
    """
    for _ in range(TRIES):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            return left, top, left + w, top + h
    w, h = min(width, max(1, round(height * RATIO[1]))), min(height, max(1, round(width / RATIO[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _crop(
    image: Image.Image, options: MemoOptions, size: int, resampling: Image.Resampling, rng: np.random.Generator
) -> Image.Image:
    # Not resize(box=…): its filter reaches over the crop's edge to pixels that torchvision does not see.
    crop = image.crop(crop_box(*image.size, options.scale, rng)).resize((size, size), resampling)
    mirrored = rng.random() < 0.5  # drawn always, so that flips change no other choice
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if options.flip and mirrored else crop


def _mixture(crop: Image.Image, rng: np.random.Generator) -> NDArray[np.float32]:
    shares, own = rng.dirichlet([1.0] * CHAINS), rng.beta(1, 1)
    mixture = np.float32(own) * np.asarray(crop, np.float32)
    for share in shares:
        changed = crop
        for _ in range(rng.integers(1, LONGEST + 1)):
            changed = OPERATIONS[rng.integers(len(OPERATIONS))](changed, rng)
        mixture += np.float32((1 - own) * share) * np.asarray(changed, np.float32)
    return mixture


def _strength(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, 1)) * STRENGTH


def _signed(value: float, rng: np.random.Generator) -> float:
    return -value if rng.random() < 0.5 else value


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR, fillcolor=FILL
    )


def _autocontrast(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.equalize(image)


def _rotate(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    degrees = _signed(int(30 * _strength(rng)), rng)
    return image.rotate(degrees, resample=Image.Resampling.BILINEAR, fillcolor=FILL)


def _solarize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.solarize(image, 256 - int(256 * _strength(rng)))


def _shear_x(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, (1, _signed(0.3 * _strength(rng), rng), 0, 0, 1, 0))


def _shear_y(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, (1, 0, 0, _signed(0.3 * _strength(rng), rng), 1, 0))


def _translate_x(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, (1, 0, _signed(int(image.width / 3 * _strength(rng)), rng), 0, 1, 0))


def _translate_y(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _affine(image, (1, 0, 0, 0, 1, _signed(int(image.height / 3 * _strength(rng)), rng)))


def _posterize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.posterize(image, 4 - int(4 * _strength(rng)))  # always 4 bits at this strength


OPERATIONS: tuple[Operation, ...] = (
    _autocontrast,
    _equalize,
    _rotate,
    _solarize,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
    _posterize,
)
