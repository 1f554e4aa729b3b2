"""Statistics of two models on the same images, against SciPy, statsmodels and a bootstrap that draws the images."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, fisher_exact
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from snellen.analysis.compare import holm
from snellen.analysis.consistency import differences, error_consistency, hard_overlap

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
FEW = 50


def arrays(rows):
    return np.array(rows, bool).reshape(-1, 2).T


def counts(a, b):
    return [[int((a & b).sum()), int((a & ~b).sum())], [int((b & ~a).sum()), int((~a & ~b).sum())]]


def their_kappa(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its standard error is 0 / 0 where nothing varies
        return cohens_kappa(table).kappa


def drawn(seed, n, p_a=0.7, p_b=0.6):
    rng = np.random.default_rng(seed)
    ease = rng.random(n)
    return ease + rng.normal(0, 0.3, n) < p_a, ease + rng.normal(0, 0.3, n) < p_b


@pytest.mark.parametrize(("seed", "n"), [(0, 5), (1, 40), (2, 300), (3, 5000), (4, 50_000)])
def test_numbers_equal_statsmodels_and_scipy(seed, n):
    a, b = drawn(seed, n)
    table = counts(a, b)
    theirs = their_kappa(table)
    found = error_consistency(a, b, 10)
    assert found.kappa == pytest.approx(theirs, abs=1e-9)
    assert found.observed == pytest.approx((a == b).mean(), abs=1e-12)
    assert found.expected == pytest.approx(a.mean() * b.mean() + (~a).mean() * (~b).mean(), abs=1e-12)
    overlap = hard_overlap(a, b)
    assert overlap.p == pytest.approx(fisher_exact(table).pvalue, abs=1e-9)
    assert (overlap.n, overlap.a, overlap.b, overlap.both) == (n, (~a).sum(), (~b).sum(), (~a & ~b).sum())
    assert overlap.jaccard == pytest.approx((~a & ~b).sum() / (~a | ~b).sum())
    assert overlap.expected == pytest.approx((~a).sum() * (~b).sum() / n)


@given(PAIRS)
def test_any_two_models(rows):
    a, b = arrays(rows)
    table = counts(a, b)
    found = error_consistency(a, b, FEW)
    if (a.all() and b.all()) or not (a.any() or b.any()):
        assert np.isnan([found.kappa, found.low, found.high]).all()
    else:
        assert found.kappa == pytest.approx(their_kappa(table), abs=1e-9)
        assert -1 <= found.low <= found.high <= 1
        assert error_consistency(b, a, FEW) == found
    overlap, swapped = hard_overlap(a, b), hard_overlap(b, a)
    assert overlap.p == pytest.approx(fisher_exact(table).pvalue, abs=1e-9)
    assert (overlap.a, overlap.b, overlap.both) == (swapped.b, swapped.a, swapped.both)
    assert overlap.p == pytest.approx(swapped.p, abs=1e-12)


@given(st.lists(st.tuples(*[st.booleans()] * 6), max_size=40))
def test_swapping_two_models_negates_every_difference(rows):
    columns = np.array(rows, bool).reshape(-1, 6).T
    measures = {f"m{k}": (columns[2 * k], columns[2 * k + 1]) for k in range(3)}
    there = differences(measures, FEW)
    back = differences({what: (b, a) for what, (a, b) in measures.items()}, FEW)
    p = []
    for one, other, (what, (a, b)) in zip(there, back, measures.items(), strict=True):
        assert (one.what, one.a, one.b) == (what, other.b, other.a) or not rows
        assert (one.test.only_a, one.test.only_b, one.p) == (other.test.only_b, other.test.only_a, other.p)
        p.append(their_mcnemar(counts(a, b), exact=True).pvalue if (a != b).any() else 1.0)
        if not rows:
            assert np.isnan([one.value, one.low, one.high]).all()
            continue
        assert one.value == -other.value == pytest.approx(a.mean() - b.mean())
        assert one.low <= one.value <= one.high or len(rows) < 10
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)
    assert [one.p for one in there] == pytest.approx(holm(p), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_model_against_itself(row):
    a = np.array(row, bool)
    (found,) = differences({"x": (a, a)}, FEW)
    assert (found.value, found.low, found.high, found.p, found.significant) == (0, 0, 0, 1, False)
    kappa = error_consistency(a, a, FEW)
    assert np.isnan(kappa.kappa) if len(set(row)) == 1 else kappa.kappa == kappa.low == kappa.high == 1
    overlap = hard_overlap(a, a)
    assert overlap.both == overlap.a == overlap.b
    assert np.isnan(overlap.jaccard) if all(row) else overlap.jaccard == 1


def test_intervals_are_those_of_a_bootstrap_that_draws_the_images():
    a, b = drawn(7, 400)
    rng = np.random.default_rng(0)

    def theirs(statistic):
        return bootstrap(
            (a, b), statistic, paired=True, vectorized=False, n_resamples=4000, method="percentile", rng=rng
        ).confidence_interval

    (difference,) = differences({"x": (a, b)}, 20_000)
    kappa = error_consistency(a, b, 20_000)
    for found, statistic in (
        (difference, lambda x, y: x.mean() - y.mean()),
        (kappa, lambda x, y: error_consistency(x, y, 1).kappa),
    ):
        interval = theirs(statistic)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.006)


def test_the_same_seed_gives_the_same_interval_and_another_gives_another():
    a, b = drawn(3, 2000)
    first, again, other = (error_consistency(a, b, 200, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first.kappa == other.kappa


def test_json_says_none_where_a_number_is_undefined():
    nothing = np.zeros(0, bool)
    (difference,) = differences({"x": (nothing, nothing)}, 10)
    assert difference.to_json()["difference"] is difference.to_json()["a"]["value"] is None
    assert error_consistency(nothing, nothing, 10).to_json()["kappa"] is None
    overlap = hard_overlap(nothing, nothing).to_json()
    assert [overlap[name] for name in ("n", "both", "jaccard", "expected", "p")] == [0, 0, None, None, 1]
