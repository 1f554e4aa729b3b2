"""The nearest of many images to each of many, in blocks of fixed memory."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

# Images compared at a time: a tile of similarities takes 32 MB in float32.
ROWS, COLS = 4096, 2048

Similarity = Callable[[slice, slice], NDArray[np.float32]]


class Nearest:
    """The `count` most similar others of each of `images`, as they come in; none of less than `floor`."""

    def __init__(self, images: int, count: int, floor: float = -np.inf) -> None:
        self._count, self._floor = count, floor
        self._scores = np.full((images, count), -np.inf, np.float32)
        self._others = np.full((images, count), -1, np.int64)

    def add(self, rows: slice, similarity: NDArray[np.float32], first: int) -> None:
        """Hear of the similarity of images `rows` to others `first`, `first` + 1, …: float32 `[rows, others]`.

        Of equal ones any may be kept.
        """
        scores = np.concatenate([self._scores[rows], similarity], axis=1)
        best = np.argpartition(scores, -self._count, axis=1)[:, -self._count :]
        old = np.take_along_axis(self._others[rows], np.minimum(best, self._count - 1), axis=1)
        self._others[rows] = np.where(best < self._count, old, first + best - self._count)
        self._scores[rows] = np.take_along_axis(scores, best, axis=1)

    def pairs(self) -> NDArray[np.int64]:
        """Each image and its others, int64 `[pairs, 2]`."""
        image, place = np.nonzero((self._scores > -np.inf) & (self._scores >= self._floor))
        return np.stack([image, self._others[image, place]], axis=1)


def tiles(rows: int, cols: int) -> Iterator[tuple[slice, slice]]:
    """Slices of a `rows` x `cols` matrix that cover it, each of at most `ROWS` x `COLS`."""
    for col in range(0, cols, COLS):
        for row in range(0, rows, ROWS):
            yield slice(row, min(row + ROWS, rows)), slice(col, min(col + COLS, cols))


def add_all(nearest: Nearest, similarity: Similarity, rows: int, cols: int, first: int, same: bool = False) -> None:
    """Tell `nearest` of all of a `rows` x `cols` matrix of similarities, a tile at a time.

    first: the number of the first column's image. same: columns are the rows' own images; none is its own neighbour.
    """
    for row, col in tiles(rows, cols):
        found = similarity(row, col)
        if same:
            both = np.arange(max(row.start, col.start), min(row.stop, col.stop))
            found[both - row.start, both - col.start] = -np.inf
        nearest.add(row, found, first + col.start)


def view_similarity(ones: NDArray[np.float16], others: NDArray[np.float16]) -> NDArray[np.float32]:
    """How alike images are where one may be a part of the other: float32 `[ones, others]`.

    It is the largest cosine between the first view of either image, which shows all of it, and any view of the other.

    ones, others: embeddings of length 1, float16 `[images, views, width]`.
    """
    a, b = ones.astype(np.float32), others.astype(np.float32)
    whole_a, whole_b = np.ascontiguousarray(a[:, 0]), np.ascontiguousarray(b[:, 0])
    best = whole_a @ whole_b.T
    for view in range(1, a.shape[1]):
        np.maximum(best, whole_a @ b[:, view].T, out=best)
        np.maximum(best, a[:, view] @ whole_b.T, out=best)
    return best
