"""The bootstrap over images: one stream of resamples, shared by every statistic of the same images.

A resample draws as many images as there are, with replacement. A sum over it needs only how often each image was
drawn, so all statistics of all resamples are one product of matrices of whole numbers, exact in any order. Statistics
that are resampled together come from the same draws, which makes every difference between them a paired one.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snellen.analysis.bits import distinct

RESAMPLES = 2000
# float32 adds whole numbers exactly while they stay below this.
EXACT = 1 << 24
# Drawing a group of images costs as much as drawing this many images one by one.
GROUP_COST = 8
# Images drawn before they are multiplied; bounds the memory, and changes no number.
DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A number with the 95 % interval of a bootstrap over images; all nan where there are no images."""

    value: float
    low: float
    high: float
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """A plain form; None instead of nan."""
        return {key: None if value != value else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class EstimatedDifference(Estimate):
    """A difference with its interval, and its two-sided p-value: how well it fits no difference at all."""

    p: float


@dataclass(frozen=True, eq=False)
class Resampled:
    """The sums of some statistics over the images, and over each resample of them.

    A statistic is named by its column, or by weights `[statistics]` of a sum of several.

    images: how many there are; totals: int64 `[statistics]`; sums: int64 `[resamples, statistics]`.
    """

    images: int
    totals: NDArray[np.int64]
    sums: NDArray[np.int64]

    def estimate(self, statistic: ArrayLike) -> Estimate:
        """The mean of a statistic over the images."""
        value, draws = self._means(self._weights(statistic))
        return Estimate(value, *percentiles(draws), len(draws))

    def difference(self, a: ArrayLike, b: ArrayLike) -> EstimatedDifference:
        """The mean of statistic `a` less that of `b`, paired: both on the same images."""
        return _difference(*self._means(self._weights(a) - self._weights(b)))

    def difference_from(self, other: "Resampled", statistic: ArrayLike) -> EstimatedDifference:
        """The mean of a statistic here less that of the same one on the images of `other`.

        The two must be drawn independently: from different seeds.
        """
        here, draws = self._means(self._weights(statistic))
        there, others = other._means(other._weights(statistic))
        return _difference(here - there, draws - others)

    def _weights(self, statistic: ArrayLike) -> NDArray[np.float64]:
        weights = np.asarray(statistic)
        return (np.eye(len(self.totals))[int(weights)] if weights.ndim == 0 else weights).astype(np.float64)

    def _means(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        n = self.images or np.nan
        return float(self.totals @ weights / n), self.sums @ weights / n


def resample(values: NDArray[Any], resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """Sum the values of images over `resamples` draws of as many images, with replacement.

    Images with the same values are as good as each other. Where these are most, whole groups of them are drawn, which
    has the same distribution and takes milliseconds; else image by image, as `scipy.stats.bootstrap` does with
    `numpy.random.default_rng(seed)`. The same seed and values give the same numbers.

    values: bool or small whole numbers `[images, statistics]`.
    Method: Efron 1979.

    >>> right = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])  # two models on four images
    >>> drawn = resample(right)
    >>> drawn.estimate(0)
    Estimate(value=0.75, low=0.25, high=1.0, resamples=2000)
    >>> drawn.difference(0, 1).value
    0.5
    """
    images, statistics = values.shape
    totals = values.sum(axis=0, dtype=np.int64)
    sums = np.zeros((resamples, statistics), np.int64)
    if images == 0 or statistics == 0:
        return Resampled(images, totals, sums)
    rng = np.random.default_rng(seed)
    first, counts = distinct(values)
    together = len(first) * GROUP_COST <= images
    rows = values[first] if together else values
    largest = images * int(np.abs(values).max())
    factors = rows.astype(np.float32 if largest < EXACT else np.float64)
    at_once = max(1, DRAWS_AT_ONCE // len(rows))
    for start in range(0, resamples, at_once):
        many = min(at_once, resamples - start)
        if together:
            drawn = rng.multinomial(images, counts / images, many).astype(factors.dtype)
        else:
            drawn = np.empty((many, images), factors.dtype)
            for times in drawn:  # one resample after another, so that how many are held at once decides nothing
                times[:] = np.bincount(rng.integers(0, images, images), minlength=images)
        sums[start : start + many] = drawn @ factors
    return Resampled(images, totals, sums)


def percentiles(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic's resamples.

    The plain percentile interval, not BCa: means over thousands of images are unbiased and all but symmetric, and this
    one leaves out 0 where `two_sided` finds p < 0.05.
    """
    if np.isnan(draws).any() or not len(draws):
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def two_sided(draws: NDArray[np.float64]) -> float:
    """The two-sided p-value of a difference from its resamples: twice the smaller share of them on one side of 0.

    Resamples at 0 count for both sides, and one more is counted on each, so that p is never 0 (Davison and Hinkley
    1997, section 4.2). nan without images or resamples.
    """
    if np.isnan(draws).any() or not len(draws):
        return float("nan")
    fewer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(draws) + 1))


def _difference(value: float, draws: NDArray[np.float64]) -> EstimatedDifference:
    return EstimatedDifference(value, *percentiles(draws), len(draws), two_sided(draws))
