"""From logits to rows, against torch, sorting and loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax as exact_log_softmax
from scipy.special import softmax as exact_softmax

from snellen.engine.answers import (
    MERGES,
    log_softmax,
    logprobs_table,
    masked,
    merged_table,
    prediction_table,
    softmax,
    top,
)
from snellen.labels import ClassMap
from snellen.store.logprobs import log_of_code
from snellen.store.schema import LOGPROBS, MERGED, PREDICTIONS
from snellen.zoom import PAPER_GRID

# Few distinct values, so that ties are the rule.
tied = st.tuples(st.integers(0, 5), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-1.5, 0.0, 2.0, 7.0]))
)


def logits_of(zooms, classes, seed=0, spread=4.0):
    return np.random.default_rng(seed).normal(0, spread, (zooms, classes)).astype(np.float32)


def sorted_top(row, k=5):
    """Ids by falling score, then by number; -1 where there are no more."""
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
    return order + [-1] * (k - len(order))


@pytest.mark.parametrize("spread", [1.0, 50.0, 5000.0])
def test_softmax(spread):
    logits = logits_of(40, 1000, spread=spread)
    probs = softmax(logits)
    assert (probs.dtype, probs.shape) == (np.float32, logits.shape)
    np.testing.assert_allclose(probs, exact_softmax(logits.astype(np.float64), axis=1), rtol=2e-5, atol=1e-38)
    np.testing.assert_allclose(probs, torch.from_numpy(logits).softmax(1).numpy(), rtol=2e-5, atol=1e-38)
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_log_softmax(spread):
    logits = masked(logits_of(40, 12, spread=spread), MAP)
    logs = log_softmax(logits)
    assert logs.dtype == np.float32
    np.testing.assert_allclose(logs, exact_log_softmax(logits.astype(np.float64), axis=1), rtol=1e-5, atol=2e-5)
    assert (np.isneginf(logs) == (MAP.of_id < 0)).all()


def test_softmax_of_large_and_equal_logits():
    assert np.array_equal(softmax(np.full((1, 4), 3e38, np.float32)), [[0.25] * 4])
    assert np.array_equal(softmax(np.array([[-3e38, 0, -1e4]], np.float32)), [[0, 1, 0]])


@pytest.mark.parametrize("classes", [5, 6, 17, 1000])
def test_top_is_torchs(classes):
    logits = logits_of(200, classes)
    assert np.array_equal(top(logits), torch.from_numpy(logits).topk(5, dim=1).indices.numpy())
    assert top(logits).dtype == np.int32


@given(tied, st.integers(1, 7))
def test_ties_go_to_the_lowest_id(scores, k):
    assert top(scores, k).tolist() == [sorted_top(row, k) for row in scores.tolist()]


@pytest.mark.parametrize("classes", [6, 100, 1000])
def test_ties_wider_than_the_answer(classes):
    """A sure model's other probabilities are all 0 in float32: the next four are then the lowest ids."""
    scores = np.zeros((3, classes), np.float32)
    scores[1, classes - 1] = 1
    scores[2, [classes // 2, 1]] = 1
    expected = [[0, 1, 2, 3, 4], [classes - 1, 0, 1, 2, 3], sorted({1, classes // 2}) + [0, 2, 3, 4][:3]]
    if classes == 6:
        expected[2] = [1, 3, 0, 2, 4]
    assert top(scores).tolist() == expected


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_fewer_classes_than_answers(classes):
    logits = logits_of(9, classes)
    table = prediction_table([0], logits[None], softmax(logits)[None], None)
    for row, scores in zip(table.to_pylist(), logits.tolist(), strict=True):
        assert [row[f"id{k}"] for k in range(5)] == sorted_top(scores)
        assert [row[f"p{k}"] is None for k in range(5)] == [k >= classes for k in range(5)]
    merged = merged_table(0, softmax(logits), {}, None)
    assert [merged[f"id{k}"].to_pylist() for k in range(classes, 5)] == [[-1, -1]] * (5 - classes)
    assert [merged[f"p{k}"].null_count for k in range(5)] == [0] * classes + [2] * (5 - classes)


def test_predictions():
    logits = logits_of(324, 50)
    probs = softmax(logits)
    table = prediction_table([17], logits[None], probs[None], None)
    assert table.schema.equals(PREDICTIONS)
    rows = table.to_pylist()
    assert len(rows) == 324
    for zoom, row in enumerate(rows):
        ids = sorted_top(logits[zoom].tolist())
        assert (row["image"], row["zoom"]) == (17, zoom)
        assert [row[f"id{k}"] for k in range(5)] == ids
        assert [row[f"p{k}"] for k in range(5)] == [float(probs[zoom, i]) for i in ids]
        assert (row["raw_id0"], row["raw_p0"]) == (row["id0"], row["p0"])


def test_logits_decide_where_probabilities_are_equal():
    """Softmax may round the difference between two classes away; the arg-max of the logits does not."""
    logits = np.array([[1e-9, 2e-9, -9, -9, -9, -9]], np.float32)
    probs = softmax(logits)
    assert probs[0, 0] == probs[0, 1]
    row = prediction_table([0], logits[None], probs[None], None).to_pylist()[0]
    assert (row["id0"], row["id1"], row["raw_id0"]) == (1, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_merged(seed):
    probs = softmax(logits_of(324, 40, seed))
    groups = PAPER_GRID.groups
    table = merged_table(4, probs, groups, None)
    assert table.schema.equals(MERGED)
    rows = {(row["group"], row["merge"]): row for row in table.to_pylist()}
    assert list(rows) == [(group, merge) for group in (*groups, "all") for merge in MERGES]
    assert set(MERGES) == {"mean", "max"}
    for (group, merge), row in rows.items():
        zooms = range(324) if group == "all" else groups[group].tolist()
        columns = [[float(probs[z, c]) for z in zooms] for c in range(40)]
        scores = [max(column) if merge == "max" else sum(column) / len(column) for column in columns]
        ids = sorted_top(scores)
        assert row["image"] == 4
        assert [row[f"id{k}"] for k in range(5)] == ids
        assert [row[f"p{k}"] for k in range(5)] == pytest.approx([scores[i] for i in ids], rel=1e-5)


def test_the_mean_is_of_probabilities_not_of_logits():
    """Two views vote weakly for class 0, one is sure of class 1: the mean says 1, so does the max."""
    probs = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.0, 1.0, 0.0]], np.float32)
    rows = merged_table(0, probs, {"zoom-in": np.array([0, 1])}, None).to_pylist()
    found = {(row["group"], row["merge"]): (row["id0"], row["p0"]) for row in rows}
    assert {key: answer for key, (answer, _) in found.items()} == {
        ("zoom-in", "mean"): 0,
        ("zoom-in", "max"): 0,
        ("all", "mean"): 1,
        ("all", "max"): 1,
    }
    assert found["all", "mean"][1] == pytest.approx(1.6 / 3)
    assert found["all", "max"][1] == 1.0


@pytest.mark.parametrize("spread", [0.1, 4.0, 20.0, 200.0])
def test_all_probabilities_in_two_bytes(spread):
    """Of any size down to 1e-38: p to 1e-4, ln p to 0.0014, and what takes no part is told from what is small."""
    logits = masked(logits_of(90, 12, spread=spread), MAP)
    table = logprobs_table(2, logits)
    assert table.schema.equals(LOGPROBS)
    assert table["image"].to_pylist() == [2] * 90
    assert table["zoom"].to_pylist() == list(range(90))
    codes = np.array(table["sqrt_minus_log_7000ths"].to_pylist())
    assert ((codes == 65535) == (MAP.of_id < 0)).all()
    part = MAP.taking_part
    exact = exact_log_softmax(logits[:, part].astype(np.float64), axis=1)
    logs = -((codes[:, part] / 7000) ** 2)
    assert np.abs(logs - np.maximum(exact, np.log(np.finfo(np.float32).smallest_normal))).max() < 0.0014
    assert np.abs(np.exp(logs) - np.exp(exact)).max() < 1e-4
    np.testing.assert_allclose(log_of_code()[codes[:, part]], logs, rtol=1e-6)
    assert np.isneginf(log_of_code()[65535])


# Four classes of a head of twelve: one of three ids, one of two, two of one; five ids take no part.
MAP = ClassMap("four kinds", ((7, 2, 11), (0, 3), (5,), (9,)), 12)
PLAIN = ClassMap("six of twelve", ((11,), (2,), (3,), (8,), (5,), (0,)), 12)


def best_of_each_class(row, classes, k=5):
    """The best id of each class, by falling score: a loop over classes."""
    best = [max(ids, key=lambda i: (row[i], -i)) for ids in classes.ids]
    best.sort(key=lambda i: -row[i])
    return (best + [-1] * k)[:k]


@pytest.mark.parametrize("classes", [MAP, PLAIN], ids=lambda m: m.name)
def test_answers_within_a_class_space(classes):
    """The arg-max is over the ids that take part, each class counts once, and probabilities are of those ids alone."""
    logits = logits_of(60, 12, seed=3).reshape(20, 3, 12)
    probs = softmax(masked(logits, classes))
    rows = prediction_table(range(20), logits, probs, classes).to_pylist()
    part = sorted(i for ids in classes.ids for i in ids)
    for row, (image, zoom) in zip(rows, np.ndindex(20, 3), strict=True):
        scores = logits[image, zoom].tolist()
        ids = best_of_each_class(scores, classes)
        assert (row["image"], row["zoom"]) == (image, zoom)
        assert [row[f"id{k}"] for k in range(5)] == ids
        exact = dict(zip(part, exact_softmax(logits[image, zoom, part].astype(np.float64)), strict=True))
        for k, i in enumerate(ids):
            assert row[f"p{k}"] == (pytest.approx(exact[i], rel=1e-5) if i >= 0 else None)
        assert row["raw_id0"] == int(np.argmax(scores))
        assert row["raw_p0"] == pytest.approx(exact_softmax(logits[image, zoom].astype(np.float64)).max(), rel=1e-5)


def test_merged_within_a_class_space():
    probs = softmax(masked(logits_of(324, 12, seed=5), MAP))
    for row in merged_table(0, probs, PAPER_GRID.groups, MAP).to_pylist():
        zooms = np.arange(324) if row["group"] == "all" else PAPER_GRID.groups[row["group"]]
        scores = probs[zooms].mean(0) if row["merge"] == "mean" else probs[zooms].max(0)
        assert [row[f"id{k}"] for k in range(5)] == best_of_each_class(scores.tolist(), MAP)
