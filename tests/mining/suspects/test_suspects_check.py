"""The numbers that are told of the score: against what is known of made-up labels, and over images, not over copies."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from snellen.mining.suspects.check import DRAWN, auroc, aurocs, check, how_found
from snellen.mining.suspects.fit import FOLDS, Model

# Of two Gaussians with means (-2, -1) and (1, 1) and unit variance: the log-odds of the first.
TRUE = np.array([-3.0, -2.0, -1.5])
APART = np.sqrt(13)


def rows(images, rng, *, wrong):
    return np.where(np.reshape(wrong, (-1, 1)), [-2.0, -1.0], [1.0, 1.0]) + rng.normal(size=(images, 2))


def checked(model, images=4000, seed=4):
    """The check of a model on labels of which none is wrong."""
    rng = np.random.default_rng(seed)
    data = rows(images, rng, wrong=np.zeros(images, bool))
    swapped = rows(5 * images, rng, wrong=np.ones(5 * images, bool)).reshape(images, 5, 2)
    return check(model, data, np.arange(images) % FOLDS, swapped, 0.5, rng)


def expected(weights, rate):
    """Precision, recall and what is promised with a score of 0.5 or more where 5 % are wrong, by sampling."""
    rng = np.random.default_rng(0)
    scores = [Model(weights[None], rate).score(rows(400_000, rng, wrong=k), np.zeros(400_000, int)) for k in (1, 0)]
    found = [score >= 0.5 for score in scores]
    parts = [share * one.mean() for share, one in zip((0.05, 0.95), found, strict=True)]
    means = [score[one].mean() for score, one in zip(scores, found, strict=True)]
    return parts[0] / sum(parts), found[0].mean(), np.average(means, weights=parts)


def test_a_true_model_keeps_what_it_promises():
    done = checked(Model(TRUE[None], 1e-3))
    assert (done.images, done.swapped, done.copies) == (4000, 200, 20)
    assert done.found.auroc.value == pytest.approx(norm.cdf(APART / np.sqrt(2)), abs=0.002)
    precision, recall, _ = expected(TRUE, 0.05)
    assert done.found.precision.value == pytest.approx(precision, abs=0.03)
    assert done.found.recall.value == pytest.approx(recall, abs=0.02)
    assert done.found.precision.low < done.promised < done.found.precision.high


@pytest.mark.parametrize(
    ("weights", "rate"),
    [(TRUE, 0.14), (3 * TRUE, 1e-3), (np.array([-3.0, -2.0, 1.0]), 1e-3)],
    ids=["claims that many were wrong before", "too sure", "too suspicious"],
)
def test_a_model_that_promises_too_much_is_exposed(weights, rate):
    """Nothing is drawn by its own scores: what it finds beside the swapped labels, of which none is wrong, counts."""
    done = checked(Model(weights[None], rate))
    # What is swapped comes on top of what the model supposes.
    precision, recall, promised = expected(weights, 1 - (1 - rate) * 0.95)
    assert done.found.precision.value == pytest.approx(precision, abs=0.07)
    assert done.found.recall.value == pytest.approx(recall, abs=0.02)
    assert done.promised == pytest.approx(promised, abs=0.05)
    assert done.found.precision.high < done.promised - 0.05


def world_of(images, rng):
    """Twenty copies of the same images: scores, which were swapped, and what is found with a score above 0."""
    right, wrong = rng.normal(-1.5, 1, images), rng.normal(1.5, 1, images)
    swapped = rng.random((20, images)).argsort(axis=1) < images // 20
    score = np.where(swapped, wrong, right)
    return score, swapped, score > 0


def test_intervals_are_as_wide_as_numbers_differ_between_other_images():
    """Twenty copies of 200 images are not 4,000 images."""
    worlds = [how_found(*world_of(200, rng), rng) for rng in map(np.random.default_rng, range(20))]
    for name in ("auroc", "precision", "recall"):
        told = [getattr(one, name) for one in worlds]
        truly = np.std([one.value for one in told])
        assert np.mean([one.high - one.low for one in told]) / (2 * 1.96) == pytest.approx(truly, rel=0.45)
        assert {one.resamples for one in told} == {DRAWN}


def test_where_nothing_is_found_there_is_no_precision():
    score, swapped, found = world_of(40, np.random.default_rng(0))
    done = how_found(score, swapped, np.zeros_like(found), np.random.default_rng(0))
    assert done.precision.to_json() == {"value": None, "low": None, "high": None, "resamples": DRAWN}
    assert (done.recall.value, done.recall.high) == (0, 0)


def test_auroc_is_sklearns():
    rng = np.random.default_rng(5)
    score, wrong = rng.integers(0, 20, 300) / 20, rng.random(300) < 0.3
    assert auroc(score, wrong) == pytest.approx(roc_auc_score(wrong, score))
    assert np.isnan(auroc(score, np.zeros(300, bool)))
    drawn = rng.integers(0, 3, (4, 300))
    for value, times in zip(aurocs(score, wrong, drawn.astype(float)), drawn, strict=True):
        assert value == pytest.approx(roc_auc_score(wrong.repeat(times), score.repeat(times)))
