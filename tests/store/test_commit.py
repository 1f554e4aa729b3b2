"""What is committed is there whole and once, and nothing else is; tables against plain pyarrow."""

import errno
import hashlib
import json
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_tables import COLUMNS, names, table_of

from snellen.store import Run
from snellen.store.commits import commit_path, damaged_files, read_commits
from snellen.store.schema import KINDS
from snellen.store.writer import commit


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


def test_records_come_in_the_order_of_shards(run):
    for shard in (100_000, 3, 99_999, 0):
        commit(run, shard, {}, {})
    assert list(read_commits(run)) == [0, 3, 99_999, 100_000]
