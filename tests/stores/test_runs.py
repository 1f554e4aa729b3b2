"""Runs in stores: committed once, read back as they are on this machine, and never believed where they are damaged."""

import contextlib
import json
import threading

import numpy as np
import pyarrow as pa
import pytest
from disturbed import wait_for
from s3_server import BUCKET, Contacts, client, contents, upload

import snellen
from snellen.atomic import write_atomic
from snellen.engine import plan
from snellen.engine.plan import Plan
from snellen.errors import Stopped, UsageError
from snellen.files import entries, make_folder, read_bytes, remove
from snellen.locks import Lock
from snellen.places import is_remote, place, protocol_of
from snellen.store import Run, parts
from snellen.store.commits import commit_path, damaged_shards, read_commits
from snellen.store.find import find_runs
from snellen.store.schema import METHODS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import Grid, paper_grid

CONTACTS = Contacts()
TWO = Grid("two", tuple(paper_grid(224, (256,)).rules[:2]))


@pytest.fixture
def run(folder):
    """An empty run directory of each kind of place."""
    for name in ("parts", "commits"):
        make_folder(folder / "run" / name)
    return folder / "run"


def samples(shard, rows=3):
    row = {"width": 1, "height": 1, "sha256": "0", "origin": "x", "error": None}
    images = range(rows * shard, rows * (shard + 1))
    return pa.Table.from_pylist([{"image": k, "image_id": f"{k}", **row} for k in images], schema=SAMPLES)


def names(folder):
    return [one.name for one in entries(folder)]


def test_committed_tables_come_back_in_order(run):
    for shard in (2, 0, 1):
        assert commit(run, shard, {"samples": samples(shard)}, {"images": 3})
    assert Run(run, {}).samples["image"].to_pylist() == list(range(9))
    assert list(read_commits(run)) == [0, 1, 2]
    assert damaged_shards(run, read_commits(run)) == set()


def test_the_loser_takes_its_files_away(run):
    assert commit(run, 0, {"samples": samples(0)}, {}) is True
    before = names(run / "parts")
    assert commit(run, 0, {"samples": samples(7)}, {}) is False
    assert names(run / "parts") == before
    assert Run(run, {}).samples.equals(samples(0))


def test_of_writers_at_once_one_shard_stays(run):
    """Rows are never doubled or mixed; where there is a condition, exactly one is told that it won."""
    for shard in range(4):
        barrier, results = threading.Barrier(4), {}
        tables = [samples(10 * shard + k) for k in range(4)]

        def write(k, shard=shard, barrier=barrier, results=results, tables=tables):
            barrier.wait()
            results[k] = commit(run, shard, {"samples": tables[k]}, {"writer": k})

        threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        record = read_commits(run)[shard]
        assert results[record["writer"]] is True
        assert read_commits(run).keys() == set(range(shard + 1))
        found = Run(run, {}).samples.slice(3 * shard, 3)
        assert found.equals(tables[record["writer"]])
        if not is_remote(run) or protocol_of(run) in ("s3", "webhdfs"):
            assert sum(results.values()) == 1
    assert not damaged_shards(run, read_commits(run))


