"""Whether two images are one picture: the details that both show, laid over each other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from snellen.mining.duplicates.hash import MIRRORED, ORIENTATIONS, UPRIGHT, turned
from snellen.mining.duplicates.points import Frame, Points, find_frame

# What both show is compared at this length of its longer side, in pixels …
SIDE = 128
# … in its details between these widths of a Gaussian: compression changes finer ones, and coarser ones are alike in any
# two skies. Up to `EDGE` pixels from the edge a light that fades would leave some.
FINE, COARSE, EDGE = 1.0, 6.0, 12
# Details weaker than this are noise: their standard deviation, in levels of 255.
FLAT = 1.0
# Fewest points that agree, least share of the smaller image that both show, and least correlation of its details.
# benchmarks/duplicates.py prints what lies on both sides of them.
MATCHES, SHARED, AGREEMENT = 6, 0.25, 0.8
# Two images show the same where either shows at least this share of the other: a frame is less exact than a pixel.
WHOLE = 0.97
# The most that a copy may be squashed: the ratio of a frame's two scales.
SQUASHED = 2.0


@dataclass(frozen=True)
class Match:
    """Two images that are one picture.

    kind: `copy` (re-encoded or resized), `crop` (either shows what the other does not), `flip` (mirrored left to right)
        or `rotation` (any other orientation); what is flipped or turned may be cut, too.
    score: correlation of the details that both show, at most 1.
    """

    kind: str
    score: float


def compare(
    one: Points,
    other: Points,
    greys: Callable[[], tuple[Image.Image, Image.Image]],
    whole: Iterable[int] = (),
) -> Match | None:
    """Whether two images are one picture, and in which way; None where they are not.

    greys: their grey images, which few pairs need.
    whole: the orientations (places in `ORIENTATIONS`) of the first in which they may be the same from edge to edge.
    """
    frames: list[tuple[int, Frame]] = []
    for place in whole:
        width, height = one.turned(ORIENTATIONS[place]).size
        frames.append((place, Frame((other.size[0] / width, other.size[1] / height), (0.0, 0.0), 0)))
    found = [(place, find_frame(one.turned(orientation), other)) for place, orientation in enumerate(ORIENTATIONS)]
    agreed = [(place, frame) for place, frame in found if frame and frame.matches >= MATCHES]
    if agreed:
        frames.append(max(agreed, key=lambda pair: pair[1].matches))
    if not frames:
        return None
    first, second = (np.asarray(image) for image in greys())
    best: Match | None = None
    for place, frame in frames:
        score, shares = agreement(turned(first, ORIENTATIONS[place]), second, frame)
        if score >= AGREEMENT and max(shares) >= SHARED and (best is None or score > best.score):
            best = Match(_kind(place, shares), score)
    return best


def agreement(one: NDArray[np.uint8], other: NDArray[np.uint8], frame: Frame) -> tuple[float, tuple[float, float]]:
    """The correlation of the details that two grey images both show, and what share of each that is.

    frame: where the first lies in the second. The correlation is 0 where there is too little to compare.
    """
    scale, shift = np.array(frame.scale), np.array(frame.shift)
    sizes = np.array([one.shape[::-1], other.shape[::-1]], float)
    if scale.min() <= 0 or scale.max() > SQUASHED * scale.min():
        return 0.0, (0.0, 0.0)
    low = np.maximum(0, -shift / scale)
    high = np.minimum(sizes[0], (sizes[1] - shift) / scale)
    width, height = (high - low).tolist()
    if width <= 0 or height <= 0:
        return 0.0, (0.0, 0.0)
    shares = (width * height / sizes[0].prod(), width * height * scale.prod() / sizes[1].prod())
    factor = SIDE / max(width, height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    there = np.clip([scale * low + shift, scale * high + shift], 0, sizes[1])
    details = []
    for pixels, corners in ((one, (low, high)), (other, there)):
        (left, top), (right, bottom) = np.asarray(corners).tolist()
        box = (left, top, right, bottom)
        levels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=box), np.float32)
        between = ndimage.gaussian_filter(levels, FINE) - ndimage.gaussian_filter(levels, COARSE)
        rows, cols = (min(EDGE, length // 4) for length in between.shape)
        details.append(between[rows : len(between) - rows, cols : between.shape[1] - cols])
        if details[-1].std() < FLAT:
            return 0.0, shares
    return float(np.corrcoef(details[0].ravel(), details[1].ravel())[0, 1]), shares


def _kind(place: int, shares: tuple[float, float]) -> str:
    if place == UPRIGHT:
        return "copy" if min(shares) >= WHOLE else "crop"
    return "flip" if place == MIRRORED else "rotation"
