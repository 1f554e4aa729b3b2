"""Worker processes of this machine, told and heard through pipes."""

import sys
import time
from types import SimpleNamespace

from snellen.engine import local


def test_a_job_longer_than_a_pipe_keeps_nobody_waiting(tmp_path, monkeypatch):
    """The command goes on while the worker imports, and the worker gets all of it."""
    script = "import sys, time; time.sleep(2); print(sys.stdin.readline(), end='')"
    monkeypatch.setattr(local, "child_command", lambda _: [sys.executable, "-c", script])
    keys = ["k" * 99] * 20_000
    crew = local.LocalCrew({"run": str(tmp_path)}, SimpleNamespace(device="cpu", to_json=lambda: {"keys": keys}))
    start = time.monotonic()
    crew.start()
    assert time.monotonic() - start < 1.5
    assert crew.next_event()[1]["model"]["keys"] == keys
    crew.end()


def test_a_worker_that_dies_before_it_has_read_its_job_is_dead_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "child_command", lambda _: [sys.executable, "-c", "raise SystemExit(3)"])
    prepared = SimpleNamespace(device="cpu", to_json=lambda: {"keys": "k" * 2_000_000})
    crew = local.LocalCrew({"run": str(tmp_path)}, prepared)
    number = crew.start()
    assert crew.next_event() == (number, None)
    assert not crew.bury(number)
    crew.end()
