"""What is committed is read back, and nothing else is; tables against plain pyarrow."""

import contextlib
import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import snellen
from snellen.errors import UsageError
from snellen.store import Run, load_run
from snellen.store.commits import commit_path, damaged_files, read_commits
from snellen.store.find import find_runs
from snellen.store.schema import KINDS
from snellen.store.writer import commit
from snellen.zoom import Grid, ViewRule, paper_grid

NINE = paper_grid(224, (256,))
TOP = range(5)
COLUMNS = {
    "samples": ["image", "image_id", "width", "height", "sha256", "origin", "error"],
    "predictions": ["image", "zoom", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP), "raw_id0", "raw_p0"],
    "merged": ["image", "group", "merge", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP)],
    "logprobs": ["image", "zoom", "sqrt_minus_log_7000ths"],
    "answers": ["image", "answer", "matched"],
    "methods": ["image", "method", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP), "forwards", "ms", "views_ms"],
}


def table_of(kind, rows=7, seed=0):
    """Random rows of a kind, a third of what may be null being null."""
    rng = np.random.default_rng(seed)

    def value(field):
        if field.nullable and rng.random() < 1 / 3:
            return None
        if pa.types.is_list(field.type):
            return rng.integers(0, 2**16, 4).tolist()
        if pa.types.is_floating(field.type):
            return float(np.float32(rng.random()))
        if pa.types.is_integer(field.type):
            return int(rng.integers(-1, 300))
        return rng.choice(["", "a", "new\nline", "é雪", "x" * 300]).item()

    return pa.Table.from_pylist([{f.name: value(f) for f in KINDS[kind]} for _ in range(rows)], schema=KINDS[kind])


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run"
    (path / "parts").mkdir(parents=True)
    (path / "commits").mkdir()
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_columns_are_the_documented_ones():
    assert {kind: schema.names for kind, schema in KINDS.items()} == COLUMNS
    types = {"image": pa.int32(), "zoom": pa.int16(), "id0": pa.int32(), "p4": pa.float32(), "raw_id0": pa.int32()}
    for kind, schema in KINDS.items():
        for name in types.keys() & set(schema.names):
            assert schema.field(name).type == types[name], (kind, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 1, 500])
def test_tables_come_back_as_they_were(kind, rows, run):
    tables = [table_of(kind, rows, seed) for seed in range(3)]
    for shard in (2, 0, 1):
        assert commit(run, shard, {kind: tables[shard]}, {"images": rows})
    expected = [row for table in tables for row in table.to_pylist()]
    read = Run(run, {}).table(kind)
    assert read.to_pylist() == expected
    assert read.schema.names == COLUMNS[kind]
    # As any other program would read it.
    files = [json.loads(p.read_text())["files"][kind]["name"] for p in sorted((run / "commits").iterdir())]
    plain = [pq.ParquetFile(run / "parts" / name).read() for name in files]
    assert [row for table in plain for row in table.to_pylist()] == expected
    assert all(table.schema.equals(KINDS[kind]) for table in plain)


def test_some_columns_in_the_order_asked(run):
    table = table_of("predictions")
    commit(run, 0, {"predictions": table}, {})
    assert Run(run, {}).table("predictions", ["p1", "zoom"]).equals(table.select(["p1", "zoom"]))


def test_a_table_of_another_schema_is_not_committed(run):
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        commit(run, 0, {"samples": table_of("samples"), "predictions": table_of("merged")}, {})
    assert names(run / "parts") == names(run / "commits") == []


def test_the_record_names_its_files_bytes_and_hashes(run):
    commit(run, 7, {"samples": table_of("samples"), "logprobs": table_of("logprobs")}, {"images": 7, "errors": 1})
    assert commit_path(run, 7) == run / "commits" / "00007.json"
    record = json.loads((run / "commits" / "00007.json").read_text())
    assert (record["shard"], record["images"], record["errors"]) == (7, 7, 1)
    assert sorted(file["name"] for file in record["files"].values()) == names(run / "parts")
    for kind, file in record["files"].items():
        data = (run / "parts" / file["name"]).read_bytes()
        assert file["name"].startswith("00007.")
        assert file["name"].endswith(f".{kind}.parquet")
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_loser_of_a_shard_takes_its_files_away(run):
    first, second = table_of("samples", seed=1), table_of("samples", seed=2)
    assert commit(run, 0, {"samples": first}, {}) is True
    before = names(run / "parts")
    assert commit(run, 0, {"samples": second, "predictions": table_of("predictions")}, {}) is False
    assert names(run / "parts") == before
    assert names(run / "commits") == ["00000.json"]
    assert Run(run, {}).table("samples").equals(first)


