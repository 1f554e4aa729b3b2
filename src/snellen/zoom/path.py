"""A way along the scales at one anchor, so even that its views make a film."""

import numpy as np

from snellen.zoom.grid import WINDOW, ViewRule

# The share of the frames that stand still at either end.
HOLD = 0.08


def zoom_path(scales: tuple[int, int], anchor: tuple[int, int], frames: int, size: int = WINDOW) -> list[ViewRule]:
    """The view rule of each frame, from the first scale to the second.

    Each scale is the one before it times a factor, which looks steady. The factor grows to the middle of the way and
    falls after it, and at either end the way stands still for a while. Scales are rounded to whole pixels, so that
    neighbours may be the same view.

    scales: nominal, as in the study: for windows of `size` pixels an image is resized to scale x size / 224.
    anchor: row and col.

    >>> [rule.resize for rule in zoom_path((64, 1024), (1, 1), 7)]
    [64, 70, 117, 256, 559, 943, 1024]
    """
    first, last = scales
    passed = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    moved = np.clip((passed - HOLD) / (1 - 2 * HOLD), 0, 1)
    eased = moved**2 * (3 - 2 * moved)
    row, col = anchor
    places = first * (last / first) ** eased
    return [ViewRule(max(1, round(s * size / WINDOW)), row, col, size, scale=round(s)) for s in places.tolist()]
