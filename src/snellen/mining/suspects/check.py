"""How well the score finds labels that are known to be wrong, since they were swapped, and whether it promises more."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.bootstrap import Estimate, percentiles
from snellen.mining.suspects.fit import Model

# The share of labels that is swapped in a copy, and how many copies there are.
SWAPPED, COPIES = 0.05, 20
# Resamples of the images: a quarter of `analysis.bootstrap.RESAMPLES`, since each ranks all of them in every copy.
DRAWN = 500

Numbers = NDArray[np.float64]
Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """How well swapped labels are told from the others, in several copies of the same images.

    Intervals are of a bootstrap over images: what is drawn is an image in all copies. They suppose that what the score
    has learned stays as it is.

    auroc: the chance that a swapped label has a higher score than another one, the mean over copies.
    precision: of what is found, in all copies, the share that was swapped. As labels that were wrong before count as
        right, it is a lower bound. recall: of what was swapped, the share that is found.
    """

    auroc: Estimate
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class Check:
    """The score on copies of the data in which some labels are swapped.

    images, swapped: of one copy.
    found: how well the swapped ones are found; for precision and recall with a score of `threshold` or more.
    promised: the mean score of what is found: the precision that the scores promise. Where `found.precision` is lower,
        so many labels were wrong before, or the scores are too high.
    """

    copies: int
    images: int
    swapped: int
    threshold: float
    found: Found
    promised: float

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""
        estimates = {name: getattr(self.found, name).to_json() for name in ("auroc", "precision", "recall")}
        plain = {name: None if value != value else value for name, value in asdict(self).items() if name != "found"}
        return plain | estimates


def check(
    model: Model,
    data: Numbers,
    fold: NDArray[np.intp],
    swapped: Numbers,
    threshold: float,
    rng: np.random.Generator,
) -> Check:
    """The score on copies: of each image, the features of its labels or of one of the label sets it was given instead.

    data: `[images, features]`, fold: `[images]`, swapped: `[images, draws, features]`, as `learn` takes them.
    """
    count = max(1, round(SWAPPED * len(data)))
    rate = 1 - (1 - model.rate) * (1 - count / len(data))
    scores, planted = [], []
    for _ in range(COPIES):
        chosen = np.zeros(len(data), bool)
        chosen[rng.permutation(len(data))[:count]] = True
        rows = data.copy()
        rows[chosen] = swapped[chosen, rng.integers(swapped.shape[1], size=count)]
        scores.append(model.score(rows, fold, rate))
        planted.append(chosen)
    score, wrong = np.stack(scores), np.stack(planted)
    marked = score >= threshold
    promised = float(score[marked].mean()) if marked.any() else float("nan")
    return Check(COPIES, len(data), count, threshold, how_found(score, wrong, marked, rng), promised)


def how_found(score: Numbers, swapped: Marks, found: Marks, rng: np.random.Generator) -> Found:
    """How well swapped labels are found: their scores, which they are and what counts as found, `[copies, images]`."""
    images = score.shape[1]
    drawn = rng.multinomial(images, np.full(images, 1 / images), DRAWN).astype(np.float64)
    once = np.ones((1, images))
    both = found & swapped
    draws = np.stack([aurocs(*copy, drawn) for copy in zip(score, swapped, strict=True)])
    whole = np.concatenate([aurocs(*copy, once) for copy in zip(score, swapped, strict=True)])
    return Found(
        Estimate(float(np.mean(whole)), *percentiles(np.nanmean(draws, axis=0)), DRAWN),
        _ratio(both.sum(axis=0), found.sum(axis=0), drawn),
        _ratio(both.sum(axis=0), swapped.sum(axis=0), drawn),
    )


def auroc(score: Numbers, wrong: Marks) -> float:
    """The chance that a wrong label has a higher score than a right one, ties half; nan where either is lacking.

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    return float(aurocs(score, wrong, np.ones((1, len(score))))[0])


def aurocs(score: Numbers, wrong: Marks, drawn: Numbers) -> Numbers:
    """The same where each image is there `drawn` times, `[resamples, images]`: `[resamples]`."""
    above = score[wrong][:, None] - score[~wrong]
    times, others = drawn[:, wrong], drawn[:, ~wrong]
    pairs = times.sum(axis=1) * others.sum(axis=1)
    won = (times * (others @ (0.5 + 0.5 * np.sign(above)).T)).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0))


def _ratio(hits: NDArray[np.int64], counts: NDArray[np.int64], drawn: Numbers) -> Estimate:
    """The ratio of two sums over images, `[images]` each; nan where the second is 0."""
    own, sums = float(counts.sum()), drawn @ counts
    draws = np.divide(drawn @ hits, sums, out=np.full(len(drawn), np.nan), where=sums > 0)
    return Estimate(float(hits.sum()) / own if own else float("nan"), *percentiles(draws), len(drawn))
