"""Every merge against a loop that a person can check, in NumPy and in torch; ties; masked class spaces."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snellen.engine.answers import masked, softmax, top_classes
from snellen.errors import UsageError
from snellen.labels import ClassMap
from snellen.tta.merge import Merge, merged, parse_merge

NAMES = ("mean", "max", "gmean", "vote", "confident-1", "confident-4", "zero")


def loop(views, name):
    """One image, `[views][classes]`, without any array."""
    classes = range(len(views[0]))
    mean = [sum(view[c] for view in views) / len(views) for c in classes]
    if name == "mean":
        return mean
    if name == "max":
        return [max(view[c] for view in views) for c in classes]
    if name == "gmean":
        products = [math.exp(sum(math.log(view[c]) for view in views) / len(views)) for c in classes]
        return [product / sum(products) for product in products]
    if name.startswith("confident-"):
        order = sorted(range(len(views)), key=lambda v: (-max(views[v]), v))
        return loop([views[v] for v in order[: int(name.split("-")[1])]], "mean")
    if name == "zero":
        entropy = [-sum(p * math.log(p) for p in view if p > 0) for view in views]
        order = sorted(range(len(views)), key=lambda v: (entropy[v], v))
        return loop([views[v] for v in order[: max(1, int(0.3 * len(views)))]], "vote")
    votes = [0] * len(views[0])
    for view in views:
        votes[max(classes, key=lambda c: (view[c], -c))] += 1
    return [(votes[c] + mean[c]) / (len(views) + 1) for c in classes]


def random_probs(seed, images=3, views=11, classes=17, dtype=np.float32):
    logits = 3 * np.random.default_rng(seed).standard_normal((images, views, classes))
    return softmax(logits.astype(dtype))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loop(name, seed):
    probs = random_probs(seed)
    expected = np.array([loop(image.astype(float).tolist(), name) for image in probs])
    assert np.abs(merged(probs, parse_merge(name)) - expected).max() < 1e-6
    in_torch = merged(torch.from_numpy(probs), parse_merge(name))
    assert isinstance(in_torch, torch.Tensor)
    assert np.abs(in_torch.numpy() - expected).max() < 1e-6


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([n for n in NAMES if n not in ("max", "confident-4")])
)
def test_scores_sum_to_one(seed, views, name):
    probs = random_probs(seed, views=views)
    assert np.abs(merged(probs, parse_merge(name)).sum(1) - 1).max() < 1e-5


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mean", "max", "gmean", "vote"]))
def test_order_of_views_does_not_matter(seed, name):
    probs = random_probs(seed)
    shuffled = probs[:, np.random.default_rng(seed).permutation(probs.shape[1])]
    assert np.abs(merged(probs, parse_merge(name)) - merged(shuffled, parse_merge(name))).max() < 1e-6


def test_gmean_is_the_softmax_of_mean_logits():
    logits = np.random.default_rng(0).standard_normal((2, 5, 9)) * 20
    assert np.allclose(merged(softmax(logits), Merge("gmean")), softmax(logits.mean(1)), atol=1e-9)


def test_ties():
    """Two votes each: the larger mean wins. Equal confidence: the earlier view. Equal everything: equal scores."""
    votes = np.array([[[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]]])
    assert merged(votes, Merge("vote")).argmax() == 1
    earlier = np.array([[[0.8, 0.2], [0.2, 0.8]]])
    assert merged(earlier, Merge("confident-k", 1)).argmax() == 0
    assert merged(earlier[:, ::-1], Merge("confident-k", 1)).argmax() == 1
    assert merged(earlier, Merge("zero")).argmax() == 0
    for name in ("mean", "max", "gmean", "vote"):
        first, second = merged(earlier, Merge(name))[0]
        assert first == second, name


@pytest.mark.parametrize("name", NAMES)
def test_masked_ids_never_score(name):
    classes = ClassMap("some", ((1,), (4,), (7,)), 9)
    probs = softmax(masked(np.random.default_rng(1).standard_normal((4, 6, 9)).astype(np.float32), classes))
    scores = merged(probs, parse_merge(name), classes)
    others = np.setdiff1d(np.arange(9), classes.taking_part)
    assert (scores[:, others] == 0).all()
    assert np.isfinite(scores).all()


def test_votes_of_ids_of_one_class_count_together():
    """Ids 0 and 2 are one class: with one vote each they beat id 1, which has one too but a larger mean."""
    classes = ClassMap("two", ((0, 2), (1,)), 3)
    probs = np.array([[[0.5, 0.45, 0.05], [0.05, 0.45, 0.5], [0.0, 1.0, 0.0]]], np.float32)
    assert merged(probs, Merge("vote")).argmax() == 1
    scores = merged(probs, Merge("vote"), classes)
    assert classes.of_id[top_classes(scores, classes)[0, 0]] == 0
    in_torch = merged(torch.from_numpy(probs), Merge("vote"), classes)
    assert np.allclose(in_torch.numpy(), scores)


@pytest.mark.parametrize("text", ["", "median", "confident-0", "confident-k", "confident-", "mean-3"])
def test_unknown_merge(text):
    with pytest.raises(UsageError, match="expected mean, max, gmean"):
        parse_merge(text)


def test_more_confident_views_than_there_are():
    with pytest.raises(UsageError, match="only 11 views"):
        merged(random_probs(0), parse_merge("confident-12"))
