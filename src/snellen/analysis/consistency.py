"""Two models on the same images: how their right answers differ, whether they err together, what neither can read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.bootstrap import RESAMPLES, percentiles, resample
from snellen.analysis.compare import Mcnemar, holm, mcnemar

LEVEL = 0.05


@dataclass(frozen=True)
class ShareDifference:
    """Two models' shares of right answers, measured in the same way on the same images.

    value: that of `a` minus that of `b`, with the 95 % interval of a paired bootstrap over images; nan without images.
    test: McNemar's test.
    p: its p-value, Holm-corrected for the number of differences in the table.
    """

    what: str
    a: Share
    b: Share
    value: float
    low: float
    high: float
    test: Mcnemar
    p: float

    @property
    def significant(self) -> bool:
        """Whether the test tells the two apart at 5 %."""
        return self.p < LEVEL

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""
        shares = {"a": self.a.to_json(), "b": self.b.to_json()}
        numbers = plain({"difference": self.value, "low": self.low, "high": self.high})
        return {**shares, **numbers, "mcnemar": asdict(self.test), "p_holm": self.p}


@dataclass(frozen=True)
class ErrorConsistency:
    """Whether two models are right and wrong on the same images, beyond what their accuracies make likely.

    kappa: Cohen's: 1 where they always agree, 0 where they agree as often as independent models would; nan where that
        is undefined, since both are right everywhere or wrong everywhere.
    low, high: the 95 % interval of a bootstrap over images.
    observed, expected: shares of images on which both are right or both wrong: as found, and by independence.
    """

    kappa: float
    low: float
    high: float
    observed: float
    expected: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""
        return plain(asdict(self))


@dataclass(frozen=True)
class HardOverlap:
    """Images that no zoom gets right, of two models.

    a, b, both: how many are hard for each and for both, of `n`.
    jaccard: `both` over those that are hard for any; nan where none is.
    expected: what `both` would be on average, were they independent; nan without images.
    p: of Fisher's exact test of independence, two-sided.
    """

    n: int
    a: int
    b: int
    both: int
    jaccard: float
    expected: float
    p: float

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""
        return plain(asdict(self))


def differences(
    measures: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]], resamples: int = RESAMPLES, seed: int = 0
) -> list[ShareDifference]:
    """How two models differ at each measure: whether each is right on each image, bool `[images]`, by measure.

    The p-values are corrected together. Swapping the two negates every difference.

    >>> a, b = np.arange(100) < 60, np.arange(100) < 50
    >>> [(d.what, round(d.value, 2), d.test.p < 0.01) for d in differences({"1-crop": (a, b)})]
    [('1-crop', 0.1, True)]
    """
    tests = [mcnemar(a, b) for a, b in measures.values()]
    apart = np.stack([np.subtract(a, b, dtype=np.int8) for a, b in measures.values()], axis=1)
    first = next((total for total in (*apart.sum(axis=0), *apart.flat[np.flatnonzero(apart)[:1]]) if total), 0)
    sign = -1 if first < 0 else 1  # either order, the same draws
    drawn = resample(sign * apart, resamples, seed)
    found = []
    for k, (what, p) in enumerate(zip(measures, holm([test.p for test in tests]), strict=True)):
        one, (a, b) = drawn.estimate(sign * np.eye(len(tests))[k]), measures[what]
        value, low, high = (number + 0.0 for number in (one.value, one.low, one.high))  # no -0
        found.append(ShareDifference(what, share(a), share(b), value, low, high, tests[k], float(p)))
    return found


def error_consistency(
    a: NDArray[np.bool_], b: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0
) -> ErrorConsistency:
    """Cohen's kappa of right and wrong; `a` and `b` are bool `[images]`.

    Method: Geirhos et al. 2020, "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by measuring
    error consistency", section 2; the number is that of `statsmodels.stats.inter_rater.cohens_kappa`. Of resamples in
    which it is undefined none counts.

    >>> error_consistency(np.array([1, 1, 1, 0], bool), np.array([1, 1, 0, 0], bool)).kappa
    0.5
    """
    if (a.sum(), a.tobytes()) < (b.sum(), b.tobytes()):  # either order, the same draws
        a, b = b, a
    drawn = resample(np.stack([a & b, a & ~b, b & ~a, ~a & ~b], axis=1), resamples, seed)
    observed, expected, kappa = _kappa(drawn.totals)
    draws = _kappa(drawn.sums)[2]
    low, high = percentiles(draws[~np.isnan(draws)]) if not np.isnan(kappa) else (float("nan"),) * 2
    return ErrorConsistency(float(kappa), low, high, float(observed), float(expected), len(a))


def hard_overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> HardOverlap:
    """Which images are hard for both; `a` and `b` say whether any zoom is right, bool `[images]`.

    Method: Fisher's exact test, as `scipy.stats.fisher_exact`.

    >>> overlap = hard_overlap(np.arange(20) < 15, np.arange(20) < 14)
    >>> overlap.both, overlap.expected, round(overlap.p, 4)
    (5, 1.5, 0.0004)
    """
    n, hard_a, hard_b, both = len(a), int((~a).sum()), int((~b).sum()), int((~a & ~b).sum())
    either = hard_a + hard_b - both
    return HardOverlap(
        n,
        hard_a,
        hard_b,
        both,
        both / either if either else float("nan"),
        hard_a * hard_b / n if n else float("nan"),
        _fisher(n, hard_a, hard_b, both),
    )


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record for JSON: what is undefined is None."""
    return {key: None if value != value else value for key, value in record.items()}


def _kappa(cells: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Observed and expected agreement, and kappa, of counts `[..., (both, only a, only b, neither)]`."""
    n = cells.sum(axis=-1)
    both, only_a, only_b, neither = np.moveaxis(cells, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        right_a, right_b = (both + only_a) / n, (both + only_b) / n
        observed, expected = (both + neither) / n, right_a * right_b + (1 - right_a) * (1 - right_b)
        return observed, expected, np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def _fisher(n: int, a: int, b: int, both: int) -> float:
    """The two-sided p-value: the chance of every overlap that is at most as likely as the one found."""
    from scipy.special import gammaln  # here, since the server of the page imports this module and tests nothing

    k = np.arange(max(0, a + b - n), min(a, b) + 1)
    log = -(gammaln(k + 1) + gammaln(a - k + 1) + gammaln(b - k + 1) + gammaln(n - a - b + k + 1))
    chance = np.exp(log - log.max())
    as_likely = chance <= chance[both - k[0]] * (1 + 1e-7)  # R's margin: equal chances may differ in their last digits
    return float(chance[as_likely].sum() / chance.sum())
