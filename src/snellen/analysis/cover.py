"""Covers: sets of zooms that together reach the upper bound. Fitted to labels, they are oracles on those labels."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, upper_bound
from snellen.analysis.bits import packed

# The zooms of a cover that the study tests by themselves, its "top-36": as many as it has scales.
TOP_K = 36


@dataclass(frozen=True)
class ExactCover:
    """The smallest cover found, and a proof of how small one can be.

    zooms: the cover, zoom indices in rising order; size: how many.
    lower_bound: no cover has fewer zooms; gap: size - lower_bound; optimal: whether that is 0.
    seconds: what the search took; time_limit: what it was given.
    """

    zooms: tuple[int, ...]
    size: int
    lower_bound: int
    gap: int
    optimal: bool
    seconds: float
    time_limit: float

    def to_json(self) -> dict[str, Any]:
        """A plain form; the zooms as a list of indices."""
        return {**asdict(self), "zooms": list(self.zooms)}


@dataclass(frozen=True)
class Transfer:
    """A cover learned on some images and tested on others.

    learned_on, tested_on: which images; zooms: how many of the cover's zooms, in the greedy order.
    oracle: the share they get right of the images they were fitted to, which is no measure of the classifier;
        transferred: of the images they were tested on.
    """

    learned_on: str
    tested_on: str
    zooms: int
    oracle: Share
    transferred: Share

    def to_json(self) -> dict[str, Any]:
        """A plain form, shares as objects."""
        return {
            **asdict(self),
            "oracle": self.oracle.to_json(),
            "transferred": self.transferred.to_json(),
        }


def greedy_cover(correct: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Zooms in the order the greedy cover takes them, until the upper bound is reached: intp `[cover]`.

    Each step takes the zoom that solves most still unsolved images, ties to the lowest index. Fitted to the labels it
    is scored on, so it is an oracle. Method: the study's minimum cover; its top-36 are the first 36.

    >>> greedy_cover(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], bool))
    array([0, 1])
    """
    right = packed(correct)
    gains = np.bitwise_count(right).sum(axis=1, dtype=np.int64)
    left = np.bitwise_or.reduce(right, axis=0, initial=np.uint64(0))
    chosen: list[int] = []
    while gains.max(initial=0) > 0:
        zoom = int(gains.argmax())
        chosen.append(zoom)
        new = right[zoom] & left
        left &= ~new
        words = np.flatnonzero(new)  # late steps solve few images: only their words are counted again
        gains -= np.bitwise_count(right[:, words] & new[words]).sum(axis=1, dtype=np.int64)
    return np.array(chosen, np.intp)


def transferred(
    learn: NDArray[np.bool_], test: NDArray[np.bool_], learned_on: str, tested_on: str, first: int = TOP_K
) -> list[Transfer]:
    """The greedy cover of `learn` tested on `test`, both bool `[images, zooms]` of one grid.

    Two results, of the cover's first `first` zooms and of the whole; one where the whole is no longer than that.
    Raises ValueError where the grids have not the same number of zooms.
    """
    if learn.shape[1] != test.shape[1]:
        raise ValueError(f"a cover holds for one grid: learned on {learn.shape[1]} zooms, tested on {test.shape[1]}")
    cover = greedy_cover(learn)
    return [
        Transfer(learned_on, tested_on, k, upper_bound(learn, cover[:k]), upper_bound(test, cover[:k]))
        for k in sorted({min(first, len(cover)), len(cover)})
    ]


def cover_transfer(correct: NDArray[np.bool_], first: int = TOP_K, seed: int = 0) -> list[Transfer]:
    """Covers learned on one random half of the images and tested on the other, both ways.

    correct: bool `[images, zooms]`. The same seed and number of images give the same halves.
    """
    order = np.random.default_rng(seed).permutation(len(correct))
    halves = [correct[np.sort(half)] for half in np.array_split(order, 2)]
    names = ["first random half", "second random half"]
    return [
        *transferred(halves[0], halves[1], names[0], names[1], first),
        *transferred(halves[1], halves[0], names[1], names[0], first),
    ]
