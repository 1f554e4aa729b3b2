"""The nearest of many images to each of many, in blocks of fixed memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from snellen.mining.duplicates.hash import UPRIGHT, distances

# Hashes of copies differ in at most so many of 63 bits, and a copy is among so many nearest of an image, by its hash or
# by its embeddings. benchmarks/duplicates.py prints how many of the planted copies that finds.
BITS, NEIGHBOURS = 8, 8
# Images compared at a time: a tile of similarities takes 32 MB in float32.
ROWS, COLS = 4096, 2048

Similarity = Callable[[slice, slice], NDArray[np.float32]]


class Nearest:
    """The `count` most similar others of each of `images`, as they come in; none of less than `floor`."""

    def __init__(self, images: int, count: int, floor: float = -np.inf) -> None:
        self.images, self._count, self._floor = images, count, floor
        self._scores = np.full((images, count), -np.inf, np.float32)
        self._others = np.full((images, count), -1, np.int64)

    def add(self, rows: slice, similarity: NDArray[np.float32], others: NDArray[np.int64]) -> None:
        """Hear of the similarity of images `rows` to `others`, named by numbers: float32 `[rows, others]`.

        Of equal ones any may be kept.
        """
        scores = np.concatenate([self._scores[rows], similarity], axis=1)
        best = np.argpartition(scores, -self._count, axis=1)[:, -self._count :]
        old = np.take_along_axis(self._others[rows], np.minimum(best, self._count - 1), axis=1)
        self._others[rows] = np.where(best < self._count, old, others[np.maximum(best - self._count, 0)])
        self._scores[rows] = np.take_along_axis(scores, best, axis=1)

    def pairs(self) -> NDArray[np.int64]:
        """The place of an image and the number of one of its others, int64 `[pairs, 2]`."""
        image, place = np.nonzero((self._scores > -np.inf) & (self._scores >= self._floor))
        return np.stack([image, self._others[image, place]], axis=1)


def tiles(rows: int, cols: int) -> Iterator[tuple[slice, slice]]:
    """Slices of a `rows` x `cols` matrix that cover it, each of at most `ROWS` x `COLS`."""
    for col in range(0, cols, COLS):
        for row in range(0, rows, ROWS):
            yield slice(row, min(row + ROWS, rows)), slice(col, min(col + COLS, cols))


def add_all(nearest: Nearest, similarity: Similarity, others: NDArray[np.int64], same: bool = False) -> None:
    """Tell `nearest` of the similarity of all its images to `others`, a tile at a time.

    others: their numbers, int64 `[others]`. same: they are the images themselves; none is its own neighbour.
    """
    for row, col in tiles(nearest.images, len(others)):
        found = similarity(row, col)
        if same:
            both = np.arange(max(row.start, col.start), min(row.stop, col.stop))
            found[both - row.start, both - col.start] = -np.inf
        nearest.add(row, found, others[col])


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


@dataclass(frozen=True)
class Looks:
    """By what images are found.

    numbers: their names, int64 `[images]`; hashes: uint64 `[images, 8]`; views: embeddings as `view_similarity` takes
    them, float16 `[images, views, width]`, no views where there is no model.
    """

    numbers: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    views: NDArray[np.float16]


def joined(parts: Sequence[Looks]) -> Looks:
    """Some images and others as one."""
    return Looks(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Looks)))


class Candidates:
    """Which others may be one picture with some images, as they come in: the nearest by hash and by embeddings."""

    def __init__(self, own: Looks) -> None:
        self._own, self._upright = own, own.hashes[:, UPRIGHT].copy()
        self._by_hash = Nearest(len(own.numbers), NEIGHBOURS, -BITS)
        self._by_views = Nearest(len(own.numbers), NEIGHBOURS)

    def add(self, others: Looks, same: bool = False) -> None:
        """Compare with more images; `same`: they are these images themselves."""

        def by_hash(rows: slice, cols: slice) -> NDArray[np.float32]:
            return -distances(self._upright[rows], others.hashes[cols]).astype(np.float32)

        def by_views(rows: slice, cols: slice) -> NDArray[np.float32]:
            return view_similarity(self._own.views[rows], others.views[cols])

        add_all(self._by_hash, by_hash, others.numbers, same)
        if others.views.size:
            add_all(self._by_views, by_views, others.numbers, same)

    def pairs(self) -> NDArray[np.int64]:
        """The number of an image and of one of those nearest to it, int64 `[pairs, 2]`; some twice."""
        found = np.concatenate([self._by_hash.pairs(), self._by_views.pairs()])
        return np.stack([self._own.numbers[found[:, 0]], found[:, 1]], axis=1)
