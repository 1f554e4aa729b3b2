"""Merges of a finished study against the merges of its logits."""

import numpy as np
import pytest

from snellen.engine.answers import softmax
from snellen.errors import UsageError
from snellen.tta.from_run import merged_from_run, widened
from snellen.tta.merge import merged, parse_merge
from snellen.zoom.grid import Zoom

MERGES = ("mean", "max", "gmean", "vote", "confident-3", "zero")


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("zooms", [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [7, 2, 5], [4]])
def test_kept_probabilities_give_every_merge(make_study, name, zooms):
    run, logits = make_study(60, bad=(3, 40))
    merge = parse_merge(name if len(zooms) > 2 else name.replace("-3", "-1"))
    ids, scores = merged_from_run(run, [run.grid.rules[zoom] for zoom in zooms], merge)
    live = merged(softmax(logits[np.ix_(run.images, zooms)]), merge)
    order = np.sort(live, axis=1)
    clear = order[:, -1] - order[:, -2] > 1e-3
    assert clear.sum() > 40
    assert (ids[:, 0] == live.argmax(1))[clear].all()
    assert np.abs(scores[:, 0] - np.take_along_axis(live, ids[:, :1], 1)[:, 0])[clear].max() < 1e-3


def test_probabilities_that_float16_loses_do_not_veto():
    """A class that float16 rounds to 0 in one view keeps its place in a geometric mean; one that takes no part is 0."""
    probs = np.array([[[1.0, 1e-9, 0.0], [0.3, 0.7, 0.0]]])
    found = merged(widened(probs.astype(np.float16), parse_merge("gmean")), parse_merge("gmean"))
    assert found[0, 1] > 0
    assert found[0, 2] == 0


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


@pytest.mark.parametrize(("name", "views"), [("gmean", 12), ("vote", 12), ("mean", 5), ("confident-2", 12)])
def test_without_probabilities_nothing_else(make_study, name, views):
    run, _ = make_study(20, keep_probs=False)
    with pytest.raises(UsageError, match="--keep-probs"):
        merged_from_run(run, run.grid.rules[:views], parse_merge(name))


def test_views_that_the_grid_lacks(make_study):
    run, _ = make_study(20)
    with pytest.raises(UsageError, match="lacks 1 of 2 views"):
        merged_from_run(run, [run.grid.rules[0], Zoom(1024, 0, 0).rule()], parse_merge("mean"))
