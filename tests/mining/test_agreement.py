"""Coefficients of agreement against statsmodels, brute force and published examples."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

from snellen.mining.agreement import NONE, agreements, cohen_kappa, krippendorff_alpha
from snellen.mining.log import WORDS

K = len(WORDS)


def same_number(found, expected):
    return np.testing.assert_allclose(found, expected, atol=1e-12)


def alpha_by_definition(ratings):
    """1 - observed / expected disagreement, over pairs of verdicts one by one."""
    units = [[r for r in row if r != NONE] for row in ratings.tolist()]
    units = [unit for unit in units if len(unit) > 1]
    everything = Counter(r for unit in units for r in unit)
    n = everything.total()
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / max(1, n)
    expected = sum(everything[a] * everything[b] for a in everything for b in everything if a != b) / max(
        1, n * (n - 1)
    )
    return 1 - observed / expected if expected else float("nan")


ratings = st.integers(1, 12).flatmap(
    lambda n: st.integers(2, 5).flatmap(lambda m: arrays(np.int8, (n, m), elements=st.integers(-1, K - 1)))
)


@given(ratings)
def test_alpha_by_definition(table):
    same_number(krippendorff_alpha(table, K, resamples=3).value, alpha_by_definition(table))


@given(ratings)
def test_kappa_as_statsmodels(table):
    a, b = np.abs(table[:, 0]), np.abs(table[:, 1])
    counts = np.zeros((K, K))
    np.add.at(counts, (a, b), 1)
    with np.errstate(all="ignore"):
        expected = cohens_kappa(counts, return_results=False)
    same_number(cohen_kappa(a, b, K, resamples=3).value, expected)


@pytest.mark.parametrize("reviewers", [2, 3, 6])
def test_alpha_is_fleiss_kappa_but_for_few_verdicts(reviewers):
    rng = np.random.default_rng(reviewers)
    truth = rng.integers(0, K, 40)
    table = np.where(rng.random((40, reviewers)) < 0.3, rng.integers(0, K, (40, reviewers)), truth[:, None])
    kappa = fleiss_kappa(aggregate_raters(table, K)[0])
    n = table.size
    same_number(1 - krippendorff_alpha(table, K).value, (1 - kappa) * (n - 1) / n)


def test_krippendorffs_own_example():
    """Krippendorff 2011, section C: four observers, twelve units, missing data; the alpha for names is 0.743."""
    lines = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    table = np.array([[NONE if word == "." else int(word) - 1 for word in line.split()] for line in lines]).T
    found = krippendorff_alpha(table, 5)
    assert round(found.value, 3) == 0.743
    assert found.n == 11  # the last has one verdict
    assert found.low < found.value < found.high


def test_intervals_are_those_of_many_images():
    """The bootstrap's interval against the asymptotic one of statsmodels; and how often it holds the truth."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 2000)
    a, b = (np.where(rng.random(2000) < 0.2, rng.integers(0, 3, 2000), truth) for _ in range(2))
    counts = np.zeros((3, 3))
    np.add.at(counts, (a, b), 1)
    found, expected = cohen_kappa(a, b, 3), cohens_kappa(counts)
    assert found.low == pytest.approx(expected.kappa_low, abs=0.003)
    assert found.high == pytest.approx(expected.kappa_upp, abs=0.003)
    alpha = krippendorff_alpha(np.stack([a, b], axis=1), 3)
    assert alpha.low == pytest.approx(found.low, abs=0.005)
    # Two who agree on 4 of 5 images by more than chance: kappa 0.64 where all words are as frequent.
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, 150)
        a, b = (np.where(rng.random(150) < 0.2, rng.integers(0, 3, 150), truth) for _ in range(2))
        one = cohen_kappa(a, b, 3, resamples=500)
        held += one.low <= 0.64 <= one.high
    assert held >= 88  # 95 expected, 3 standard deviations of the count are 6.5


def test_where_nothing_can_be_said():
    same = np.zeros(5, np.int8)
    found = cohen_kappa(same, same, K)
    assert np.isnan([found.value, found.low, found.high]).all()
    assert (found.n, found.observed) == (5, 1.0)
    assert np.isnan(krippendorff_alpha(np.stack([same, same], axis=1), K).value)
    alone = krippendorff_alpha(np.array([[0, NONE], [NONE, 1]]), K)
    assert alone.n == 0
    assert alone.to_json() == {"value": None, "low": None, "high": None, "n": 0, "observed": None}


def test_pairs_are_over_common_images():
    keep, drop = ("keep", ()), ("drop", ())
    ratings = {
        "bob": {"1": keep, "2": drop, "3": ("relabel", ("a", "b"))},
        "ada": {"1": keep, "2": keep, "3": ("relabel", ("a", "b")), "4": drop},
        "cy": {"4": drop, "5": keep},
    }
    found = agreements(ratings, WORDS)
    assert [(pair.a, pair.b, pair.kappa.n) for pair in found.pairs] == [("ada", "bob", 3), ("ada", "cy", 1)]
    first = found.pairs[0]
    assert first.kappa.observed == pytest.approx(2 / 3)
    assert (first.relabels.hits, first.relabels.n) == (1, 1)
    assert found.alpha.n == 4
    other = agreements({**ratings, "bob": {"3": ("relabel", ("a",))}}, WORDS)
    assert (other.pairs[0].relabels.hits, other.pairs[0].relabels.n) == (0, 1)
