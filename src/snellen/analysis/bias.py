"""Spatial bias: where in the image a classifier finds what it reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share, upper_bound
from snellen.analysis.bootstrap import RESAMPLES, Estimate, EstimatedDifference, resample
from snellen.zoom.grid import Grid

# The centre cell less the mean of the eight others, on cells in reading order.
CENTRE_WEIGHTS = np.where(np.arange(9) == 4, 1.0, -1 / 8)


@dataclass(frozen=True)
class CentreBias(Estimate):
    """By how much the centre of a 3 x 3 map exceeds the mean of its eight other cells, with a bootstrap interval.

    A share, as the cells are: 0.1 is ten points. 0 where a classifier reads as well at any place; the most is 1.
    The study prints each cell's distance from the centre and no score; this is their mean with the sign turned.
    """


@dataclass(frozen=True)
class BiasDifference(EstimatedDifference):
    """The centre bias `a` of one map less that of another, `b`."""

    a: float
    b: float


def location_hits(correct: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Whether any scale at each anchor is right: bool `[images, 9]`, anchors in reading order.

    Method: their shares (`share_map`) are the study's "per crop location" heat map.
    """
    places = np.array([3 * rule.row + rule.col for rule in grid])
    return np.stack([correct[:, places == place].any(axis=1) for place in range(9)], axis=1)


def share_map(hits: NDArray[np.bool_]) -> list[list[Share]]:
    """A 3 x 3 map of shares, rows first, from bool `[images, 9]` in reading order."""
    return [[share(hits[:, 3 * row + col]) for col in range(3)] for row in range(3)]


def centre_bias(hits: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0) -> CentreBias:
    """The centre bias of a 3 x 3 map.

    hits: bool `[images, 9]`, as `location_hits` or `tiles.tile_hits` give it.

    >>> centre_bias(np.array([[0, 0, 0, 0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1]], bool)).value
    0.5
    """
    found = resample(_eighths(hits), resamples, seed).estimate([1 / 8])
    return CentreBias(found.value, found.low, found.high, found.resamples)


def bias_difference(
    a: NDArray[np.bool_], b: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0
) -> BiasDifference:
    """The centre bias of one model less that of another, on the same images: a paired bootstrap.

    a, b: bool `[images, 9]`, rows in the same order. Raises ValueError where their shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"a paired test needs the same images for both models, got shapes {a.shape} and {b.shape}")
    return _both(a, b, resample(_eighths(a) - _eighths(b), resamples, seed).difference([1 / 8], [0]))


def bias_between(
    a: NDArray[np.bool_], b: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0
) -> BiasDifference:
    """The centre bias on one data set less that on another, drawn each by itself. a, b: bool `[images, 9]`."""
    drawn = resample(_eighths(a), resamples, 2 * seed)
    return _both(a, b, drawn.difference_from(resample(_eighths(b), resamples, 2 * seed + 1), [1 / 8]))


def _both(a: NDArray[np.bool_], b: NDArray[np.bool_], found: EstimatedDifference) -> BiasDifference:
    mean_a, mean_b = (float(_eighths(hits).sum() / 8 / len(hits)) if len(hits) else float("nan") for hits in (a, b))
    return BiasDifference(**vars(found), a=mean_a, b=mean_b)


def _eighths(hits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Eight times what each image adds to the centre bias, a whole number: int64 `[images, 1]`."""
    return hits @ np.round(8 * CENTRE_WEIGHTS).astype(np.int64)[:, None]


def scale_curve(correct: NDArray[np.bool_], grid: Grid) -> list[tuple[int, Share, Share]]:
    """For each nominal scale: its value, the accuracy at the centre anchor, and the upper bound over its anchors."""
    scales = np.array([rule.scale for rule in grid])
    centre = np.array([(rule.row, rule.col) == (1, 1) for rule in grid])
    curve = []
    for scale in sorted(set(scales.tolist())):
        at_centre = upper_bound(correct, np.flatnonzero((scales == scale) & centre))
        curve.append((scale, at_centre, upper_bound(correct, np.flatnonzero(scales == scale))))
    return curve