def test_of_two_writers_at_once_one_wins_whole(run):
    for shard in range(15):
        barrier, results = threading.Barrier(2), {}
        tables = [{kind: table_of(kind, 9, seed) for kind in ("samples", "predictions")} for seed in (1, 2)]

        def write(k, shard=shard, barrier=barrier, results=results, tables=tables):
            barrier.wait()
            results[k] = commit(run, shard, tables[k], {"writer": k})

        threads = [threading.Thread(target=write, args=(k,)) for k in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results.values()) == [False, True]
        record = read_commits(run)[shard]
        assert results[record["writer"]] is True
        assert damaged_files(run, record) == []
        for kind, table in tables[record["writer"]].items():
            assert pq.ParquetFile(run / "parts" / record["files"][kind]["name"]).read().equals(table)
    assert len(names(run / "parts")) == 15 * 2


@pytest.mark.parametrize("calls", range(3))
def test_a_commit_that_fails_leaves_nothing(run, calls, monkeypatch):
    """The disk fills up while file number `calls` is made durable: two tables, then the folder."""
    count = iter(range(100))

    def fill(_):
        if next(count) >= calls:
            raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match="no space"):
        commit(run, 0, {"samples": table_of("samples"), "merged": table_of("merged")}, {})
    assert names(run / "parts") == names(run / "commits") == []


def test_without_its_record_a_part_does_not_exist(run):
    commit(run, 0, {"samples": table_of("samples", seed=1)}, {})
    commit(run, 1, {"samples": table_of("samples", seed=2)}, {})
    commit_path(run, 1).unlink()
    assert list(read_commits(run)) == [0]
    assert Run(run, {}).table("samples").equals(table_of("samples", seed=1))


def file_of(**changes):
    """A file as a commit record names it, but for some fields; one that is None is not there."""
    file = {"name": "00001.aaaaaaaa.samples.parquet", "bytes": 10, "sha256": "0" * 64, **changes}
    return json.dumps({"shard": 1, "files": {"samples": {k: v for k, v in file.items() if v is not None}}}).encode()


def test_a_record_of_the_right_form_counts(run):
    commit_path(run, 1).write_bytes(file_of())
    assert list(read_commits(run)) == [1]


NOT_SO = {
    "name": (None, "", "..", "a/b", 5, [], {}),
    "bytes": (None, "", "10", -1, 1.5, True, []),
    "sha256": (None, "", "x" * 64, "0" * 63, 0, []),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NOT_SO.items() for value in values])
def test_a_file_that_is_not_named_as_it_should_be(name, value, run):
    commit_path(run, 1).write_bytes(file_of(**{name: value}))
    assert read_commits(run) == {}


@pytest.mark.parametrize("content", [b"", b'{"shard": 1, "fi', b"\xff\xfe", b"null", b"[]", b'{"shard": 1}'])
def test_a_record_that_is_not_whole_counts_as_absent(run, content):
    commit(run, 0, {"samples": table_of("samples")}, {})
    commit_path(run, 1).write_bytes(content)
    (run / "commits" / ".00002.json.abcdef.tmp").write_bytes(b"{}")
    (run / "commits" / "0x.json").write_bytes(b"{}")
    assert list(read_commits(run)) == [0]
    assert Run(run, {}).table("samples").num_rows == 7


