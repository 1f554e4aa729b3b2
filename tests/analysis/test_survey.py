"""Many made-up runs at once."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
from two_runs import rename, right, runs_of

import snellen
from snellen.analysis.bias import bias_between, location_hits
from snellen.analysis.compare import groups
from snellen.analysis.pairs import compare_runs
from snellen.analysis.summary import summarise
from snellen.analysis.survey import survey
from snellen.errors import UsageError
from snellen.store.reader import Run
from snellen.zoom import SCALES, Grid, paper_grid

CENTRE = 9 * SCALES.index(256) + 4
FEW = 50


def load(truths):
    return [snellen.load_run(truth.path) for truth in truths]


def test_three_runs(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 3, images=40, classes=30, bad=[(2,), (), (3, 4)])
    runs = load(truths)
    found = survey(runs, resamples=FEW)
    assert found.names == ["model-0", "model-1", "model-2"]
    assert [one.upper for one in found.summaries] == [summarise(run).upper for run in runs]
    assert [(one.a, one.b) for one in found.pairs] == list(itertools.combinations(found.names, 2))
    for one, (a, b) in zip(found.pairs, itertools.combinations(runs, 2), strict=True):
        assert one == compare_runs(a, b, resamples=FEW)
    assert found.notes == []

    every_label = dict(zip(truths[0].images, truths[0].labels, strict=True)) | {2: []}
    kept = [k for k in range(40) if k not in (2, 3, 4)]
    rows = {}
    for name, truth in zip(found.names, truths, strict=True):
        mine = dict(zip(truth.images, right(truth, [every_label[k] for k in truth.images]), strict=True))
        rows[name] = np.stack([mine[k] for k in kept])
    solved = {name: row.any(axis=1) for name, row in rows.items()}
    count = sum(row.astype(int) for row in solved.values())
    (union,) = found.unions
    assert (union.names, union.images) == (tuple(found.names), 37)
    assert (union.upper.hits, union.hard.hits) == ((count > 0).sum(), (count == 0).sum())
    assert union.hard_ids == tuple(f"folder/{k:03d}.jpg" for k, c in zip(kept, count, strict=True) if c == 0)
    assert {name: value.hits for name, value in union.only.items()} == {
        name: (row & (count == 1)).sum() for name, row in solved.items()
    }
    assert sorted(name for name, _ in union.adds) == found.names
    sofar = np.zeros(37, bool)
    for k, (name, value) in enumerate(union.adds):
        gains = {other: (solved[other] & ~sofar).sum() for other, _ in union.adds[k:]}
        assert gains[name] == max(gains.values())
        sofar |= solved[name]
        assert value.hits == sofar.sum()
    assert union.adds[-1][1] == union.upper
    assert union.letters == {
        "1-crop": groups({name: row[:, CENTRE] for name, row in rows.items()}),
        "upper bound": groups(solved),
    }
    json.dumps([union.to_json(), *(one.to_json() for one in found.pairs)], allow_nan=False)


def test_each_run_is_read_once(make_run, tmp_path, monkeypatch):
    truths = runs_of(make_run, tmp_path, 3, images=10)
    (tmp_path / "all.csv").write_text(
        "image_id,labels\n" + "".join(f"{i},{'|'.join(truths[0].space.keys)}\n" for i in truths[0].image_ids)
    )
    read = []
    answers = Run.answers

    def counted(run, column="id0"):
        read.append((run.path, column))
        return answers(run, column)

    monkeypatch.setattr(Run, "answers", counted)
    found = survey(load(truths), [None, str(tmp_path / "all.csv")], resamples=FEW)
    assert len(read) == len(set(read))
    assert [one.labels for one in found.summaries] == ["own", str(tmp_path / "all.csv")] * 3
    assert found.names == [name for name in ("model-0", "model-1", "model-2") for _ in range(2)]
    assert len(found.pairs) == 6
    assert len(found.unions) == 2
    assert {one.images for one in found.pairs} == {10}
    assert [one.upper.value for one in found.unions if one.labels != "own"] == [1]


def test_data_sets_are_kept_apart(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 4, images=10)
    for k, truth in enumerate(truths):
        rename(truth.path, f"timm/m{k % 2}", data="one" if k < 2 else "two")
    found = survey(load(truths), resamples=FEW)
    assert found.names == ["m0", "m1", "m0", "m1"]
    assert [(one.data, one.a, one.b) for one in found.pairs] == [("one", "m0", "m1"), ("two", "m0", "m1")]
    assert [one.data for one in found.unions] == ["one", "two"]


def test_the_centre_bias_of_a_model_on_two_data_sets(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 5, bad=[(), (), (2, 3), (2, 3), ()], classes=9, same_labels=False)
    for k, truth in enumerate(truths):
        rename(truth.path, f"timm/m{k % 2}", data=["one", "one", "two", "two", "three"][k])
    runs = load(truths)
    found = survey(runs, resamples=FEW)
    assert [(one.name, one.a[0], one.b[0], one.images) for one in found.shifts] == [
        ("m0", "one", "two", (30, 28)),
        ("m0", "one", "three", (30, 30)),
        ("m0", "two", "three", (28, 30)),
        ("m1", "one", "two", (30, 28)),
    ]
    maps = [location_hits(run.correct(), run.grid) for run in runs]
    assert found.shifts[0].found == bias_between(maps[0], maps[2], FEW)
    assert found.shifts[3].found == bias_between(maps[1], maps[3], FEW)
    assert (found.shifts[0].found.a, found.shifts[0].found.b) == pytest.approx(
        [found.summaries[k].centre_bias.value for k in (0, 2)]
    )


def test_one_run_has_no_pairs(make_run, tmp_path):
    found = survey(load(runs_of(make_run, tmp_path, 1)), resamples=FEW)
    assert (len(found.summaries), found.pairs, found.unions, found.notes) == (1, [], [], [])


def test_what_is_unlike_is_left_out_with_a_note(make_run, tmp_path):
    """In progress, without an image yet, of another grid, of other classes, no study."""
    own = Grid("own", (dataclasses.replace(paper_grid().rules[112], anchor="spread"),))
    some = paper_grid(224, (224, 256))
    truths = runs_of(
        make_run,
        tmp_path,
        6,
        images=12,
        shards=(0, 8, 12),
        grid=[paper_grid(), paper_grid(), paper_grid(), some, paper_grid(), own],
        left_out=[(), (1,), (0, 1), (), (), ()],
        classes=[7, 7, 7, 7, 9, 7],
    )
    (truths[4].path / "labels.csv").write_text((truths[0].path / "labels.csv").read_text())
    found = survey(load(truths), resamples=FEW)
    assert found.names == [f"model-{k}" for k in range(5)]
    assert [one.images for one in found.summaries] == [12, 8, 0, 12, 12]
    assert [(one.a[-1], one.b[-1], one.images, len(one.differences)) for one in found.pairs] == [
        ("0", "1", 8, 6),
        ("0", "3", 12, 1),
        ("1", "3", 8, 1),
    ]
    assert [(one.names, one.images) for one in found.unions] == [(("model-0", "model-1"), 8)]
    notes = "\n".join(found.notes)
    for note in (
        f"{truths[5].path} is left out: its grid 'own' has no 1-crop zoom",
        "model-1 on made-up-data is in progress: its numbers are of 8 of 12 images",
        "model-2 on made-up-data has no image with a label in 'own' yet",
        "model-0 and model-4 on made-up-data are not compared: different classes",
    ):
        assert note in notes
    assert len(found.notes) == len(set(found.notes))


@pytest.mark.parametrize("value", [0, 1])
def test_all_right_and_all_wrong(value, make_run, tmp_path):
    best = np.full((6, 324), 1 - value, np.int32)
    truths = runs_of(make_run, tmp_path, 3, images=6, best=best)
    (tmp_path / "ones.csv").write_text(
        "image_id,labels\n" + "".join(f"{i},{truths[0].space.keys[0]}\n" for i in truths[0].image_ids)
    )
    found = survey(load(truths), [str(tmp_path / "ones.csv")], resamples=FEW)
    (union,) = found.unions
    assert (union.upper.value, union.hard.value, len(union.hard_ids)) == (value, 1 - value, 6 * (1 - value))
    assert set(union.letters["upper bound"].values()) == {"a"}
    json.dumps([one.to_json() for one in (*found.pairs, *found.unions)], allow_nan=False)


def test_a_source_that_some_lack(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 3)
    for truth in truths[:2]:
        shutil.copy(truth.path / "labels.csv", truth.path / "labels.real.csv")
    found = survey(load(truths), ["real"], resamples=FEW)
    assert found.names == ["model-0", "model-1"]
    assert [one.labels for one in found.pairs] == ["real"]
    assert "model-2 on made-up-data is left out by labels 'real': no labels 'real'" in found.notes[0]
    with pytest.raises(UsageError, match="left out by labels 'nobodys'"):
        survey(load(truths), ["nobodys"], resamples=FEW)


def test_no_study_at_all(make_run, tmp_path):
    with pytest.raises(UsageError, match="no run to sum up"):
        survey([])
    truths = runs_of(make_run, tmp_path, 1, grid=paper_grid(224, (512,)))
    with pytest.raises(UsageError, match="has no 1-crop zoom"):
        survey(load(truths))