def test_a_record_that_is_not_whole_is_none(run):
    commit(run, 0, {"samples": samples(0)}, {})
    text = read_bytes(commit_path(run, 0))
    for broken in (b"", text[: len(text) // 2], b"null", b'{"files": {"samples": {"name": "../x", "sha256": "0"}}}'):
        write_atomic(commit_path(run, 0), broken)
        assert read_commits(run) == {}


def spoil(run, how, name):
    """Damage one part as a broken copy, a mistaken one or a person would."""
    data = read_bytes(run / "parts" / name)
    remove(run / "parts" / name)
    if how == "shorter":
        write_atomic(run / "parts" / name, data[:-1])
    elif how == "edited":
        write_atomic(run / "parts" / name, data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif how == "swapped":
        other = next(one for one in names(run / "parts") if one != name)
        write_atomic(run / "parts" / name, read_bytes(run / "parts" / other))


@pytest.mark.parametrize("how", ["gone", "shorter", "edited", "swapped"])
def test_damage_is_found(how, run):
    for shard in range(3):
        commit(run, shard, {"samples": samples(shard)}, {})
    commits = read_commits(run)
    spoil(run, how, commits[1]["files"]["samples"]["name"])
    assert damaged_shards(run, commits) == {1}


@pytest.fixture
def young(monkeypatch):
    monkeypatch.setattr(plan, "ORPHAN_SECONDS", 3600.0)


def planned(run, shards):
    record = {"shards": [3 * k for k in range(shards + 1)], "fingerprint": "f", "methods": [], "sessions": []}
    return Plan(run, record, 3 * shards, Lock(run))


def test_what_is_left_to_do(run, young):
    for shard in (0, 1, 3):
        commit_methods(run, shard)
    spoil(run, "edited", read_commits(run)[1]["files"]["methods"]["name"])
    write_atomic(run / "commits" / "00004.json", b"{")
    write_atomic(run / "parts" / "00002.aaaaaaaa.samples.parquet", b"of a worker that still works")
    tasks = planned(run, 5).tasks()
    assert [task.shard for task in tasks] == [1, 2, 4]
    assert names(run / "commits") == ["00000.json", "00003.json"]
    assert names(run / "damaged") == ["00001.json.0", "00004.json.0"]
    assert "00002.aaaaaaaa.samples.parquet" in names(run / "parts")
    write_atomic(run / "commits" / "00004.json", b"[")
    planned(run, 5).tasks()
    assert names(run / "damaged") == ["00001.json.0", "00004.json.0", "00004.json.1"]


def commit_methods(run, shard):
    tables = {"samples": samples(shard), "methods": METHODS.empty_table()}
    assert commit(run, shard, tables, {"start": 3 * shard, "stop": 3 * shard + 3, "fingerprint": "f"})


def test_old_files_without_a_commit_are_removed(run, monkeypatch):
    commit_methods(run, 0)
    write_atomic(run / "parts" / "notes.txt", b"of a person")
    write_atomic(run / "commits" / "notes.json", b"of a person")
    kept = names(run / "parts")
    write_atomic(run / "parts" / "00001.aaaaaaaa.samples.parquet", b"of a writer that died")
    monkeypatch.setattr(plan, "ORPHAN_SECONDS", 0.5)
    planned(run, 2).tasks()
    assert wait_for(lambda: planned(run, 2).tasks() and names(run / "parts") == kept)
    assert names(run / "commits") == ["00000.json", "notes.json"]
    assert names(run) == ["commits", "parts"]


def test_a_run_that_was_lost_is_not_finished(run):
    one = planned(run, 1)
    one.lock.lost = True
    with pytest.raises(Stopped, match="took over"):
        one.finish({})
    assert "run.json" not in names(run)


@pytest.fixture
def copied(make_run, s3, tmp_path):
    """A made-up run on this machine, and its copy on the server."""
    made = make_run(40, shards=[0, 9, 10, 25, 40], bad=(3, 11), path=tmp_path / "out" / "data" / "model" / "two-fp32")
    upload(s3, tmp_path / "out", "copy/")
    return made, f"s3://{BUCKET}/copy"


def test_a_run_reads_as_it_does_here(copied, monkeypatch):
    made, url = copied
    CONTACTS.found.clear()
    CONTACTS.listening = True
    try:
        here, there = snellen.load_run(made.path), snellen.load_run(url)
        assert str(there.path) == f"{url}/data/model/two-fp32"
        assert there.record == here.record
        assert there.complete
        for kind in ("samples", "predictions"):
            assert there.table(kind).equals(here.table(kind))
        assert there.errors == here.errors == made.errors
        for small in (True, False):  # whole files, and ranges of them
            monkeypatch.setattr(parts, "WHOLE_BYTES", 10**9 if small else 0)
            np.testing.assert_array_equal(there.answers(), made.ids)
            assert there.table("predictions", ["p1", "zoom"]).equals(here.table("predictions", ["p1", "zoom"]))
        np.testing.assert_array_equal(there.correct(), here.correct())
    finally:
        CONTACTS.listening = False
    assert CONTACTS.found == {"127.0.0.1"}


def test_only_the_columns_that_are_wanted_are_fetched(make_run, s3, tmp_path, monkeypatch):
    """One column of a large file costs a small part of its bytes."""
    make_run(400, path=tmp_path / "out")
    upload(s3, tmp_path / "out", "large/")
    size = max(len(data) for name, data in contents(s3, "large/").items() if "predictions" in name)
    fetched = []
    monkeypatch.setattr(parts, "RANGE_BYTES", 4096)
    monkeypatch.setattr(parts, "WHOLE_BYTES", 0)
    from snellen import files

    plain = files.read_range
    monkeypatch.setattr(files, "read_range", lambda path, a, b: fetched.append(b - a) or plain(path, a, b))
    snellen.load_run(f"s3://{BUCKET}/large").arrays(["id0"])
    assert sum(fetched) < size / 2


def test_runs_are_found_without_listing_their_shards(s3, monkeypatch):
    record = {
        "format": 1,
        "fingerprint": "f",
        "fingerprint_parts": {},
        "batch_size": 1,
        "sessions": [],
        "data": {"spec": "d", "name": "d"},
        "model": {"spec": "m", "precision": "fp32", "card": {"space": "made-up", "keys": ["a", "b"]}},
        "grid": TWO.to_json(),
        "shards": [0, 1],
    }
    out = place(f"s3://{BUCKET}/out")
    for model in ("b", "a"):
        write_atomic(out / "data" / model / "two-fp32" / "run.json", json.dumps(record).encode())
        write_atomic(out / "data" / model / "two-fp32" / "parts" / "x" / "run.json", b"none of a run")
    assert [run.path.parent.name for run in find_runs(out)] == ["a", "b"]
    assert [str(run.path) for run in find_runs(out / "data" / "a")] == [f"{out}/data/a/two-fp32"]
    assert [run.path for run in find_runs(f"{out}/data/a/two-fp32")] == [out / "data" / "a" / "two-fp32"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"s3://{BUCKET}/nothing", "no directory"),
        (f"s3://{BUCKET}/file", "is a file"),
        (f"s3://{BUCKET}/empty", "no run.json"),
        ("s3://no-such-bucket/x", "no directory"),
        ("s3://Not_A_Bucket!/x", "Invalid bucket name"),
    ],
)
def test_where_there_is_no_run(path, words, s3):
    write_atomic(place(f"s3://{BUCKET}/file"), b"1")
    write_atomic(place(f"s3://{BUCKET}/empty/x"), b"1")
    with pytest.raises(UsageError, match=words) as raised:
        find_runs(path)
    assert "\n" not in str(raised.value)


def test_credentials_that_are_refused(s3, monkeypatch):
    """A real server's answer to them, from one that refuses everything."""
    from faulty_proxy import FaultyProxy, faulty_proxy

    answer = b"<Error><Code>InvalidAccessKeyId</Code><Message>The access key does not exist</Message></Error>"
    monkeypatch.setattr(
        FaultyProxy, "handle", lambda self, ask: (self.read_body(ask), self.answer(ask, 403, {}, answer))
    )
    with faulty_proxy(s3, {}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(UsageError, match=r"check the URL and.* credentials"):
            find_runs(f"s3://{BUCKET}/out")


def test_records_are_listed_once_and_read_together(s3):
    """A request for each, and one or two for all."""
    record = {"files": {"samples": {"name": "x", "bytes": 1, "sha256": "0" * 64}}}
    with contextlib.closing(client(s3)) as direct:
        for shard in range(300):
            key = f"many/commits/{shard:05d}.json"
            direct.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(record | {"shard": shard}).encode())
    asked = []
    from s3fs import S3FileSystem

    plain = S3FileSystem._call_s3

    async def counting(self, method, *args, **kwargs):
        asked.append(method)
        return await plain(self, method, *args, **kwargs)

    S3FileSystem._call_s3 = counting
    try:
        found = read_commits(place(f"s3://{BUCKET}/many"))
    finally:
        S3FileSystem._call_s3 = plain
    assert list(found) == list(range(300))
    assert all(commit["shard"] == shard for shard, commit in found.items())
    assert asked.count("get_object") == 300
    assert asked.count("list_objects_v2") <= 3
    assert asked.count("head_object") == 0