def test_records_come_in_the_order_of_shards(run):
    for shard in (100_000, 3, 99_999, 0):
        commit(run, shard, {}, {})
    assert list(read_commits(run)) == [0, 3, 99_999, 100_000]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:],
        lambda data: bytes(len(data)),
        None,
    ],
)
def test_damaged_files_are_named(run, damage):
    commit(run, 0, {"samples": table_of("samples", 50), "merged": table_of("merged", 50)}, {})
    record = read_commits(run)[0]
    assert damaged_files(run, record) == []
    name = record["files"]["merged"]["name"]
    if damage is None:
        (run / "parts" / name).unlink()
    else:
        (run / "parts" / name).write_bytes(damage((run / "parts" / name).read_bytes()))
    assert damaged_files(run, record) == [name]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_disk_in_trouble_damages_no_file(run, number, monkeypatch):
    commit(run, 0, {"samples": table_of("samples")}, {})

    def failing(self, *arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(OSError, match=os.strerror(number)):
        damaged_files(run, read_commits(run)[0])


def test_a_record_of_brackets_without_end_counts_as_absent(run):
    commit(run, 0, {"samples": table_of("samples")}, {})
    (run / "commits" / "00001.json").write_text("[" * 200_000)
    assert list(read_commits(run)) == [0]
    (run / "run.json").write_text("[" * 200_000)
    with pytest.raises(UsageError, match=r"run\.json' is damaged"):
        load_run(run)


@pytest.mark.parametrize("data", [None, b"", b"no parquet"])
def test_reading_a_lost_part_says_what_to_do(run, data):
    commit(run, 0, {"samples": table_of("samples")}, {})
    path = run / "parts" / read_commits(run)[0]["files"]["samples"]["name"]
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(UsageError, match=r"samples\.parquet.*run the study again"):
        Run(run, {}).table("samples")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_record_cannot_name_a_file_outside_the_run(run, tmp_path, absolute):
    pq.write_table(table_of("samples"), tmp_path / "secret.parquet")
    name = str(tmp_path / "secret.parquet") if absolute else "../../secret.parquet"
    file = {"name": name, "bytes": 1, "sha256": "0" * 64}
    commit_path(run, 0).write_text(json.dumps({"shard": 0, "files": {"samples": file}}))
    rows = 0
    with contextlib.suppress(UsageError):
        rows = Run(run, {}).table("samples").num_rows
    assert rows == 0


def edit_record(path, shard, change):
    record = json.loads(commit_path(path, shard).read_text())
    change(record)
    commit_path(path, shard).write_text(json.dumps(record))


@pytest.mark.parametrize("shards", [(0, 20), (0, 8, 20)], ids=["the only shard", "one of two"])
@pytest.mark.parametrize("kind", ["samples", "predictions"])
def test_a_record_without_a_kind_is_damage_and_said_so(kind, shards, make_run):
    truth = make_run(20, shards=shards, grid=NINE)
    edit_record(truth.path, 0, lambda record: record["files"].pop(kind))
    with pytest.raises(UsageError, match=rf"00000\.json' is damaged: it names no {kind}; run the study again"):
        snellen.load_run(truth.path).correct()


def test_merged_answers_of_some_shards_only_are_damage(make_run):
    truth = make_run(20, shards=(0, 8, 20), grid=NINE)
    assert snellen.load_run(truth.path).table("merged").num_rows == 0, "a run that has them nowhere is read without"

    def add(record):
        record["files"]["merged"] = record["files"]["predictions"]

    edit_record(truth.path, 1, add)
    with pytest.raises(UsageError, match=r"00000\.json' is damaged: it names no merged"):
        snellen.load_run(truth.path).table("merged")


def test_kept_probabilities_that_are_gone_are_damage(make_run):
    truth = make_run(5, grid=NINE)
    record = json.loads((truth.path / "run.json").read_text())
    record["fingerprint_parts"]["all probabilities"] = True
    (truth.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="names no logprobs"):
        snellen.load_run(truth.path).table("logprobs")


@pytest.mark.parametrize("fingerprint", [None, "e" * 64, ["f" * 64]])
def test_a_record_that_does_not_name_its_run_is_left_out(fingerprint, make_run):
    truth = make_run(20, shards=(0, 8, 20), grid=NINE)

    def rename(record):
        record.pop("fingerprint")
        if fingerprint is not None:
            record["fingerprint"] = fingerprint

    edit_record(truth.path, 0, rename)
    run = snellen.load_run(truth.path)
    assert list(run.commits) == [1]
    assert run.images.tolist() == list(range(8, 20))


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


def test_finding_runs(make_run, tmp_path):
    out = tmp_path / "out"
    paths = [make_run(1, path=out / "data" / model / "paper-fp32", grid=NINE).path for model in ("b", "a")]
    assert [run.path for run in find_runs(out)] == sorted(paths)
    assert snellen.load_run(out / "data" / "a").path == snellen.load_run(str(paths[1])).path == paths[1]
    with pytest.raises(UsageError, match=r"holds 2 runs; name one of them: .*/a/.*/b/"):
        snellen.load_run(out)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no directory"),
        (lambda path: path.mkdir(), "no run in .* no run.json"),
        (lambda path: path.write_text("x"), "is a file"),
    ],
)
def test_where_there_is_no_run(make, message, tmp_path):
    make(tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        snellen.load_run(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "damaged"), (b"{", "damaged"), (b"\xff", "damaged"), (b"[]", "format"), (b'{"format": 99}', "format")],
)
def test_a_run_json_that_cannot_be_used(content, message, run):
    (run / "run.json").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        snellen.load_run(run)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("classes",), {"name": "x"}),
        (("classes",), "x"),
        (("classes",), {"name": "x", "ids": [[0]], "outputs": 10**12}),
        (("classes",), {"name": "x", "ids": [[0], [0]], "outputs": 7}),
        (("data", "name"), 5),
        (("data", "label_sources"), [None]),
        (("data", "label_sources"), []),
        (("model", "card", "keys"), [1, 2, 3]),
        (("model", "card", "keys"), []),
        (("model", "spec"), None),
        (("grid", "rules"), []),
        (("shards",), [0, True]),
        (("fingerprint_parts",), []),
        (("sessions",), {}),
        (("model", "card", "inputs"), [1]),
        (("data",), []),
        (("model", "card"), {}),
        (("shards",), [0, 0]),
        (("grid", "rules"), [["x"]]),
    ],
    ids=str,
)
def test_a_run_json_with_a_damaged_field(place, value, make_run):
    made = make_run()
    record = json.loads((made.path / "run.json").read_text())
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (made.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="damaged"):
        snellen.load_run(made.path)
