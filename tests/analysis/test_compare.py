"""Paired tests against SciPy and statsmodels, and letters against a brute-force reading of what they promise."""

import itertools
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from snellen.analysis import compare
from snellen.analysis.compare import Mcnemar, groups, holm, mcnemar


def pair(both, only_a, only_b, neither):
    """Two models' right answers with these counts, in a mixed order."""
    rows = [(1, 1)] * both + [(1, 0)] * only_a + [(0, 1)] * only_b + [(0, 0)] * neither
    right = np.array(rows, bool).reshape(-1, 2)
    return right[np.random.default_rng(0).permutation(len(right))].T


SMALL = [(0, 0, 0, 0), (5, 0, 0, 5), (3, 1, 0, 2), (3, 0, 1, 2), (7, 5, 5, 1), (7, 6, 5, 0), (90, 12, 3, 10)]
LARGE = [(40_000, 1500, 1600, 6900), (40_000, 1400, 1700, 6900), (100, 0, 40, 0)]


@pytest.mark.parametrize("counts", [*SMALL, *LARGE])
def test_mcnemar_equals_statsmodels_and_scipy(counts):
    both, only_a, only_b, neither = counts
    found = mcnemar(*pair(*counts))
    assert (found.only_a, found.only_b) == (only_a, only_b)
    theirs = their_mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue if only_a + only_b else 1.0
    assert found.p == pytest.approx(theirs, rel=1e-9)
    assert found.p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0, rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_mcnemar_of_any_two_models(rows):
    a, b = np.array(rows, bool).reshape(-1, 2).T
    found = mcnemar(a, b)
    assert found.only_a == sum(x and not y for x, y in rows)
    assert found.only_b == sum(y and not x for x, y in rows)
    n = found.only_a + found.only_b
    assert found.p == pytest.approx(binomtest(found.only_a, n).pvalue if n else 1.0)
    assert mcnemar(b, a) == Mcnemar(found.only_b, found.only_a, found.p)


def test_other_images_cannot_be_paired():
    with pytest.raises(ValueError, match="same images"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="same images"):
        groups({"a": np.ones(3, bool), "b": np.ones(4, bool)})


@pytest.mark.parametrize("seed", range(8))
def test_holm_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    p_values = rng.random(1 + 5 * seed) ** 4
    p_values[rng.random(len(p_values)) < 0.3] = p_values[0]  # ties
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_step_by_step(p_values):
    assert holm(p_values) == pytest.approx(step_by_step(p_values))


