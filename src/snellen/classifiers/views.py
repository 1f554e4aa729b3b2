"""Real views to try a backend on, or to calibrate it with: a data set's images at the study's zooms."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from snellen.datasets import DataSet
from snellen.errors import DataError
from snellen.zoom.grid import paper_grid
from snellen.zoom.render import UnreadableImage, decode, render, without_border

# From one view to the next, in zooms: prime to the 324, so that every scale and place has its turn.
STEP = 101


def real_views(dataset: DataSet, size: int, count: int, first: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Views of a data set's images at zooms of the paper's grid, spread evenly over both.

    first: how many views to pass over; two ranges share no view as long as they end within a data set's first 324.
    Returns views uint8 `[n, size, size, 3]` and the image of each, `[n]`; n is less than `count` where images cannot
    be read. Raises DataError where none can.
    """
    rules = paper_grid(size).rules
    images = np.unique(np.linspace(0, len(dataset.items) - 1, min(len(dataset.items), count)).astype(np.intp))
    zooms: dict[int, list[int]] = defaultdict(list)
    for k in range(first, first + count):
        zooms[int(images[k % len(images)])].append(STEP * k % len(rules))
    views, owners = [], []
    for image, chosen in zooms.items():
        try:
            picture = without_border(decode(dataset.read(image)), dataset.border)
            views.append(render(picture, [rules[zoom] for zoom in chosen]))
        except (UnreadableImage, OSError):
            continue
        owners += [image] * len(chosen)
    if not views:
        raise DataError(f"no image of {dataset.name!r} can be read")
    return np.concatenate(views), np.array(owners)
