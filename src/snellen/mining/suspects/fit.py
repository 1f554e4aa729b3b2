"""From features to a probability that a label is wrong: a logistic model, learned from labels that were swapped.

Some labels of the data are wrong, and nobody knows which; a swapped label surely is. So the data are a mixture: a share
of them, the rate, is like swapped labels, the others are like right ones. Both the rate and what tells the two apart
follow from how swapped labels differ from the data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

Rows = NDArray[np.float64]

FOLDS = 5
# How often weights and rate are found in turn; more rounds change neither.
ROUNDS = 4
# A rate is sought between these: with none at all every score would be 0, and where more labels are wrong than right,
# they are not to be doubted one by one.
LEAST, MOST = 1e-3, 0.5
# The rate that is supposed until there is a better one.
USUAL = 0.05


@dataclass(frozen=True, eq=False)
class Model:
    """What tells wrong labels from right ones: a logistic model for each fold of images, learned without that fold.

    weights: of the features and, last, the intercept: `[folds, features + 1]`. They give the log-odds of a wrong label
        where half of all labels are wrong.
    rate: the share of wrong labels that is supposed in the data.
    """

    weights: Rows
    rate: float

    def odds(self, features: Rows, fold: NDArray[np.intp]) -> Rows:
        """The log-odds of a wrong label if half were wrong, by the model that has not seen the fold: `[rows]`."""
        weights = self.weights[fold % len(self.weights)]
        return np.asarray((features * weights[:, :-1]).sum(axis=1) + weights[:, -1])

    def score(self, features: Rows, fold: NDArray[np.intp], rate: float | None = None) -> Rows:
        """The probability of a wrong label where a share `rate` of them is wrong, `self.rate` if None: `[rows]`."""
        return np.asarray(expit(self.odds(features, fold) + logit(self.rate if rate is None else rate)))


def learn(data: Rows, fold: NDArray[np.intp], swapped: Rows, start: Rows, pull: float) -> Model:
    """The model of some images.

    data: features of their labels, `[images, features]`; fold: of each image, 0 … FOLDS - 1.
    swapped: features of labels that were swapped, of each image equally many: `[images, draws, features]`.
    start: weights to begin with, and towards which they are pulled as by `pull` images: `[features + 1]`.

    Method: a classifier of positive and unlabelled examples: Elkan and Noto 2008, "Learning Classifiers from Only
    Positive and Unlabeled Data", section 2, with a logistic model of wrong against right labels inside it.
    """
    wrong_fold = np.repeat(fold, swapped.shape[1])
    wrong = swapped.reshape(-1, swapped.shape[2])
    weights = np.stack([_learned(data[fold != k], wrong[wrong_fold != k], start, pull) for k in range(FOLDS)])
    model = Model(weights, USUAL)
    return Model(weights, _rate(model.odds(data, fold), model.odds(wrong, wrong_fold)))


def _learned(data: Rows, wrong: Rows, start: Rows, pull: float) -> Rows:
    """The weights that separate data and swapped labels, `[features + 1]`."""
    weights, rate = start, USUAL
    for _ in range(ROUNDS):
        weights = _fitted(data, wrong, weights, rate, start, pull)
        rate = _rate(data @ weights[:-1], wrong @ weights[:-1])
    return weights


def _rate(data: Rows, wrong: Rows) -> float:
    """The rate by which as much of the data as of swapped labels is beyond the median odds of these.

    Few right labels are. The likelihood itself tells rates badly apart: with a lower one, swapped labels are only less
    surely wrong. Half an image is added, as Jeffreys' prior does, since where none is beyond, some may be wrong.
    """
    beyond = np.count_nonzero(data > np.median(wrong))
    return float(np.clip(2 * (beyond + 0.5) / (len(data) + 1), LEAST, MOST))


def _fitted(data: Rows, wrong: Rows, first: Rows, rate: float, start: Rows, pull: float) -> Rows:
    """The weights that make data and swapped labels, each half of all rows, most likely; `first`: where to begin.

    With the odds exp(s) that a label is wrong, the data's density over that of swapped labels is
    m = rate + (1 - rate) exp(-s); a row is a swapped label with the probability 1 / (1 + m).
    """
    x = np.concatenate([wrong, data])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    is_data = np.repeat([0.0, 1.0], [len(wrong), len(data)])
    counts = np.repeat([len(data) / len(wrong), 1.0], [len(wrong), len(data)])

    def loss(weights: Rows) -> tuple[float, Rows]:
        s, off = x @ weights, weights - start
        log_m = np.logaddexp(np.log(rate), np.log1p(-rate) - s)
        right = -np.expm1(np.log(rate) - log_m)  # the probability that a row of the data is right
        slope = -(counts * (expit(log_m) - is_data) * right) @ x + pull * off
        return float(counts @ (np.logaddexp(0, log_m) - is_data * log_m) + pull / 2 * off @ off), slope

    return np.asarray(minimize(loss, first, jac=True, method="L-BFGS-B").x)
