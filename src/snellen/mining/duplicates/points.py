"""Where one image lies in another: small patches around its most marked points, matched, and one frame for all.

Method: multi-scale oriented patches without the orientation (M. Brown, R. Szeliski and S. Winder, "Multi-Image Matching
using Multi-Scale Oriented Patches", CVPR 2005), since copies are upright, mirrored or turned by quarters; the frame is
the one that most matches agree on, tried from every two of the best (M. A. Fischler and R. C. Bolles, "Random Sample
Consensus", 1981, with all samples in place of random ones).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from snellen.mining.duplicates.hash import Orientation

# The longer side of the grey image that points are found in.
SIDE = 320
# Each level of the pyramid is smaller than the one before by this; a patch still resembles itself half a level off.
RATIO, LEVELS = 2 ** (1 / 3), 8
# Below this a level holds no patch.
SMALLEST = 24
# The spots that are looked for: a difference of Gaussians of these widths, in pixels of the level.
INNER, OUTER = 1.2, 2.0
# Nearest that two points of a level lie, and a point to the edge of the image.
APART, EDGE = 5, 4
# The most points of an image, the most marked ones. With 160, 10 % of copies cut to half of each side were missed, with
# 300 none.
POINTS = 300
# A patch: samples a side, and pixels of the level between them.
PATCH, SPACING = 8, 2.5
# The least correlation of two patches that match, and how far from the frame a match may lie, in pixels.
ALIKE, TOLERANCE = 0.8, 3.0
# How far the sizes of two spots may be from the frame's scale: a level and a half.
SCALES_APART = 1.5 * math.log(RATIO)
# The best matches, of which every two are tried; and how far apart two must lie to say a scale, in pixels.
TRIED, BASE = 40, 8.0


@dataclass(frozen=True)
class Points:
    """The marked points of one image.

    size: width and height of the grey image. places: x and y in it, float32 `[n, 2]`. levels: of the pyramid, float32
    `[n]`. patches: of mean 0 and length 127, int8 `[n, PATCH, PATCH]`.
    """

    size: tuple[int, int]
    places: NDArray[np.float32]
    levels: NDArray[np.float32]
    patches: NDArray[np.int8]

    def turned(self, orientation: Orientation) -> "Points":
        """The points of the image in an orientation."""
        transpose, left_right, top_bottom = orientation
        (width, height), places, patches = self.size, self.places.copy(), self.patches
        if transpose:
            width, height, places, patches = height, width, places[:, ::-1].copy(), patches.transpose(0, 2, 1)
        if left_right:
            places[:, 0], patches = width - places[:, 0], patches[:, :, ::-1]
        if top_bottom:
            places[:, 1], patches = height - places[:, 1], patches[:, ::-1]
        return Points((width, height), places, self.levels, patches)


@dataclass(frozen=True)
class Frame:
    """Where an image lies in another, in pixels of their grey images: `at = scale * place + shift`, x and y apart.

    matches: how many points agree.
    """

    scale: tuple[float, float]
    shift: tuple[float, float]
    matches: int


def grey(image: Image.Image) -> Image.Image:
    """The image in shades of grey, `SIDE` pixels long."""
    factor = SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.convert("L").resize((width, height), Image.Resampling.BICUBIC)


def find_points(image: Image.Image) -> Points:
    """The most marked points of a grey image, and the patches around them."""
    width, height = image.size
    smooth, found = [], []
    for level in range(LEVELS):
        size = round(width / RATIO**level), round(height / RATIO**level)
        if min(size) < SMALLEST:
            break
        pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32)
        smooth.append(ndimage.gaussian_filter(pixels, OUTER))
        marked = np.abs(ndimage.gaussian_filter(pixels, INNER) - smooth[-1])
        peaks = (ndimage.maximum_filter(marked, APART) == marked) & (marked > 0)
        y, x = np.nonzero(peaks[EDGE:-EDGE, EDGE:-EDGE])
        found.append(np.stack([np.full(len(x), level), x + EDGE, y + EDGE, marked[y + EDGE, x + EDGE]], axis=1))
    if not found:
        none = np.zeros((0, PATCH, PATCH), np.int8)
        return Points(image.size, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), none)
    points = np.concatenate(found)
    points = points[np.argsort(-points[:, 3], kind="stable")[:POINTS]]
    points = points[np.argsort(points[:, 0], kind="stable")]
    levels, places = points[:, 0].astype(int), points[:, 1:3]
    patches = np.concatenate([_patches(smooth[k], places[levels == k]) for k in range(len(smooth))])
    lengths = np.linalg.norm(patches, axis=(1, 2))
    kept = lengths > 0
    scale = np.array([(width / one.shape[1], height / one.shape[0]) for one in smooth])[levels]
    return Points(
        image.size,
        ((places + 0.5) * scale)[kept].astype(np.float32),
        levels[kept].astype(np.float32),
        np.rint(127 * patches[kept] / lengths[kept, None, None]).astype(np.int8),
    )


def _patches(pixels: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Samples around each place, less their mean: float32 `[places, PATCH, PATCH]`."""
    offsets = (np.arange(PATCH) - (PATCH - 1) / 2) * SPACING
    y, x = np.broadcast_arrays(
        places[:, 1, None, None] + offsets[:, None], places[:, 0, None, None] + offsets[None, None, :]
    )
    samples = ndimage.map_coordinates(pixels, [y, x], order=1, mode="nearest")
    centred: NDArray[np.float32] = samples - samples.mean(axis=(1, 2), keepdims=True)
    return centred


