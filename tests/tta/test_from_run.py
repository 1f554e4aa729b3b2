"""Merges of a finished study against the merges of its logits."""

import numpy as np
import pytest

from snellen.engine.answers import softmax
from snellen.errors import UsageError
from snellen.tta.from_run import merged_from_run
from snellen.tta.merge import merged, parse_merge
from snellen.zoom.grid import Zoom

# Float16 has 11 bits: of probabilities it is off by half of 2^-11 at most.
NEAR = 1e-3


def no_near_tie(probs, name):
    """Images of which rounding decides neither a view's vote nor which views are kept: bool `[images]`."""
    ordered = np.sort(probs, axis=2)
    clear = np.ones(len(probs), bool)
    if name in ("vote", "zero"):
        clear &= (ordered[:, :, -1] - ordered[:, :, -2] > NEAR).all(axis=1)
    confidence = ordered[:, :, -1] if name != "zero" else (probs * np.log(probs)).sum(axis=2)
    views = probs.shape[1]
    kept = {"confident": int(name[-1]) if name[-1].isdigit() else 0, "zero": max(1, int(0.3 * views))}
    keeps = kept.get(name.split("-")[0], views)
    if keeps < views:
        best = np.sort(confidence, axis=1)[:, ::-1]
        clear &= best[:, keeps - 1] - best[:, keeps] > 10 * NEAR
    return clear


@pytest.mark.parametrize("name", ["mean", "max", "vote", "confident-3", "zero"])
@pytest.mark.parametrize("zooms", [list(range(12)), [7, 2, 5, 11, 0]])
def test_kept_probabilities_give_merges(make_study, name, zooms):
    """Against a merge of the logits' own probabilities: scores to 1e-3, and the arg-max but near a tie."""
    run, logits = make_study(300, classes=60, bad=(3, 40))
    probs = softmax(logits[np.ix_(run.images, zooms)])
    merge = parse_merge(name)
    ids, scores = merged_from_run(run, [run.grid.rules[zoom] for zoom in zooms], merge)
    live = merged(probs, merge)
    sure = no_near_tie(probs, name)
    assert sure.sum() > 150
    expected = np.take_along_axis(live, ids, 1)
    assert np.abs(scores - expected)[sure].max() < NEAR
    order = np.sort(live, axis=1)
    clear = sure & (order[:, -1] - order[:, -2] > NEAR)
    assert clear.sum() > 100
    assert (ids[:, 0] == live.argmax(1))[clear].all()


@pytest.mark.parametrize("name", ["mean", "gmean", "zero"])
def test_kept_probabilities_of_one_view(make_study, name):
    run, logits = make_study(60)
    ids, scores = merged_from_run(run, run.grid.rules[4:5], parse_merge(name))
    if name != "zero":  # whose scores are a vote's
        assert np.abs(scores - np.take_along_axis(softmax(logits[:, 4]), ids, 1)).max() < NEAR
    best = np.sort(logits[:, 4], axis=1)
    assert (ids[:, 0] == logits[:, 4].argmax(1))[best[:, -1] - best[:, -2] > 0.01].all()


@pytest.mark.parametrize("keep_probs", [True, False])
def test_a_geometric_mean_is_refused(make_study, keep_probs):
    """Float16 makes 1e-9 and 1e-12 both 0: what a class of that probability in one view has in the mean is lost."""
    run, _ = make_study(20, keep_probs=keep_probs)
    with pytest.raises(UsageError, match=r"gmean needs smaller probabilities .* give DATA and -m MODEL"):
        merged_from_run(run, run.grid.rules, parse_merge("gmean"))


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


@pytest.mark.parametrize(("name", "views"), [("zero", 12), ("vote", 12), ("mean", 5), ("confident-2", 12)])
def test_without_probabilities_nothing_else(make_study, name, views):
    run, _ = make_study(20, keep_probs=False)
    with pytest.raises(UsageError, match="--keep-probs"):
        merged_from_run(run, run.grid.rules[:views], parse_merge(name))


def test_views_that_the_grid_lacks(make_study):
    run, _ = make_study(20)
    with pytest.raises(UsageError, match="lacks 1 of 2 views"):
        merged_from_run(run, [run.grid.rules[0], Zoom(1024, 0, 0).rule()], parse_merge("mean"))
