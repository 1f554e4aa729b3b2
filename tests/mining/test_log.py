"""The review log: whole or absent, once, whoever writes it and however they end."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hard_set import MadeUpImage, client_of, images_of, verdict_on

from snellen.errors import DataError
from snellen.mining.log import FOLDER, append, encode, read_log

ROUNDS = 5
BATCH = 7
WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from hard_set import images_of, verdict_on
from snellen.mining.log import append
hard, client = Path(sys.argv[1]), int(sys.argv[2])
images = images_of(7)
for start in range(0, 7 * int(sys.argv[4]), 7):
    append(hard, [verdict_on(images[k], client=client, seq=start + k) for k in range(7)])
    print(start, flush=True)
"""


def writer(hard, client, batches):
    helpers = Path(__file__).parents[1] / "helpers"
    command = [sys.executable, "-c", WRITER, hard, client, helpers, batches]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)


def log_file(hard, name="a.jsonl"):
    (hard / FOLDER).mkdir(exist_ok=True)
    return hard / FOLDER / name


def test_what_was_appended_is_read(tmp_path):
    first, second = images_of(2)
    batch = [
        verdict_on(first, "relabel", "n01440764", "n01443537", reason="zwei Fische \u2028 «ü»", seq=3),
        verdict_on(second, "unsure", seq=5),
    ]
    assert append(tmp_path, batch) is True
    later = verdict_on(first, client=2, time="2025-01-02T00:00:00.5Z", based_on=batch[:1])
    assert append(tmp_path, [later]) is True
    assert read_log(tmp_path).verdicts == (*batch, later)
    lines = [json.loads(line) for path in (tmp_path / FOLDER).iterdir() for line in path.read_text().split("\n")[:-1]]
    fields = {"id", "sha256", "verdict", "labels", "reviewer", "time", "reason", "client", "seq", "based_on"}
    assert all(set(line) == fields for line in lines)


def test_a_hard_set_without_a_log_has_an_empty_one(tmp_path):
    assert read_log(tmp_path).verdicts == ()


def test_replaying_changes_nothing(tmp_path):
    batch = [verdict_on(image, seq=k) for k, image in enumerate(images_of(3))]
    append(tmp_path, batch)
    before = {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()}
    again = [verdict_on(image, seq=k, time="2026-01-01T00:00:00Z") for k, image in enumerate(images_of(3))]
    assert append(tmp_path, again) is False
    assert {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()} == before
    # A client that did not hear of it may also send it together with what came after.
    more = [*again, verdict_on(images_of(4)[3], seq=3)]
    assert append(tmp_path, more) is True
    assert read_log(tmp_path).verdicts == (*batch, more[3])


def test_one_number_is_one_verdict(tmp_path):
    (image,) = images_of(1)
    append(tmp_path, [verdict_on(image, "keep")])
    with pytest.raises(DataError, match=r"0-0\.jsonl.* other verdicts under the same numbers"):
        append(tmp_path, [verdict_on(image, "drop")])
    log_file(tmp_path, "copied.jsonl").write_bytes(encode([verdict_on(image, "drop")]))
    with pytest.raises(
        DataError, match=rf"called {client_of(1)}/0, and differ: in .*0-0\.jsonl and in .*copied\.jsonl"
    ):
        read_log(tmp_path)


def test_a_cut_off_last_line_does_not_count(tmp_path):
    batch = [verdict_on(image, seq=k) for k, image in enumerate(images_of(3))]
    data = encode(batch)
    two = len(encode(batch[:2]))
    for length in (*range(0, two, 37), *range(two, len(data) + 1)):
        log_file(tmp_path).write_bytes(data[:length])
        log = read_log(tmp_path)
        whole = data[:length].count(b"\n")
        # Without its end a line may still be whole.
        assert log.verdicts in (tuple(batch[:whole]), tuple(batch[: whole + 1]))
        if two < length < len(data) - 1:
            assert log.verdicts == tuple(batch[:2])
            assert log.torn == ("a.jsonl",)


