"""Numbers of single images against counting with dictionaries, and against SciPy's entropy."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from snellen.analysis import images
from snellen.analysis.images import ImageStats, image_stats
from snellen.labels import ClassMap

CLASSES = 5


@st.composite
def answered(draw, least=0):
    """Answers and whether they are right: `[images, zooms]` each."""
    shape = draw(st.integers(least, 6)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from([np.int16, np.int32]))
    ids = draw(arrays(kind, shape, elements=st.integers(-1, CLASSES - 1)))
    labels = draw(st.lists(st.integers(0, CLASSES - 1), min_size=shape[0], max_size=shape[0]))
    return ids, ids == np.array(labels, kind).reshape(-1, 1)


def check(stats, ids, correct):
    for i, (row, right) in enumerate(zip(ids.tolist(), correct.tolist(), strict=True)):
        counts = Counter(row)
        assert stats.winning[i] == sum(right)
        assert stats.sensitivity[i] == pytest.approx(entropy(list(counts.values()), base=2), abs=1e-6)
        given_answers = {k: count for k, count in counts.items() if k >= 0}
        if given_answers:
            best = min(given_answers, key=lambda k: (-given_answers[k], k))
            assert (stats.consensus[i], stats.consensus_share[i]) == (best, np.float32(counts[best] / len(row)))
            assert stats.consensus_right[i] == right[row.index(best)]
        else:
            assert (stats.consensus[i], stats.consensus_share[i], stats.consensus_right[i]) == (-1, 0, False)
        assert ImageStats.fixing(correct, i) == [z for z, good in enumerate(right) if good]


@given(answered())
def test_equal_to_counting(case):
    stats = image_stats(*case)
    check(stats, *case)
    assert [len(getattr(stats, name)) for name in vars(stats)] == [len(case[0])] * 5


@given(answered(), st.randoms(use_true_random=False))
def test_the_order_of_images_and_zooms_means_nothing(case, random):
    ids, correct = case
    rows, zooms = list(range(len(ids))), list(range(ids.shape[1]))
    random.shuffle(rows)
    random.shuffle(zooms)
    before, after = image_stats(ids, correct), image_stats(ids[rows][:, zooms], correct[rows][:, zooms])
    for name, values in vars(before).items():
        np.testing.assert_allclose(getattr(after, name), values[rows], atol=1e-6)


@given(answered(least=1))
def test_bounds(case):
    ids, _ = case
    stats = image_stats(*case)
    different = np.array([len(set(row)) for row in ids.tolist()])
    assert (stats.sensitivity >= 0).all()
    assert (stats.sensitivity <= np.log2(different) + 1e-6).all()
    assert (stats.sensitivity[different == 1] == 0).all(), "exactly"
    assert (stats.winning[stats.consensus_right] >= 1).all()


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_images_are_taken_in_pieces(chunk, monkeypatch):
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 40, (11, 324)).astype(np.int16)
    correct = ids == rng.integers(0, 40, (11, 1))
    monkeypatch.setattr(images, "CHUNK", chunk)
    check(image_stats(ids, correct), ids, correct)


def test_ids_of_one_class_are_one_answer():
    """Classes 0 and 4 are one; id 3 takes no part, and stays what it is."""
    mapped = ClassMap("made-up", ((4, 0), (1,), (2,)), 5)
    ids = np.array([[0, 4, 1, 1, 4], [4, 4, 4, 1, 1], [3, 3, -1, 0, 4], [-1, -1, -1, 2, 1]])
    labels = np.array([4, 1, 0, 1])
    correct = (ids == labels[:, None]) | ((ids == 0) & (labels == 4)[:, None]) | ((ids == 4) & (labels == 0)[:, None])
    stats = image_stats(ids, correct, mapped)
    assert stats.consensus.tolist() == [0, 0, 0, 1]
    assert stats.consensus_share.round(3).tolist() == np.float32([0.6, 0.6, 0.4, 0.2]).round(3).tolist()
    assert stats.consensus_right.tolist() == [True, False, True, True]
    expected = [entropy(counts, base=2) for counts in ([3, 2], [3, 2], [2, 2, 1], [3, 1, 1])]
    np.testing.assert_allclose(stats.sensitivity, expected, atol=1e-6)
    plain = ClassMap("plain", ((0,), (1,), (2,), (3,), (4,)), 5)
    assert image_stats(ids, correct, plain).consensus.tolist() == image_stats(ids, correct).consensus.tolist()


def test_in_short():
    ids = np.array([[0, 0, 1, 1], [2, 2, 2, 2], [0, 1, 2, 3]])
    stats = json.loads(json.dumps(image_stats(ids, ids == 2).to_json(), allow_nan=False))
    assert stats["winning_zooms"] == {
        "mean": 5 / 3,
        "quantile_0.25": 0.5,
        "quantile_0.50": 1.0,
        "quantile_0.75": 2.5,
    }
    assert stats["sensitivity_bits"]["mean"] == pytest.approx(1.0)
    nothing = image_stats(np.zeros((0, 4), np.int16), np.zeros((0, 4), bool)).to_json()
    assert {value for part in nothing.values() for value in part.values()} == {None}