def step_by_step(p_values):
    """The least is multiplied by how many there are, the next by one less, and none falls below the one before."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for left, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        least = max(least, min(1.0, p_values[place] * (len(p_values) - left)))
        adjusted[place] = least
    return adjusted


def significant(correct, level=0.05):
    """Pairs of names that a test tells apart, by SciPy and a plain Holm."""
    pairs = list(itertools.combinations(correct, 2))
    p = []
    for a, b in pairs:
        only_a = sum(bool(x and not y) for x, y in zip(correct[a], correct[b], strict=True))
        only_b = sum(bool(y and not x) for x, y in zip(correct[a], correct[b], strict=True))
        p.append(binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0)
    return {frozenset(names) for names, adjusted in zip(pairs, step_by_step(p), strict=True) if adjusted < level}


def check(correct, letters):
    assert list(letters) == sorted(correct, key=lambda name: -int(correct[name].sum()))  # a stable sort: ties stay
    apart = significant(correct)
    for a, b in itertools.combinations(correct, 2):
        assert bool(set(letters[a]) & set(letters[b])) == (frozenset((a, b)) not in apart)
    held = {letter: {name for name in letters if letter in letters[name]} for letter in set("".join(letters.values()))}
    for letter, names in held.items():
        # Nobody is missing from a set, and no letter says what another says already.
        for other in set(correct) - names:
            assert any(frozenset((other, name)) in apart for name in names)
        assert not any(names <= held[another] for another in held if another != letter)
    assert next(iter(letters.values())).startswith("a")


@pytest.mark.parametrize("seed", range(12))
def test_two_models_share_a_letter_exactly_where_no_test_tells_them_apart(seed):
    rng = np.random.default_rng(seed)
    hardness, models = rng.normal(size=400), int(rng.integers(2, 12))
    correct = {
        f"model-{k}": hardness + rng.normal(scale=rng.choice([0.2, 1.5]), size=400) < rng.normal(scale=0.4)
        for k in range(models)
    }
    check(correct, groups(correct))


@settings(max_examples=40)
@given(st.integers(1, 6).flatmap(lambda m: st.lists(st.integers(0, 2**m - 1), min_size=1, max_size=40)), st.data())
def test_letters_of_any_models(rows, data):
    models = data.draw(st.integers(1, 6))
    times = data.draw(st.integers(1, 5))
    right = np.array([[row >> k & 1 for k in range(models)] for row in rows * times], bool)
    correct = {f"m{k}": right[:, k] for k in range(models)}
    check(correct, groups(correct))


def test_a_model_alone_and_none_at_all():
    assert groups({"only": np.ones(3, bool)}) == {"only": "a"}
    assert groups({}) == {}


def test_more_sets_than_letters():
    """60 models, each beaten by the one before it: a letter for each, and beyond Z a number."""
    correct = {f"m{k:02}": np.arange(60 * 40) < 40 * (60 - k) for k in range(60)}
    letters = groups(correct)
    assert [letters[f"m{k:02}"] for k in (0, 25, 26, 51, 52, 59)] == ["a", "z", "A", "Z", "(53)", "(60)"]


def test_families_of_near_twins_end_in_letters_too():
    """Nine families of four, each member better than the next at 30 images and as good as any of another family.

    There are 4 ** 9 largest sets; fewer letters do, and two models still share one exactly where no test parts them.
    """
    rng = np.random.default_rng(0)
    base = [rng.random(4000) < 0.5 for _ in range(9)]
    correct = {}
    for family, right in enumerate(base):
        for member in range(4):
            less = right.copy()
            less[np.flatnonzero(right)[: 30 * member]] = False
            correct[f"{family}.{member}"] = less
    start = time.process_time()
    letters = groups(correct)
    assert time.process_time() - start < 5
    apart = significant(correct)
    assert {frozenset((f"0.{a}", f"0.{b}")) for a, b in itertools.combinations(range(4), 2)} <= apart
    for a, b in itertools.combinations(correct, 2):
        assert bool(parts(letters[a]) & parts(letters[b])) == (frozenset((a, b)) not in apart)


def test_two_thousand_models_that_are_alike_share_one_letter():
    """More than Python nests calls."""
    right = np.random.default_rng(0).random(50) < 0.5
    start = time.process_time()
    assert set(groups({f"m{k}": right for k in range(2000)}).values()) == {"a"}
    assert time.process_time() - start < 20


def test_two_thousand_random_models_end_in_letters_in_seconds():
    rng = np.random.default_rng(1)
    right = rng.random((2000, 300)) < rng.random((2000, 1))
    start = time.process_time()
    letters = groups({str(k): row for k, row in enumerate(right)})
    assert time.process_time() - start < 30
    held = [parts(letters[str(k)]) for k in range(2000)]
    number = {letter: place for place, letter in enumerate(sorted(set().union(*held)))}
    holds = np.zeros((2000, len(number)), np.float32)
    for k, letters_of_one in enumerate(held):
        holds[k, [number[letter] for letter in letters_of_one]] = 1
    i, j = np.triu_indices(2000, 1)
    only = right.astype(np.float32) @ (~right).T.astype(np.float32)
    p_values = np.minimum(1, 2 * binom.cdf(np.minimum(only, only.T)[i, j], (only + only.T)[i, j], 0.5))
    apart = multipletests(p_values, method="holm")[1] < 0.05
    assert 0.1 < apart.mean() < 0.9
    assert (((holds @ holds.T) > 0)[i, j] == ~apart).all()


def parts(letters):
    return set(re.findall(r"[a-zA-Z]|\(\d+\)", letters))


@given(st.integers(0, 2**15 - 1))
def test_enough_letters_for_every_pair(edges):
    """Any six models, by the 15 pairs that are alike."""
    alike = np.eye(6, dtype=bool)
    for k, (i, j) in enumerate(itertools.combinations(range(6), 2)):
        alike[i, j] = alike[j, i] = edges >> k & 1
    every = compare._cliques(alike)
    enough = compare._enough([sum(1 << j for j in range(6) if j != i and alike[i, j]) for i in range(6)])
    brute = [set(s) for n in range(1, 7) for s in itertools.combinations(range(6), n) if alike[np.ix_(s, s)].all()]
    largest = sorted(sorted(s) for s in brute if not any(s < other for other in brute))
    assert every == largest
    assert all(one in largest for one in enough)
    for i, j in itertools.combinations_with_replacement(range(6), 2):
        assert any(i in one and j in one for one in enough) == alike[i, j]


def test_counts_do_not_depend_on_the_chunks(monkeypatch):
    rng = np.random.default_rng(3)
    correct = {str(k): rng.random(1000) < 0.5 + k / 20 for k in range(5)}
    whole = groups(correct)
    monkeypatch.setattr(compare, "CHUNK", 7)
    assert groups(correct) == whole


def test_ninety_models_on_fifty_thousand_images_in_seconds():
    rng = np.random.default_rng(5)
    hardness = rng.normal(size=50_000)
    correct = {f"m{k}": hardness + rng.normal(scale=0.7, size=50_000) < rng.normal(1, 0.02) for k in range(90)}
    start = time.process_time()
    letters = groups(correct)
    assert time.process_time() - start < 5
    some = {name: correct[name] for name in list(letters)[::30]}
    ours = {n: {m for m in some if set(letters[m]) & set(letters[n])} for n in some}
    p = {(a, b): mcnemar(some[a], some[b]).p for a, b in itertools.combinations(some, 2)}
    # Told apart among all 4,005 pairs, which is harder than among these three.
    assert all(p[a, b] < 0.05 for a, b in p if b not in ours[a])
