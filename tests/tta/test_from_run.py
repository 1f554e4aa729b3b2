"""Merges of a finished study against the merges of its logits."""

import numpy as np
import pytest
from scipy.special import xlogy

import snellen
from snellen.engine.answers import softmax
from snellen.errors import UsageError
from snellen.tta.from_run import merged_from_run
from snellen.tta.merge import merged, parse_merge
from snellen.zoom.grid import Zoom

# What a score of kept probabilities may differ by, and between which scores they may decide otherwise.
NEAR = 1e-3
NAMES = ("mean", "max", "gmean", "vote", "confident-3", "zero")


def no_near_tie(probs, name):
    """Images of which rounding decides neither a view's vote nor which views are kept: bool `[images]`."""
    ordered = np.sort(probs, axis=2)
    clear = np.ones(len(probs), bool)
    if name in ("vote", "zero"):
        clear &= (ordered[:, :, -1] - ordered[:, :, -2] > NEAR).all(axis=1)
    confidence = ordered[:, :, -1] if name != "zero" else xlogy(probs, probs).sum(axis=2)
    views = probs.shape[1]
    kept = {"confident": int(name[-1]) if name[-1].isdigit() else 0, "zero": max(1, int(0.3 * views))}
    keeps = kept.get(name.split("-")[0], views)
    if keeps < views:
        best = np.sort(confidence, axis=1)[:, ::-1]
        clear &= best[:, keeps - 1] - best[:, keeps] > 2 * NEAR
    return clear


def agrees(run, logits, zooms, name):
    """Compare with a merge of the logits' own probabilities: the images that are clear, and those with a clear best."""
    probs = softmax(logits[np.ix_(run.images, zooms)])
    merge = parse_merge(name)
    ids, scores = merged_from_run(run, [run.grid.rules[zoom] for zoom in zooms], merge)
    live = merged(probs, merge)
    sure = no_near_tie(probs, name)
    expected = np.take_along_axis(live, ids, 1)
    assert np.abs(scores - expected)[sure].max() < NEAR
    order = np.sort(live, axis=1)
    clear = sure & (order[:, -1] - order[:, -2] > NEAR)
    assert (ids[:, 0] == live.argmax(1))[clear].all()
    return sure.sum(), clear.sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zooms", [list(range(12)), [7, 2, 5, 11, 0]])
def test_kept_probabilities_give_merges(make_study, name, zooms):
    """Scores to 1e-3, and the arg-max but near a tie."""
    sure, clear = agrees(*make_study(300, classes=60, bad=(3, 40)), zooms, name)
    assert sure > 150
    assert clear > 100


@pytest.mark.parametrize("name", [*NAMES[:4], "confident-1", "zero"])
@pytest.mark.parametrize("views", [2, 3, 5])
@pytest.mark.parametrize("depth", [28, 300])
def test_kept_probabilities_of_peaked_views(make_study, name, views, depth):
    """Most views are sure, each of its own: above 0.99 of one class, 1e-12 or 1e-130 of most others.

    The geometric mean is then decided by how small the small probabilities are.
    """
    run, logits = make_study(300, peaks=depth)
    probs = softmax(logits[:, :views])
    assert np.median(probs.max(axis=2)) > 0.99
    assert np.median(probs) < 1e-11
    sure, clear = agrees(run, logits, list(range(views)), name)
    assert sure > (40 if name in ("confident-1", "zero") else 250)
    if name == "gmean" and depth == 28:
        assert clear > 250
        halves = np.maximum(probs.astype(np.float16).astype(np.float32), np.finfo(np.float16).smallest_subnormal)
        assert np.abs(merged(halves, parse_merge(name)) - merged(probs, parse_merge(name))).max() > 0.1


def test_an_older_run_of_float16_is_refused(make_study):
    run, _ = make_study(20)
    for path in (run.path / "commits").iterdir():
        path.write_text(path.read_text().replace('"logprobs"', '"probs"'))
    with pytest.raises(
        UsageError,
        match=r"float16, which is no longer read; run `snellen study \S+ -m made-up-model --precision fp32 --keep",
    ):
        merged_from_run(snellen.load_run(run.path), run.grid.rules, parse_merge("mean"))


@pytest.mark.parametrize("name", ["mean", "gmean", "zero"])
def test_kept_probabilities_of_one_view(make_study, name):
    run, logits = make_study(60)
    ids, scores = merged_from_run(run, run.grid.rules[4:5], parse_merge(name))
    if name != "zero":  # whose scores are a vote's
        assert np.abs(scores - np.take_along_axis(softmax(logits[:, 4]), ids, 1)).max() < NEAR
    best = np.sort(logits[:, 4], axis=1)
    assert (ids[:, 0] == logits[:, 4].argmax(1))[best[:, -1] - best[:, -2] > 0.01].all()


@pytest.mark.parametrize("name", ["mean", "max"])
def test_without_probabilities_the_stored_merges(make_study, name):
    run, logits = make_study(40, keep_probs=False)
    merge = parse_merge(name)
    ids, scores = merged_from_run(run, run.grid.rules[::-1], merge)  # a group is a set: its order says nothing
    live = merged(softmax(logits), merge)
    assert (ids[:, 0] == live.argmax(1)).all()
    assert np.abs(scores - np.take_along_axis(live, ids, 1)).max() < 1e-6


def test_without_probabilities_one_view(make_study):
    run, logits = make_study(40, keep_probs=False)
    ids, scores = merged_from_run(run, run.grid.rules[5:6], parse_merge("gmean"))
    assert (ids[:, 0] == logits[:, 5].argmax(1)).all()
    assert np.abs(scores[:, 0] - softmax(logits[:, 5]).max(1)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "views"), [("gmean", 12), ("zero", 12), ("vote", 12), ("mean", 5), ("confident-2", 12)]
)
def test_without_probabilities_nothing_else(make_study, name, views):
    run, _ = make_study(20, keep_probs=False)
    with pytest.raises(UsageError, match="--keep-probs"):
        merged_from_run(run, run.grid.rules[:views], parse_merge(name))


def test_views_that_the_grid_lacks(make_study):
    run, _ = make_study(20)
    with pytest.raises(UsageError, match="lacks 1 of 2 views"):
        merged_from_run(run, [run.grid.rules[0], Zoom(1024, 0, 0).rule()], parse_merge("mean"))
