"""Spatial bias: where in the image a classifier finds what it reads."""

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, upper_bound
from snellen.zoom.grid import Grid


def location_map(correct: NDArray[np.bool_], grid: Grid) -> list[list[Share]]:
    """For each of the nine anchors, rows first, the upper bound over all scales at that anchor.

    Method: the study's "per crop location" heat map.
    """
    anchors = np.array([(rule.row, rule.col) for rule in grid])
    cells = [[np.flatnonzero((anchors == (row, col)).all(axis=1)) for col in range(3)] for row in range(3)]
    return [[upper_bound(correct, zooms) for zooms in line] for line in cells]


def scale_curve(correct: NDArray[np.bool_], grid: Grid) -> list[tuple[int, Share, Share]]:
    """For each nominal scale: its value, the accuracy at the centre anchor, and the upper bound over its anchors."""
    scales = np.array([rule.scale for rule in grid])
    centre = np.array([(rule.row, rule.col) == (1, 1) for rule in grid])
    curve = []
    for scale in sorted(set(scales.tolist())):
        at_centre = upper_bound(correct, np.flatnonzero((scales == scale) & centre))
        curve.append((scale, at_centre, upper_bound(correct, np.flatnonzero(scales == scale))))
    return curve