GOOD = json.loads(encode([verdict_on(MadeUpImage("a.jpg"))]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "kepp"}, "'kepp' is none of keep, drop, relabel, unsure"),
        ({"id": "xyz"}, "'id' is not 16 hex digits"),
        ({"sha256": "A" * 64}, "'sha256' is not 64 hex digits"),
        ({"labels": ["n01440764"]}, "labels belong to relabel"),
        ({"verdict": "relabel"}, "labels belong to relabel"),
        ({"labels": "n01440764", "verdict": "relabel"}, "'labels' is no list of texts"),
        ({"reviewer": " "}, "a reviewer's name"),
        ({"reviewer": "a\nb"}, "a reviewer's name"),
        ({"reviewer": None}, "'reviewer' is no text"),
        ({"time": "yesterday"}, "'time' is none"),
        ({"time": "2025-01-01T00:00:00"}, "not in UTC"),
        ({"time": "2025-01-01T00:00:00+02:00"}, "not in UTC"),
        ({"client": "../../x"}, "'client' is no UUID"),
        ({"seq": -1}, "'seq' is no whole number"),
        ({"seq": True}, "'seq' is no whole number"),
        ({"seq": 1.5}, "'seq' is no whole number"),
        ({"reason": "x" * 10_001}, "longer than 10000"),
        ({"reason": "\ud800"}, "half a surrogate"),
        ({"based_on": [3]}, "'based_on' is no list"),
    ],
)
def test_a_line_that_was_edited_wrongly_is_named(change, words, tmp_path):
    lines = encode([verdict_on(MadeUpImage("b.jpg"), seq=4)]) + json.dumps(GOOD | change).encode() + b"\n"
    log_file(tmp_path).write_bytes(lines)
    with pytest.raises(DataError, match=rf"^verdicts/a\.jsonl, line 2 is no verdict: .*{words}.* move the file away$"):
        read_log(tmp_path)


@pytest.mark.parametrize(
    "line", [b"{", b"null", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"id": "x"}', b'{"seq": 1' + b"0" * 5000 + b"}"]
)
def test_a_line_of_something_else_is_named(line, tmp_path):
    log_file(tmp_path).write_bytes(line + b"\n" + encode([verdict_on(MadeUpImage("b.jpg"))]))
    with pytest.raises(DataError, match="line 1 is no verdict"):
        read_log(tmp_path)


@pytest.mark.parametrize("change", [{"verdict": "perhaps"}, {"client": "../x"}, {"time": ""}, {"sha256": ""}])
def test_nothing_wrong_is_written(change, tmp_path):
    wrong = type(verdict_on(MadeUpImage("b.jpg")))(**{**GOOD, "labels": (), "based_on": (), **change})
    with pytest.raises(ValueError, match="no verdict"):
        append(tmp_path, [wrong])
    assert not list(tmp_path.rglob("*.jsonl"))


def test_many_write_at_once(tmp_path):
    writers = [writer(tmp_path, client, 20) for client in (1, 2, 3)] + [writer(tmp_path, 3, 20)]
    read = 0
    while any(process.poll() is None for process in writers):
        log = read_log(tmp_path)
        assert len(log.verdicts) >= read, "what was there is there"
        assert len(log.verdicts) % BATCH == 0, "a batch is whole"
        assert not log.torn
        read = len(log.verdicts)
        time.sleep(0.02)
    told = [process.communicate()[0].split() for process in writers]
    assert told == [[str(BATCH * k) for k in range(20)]] * 4
    assert [process.returncode for process in writers] == [0] * 4
    found = [(verdict.client, verdict.seq) for verdict in read_log(tmp_path).verdicts]
    assert sorted(found) == [(client_of(client), seq) for client in (1, 2, 3) for seq in range(140)]


def test_killed_writers_lose_nothing_that_they_had(tmp_path):
    rng = random.Random(0)
    confirmed, seen = {}, 0
    for client in range(1, ROUNDS + 1):
        process = writer(tmp_path, client, 100_000)
        confirmed[client] = int(process.stdout.readline())
        time.sleep(rng.random() / 10)
        os.kill(process.pid, signal.SIGKILL)
        confirmed[client] = int([confirmed[client], *process.communicate()[0].split()][-1])
        log = read_log(tmp_path)
        assert not log.torn
        there = {verdict.seq for verdict in log.verdicts if verdict.client == client_of(client)}
        assert there >= set(range(confirmed[client] + BATCH))
        assert there == set(range(len(there))), "nothing is there twice, or after a gap"
        assert len(there) <= confirmed[client] + 2 * BATCH, "at most the batch in flight is there unconfirmed"
        assert len(there) % BATCH == 0
        assert len(log.verdicts) == seen + len(there), "what others wrote is as it was"
        seen = len(log.verdicts)
