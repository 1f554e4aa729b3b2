"""How well the score finds labels that are known to be wrong, and whether it is what it says: a probability."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from snellen.analysis.accuracy import Share, share
from snellen.analysis.calibration import Calibration, calibration
from snellen.mining.suspects_fit import Model

# The share of labels that is swapped in a copy, and how many copies there are.
SWAPPED, COPIES = 0.05, 20


@dataclass(frozen=True)
class Check:
    """The score on copies of the data in which some labels are swapped, all copies together.

    Some labels were wrong before. In each copy it is drawn anew which: by the scores that they had then.

    images, swapped: of one copy. auroc: of wrong labels against right ones, the median over copies.
    precision: of the images with a score of `threshold` or more, the share whose label is wrong. recall: of those whose
        label was swapped, the share with such a score.
    calibration: scores against the share that is wrong, in bins.
    """

    copies: int
    images: int
    swapped: int
    auroc: float
    threshold: float
    precision: Share
    recall: Share
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        plain = {name: value for name, value in asdict(self).items() if not isinstance(value, dict)}
        parts = {name: getattr(self, name).to_json() for name in ("precision", "recall", "calibration")}
        return plain | parts


def check(
    model: Model,
    data: NDArray[np.float64],
    fold: NDArray[np.intp],
    swapped: NDArray[np.float64],
    threshold: float,
    rng: np.random.Generator,
) -> Check:
    """The score on copies: of each image, the features of its labels or of one of the label sets it was given instead.

    data: `[images, features]`, fold: `[images]`, swapped: `[images, draws, features]`, as `learn` takes them.
    """
    count = max(1, round(SWAPPED * len(data)))
    rate, before = 1 - (1 - model.rate) * (1 - count / len(data)), model.score(data, fold)
    scores, swaps, wrong, aurocs = [], [], [], []
    for _ in range(COPIES):
        chosen = np.zeros(len(data), bool)
        chosen[rng.permutation(len(data))[:count]] = True
        rows = data.copy()
        rows[chosen] = swapped[chosen, rng.integers(swapped.shape[1], size=count)]
        scores.append(model.score(rows, fold, rate))
        swaps.append(chosen)
        wrong.append(chosen | (rng.random(len(data)) < before))
        aurocs.append(auroc(scores[-1], wrong[-1]))
    score, planted, truth = map(np.concatenate, (scores, swaps, wrong))
    found = score >= threshold
    return Check(
        COPIES,
        len(data),
        count,
        float(np.median(aurocs)),
        threshold,
        share(truth[found]),
        share(found[planted]),
        calibration(score.astype(np.float32), truth),
    )


def auroc(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """The chance that a wrong label has a higher score than a right one, ties half; nan where either is lacking.

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    pairs = int(wrong.sum()) * int((~wrong).sum())
    ranks = float(rankdata(score)[wrong].sum())
    least = int(wrong.sum()) * (int(wrong.sum()) + 1) / 2
    return (ranks - least) / pairs if pairs else float("nan")
