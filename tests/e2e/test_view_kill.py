"""`snellen view`: where it listens, how it ends, and that a server killed with -9 loses no verdict it has answered."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from commands import one_line, run_cli
from hard_set import images_of, verdict_on, write_hard_set

from snellen.mining.hardset import read
from snellen.mining.log import encode, read_log

IMAGES = images_of(40)


@pytest.fixture
def hard(tmp_path):
    return write_hard_set(tmp_path / "HARD", IMAGES)


@contextmanager
def page(target, cache, *options, env=None):
    """A server of the page: its process and the address that it prints."""
    command = [sys.executable, "-m", "snellen.cli", "view", str(target), "--cache", str(cache), "--no-open"]
    process = subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ask(url, body=None, timeout=30):
    headers = {"content-type": "application/json", "x-snellen": "review"} if body is not None else {}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=timeout) as answer:
        return json.load(answer)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_server_killed_in_the_middle_of_reviewing_loses_no_verdict(hard, tmp_path):
    given = [verdict_on(image, ("keep", "drop", "unsure")[k % 3], seq=k) for k, image in enumerate(IMAGES)]
    records = [json.loads(line) for line in encode(given).splitlines()]
    port, answered, waiting, kills = free_port(), [], list(range(len(given))), 0
    while waiting:
        with page(hard, tmp_path / "cache", "--port", port) as (process, url):
            # What was answered before the kill is what the next server says.
            assert set(ask(f"{url}api/verdicts")["images"]) >= {given[k].id for k in answered}
            end = time.monotonic() + (0.02, 0.1, 0.05)[kills] if kills < 3 else None
            killer = None
            if end is not None:
                killer = subprocess.Popen(["sh", "-c", f"sleep {end - time.monotonic():.3f}; kill -9 {process.pid}"])
                kills += 1
            try:
                while waiting:
                    batch = waiting[: 1 + len(waiting) % 3]
                    stored = ask(f"{url}api/verdicts", {"verdicts": [records[k] for k in batch]})["stored"]
                    assert stored == [given[k].key for k in batch]
                    answered += batch
                    waiting = waiting[len(batch) :]
                    if killer is not None:
                        time.sleep(0.01)
            except OSError:  # no answer: it may be stored or not, and is sent again
                assert process.wait(10) == -signal.SIGKILL
            finally:
                if killer is not None:
                    killer.wait()
    assert kills == 3
    assert answered == list(range(len(given)))
    assert read_log(hard).verdicts == tuple(given)
    counts = read(hard).counts
    assert (counts["kept"], counts["dropped"], counts["undecided"]) == (14, 13, 13)
    assert not [one for one in (hard / "verdicts").iterdir() if not one.name.endswith((".jsonl", ".tmp"))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_without_a_word(hard, tmp_path, number):
    with page(hard, tmp_path / "cache", "--port", 0) as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", url)
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2].strip("/")))):  # somebody still there
            ask(f"{url}data/site.json")
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(15) == 0
        assert time.monotonic() - began < 6
        assert process.stderr.read() == ""


def test_off_this_machine_it_makes_up_a_token_and_says_it(hard, tmp_path):
    with page(hard, tmp_path / "cache", "--port", 0, "--host", "0.0.0.0") as (_, url):
        found = re.fullmatch(r"http://[^/]+:([0-9]+)/\?token=([\w-]{32,})", url)
        assert found, url
        here = f"http://127.0.0.1:{found[1]}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{here}/data/site.json")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(f"{here}/?token={found[2]}", timeout=30)
        assert json.load(opener.open(f"{here}/data/site.json", timeout=30))["live"] is True


def test_the_token_of_the_environment_is_asked_for_and_stands_in_no_list_of_processes(hard, tmp_path):
    token = "of-the-environment-alone"
    with page(hard, tmp_path / "cache", "--port", 0, env=os.environ | {"SNELLEN_TOKEN": token}) as (process, url):
        here, _, given = url.partition("?token=")
        assert given == token
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{here}data/site.json")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(url, timeout=30)
        assert json.load(opener.open(f"{here}data/site.json", timeout=30))["live"] is True
        listed = subprocess.run(["ps", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True)
        assert "snellen.cli view" in listed.stdout
        assert token not in listed.stdout


def test_a_port_that_is_taken_is_another_one_unless_it_was_asked_for(hard, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        done = run_cli("view", hard, "--port", taken, "--no-open", timeout=60)
        assert f"--port {taken}" in one_line(done)
    with page(hard, tmp_path / "cache") as (_, first), page(hard, tmp_path / "cache") as (_, second):
        assert first != second
        assert ask(f"{second}data/site.json")["review"] is True


def test_calls_that_are_wrong_cost_one_line(hard, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for options, why in (
        ((tmp_path / "nowhere",), "no folder of runs (OUT) or hard set (HARD)"),
        (("OUTX",), "no folder of runs (OUT) or hard set (HARD) 'OUTX'"),
        ((empty,), "is nothing to view: it holds no run (run.json), no finished hard set and no image"),
        (("examples", "--labels", tmp_path / "no.csv"), "no.csv': there is no such file"),
        ((hard, "--token", "short"), "--token: give at least 16"),
        ((hard, "--reviewer", " ada"), "--reviewer ' ada'"),
        ((hard, "--reference", tmp_path / "nowhere"), "--reference"),
        ((hard, "--host", "no.such.host.invalid"), "--host no.such.host.invalid"),
        ((hard, "--host", "192.0.2.1"), "--host 192.0.2.1"),
        ((hard, "--port", "70000"), "--port"),
    ):
        done = run_cli("view", *options, "--no-open", env=os.environ | {"SNELLEN_CACHE": str(tmp_path)}, timeout=60)
        assert why in one_line(done)
