"""The control for luck against loops over permutations and over right answers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snellen.analysis import luck as module
from snellen.analysis.accuracy import upper_bound
from snellen.analysis.luck import LEVELS, luck

CLASSES = 6


@st.composite
def answered(draw, least=0):
    """Answers, their confidence (some unknown), whether they are right, the label sets, and the 1-crop zoom."""
    n, zooms = draw(st.integers(least, 6)), draw(st.integers(1, 8))
    ids = draw(arrays(np.int16, (n, zooms), elements=st.integers(-1, CLASSES - 1)))
    known = st.sampled_from([*map(np.float32, LEVELS), np.float32(0.33), np.float32(1.0), np.float32("nan")])
    confidence = draw(arrays(np.float32, (n, zooms), elements=known))
    one_set = st.sets(st.integers(0, CLASSES - 1), min_size=1, max_size=3).map(sorted)
    sets = draw(st.lists(one_set, min_size=n, max_size=n))
    correct = np.array([[k in accepted for k in row] for row, accepted in zip(ids.tolist(), sets, strict=True)], bool)
    return ids, confidence, correct.reshape(n, zooms), sets, draw(st.integers(0, zooms - 1))


def plain(ids, label_sets, zoom, permutations, seed):
    """1-crop and upper bound of each permutation, as counts."""
    rng = np.random.default_rng(seed)
    single, upper = [], []
    for _ in range(permutations):
        order = rng.permutation(len(ids))
        given_sets = [label_sets[k] for k in order]
        single.append(sum(int(row[zoom]) in row_set for row, row_set in zip(ids, given_sets, strict=True)))
        upper.append(sum(bool(set(row.tolist()) & set(s)) for row, s in zip(ids, given_sets, strict=True)))
    return single, upper


@given(answered(least=1), st.integers(0, 3))
def test_permuted_labels_equal_the_loop(case, seed):
    ids, confidence, correct, sets, zoom = case
    found = luck(ids, confidence, correct, sets, zoom, permutations=4, seed=seed)
    assert (found.permutations, found.images) == (4, len(ids))
    assert [one.what for one in found.permuted] == ["1-crop", "upper bound"]
    for one, hits in zip(found.permuted, plain(ids, sets, zoom, 4, seed), strict=True):
        expected = np.mean(hits) / len(ids), min(hits) / len(ids), max(hits) / len(ids)
        assert (one.mean, one.low, one.high) == pytest.approx(expected)


@given(answered(least=1), st.randoms(use_true_random=False))
def test_properties(case, random):
    ids, confidence, correct, sets, zoom = case
    found = luck(ids, confidence, correct, sets, zoom)
    single, upper = found.permuted
    assert 0 <= single.low <= single.mean <= single.high <= 1
    assert single.mean <= upper.mean
    assert single.high <= upper.high
    levels = [level for level, _ in found.confident]
    hits = [bound.hits for _, bound in found.confident]
    assert levels == list(LEVELS if np.isfinite(confidence).any() else LEVELS[:1])
    assert hits[0] == upper_bound(correct).hits
    assert sorted(hits, reverse=True) == hits, "fewer with every level"
    # The order of zooms means nothing.
    zooms = list(range(ids.shape[1]))
    random.shuffle(zooms)
    assert luck(ids[:, zooms], confidence[:, zooms], correct[:, zooms], sets, zooms.index(zoom)) == found


@given(answered())
def test_confident_answers_equal_the_loop(case):
    ids, confidence, correct, sets, zoom = case
    for level, bound in luck(ids, confidence, correct, sets, zoom).confident:
        hits = sum(
            any(good and (level == 0 or p >= np.float32(level)) for good, p in zip(row, of_row, strict=True))
            for row, of_row in zip(correct, confidence, strict=True)
        )
        assert (bound.hits, bound.n) == (hits, len(ids))


def test_the_mean_nears_that_of_all_pairs():
    """Every image meets every label set equally often."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 30, (40, 10)).astype(np.int16)
    sets = [sorted(set(rng.integers(0, 30, 2).tolist())) for _ in range(40)]
    found = luck(ids, np.ones((40, 10), np.float32), np.ones((40, 10), bool), sets, 3, permutations=3000)
    exact = np.mean([bool(set(row.tolist()) & set(accepted)) for row in ids for accepted in sets])
    assert found.permuted[1].mean == pytest.approx(exact, abs=0.005)


def test_a_model_that_reads_nothing_has_nothing_but_luck():
    """Labels that have nothing to do with the answers: the upper bound is what permuted labels give."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 100, (3000, 20)).astype(np.int16)
    sets = [[int(k)] for k in rng.integers(0, 100, 3000)]
    correct = ids == np.array(sets)
    found = luck(ids, np.ones(ids.shape, np.float32), correct, sets, 0)
    upper = found.permuted[1]
    assert upper.low - 0.01 <= upper_bound(correct).value <= upper.high + 0.01
    assert upper.mean == pytest.approx(1 - 0.99**20, abs=0.01)


@pytest.mark.parametrize("chunk", [1, 4])
def test_images_are_taken_in_pieces(chunk, monkeypatch):
    rng = np.random.default_rng(2)
    ids = rng.integers(-1, 9, (11, 5)).astype(np.int16)
    confidence = rng.random((11, 5), np.float32)
    sets = [[int(k)] for k in rng.integers(0, 9, 11)]
    whole = luck(ids, confidence, ids == np.array(sets), sets, 2)
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert luck(ids, confidence, ids == np.array(sets), sets, 2) == whole


def test_no_images_and_no_confidence():
    empty = np.zeros((0, 4))
    found = luck(empty.astype(np.int16), empty.astype(np.float32), empty.astype(bool), [], 0)
    assert all(math.isnan(one.mean) for one in found.permuted)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["permuted"][1] == {"what": "upper bound", "mean": None, "low": None, "high": None}
    assert record["confident"]["0"]["n"] == 0
    ids = np.array([[-1], [1]], np.int16)
    found = luck(ids, np.full((2, 1), np.nan, np.float32), ids == 1, [[0], [1]], 0)
    assert [(level, bound.hits) for level, bound in found.confident] == [(0.0, 1)]
