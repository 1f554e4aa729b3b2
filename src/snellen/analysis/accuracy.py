"""Shares of right answers: at one zoom, at the best, at any."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snellen.analysis.bits import packed
from snellen.analysis.stats import wilson


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % Wilson interval; `value`, `low` and `high` lie in 0 … 1, nan where n is 0."""

    hits: int
    n: int
    value: float
    low: float
    high: float

    @property
    def stderr(self) -> float:
        """The standard error of the share, sqrt(value (1 - value) / n)."""
        return math.sqrt(self.value * (1 - self.value) / self.n) if self.n else float("nan")

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}] (n = {self.n})"

    def to_json(self) -> dict[str, Any]:
        """A plain form with the standard error; `value` and `stderr` are None where n is 0."""
        value, stderr = (self.value, self.stderr) if self.n else (None, None)
        return asdict(self) | {"value": value, "stderr": stderr}


def share(right: NDArray[np.bool_]) -> Share:
    """The share of True in `right`, bool `[images]`.

    >>> print(share(np.array([True] * 263 + [False] * 37)))
    87.67% [83.46%, 90.92%] (n = 300)
    """
    return shares([int(np.count_nonzero(right))], len(right))[0]


def shares(hits: ArrayLike, n: int) -> list[Share]:
    """The share of each count in `hits` of the same `n` images."""
    counts = np.asarray(hits, np.int64)
    low, high = wilson(counts, n)
    values = counts / n if n else np.full(len(counts), np.nan)
    rows = zip(counts.tolist(), values.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Share(k, n, value, below, above) for k, value, below, above in rows]


def upper_bound(correct: NDArray[np.bool_], zooms: NDArray[np.intp] | None = None) -> Share:
    """The share of images that at least one zoom (of `zooms`, indices, or of all) gets right."""
    return share(np.any(correct if zooms is None else correct[:, zooms], axis=1))


def per_zoom(correct: NDArray[np.bool_]) -> list[Share]:
    """The accuracy at each zoom, in the grid's order."""
    return shares(correct.sum(axis=0), len(correct))


def best_zoom(correct: NDArray[np.bool_]) -> int:
    """Index of the zoom that gets most images right; ties to the lowest."""
    return int(correct.sum(axis=0).argmax())


def oracle_curve(correct: NDArray[np.bool_], order: NDArray[np.intp]) -> list[Share]:
    """The upper bound of the first k zooms of `order`, k = 1 … zooms; flat after its end.

    order: indices of zooms, none twice. With the greedy cover, which is fitted to these labels, it is what an oracle
        reaches with k zooms.

    >>> [bound.hits for bound in oracle_curve(np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1]], bool), np.array([2, 0]))]
    [2, 3, 3]
    """
    reached = np.bitwise_or.accumulate(packed(correct)[order], axis=0)
    hits = np.bitwise_count(reached).sum(axis=1, dtype=np.int64)
    last = hits[-1] if len(order) else 0
    return shares(np.append(hits, np.full(correct.shape[1] - len(order), last, np.int64)), len(correct))


def random_baseline(zooms: int, classes: int) -> float:
    """The upper bound of guessing as the study states it: min(1, zooms / classes)."""
    return min(1.0, zooms / classes)
