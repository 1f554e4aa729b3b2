"""Commit records and parts that are damaged: what counts as absent, what is named, what stops the reader."""

import contextlib
import errno
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from run_tables import NINE, edit_record, table_of

import snellen
from snellen.errors import UsageError
from snellen.store import Run, load_run
from snellen.store.commits import commit_path, damaged_files, read_commits
from snellen.store.writer import commit


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
