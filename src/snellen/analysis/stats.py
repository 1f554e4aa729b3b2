"""Intervals, as arrays: the same formulas as SciPy's, without a call for each zoom."""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def wilson(
    successes: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval of a binomial share, low and high, each the shape of `successes`; 0 … 1 where n is 0.

    Method: Wilson 1927 (no continuity correction), as `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")`.

    >>> [bound.round(4).item() for bound in wilson(263, 300)]
    [0.8346, 0.9092]
    """
    k, count = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (k + z * z / 2) / (count + z * z)
        half = z / (count + z * z) * np.sqrt(k * (count - k) / count + z * z / 4)
    empty = count == 0
    low, high = np.where(empty, 0.0, centre - half), np.where(empty, 1.0, centre + half)
    return np.where(k == 0, 0.0, low), np.where(k == count, 1.0, high)