def find_frame(one: Points, other: Points) -> Frame | None:
    """Where `one` lies in `other`, upright in it; None where no two matches agree."""
    a, b, ratios = _matches(one, other)
    first, second = np.triu_indices(min(len(a), TRIED), 1)
    step_a, step_b = a[first] - a[second], b[first] - b[second]
    length_a, length_b = np.linalg.norm(step_a, axis=1), np.linalg.norm(step_b, axis=1)
    far = (length_a > BASE) & (length_b > BASE)
    first, second, step_a, step_b = first[far], second[far], step_a[far], step_b[far]
    scales = length_b[far] / length_a[far]
    agree = np.linalg.norm(step_b - scales[:, None] * step_a, axis=1) < 2 * TOLERANCE
    for end in (first, second):
        agree &= np.abs(np.log(scales) - ratios[end]) < SCALES_APART
    if not agree.any():
        return None
    first, second, scales = first[agree], second[agree], scales[agree]
    shifts = (b[first] + b[second] - scales[:, None] * (a[first] + a[second])) / 2
    missed = np.linalg.norm(scales[:, None, None] * a + shifts[:, None] - b, axis=2)
    inside = missed < TOLERANCE * np.maximum(1, scales)[:, None]
    inside &= np.abs(np.log(scales)[:, None] - ratios) < SCALES_APART
    best = inside.sum(axis=1).argmax()
    return _refined(a, b, inside[best], scales[best])


def _matches(one: Points, other: Points) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Where patches lie that are each other's best match, the most alike first: float32 `[n, 2]` in either image.

    And the logarithm of how much larger the second is, float32 `[n]`.
    """
    if not (len(one.places) and len(other.places)):
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    flat = [points.patches.reshape(len(points.patches), -1).astype(np.float32) / 127 for points in (one, other)]
    alike = flat[0] @ flat[1].T
    rows = np.arange(len(alike))
    best = alike.argmax(axis=1)
    rows = rows[(alike.argmax(axis=0)[best] == rows) & (alike[rows, best] > ALIKE)]
    rows = rows[np.argsort(-alike[rows, best[rows]], kind="stable")]
    cols = best[rows]
    return one.places[rows], other.places[cols], (other.levels[cols] - one.levels[rows]) * np.float32(math.log(RATIO))


def _refined(a: NDArray[np.float32], b: NDArray[np.float32], inside: NDArray[np.bool_], scale: float) -> Frame:
    """The frame that fits the matches inside it best, and those that it then holds: three times."""
    frame = Frame((scale, scale), (0, 0), 0)
    for _ in range(3):
        near, at = a[inside], b[inside]
        spread = near - near.mean(axis=0)
        power = (spread**2).sum(axis=0)
        # Points in a line say nothing of the scale across it.
        fitted = np.where(power > len(near) * BASE**2, (spread * at).sum(axis=0) / np.maximum(power, 1), scale)
        shift = at.mean(axis=0) - fitted * near.mean(axis=0)
        missed = np.linalg.norm(fitted * a + shift - b, axis=1)
        inside = missed < TOLERANCE * max(1, *fitted)
        frame = Frame(tuple(fitted.tolist()), tuple(shift.tolist()), int(inside.sum()))
        if frame.matches < 2 or min(fitted) <= 0:
            break
    return frame
