"""Whether reviewers agree, beyond what chance makes likely; all over verdicts made without sight of another's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.bootstrap import RESAMPLES, percentiles, resample
from snellen.analysis.consistency import plain

NONE = -1
# What sums of weights may be off.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Agreement:
    """A coefficient of agreement: 1 where all verdicts agree, 0 where as many do as by chance.

    value: nan where it is undefined, since everybody always said the same word, or no image has two verdicts.
    low, high: the 95 % interval of a bootstrap over images.
    n: images that two reviewers judged, or more. observed: the share of agreeing pairs of verdicts on them.
    """

    value: float
    low: float
    high: float
    n: int
    observed: float

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""
        return plain(asdict(self))


@dataclass(frozen=True)
class PairAgreement:
    """Two reviewers: Cohen's kappa of their words, and on how many images that both relabel the labels are the same."""

    a: str
    b: str
    kappa: Agreement
    relabels: Share

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {"a": self.a, "b": self.b, "kappa": self.kappa.to_json(), "same_labels": self.relabels.to_json()}


@dataclass(frozen=True)
class Agreements:
    """Every pair of reviewers that have an image in common, and all reviewers together: Krippendorff's alpha."""

    pairs: tuple[PairAgreement, ...]
    alpha: Agreement

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {"pairs": [pair.to_json() for pair in self.pairs], "alpha": self.alpha.to_json()}


Decision = tuple[str, tuple[str, ...]]


def agreements(
    ratings: Mapping[str, Mapping[str, Decision]], words: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Agreements:
    """How reviewers agree; `ratings`: by reviewer and image, the word and the labels that they gave."""
    reviewers = sorted(ratings)
    images = sorted({image for given in ratings.values() for image in given})
    place, code = {image: k for k, image in enumerate(images)}, {word: k for k, word in enumerate(words)}
    table = np.full((len(images), len(reviewers)), NONE, np.int8)
    for column, reviewer in enumerate(reviewers):
        for image, (word, _) in ratings[reviewer].items():
            table[place[image], column] = code[word]
    pairs = []
    for i, a in enumerate(reviewers):
        for j, b in enumerate(reviewers[i + 1 :], i + 1):
            common = (table[:, i] != NONE) & (table[:, j] != NONE)
            if common.any():
                kappa = cohen_kappa(table[common, i], table[common, j], len(words), resamples, seed)
                pairs.append(PairAgreement(a, b, kappa, _same_labels(ratings[a], ratings[b])))
    return Agreements(tuple(pairs), krippendorff_alpha(table, len(words), resamples, seed))


def cohen_kappa(
    a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]], words: int, resamples: int = RESAMPLES, seed: int = 0
) -> Agreement:
    """Cohen's kappa of two reviewers; `a` and `b` are their words on the same images, 0 … words - 1: int `[images]`.

    Method: Cohen 1960, as `statsmodels.stats.inter_rater.cohens_kappa`. Resamples in which it is undefined do not
    count.

    >>> cohen_kappa(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2).value
    0.5
    """
    cells = (a * words + b)[:, None] == np.arange(words * words)
    drawn = resample(cells, resamples, seed)

    def kappa(totals: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        table = totals.reshape(*totals.shape[:-1], words, words)
        observed = np.trace(table, axis1=-2, axis2=-1)
        expected = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1)
        n = len(a)
        return _beyond(observed * n, expected, n * n), observed / max(1, n)

    return _agreement(len(a), kappa(drawn.totals), kappa(drawn.sums)[0])


def krippendorff_alpha(
    ratings: NDArray[np.integer[Any]], words: int, resamples: int = RESAMPLES, seed: int = 0
) -> Agreement:
    """Krippendorff's alpha for names: int `[images, reviewers]`, 0 … words - 1, or -1 where one gave no verdict.

    Images with fewer than two verdicts do not count. Where every reviewer judged every image it is Fleiss' kappa but
    for a correction for few verdicts.
    Method: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", sections C and D.

    >>> round(krippendorff_alpha(np.array([[0, 0], [0, 0], [0, 1], [1, 1]]), 2).value, 4)
    0.5333
    """
    counts = np.stack([(ratings == word).sum(axis=1) for word in range(words)], axis=1).astype(np.int64)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        nan = float("nan")
        return Agreement(nan, nan, nan, 0, nan)
    given = counts.sum(axis=1)
    # Pairs of verdicts on each image. They weigh 1 / (verdicts - 1); to sum whole numbers, those of images with
    # equally many verdicts are kept apart until then.
    pairs = (counts[:, :, None] * (counts[:, None, :] - np.eye(words, dtype=np.int64))).reshape(len(counts), words**2)
    many = np.unique(given)
    apart = [pairs * (given == m)[:, None] for m in many]
    drawn = resample(np.concatenate(apart, axis=1), resamples, seed)

    def alpha(totals: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        split = totals.reshape(*totals.shape[:-1], -1, words, words)
        table = (split / (many - 1)[:, None, None]).sum(axis=-3)
        n, of_word = table.sum(axis=(-2, -1)), table.sum(axis=-1)
        observed = np.trace(table, axis1=-2, axis2=-1)
        expected = (of_word * (of_word - 1)).sum(axis=-1)
        return _beyond(observed * (n - 1), expected, n * (n - 1)), observed / n

    return _agreement(len(counts), alpha(drawn.totals), alpha(drawn.sums)[0])


def _beyond(observed: NDArray[Any], expected: NDArray[Any], most: NDArray[Any] | int) -> NDArray[np.float64]:
    """The share of what chance leaves open that is agreement; nan where it leaves nothing open.

    observed, expected, most: how many agree, would by chance, and could.
    """
    left = most - expected
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > ROUNDING * most, (observed - expected) / left, np.nan)


def _agreement(n: int, found: tuple[NDArray[np.float64], NDArray[np.float64]], draws: NDArray[np.float64]) -> Agreement:
    value, observed = map(float, found)
    low, high = percentiles(draws[~np.isnan(draws)]) if value == value else (float("nan"),) * 2
    return Agreement(value, low, high, n, observed if n else float("nan"))


def _same_labels(a: Mapping[str, Decision], b: Mapping[str, Decision]) -> Share:
    both = [(a[image], b[image]) for image in a if image in b and a[image][1] and b[image][1]]
    return share(np.array([one == other for one, other in both], bool))
