"""Worker processes of this machine, told and heard through pipes."""

import os
import signal
import sys
import threading
from types import SimpleNamespace

import psutil

from snellen.engine import local
from snellen.engine.drive import run_engine
from snellen.engine.held import Held
from snellen.engine.running import DEFAULTS
from snellen.engine.worker import Task
from snellen.locks import Lock


def crew_of(tmp_path, monkeypatch, script, model=None):
    """A crew whose workers run `script`."""
    monkeypatch.setattr(local, "child_command", lambda _: [sys.executable, "-c", script])
    return local.LocalCrew({"run": str(tmp_path)}, SimpleNamespace(device="cpu", to_json=lambda: model or {}))


def next_word(crew):
    """What is said next, however long it takes."""
    while (said := crew.next_event()) is None:
        pass
    return said


def begun(crew):
    """The number of a worker that has been started."""
    number = crew.start()
    assert next_word(crew) == (number, {"event": "begun"})
    return number


def test_a_job_longer_than_a_pipe_keeps_nobody_waiting(tmp_path, monkeypatch):
    """The command goes on while the worker imports, and the worker gets all of it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    keys = ["k" * 99] * 20_000
    script = f"import sys; open({str(gate)!r}).read(); print(sys.stdin.readline(), end='')"
    crew = crew_of(tmp_path, monkeypatch, script, {"keys": keys})
    starting = threading.Thread(target=crew.start, daemon=True)
    starting.start()
    starting.join(60)
    assert not starting.is_alive(), "the worker reads nothing yet, and is waited for"
    assert next_word(crew)[1] == {"event": "begun"}
    gate.write_text("")  # waits until the worker has come so far
    assert next_word(crew)[1]["model"]["keys"] == keys
    crew.end()


def test_a_worker_that_dies_before_it_has_read_its_job_is_dead_and_no_more(tmp_path, monkeypatch):
    crew = crew_of(tmp_path, monkeypatch, "raise SystemExit(3)", {"keys": "k" * 2_000_000})
    number = begun(crew)
    assert next_word(crew) == (number, None)
    assert not crew.bury(number)
    crew.end()


# Ends when it is told to, but leaves a child that holds its output open; or says something all the time.
LEAVES_A_CHILD = """
import json, os, sys, time
print(json.dumps({"event": "views", "views": 0, "parent": os.getpid()}), flush=True)
if json.loads(sys.stdin.readline())["core"] == CHATTY:
    while True:
        print(json.dumps({"event": "views", "views": 1}), flush=True)
        time.sleep(0.005)
child = os.fork()
if not child:
    time.sleep(10_000)
print(json.dumps({"event": "views", "views": 7, "child": child}), flush=True)
os._exit(0)
"""


def test_a_dead_worker_whose_output_goes_on_is_noticed_while_others_talk(tmp_path, monkeypatch):
    """All that it had said is heard before."""
    monkeypatch.setattr(local, "cores", lambda: [0, 1])
    crew = crew_of(tmp_path, monkeypatch, LEAVES_A_CHILD.replace("CHATTY", "0"))
    chatty, dies = crew.start(), crew.start()
    heard, orphan = [], None
    try:
        for _ in range(100_000):
            number, event = next_word(crew)
            if number == dies:
                heard.append(event)
                orphan = (event or {}).get("child", orphan)
                if event is None:
                    break
        assert [event and event.get("views") for event in heard] == [None, 0, 7, None]
        assert crew.bury(dies) is False
        assert next_word(crew)[0] == chatty
    finally:
        os.kill(orphan, signal.SIGKILL)
        crew.end()


def test_one_that_is_buried_alive_is_killed(tmp_path, monkeypatch):
    """Also one that has closed its output and does not end."""
    script = "import os, sys, time; print(os.getpid(), flush=True); os.close(1); time.sleep(10_000)"
    crew = crew_of(tmp_path, monkeypatch, script)
    number = begun(crew)
    _, pid = next_word(crew)
    assert psutil.pid_exists(pid)
    assert next_word(crew) == (number, None)
    assert not crew.bury(number)
    assert not psutil.pid_exists(pid)
    crew.end()


def test_workers_are_told_how_many_share_the_cores(tmp_path, monkeypatch):
    """Not how many there could be: on a machine of eight GPUs, one worker has all the cores."""
    told = []

    class Crew:
        def __init__(self, job, prepared):
            told.append(job["sharing"])

        def start(self):
            raise KeyboardInterrupt

        def end(self):
            pass

    monkeypatch.setattr(local, "LocalCrew", Crew)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    prepared = SimpleNamespace(device="cuda", generative=False, network=None)
    for workers, tasks in ((1, 9), (4, 9), (8, 3)):
        todo = [Task(k, k, k + 1) for k in range(tasks)]
        try:
            run_engine({}, prepared, todo, {**DEFAULTS, "workers": workers}, print, Held(tmp_path, Lock(tmp_path)))
        except KeyboardInterrupt:
            continue
    assert told == [1, 4, 3], "no more than have something to do"
