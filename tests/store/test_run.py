"""A run as it is read: its arrays, labels and accuracy, whole, going on and without a readable image."""

import numpy as np
import pyarrow as pa
import pytest
from run_tables import COLUMNS, NINE, TOP

import snellen
from snellen.errors import UsageError
from snellen.store import Run
from snellen.store.schema import KINDS
from snellen.store.writer import commit
from snellen.zoom import Grid, ViewRule, paper_grid


def test_arrays_of_a_run(make_run):
    truth = make_run(20, bad=(3, 9, 10), shards=(0, 8, 12, 20), grid=NINE)
    run = snellen.load_run(truth.path)
    assert run.complete
    assert run.grid == NINE
    assert run.class_space.keys == truth.space.keys
    assert (run.model, run.data) == ("made-up-model", "made-up-data")
    assert run.image_ids == truth.image_ids
    assert run.images.tolist() == truth.images
    assert run.errors == truth.errors
    assert np.array_equal(run.answers(), truth.ids)
    assert run.answers().dtype == np.int32
    assert run.labels() == truth.labels
    for i, accepted in enumerate(truth.labels):
        assert run.correct()[i].tolist() == [k in accepted for k in truth.ids[i]]
    frame = run.frame()
    assert frame.num_rows == 17 * 9
    assert frame.schema.names == COLUMNS["predictions"]
    assert frame["image"].to_pylist() == [k for k in truth.images for _ in range(9)]
    assert frame["zoom"].to_pylist() == list(range(9)) * 17
    assert np.array_equal(run.answers("p1"), np.full((17, 9), 0.25, np.float32))
    assert run.samples["image_id"].to_pylist() == [f"folder/{k:03d}.jpg" for k in range(20)]


def test_a_run_that_is_going_on(make_run):
    truth = make_run(20, bad=(3, 9), shards=(0, 8, 12, 20), left_out=(1,), grid=NINE)
    run = snellen.load_run(truth.path)
    assert not run.complete
    assert run.images.tolist() == truth.images
    assert not {8, 9, 10, 11} & set(truth.images)
    assert np.array_equal(run.answers(), truth.ids)
    assert run.labels() == truth.labels
    assert run.errors == truth.errors == [("folder/003.jpg", "broken 3")]


@pytest.mark.parametrize("bad", [(), range(5)])
def test_a_run_without_a_readable_image(make_run, bad):
    truth = make_run(5, bad=bad, left_out=() if bad else (0,), grid=NINE)
    run = snellen.load_run(truth.path)
    assert run.complete == bool(bad)
    assert len(run.errors) == len(bad)
    assert run.correct().shape == run.answers("p0").shape == (0, 9)
    accuracy = run.accuracy()
    assert (accuracy.hits, accuracy.n, accuracy.low, accuracy.high) == (0, 0, 0.0, 1.0)


def test_answers_that_are_missing(run):
    """No row is -1 or nan, so is a null; a row's place is by its zoom, not by its position."""
    rows = [
        {"image": image, "zoom": zoom, **dict.fromkeys([f"id{k}" for k in TOP], 3), "raw_id0": 3, "p0": p}
        for image, zoom, p in [(4, 2, 0.5), (4, 0, None), (6, 1, 0.25)]
    ]
    samples = [{"image": k, "image_id": str(k), "origin": "x", "error": "bad" if k == 5 else None} for k in (4, 5, 6)]
    tables = {
        "samples": pa.Table.from_pylist(samples, schema=KINDS["samples"]),
        "predictions": pa.Table.from_pylist(rows, schema=KINDS["predictions"]),
    }
    commit(run, 0, tables, {})
    grid = Grid("three", tuple(ViewRule(256, 1, col) for col in range(3)))
    read = Run(run, {"grid": grid.to_json()})
    assert read.answers().tolist() == [[3, -1, 3], [-1, 3, -1]]
    np.testing.assert_array_equal(read.answers("p0"), [[np.nan, np.nan, 0.5], [np.nan, 0.25, np.nan]])


def test_one_crop_accuracy(make_run, tmp_path):
    truth = make_run(15, bad=(2,))
    run = snellen.load_run(truth.path)
    hits = sum(int(truth.ids[i, 112]) in accepted for i, accepted in enumerate(truth.labels))
    assert (run.accuracy().hits, run.accuracy().n) == (hits, 14)
    other = make_run(3, path=tmp_path / "other", grid=paper_grid(224, (224,)))
    with pytest.raises(UsageError, match="no 1-crop zoom"):
        snellen.load_run(other.path).accuracy()


def test_other_labels_need_no_new_run(make_run, tmp_path):
    truth = make_run(6, grid=NINE)
    run = snellen.load_run(truth.path)
    everything = "|".join(truth.space.keys)
    path = tmp_path / "all.csv"
    path.write_text("labels,image_id,note\n" + "".join(f"{everything},{i},x\n" for i in truth.image_ids))
    assert run.correct(path).all()
    assert run.accuracy(path).hits == 6
    assert not run.correct().all()
