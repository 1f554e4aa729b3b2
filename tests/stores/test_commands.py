"""Commands on an S3 server as a user types them: the rows of a run on this machine, however often it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disturbed import KINDS, kill_group, run, start, tables, wait_for
from faulty_proxy import FaultyProxy, faulty_proxy
from s3_server import BUCKET, contents, upload

import snellen
from snellen import trouble
from snellen.atomic import create_atomic
from snellen.errors import Stopped, UsageError
from snellen.places import place

OUT = f"s3://{BUCKET}/out"


def commits_there(url):
    return {name: data for name, data in contents(url, "out/").items() if "/commits/" in name}


def same_rows(out, expected):
    """The tables of a run, in its order, are those of another: every row once."""
    found, wanted = tables(out), tables(expected)
    return all(found[kind].equals(wanted[kind]) for kind in KINDS)


def test_a_study_is_the_same_there(pictures, tiny, local_out, s3, tmp_path):
    done = run(pictures, tiny, OUT)
    assert done.returncode == 0, done.stderr
    assert same_rows(OUT, local_out)
    run_there = snellen.load_run(OUT)
    assert run_there.complete
    here = snellen.load_run(local_out)
    assert run_there.record["fingerprint"] == here.record["fingerprint"]
    np.testing.assert_array_equal(run_there.correct(), here.correct())
    files = contents(s3, "out/")
    assert not [name for name in files if "lock" in name or name.endswith(".tmp") or "/.clock" in name]
    again = run(pictures, tiny, OUT)
    assert again.returncode == 0, again.stderr
    assert contents(s3, "out/") == files, "nothing is done or written again but the labels"
    assert str(run_there.path) in again.stdout


def test_killed_in_the_middle_and_resumed(pictures, tiny, local_out, s3):
    process = start(pictures, tiny, OUT, "-q")
    wait_for(lambda: len(commits_there(s3)) >= 4, process=process)
    kill_group(process)
    before = commits_there(s3)
    assert len(before) >= 4
    assert not snellen.load_run(OUT).complete
    done = run(pictures, tiny, OUT)
    assert done.returncode == 0, done.stderr
    after = commits_there(s3)
    assert {name: after[name] for name in before} == before, "what was committed stays as it was"
    assert len({json.loads(data)["shard"] for data in after.values()}) == len(after)
    resumed = snellen.load_run(OUT)
    assert resumed.record["sessions"][-1]["shards"] == len(after) - len(before)
    assert same_rows(OUT, local_out)
    assert Counter(resumed.samples["image"].to_pylist()).most_common(1)[0][1] == 1


def test_of_two_commands_one_is_refused(pictures, tiny, local_out, s3):
    first = start(pictures, tiny, OUT, "-q")
    wait_for(lambda: commits_there(s3), process=first)
    os.killpg(first.pid, signal.SIGSTOP)  # however long the second takes to start, the first is not done by then
    try:
        second = run(pictures, tiny, OUT)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert second.returncode == 2
    assert "another process is working" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1
    first.communicate(timeout=200)
    assert first.returncode == 0
    assert same_rows(OUT, local_out)


@pytest.mark.slow
def test_three_at_once_from_nothing(pictures, tiny, local_out, s3):
    processes = [start(pictures, tiny, OUT, "-q") for _ in range(3)]
    endings = [(process.communicate(timeout=300)[1], process.returncode) for process in processes]
    assert {code for _, code in endings} <= {0, 2}, endings
    done = run(pictures, tiny, OUT)
    assert done.returncode == 0, done.stderr
    assert same_rows(OUT, local_out)


def test_images_come_from_there(pictures, tiny, local_out, s3, tmp_path):
    upload(s3, pictures, f"{pictures.name}/")  # the origin of an image is the folder's name
    done = run(f"s3://{BUCKET}/{pictures.name}", tiny, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert same_rows(tmp_path / "out", local_out)


@pytest.mark.slow
def test_rows_of_parquet_files_come_from_there(pictures, tiny, s3, tmp_path):
    files = sorted(pictures.rglob("*.png"))
    names = [path.relative_to(pictures).as_posix() for path in files]
    images = pa.array([{"bytes": path.read_bytes(), "path": name} for path, name in zip(files, names, strict=True)])
    labels = pa.array([name.split("/")[0] for name in names])
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "rows" / "a.parquet", row_group_size=5)
    upload(s3, tmp_path / "rows", "rows/")
    for data, out in ((f"parquet/{tmp_path / 'rows'}", tmp_path / "out"), (f"parquet/s3://{BUCKET}/rows", OUT)):
        done = run(data, tiny, out, "--limit", "12")
        assert done.returncode == 0, done.stderr
    assert same_rows(OUT, tmp_path / "out")


def snellen_command(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "snellen.cli", *map(str, words)], capture_output=True, text=True, timeout=300, cwd=cwd
    )


@pytest.fixture
def study_there(local_out, s3):
    """The study of this machine, copied byte for byte."""
    upload(s3, local_out, "out/")
    return OUT


def test_report_and_compare_read_from_there(study_there, local_out, tmp_path):
    report = snellen_command("report", study_there, "-f", "md,csv", "--resamples", "50", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "Report: out-report" in report.stdout
    here = snellen_command("report", local_out, "-f", "md,csv", "--resamples", "50", "--to", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    for name in ("tables.md", "table_1.csv"):
        if (tmp_path / "here" / name).exists():
            assert (tmp_path / "out-report" / name).read_text() == (tmp_path / "here" / name).read_text()
    assert sorted(p.name for p in (tmp_path / "out-report").iterdir()) == sorted(
        p.name for p in (tmp_path / "here").iterdir()
    )
    refused = snellen_command("report", study_there, "--to", f"s3://{BUCKET}/report")
    assert refused.returncode == 2
    assert "a folder of this machine" in refused.stderr
    pair = snellen_command("compare", study_there, local_out, "--json", "--resamples", "50")
    assert pair.returncode == 0, pair.stderr
    assert json.loads(pair.stdout)["runs"][0]["run"].startswith(OUT)


@pytest.mark.slow
def test_eval_keeps_its_results_there(pictures, tiny, s3, tmp_path):
    for out in (OUT, tmp_path):
        for limit in ("3", "5"):
            done = snellen_command("eval", pictures, "-m", tiny, "-o", out, "--limit", limit, "--workers", "1", "-q")
            assert done.returncode == 0, done.stderr
            assert f"Results: {out}/results.csv" in done.stdout
    there = contents(s3, "out/")
    rows = [text.decode().splitlines() for text in (there["results.csv"], (tmp_path / "results.csv").read_bytes())]
    cells = [[line.split(",")[:13] for line in lines] for lines in rows]
    assert cells[0] == cells[1]
    assert not [name for name in there if "lock" in name]


def test_merging_a_study_there(study_there, local_out, tmp_path):
    methods = ("--method", "1crop", "--method", "mean:paper:all", "-o", tmp_path, "-q", "--json")
    answers = [snellen_command("tta", snellen.load_run(out).path, *methods) for out in (study_there, local_out)]
    assert [done.returncode for done in answers] == [0, 0], answers
    there, here = (json.loads(done.stdout)[0] for done in answers)
    assert there["run"].startswith(OUT)
    assert there["methods"] == here["methods"]


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("s3://no-such-bucket/x", "The specified bucket does not exist"),
        ("s3://", "names no bucket"),
        ("nosuch://x", "no protocol 'nosuch'"),
    ],
)
def test_a_wrong_out_is_one_line(out, words, pictures, tiny, s3):
    done = run(pictures, tiny, out)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def nobody(s3, monkeypatch):
    """An address where nothing listens, and drivers that are told so at once."""
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def test_a_store_that_is_not_there_can_be_read_later(nobody):
    with pytest.raises(Stopped, match="cannot be reached"):
        snellen.load_run(OUT)


@pytest.mark.slow
def test_a_store_that_is_not_there_stops_what_can_be_resumed(nobody):
    with pytest.raises(Stopped, match="run the same command again to resume"):
        snellen.study("embedded/efficientnet_lite0", "examples", out=OUT, limit=1)


class Server(FaultyProxy):
    """An S3 server of another make: `condition` says what it makes of If-None-Match; `seen` are such requests."""

    condition = "honoured"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen, self.lose = [], False

    def handle(self, request):
        if "If-None-Match" in request.headers:
            self.seen.append(request.path)
            if self.condition == "refused":
                self.read_body(request)
                text = b"<Error><Code>NotImplemented</Code><Message>no such header</Message></Error>"
                self.answer(request, 501, {"Content-Type": "application/xml"}, text)
                return
            if self.condition == "passed over":
                del request.headers["If-None-Match"]
            if self.lose:
                self.lose = False
                self.forward(request, self.read_body(request))
                self.hang_up(request)
                return
        super().handle(request)


@pytest.fixture
def other_server(s3, monkeypatch):
    monkeypatch.setattr("faulty_proxy.FaultyProxy", Server)
    with faulty_proxy(s3, {}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.parametrize("condition", ["honoured", "refused", "passed over"])
def test_a_file_is_created_once(condition, other_server, s3):
    other_server.condition = condition
    path = place(f"s3://{BUCKET}/once")
    assert create_atomic(path, b"first") is True
    assert other_server.seen, "the condition is sent"
    assert create_atomic(path, b"second") is False
    assert contents(s3) == {"once": b"first"}


def test_the_server_itself_refuses_what_comes_second(other_server, s3, monkeypatch):
    """Of two that both found nothing there: the condition decides, not the look before."""
    monkeypatch.setattr("snellen.atomic.exists", lambda path: False)
    path = place(f"s3://{BUCKET}/once")
    assert create_atomic(path, b"first") is True
    assert create_atomic(path, b"second") is False
    assert contents(s3) == {"once": b"first"}


def test_an_answer_that_was_lost_is_no_defeat(other_server, s3):
    """The file was created, the client did not hear of it and asks again: it still is the one who created it."""
    other_server.lose = True
    assert create_atomic(place(f"s3://{BUCKET}/once"), b"mine") is True
    assert len(other_server.seen) >= 2
    assert contents(s3) == {"once": b"mine"}


def test_refused_credentials_are_one_line(s3, monkeypatch, pictures, tiny):
    answer = b"<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message></Error>"
    monkeypatch.setattr(
        FaultyProxy, "handle", lambda self, ask: (self.read_body(ask), self.answer(ask, 403, {}, answer))
    )
    with faulty_proxy(s3, {}) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        began = time.monotonic()
        done = run(pictures, tiny, OUT)
        assert done.returncode == 2
        assert "check the credentials" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert time.monotonic() - began < 60
        with pytest.raises(UsageError, match="credentials"):
            snellen.load_run(OUT)
