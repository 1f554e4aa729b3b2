"""Merged answers against a dictionary of rows."""

import json
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import snellen
from snellen.analysis.answers import read_answers
from snellen.analysis.merged import merged_accuracy
from snellen.errors import UsageError
from snellen.store.schema import MERGED
from snellen.store.writer import encode

GROUPS = ("zoom-in", "zoom-224", "zoom-out", "all")


def add_merged(path, rows_of):
    """Give every committed shard of a run a file of merged answers; `rows_of(images)` are its rows."""
    for commit in path.glob("commits/*.json"):
        record = json.loads(commit.read_text())
        table = pa.parquet.read_table(path / "parts" / record["files"]["samples"]["name"])
        images = [row["image"] for row in table.to_pylist() if row["error"] is None]
        name = record["files"]["samples"]["name"].replace("samples", "merged")
        data = encode("merged", pa.Table.from_pylist(rows_of(images), schema=MERGED))
        (path / "parts" / name).write_bytes(data)
        record["files"]["merged"] = {"name": name, "bytes": len(data), "sha256": "0" * 64}
        commit.write_text(json.dumps(record))


def rows(images, answer, groups=GROUPS):
    return [
        {"image": k, "group": group, "merge": merge, **{f"id{j}": answer(k, group, merge) for j in range(5)}}
        for k in images
        for group in groups
        for merge in ("mean", "max")
    ]


@pytest.mark.parametrize("shuffled", [False, True])
def test_equal_to_a_dictionary(shuffled, make_run, tmp_path):
    truth = make_run(20, bad=(3, 9), shards=(0, 8, 12, 20), left_out=(1,))
    rng = np.random.default_rng(0)
    given = {}

    def made(images):
        # Not every shard names the groups in the same order.
        found = rows(images, lambda *place: given.setdefault(place, int(rng.integers(-1, 7))))
        return [found[k] for k in rng.permutation(len(found))] if shuffled else found

    add_merged(truth.path, made)
    path = tmp_path / "some.csv"
    keys = truth.space.keys
    other = [[] if k % 4 == 0 else [k % 7] for k in range(len(truth.images))]
    lines = (f"{i},{keys[row[0]] if row else ''}\n" for i, row in zip(truth.image_ids, other, strict=True))
    path.write_text("image_id,labels\n" + "".join(lines))
    answers = read_answers(snellen.load_run(truth.path))
    for source, sets in ((None, truth.labels), (str(path), other)):
        hits = defaultdict(int)
        for image, accepted in zip(truth.images, sets, strict=True):
            for group in GROUPS:
                for merge in ("mean", "max"):
                    hits[group, merge] += given[image, group, merge] in accepted
        found = merged_accuracy(answers, source)
        assert {(group, merge) for group in found for merge in found[group]} == set(hits)
        for (group, merge), count in hits.items():
            share = found[group][merge]
            assert (share.hits, share.n) == (count, sum(map(bool, sets)))
    if not shuffled:
        assert list(merged_accuracy(answers)) == list(GROUPS)


def test_a_missing_answer_is_a_wrong_one(make_run):
    truth = make_run(4)
    add_merged(truth.path, lambda images: rows(images[1:], lambda k, *_: truth.labels[k][0], ["all"]))
    found = merged_accuracy(read_answers(snellen.load_run(truth.path)))
    assert [(merge, share.hits, share.n) for merge, share in found["all"].items()] == [("mean", 3, 4), ("max", 3, 4)]


def test_without_images_and_without_merged_answers(make_run, tmp_path):
    truth = make_run(3, bad=range(3))
    assert merged_accuracy(read_answers(snellen.load_run(truth.path))) == {}
    add_merged(truth.path, lambda images: rows(images, lambda *_: 0))
    assert merged_accuracy(read_answers(snellen.load_run(truth.path))) == {}
    whole = make_run(3, path=tmp_path / "whole")
    assert merged_accuracy(read_answers(snellen.load_run(whole.path))) == {}


@pytest.mark.parametrize(
    ("image", "answer", "message"), [(7, 0, "merged answers of images it does not list"), (0, 7, "its 7 classes")]
)
def test_a_damaged_file_is_an_error(image, answer, message, make_run):
    truth = make_run(4)
    add_merged(truth.path, lambda images: rows([*images[1:], image], lambda *_: answer))
    with pytest.raises(UsageError, match=message):
        merged_accuracy(read_answers(snellen.load_run(truth.path)))
