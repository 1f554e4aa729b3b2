"""Shares of right answers: at one zoom, at the best, at any."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    hits, n = int(right.sum()), len(right)
    low, high = wilson(hits, n)
    return Share(hits, n, hits / n if n else float("nan"), float(low), float(high))


def upper_bound(correct: NDArray[np.bool_], zooms: NDArray[np.intp] | None = None) -> Share:
    """The share of images that at least one zoom (of `zooms`, indices, or of all) gets right."""
    return share(np.any(correct if zooms is None else correct[:, zooms], axis=1))


def per_zoom(correct: NDArray[np.bool_]) -> list[Share]:
    """The accuracy at each zoom, in the grid's order."""
    return [share(column) for column in correct.T]


def best_zoom(correct: NDArray[np.bool_]) -> int:
    """Index of the zoom that gets most images right; ties to the lowest."""
    return int(correct.sum(axis=0).argmax())


def random_baseline(zooms: int, classes: int) -> float:
    """The upper bound of guessing as the study states it: min(1, zooms / classes)."""
    return min(1.0, zooms / classes)
