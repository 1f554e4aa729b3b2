"""A perceptual hash that knows mirrored and turned copies: the signs of an image's lowest frequencies.

Method: the DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with the
sign of a frequency in place of its side of the median. Mirroring an image changes the sign of every second frequency
along one axis and transposing it transposes them, so that one transform gives the hash of all eight orientations.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

# The 8 x 8 lowest frequencies of 32 x 32 pixels, less the mean: 63 bits. As in Zauner's.
SIDE, LOWEST = 32, 8

# Whether an image is transposed, then mirrored left to right, then top to bottom.
Orientation = tuple[bool, bool, bool]
ORIENTATIONS: tuple[Orientation, ...] = tuple(itertools.product((False, True), (False, True), (False, True)))
UPRIGHT, MIRRORED = ORIENTATIONS.index((False, False, False)), ORIENTATIONS.index((False, True, False))

_SIGNS = 1 - 2 * (np.arange(LOWEST) % 2)
_BITS = np.uint64(1) << np.arange(LOWEST * LOWEST - 1, dtype=np.uint64)


def turned(pixels: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """A grey image `[height, width]` in an orientation; its own memory."""
    transpose, left_right, top_bottom = orientation
    pixels = pixels.T if transpose else pixels
    return pixels[:: -1 if top_bottom else 1, :: -1 if left_right else 1]


def image_hashes(image: Image.Image) -> NDArray[np.uint64]:
    """The hash of an image in each of `ORIENTATIONS`, uint64 `[8]`.

    >>> gradient = Image.linear_gradient("L")
    >>> int(image_hashes(gradient)[0]) == int(image_hashes(gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM))[1])
    True
    """
    pixels = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    lowest = dctn(pixels)[:LOWEST, :LOWEST]
    found = []
    for transpose, left_right, top_bottom in ORIENTATIONS:
        one = lowest.T if transpose else lowest
        one = one * _SIGNS if left_right else one
        one = one * _SIGNS[:, None] if top_bottom else one
        found.append(_BITS[one.ravel()[1:] > 0].sum(dtype=np.uint64))
    return np.array(found, np.uint64)


def distances(ones: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """In how many of 63 bits hashes differ, in the orientation where they differ least: uint8 `[ones, others]`.

    ones: uint64 `[ones]`, of images as they are; others: uint64 `[others, 8]`, in all orientations.
    """
    best = np.full((len(ones), len(others)), 64, np.uint8)
    for turned_hashes in others.T:
        np.minimum(best, np.bitwise_count(ones[:, None] ^ turned_hashes), out=best)
    return best


def near_orientations(one: NDArray[np.uint64], other: NDArray[np.uint64], most: int) -> Iterator[int]:
    """The orientations of one image whose hash is within `most` bits of another as it is; both uint64 `[8]`."""
    yield from np.flatnonzero(np.bitwise_count(one ^ other[UPRIGHT]) <= most).tolist()
