"""Answers read once against the run's own reading of them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import snellen
from snellen.analysis.answers import read_answers, rows_of
from snellen.errors import DataError, UsageError
from snellen.store.schema import PREDICTIONS
from snellen.store.writer import encode
from snellen.zoom import Grid, ViewRule

NINE = Grid("nine", tuple(ViewRule(256, row, col) for row in range(3) for col in range(3)))


@pytest.fixture
def truth(make_run):
    return make_run(20, bad=(3, 9), shards=(0, 8, 12, 20), left_out=(1,), grid=NINE)


def write_labels(truth, path, of):
    """A CSV that labels image k of the run with the classes `of(k)`."""
    keys = truth.space.keys
    rows = (f"{image},{'|'.join(keys[c] for c in of(k))}\n" for k, image in enumerate(truth.image_ids))
    path.write_text("image_id,labels\n" + "".join(rows))
    return str(path)


def test_equal_to_the_run_by_every_label_source(truth, tmp_path):
    run = snellen.load_run(truth.path)
    answers = read_answers(run)
    assert np.array_equal(answers.ids, truth.ids)
    assert answers.ids.dtype == np.int16
    assert np.array_equal(answers.confidence, run.answers("p0"))
    some = write_labels(truth, tmp_path / "some.csv", lambda k: [] if k % 3 == 0 else [0, 1 + k % 5])
    for source in (None, "own", some):
        assert answers.labels(source) == run.labels(source)
        assert np.array_equal(answers.scored(source), run.scored(source))
        assert np.array_equal(answers.correct(source), run.correct(source))
    right = [[k in accepted for k in row] for row, accepted in zip(truth.ids, truth.labels, strict=True)]
    assert answers.correct().tolist() == right
    assert len(answers.scored(some)) < len(answers.scored())


def test_nothing_is_read_twice(truth, tmp_path):
    answers = read_answers(snellen.load_run(truth.path))
    path = write_labels(truth, tmp_path / "all.csv", lambda k: range(7))
    own, other = answers.correct(), answers.correct(path)
    for file in [*truth.path.glob("parts/*.predictions.parquet"), truth.path / "labels.csv", tmp_path / "all.csv"]:
        file.unlink()
    assert np.array_equal(answers.correct(), own)
    assert np.array_equal(answers.correct(path), other)
    assert other.all()


def test_labels_that_are_none(truth):
    with pytest.raises(DataError, match="no labels 'nowhere'"):
        read_answers(snellen.load_run(truth.path)).correct("nowhere")


@pytest.mark.parametrize("bad", [(), range(5)])
def test_without_a_readable_image(make_run, bad):
    truth = make_run(5, bad=bad, left_out=() if bad else (0,), grid=NINE)
    answers = read_answers(snellen.load_run(truth.path))
    assert answers.ids.shape == answers.confidence.shape == answers.correct().shape == (0, 9)
    assert answers.merged == {}


def rewrite(path, change):
    """Replace a run's only predictions by changed ones."""
    (part,) = path.glob("parts/*.predictions.parquet")
    table = pa.parquet.read_table(part)
    part.write_bytes(encode("predictions", pa.table(change(table), schema=PREDICTIONS)))


def columns(table, **changed):
    return {name: changed.get(name, table[name]) for name in table.column_names}


@pytest.mark.parametrize("order", ["shuffled", "by zoom", "last image first", "one row short", "three rows short"])
def test_the_place_of_an_answer_is_by_its_image_and_zoom(order, make_run):
    truth = make_run(6, bad=(2,), grid=NINE)
    rows = np.arange(5 * 9).reshape(5, 9)
    rows = {
        "shuffled": np.random.default_rng(0).permutation(rows.ravel()),
        "by zoom": rows.T.ravel(),
        "last image first": rows[::-1].ravel(),
        "one row short": rows.ravel()[:-1],
        "three rows short": rows.ravel()[[*range(9), *range(18, 45)]],
    }[order]
    rewrite(truth.path, lambda table: columns(table.take(rows)))
    expected = np.full((5, 9), -1)
    expected[rows // 9, rows % 9] = truth.ids[rows // 9, rows % 9]
    answers = read_answers(snellen.load_run(truth.path))
    assert np.array_equal(answers.ids, expected)
    assert np.array_equal(np.isnan(answers.confidence), expected < 0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("image", lambda old: np.where(old == 4, 2, old), "images or zooms it does not list"),  # one not readable
        ("image", lambda old: old + 1, "images or zooms it does not list"),
        ("zoom", lambda old: old - 1, "images or zooms it does not list"),
        ("zoom", lambda old: old + 1, "images or zooms it does not list"),
        ("id0", lambda old: old + 3, "answers outside its 7 classes"),
        ("id0", lambda old: old - 2, "answers outside its 7 classes"),
        ("id0", lambda old: old + 65536, "answers outside its 7 classes"),  # int16 would hold it as if it were right
    ],
)
def test_a_damaged_file_is_an_error(column, values, message, make_run):
    truth = make_run(6, bad=(2,), grid=NINE)

    def change(table):
        old = table[column].to_numpy()
        return columns(table, **{column: values(old).astype(old.dtype)})

    rewrite(truth.path, change)
    with pytest.raises(UsageError, match=message):
        read_answers(snellen.load_run(truth.path))


def test_a_file_without_a_column_is_an_error(make_run):
    truth = make_run(2, grid=NINE)
    (part,) = truth.path.glob("parts/*.predictions.parquet")
    pa.parquet.write_table(pa.parquet.read_table(part).drop(["p0"]), part)
    with pytest.raises(UsageError, match=r"cannot be read .*p0.*run the study again"):
        read_answers(snellen.load_run(truth.path))


def test_a_head_with_more_classes_than_int16_holds(make_run):
    truth = make_run(3, classes=40_000, grid=NINE)
    answers = read_answers(snellen.load_run(truth.path))
    assert answers.ids.max() > np.iinfo(np.int16).max
    assert np.array_equal(answers.ids, truth.ids)


def test_rows_of():
    array = np.arange(6).reshape(3, 2)
    assert rows_of(array, np.arange(3)) is array
    assert rows_of(array, np.array([0, 2])).tolist() == [[0, 1], [4, 5]]
