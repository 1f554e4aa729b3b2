"""Covers: sets of zooms that together reach the upper bound."""

import numpy as np
from numpy.typing import NDArray


def greedy_cover(correct: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Zooms in the order the greedy cover takes them, until the upper bound is reached: intp `[cover]`.

    Each step takes the zoom that solves most still unsolved images, ties to the lowest index. Fitted to the labels it
    is scored on, so it is an oracle. Method: the study's minimum cover; its top-36 are the first 36.

    >>> greedy_cover(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], bool))
    array([0, 1])
    """
    left = correct[correct.any(axis=1)]
    chosen: list[int] = []
    while len(left):
        zoom = int(left.sum(axis=0).argmax())
        chosen.append(zoom)
        left = left[~left[:, zoom]]
    return np.array(chosen, np.intp)
