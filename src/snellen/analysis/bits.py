"""Right and wrong as bits: 64 images a word, which makes sets of images quick to join, meet and count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Images turned at once, a multiple of 8: as many as stay in the processor's cache.
CHUNK = 512


def packed(correct: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The images each zoom gets right as bits: uint64 `[zooms, ceil(images / 64)]`, filled up with zeros.

    `unpacked` takes them out again.
    """
    images, zooms = correct.shape
    octets = np.zeros((zooms, -(-images // 64) * 8), np.uint8)
    for start in range(0, images, CHUNK):
        part = np.packbits(np.ascontiguousarray(correct[start : start + CHUNK].T), axis=1)
        octets[:, start // 8 : start // 8 + part.shape[1]] = part
    return octets.view(np.uint64)


def unpacked(bits: NDArray[np.uint64], images: int) -> NDArray[np.bool_]:
    """What `packed` packed: bool `[images, zooms]`.

    >>> unpacked(packed(np.eye(3, dtype=bool)), 3).tolist()
    [[True, False, False], [False, True, False], [False, False, True]]
    """
    return np.unpackbits(bits.view(np.uint8), axis=1, count=images).T.astype(bool)


def distinct(rows: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each distinct row of a matrix first stands, and how often it occurs; in no meaningful order.

    >>> distinct(np.array([[1, 0], [1, 1], [1, 0]]))
    (array([0, 1]), array([2, 1]))
    """
    if 0 in rows.shape:
        return np.arange(min(1, len(rows))), np.full(min(1, len(rows)), len(rows))
    small = np.ascontiguousarray(np.packbits(rows, axis=1) if rows.dtype == bool else rows)
    whole = small.view(np.dtype((np.void, small.dtype.itemsize * small.shape[1]))).ravel()  # compared byte by byte
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return first, counts
