"""Zoom-in, zoom-out and zoom-224: what each group reaches, and what only it solves."""

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share, upper_bound
from snellen.zoom.grid import Grid


def group_bounds(correct: NDArray[np.bool_], grid: Grid) -> dict[str, tuple[Share, Share]]:
    """For each group of zooms: its upper bound, and the share of images that no other group gets right."""
    solved = {name: correct[:, zooms].any(axis=1) for name, zooms in grid.groups.items()}
    bounds = {}
    for name, zooms in grid.groups.items():
        others = np.zeros(len(correct), bool)
        for other, right in solved.items():
            if other != name:
                others |= right
        bounds[name] = upper_bound(correct, zooms), share(solved[name] & ~others)
    return bounds
