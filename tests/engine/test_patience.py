"""Workers that hang: when they are taken to, what becomes of them and of their images."""

import json
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from PIL import Image

import snellen
from snellen.engine import local, patience
from snellen.engine.drive import drive
from snellen.engine.local import LocalCrew
from snellen.engine.patience import HANGING, LOOK, Patience
from snellen.engine.schedule import ENDLESS, Schedule
from snellen.engine.worker import Task
from snellen.errors import EngineError


@pytest.fixture
def clock(monkeypatch):
    """The seconds that `patience.py` is told."""
    made = SimpleNamespace(now=5.0)
    monkeypatch.setattr(patience.time, "monotonic", lambda: made.now)
    return made


def wait(clock, waiting, seconds):
    """Who hangs, asked once a second for so long; the first that does ends it."""
    for _ in range(int(seconds)):
        clock.now += 1
        if (found := waiting.overdue()) is not None:
            return found
    return None


def test_who_says_nothing_for_half_an_hour_hangs_and_nobody_else(clock):
    waiting = Patience()
    for worker in range(3):
        waiting.awaits(worker)
    waiting.rests(2)
    for _ in range(4):
        assert wait(clock, waiting, HANGING / 2) is None
        waiting.awaits(0)
        waiting.awaits(1)
    assert wait(clock, waiting, HANGING / 2) is None
    waiting.awaits(1)
    assert wait(clock, waiting, HANGING / 2 + 2 * LOOK) == 0
    assert waiting.overdue() == 0, "until it is dealt with"
    waiting.rests(0)
    assert waiting.overdue() is None
    waiting.rests(1)
    assert wait(clock, waiting, 3 * HANGING) is None


def test_nobody_is_to_blame_for_hours_in_which_the_command_was_suspended(clock):
    waiting = Patience()
    waiting.awaits(0)
    assert wait(clock, waiting, HANGING / 2) is None
    for _ in range(3):
        clock.now += 20 * HANGING
        assert waiting.overdue() is None
    assert wait(clock, waiting, HANGING / 2 + 2 * LOOK) == 0


# A worker process that answers, of images that are numbers, all but the second: there it says so in a file, and hangs.
WORKER = """
import json, os, pathlib, sys, time
job = json.loads(sys.stdin.readline())
def hang(why):
    (pathlib.Path(job["run"]) / f"hangs-{os.getpid()}").write_text(why)
    time.sleep(10_000)
if job["model"]["stillborn"]:
    hang("starting")
print(json.dumps({"event": "ready"}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    for image in range(task["start"], task["stop"]):
        if str(image) in task["skip"]:
            print(json.dumps({"event": "views", "views": 1000, "why": task["skip"][str(image)]}), flush=True)
        elif image == 2:
            hang(str(task))
        else:
            print(json.dumps({"event": "views", "views": 1}), flush=True)
    print(json.dumps({"event": "done", "committed": task["commit"]}), flush=True)
"""


def hanging(folder):
    """Whether a worker that hangs is alive."""
    return any(psutil.pid_exists(int(path.name[6:])) for path in folder.glob("hangs-*"))


def real_workers(tmp_path, monkeypatch, stillborn=False):
    """A crew of these processes; the clock of patience only runs, and fast, while one of them hangs."""
    monkeypatch.setattr(local, "child_command", lambda _: [sys.executable, "-c", WORKER])
    monkeypatch.setattr(local, "LOOK", 0.01)
    true = SimpleNamespace(now=0.0)

    def monotonic():
        true.now += LOOK if hanging(tmp_path) else 0.0
        return true.now

    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(patience, "HANGING", 9 * LOOK)  # fewer looks
    prepared = SimpleNamespace(device="cpu", to_json=lambda: {"stillborn": stillborn})
    return LocalCrew({"run": str(tmp_path)}, prepared)


def test_an_image_that_hangs_its_worker_is_found_and_left_out(tmp_path, monkeypatch):
    crew = real_workers(tmp_path, monkeypatch)
    said, heard, notes = [], [], []
    next_event = crew.next_event
    monkeypatch.setattr(crew, "next_event", lambda: said.append(next_event()) or said[-1])
    drive(Schedule([Task(0, 0, 4), Task(1, 4, 6)], 1), crew, 1, heard.append, notes.append)
    assert sum(heard) == 5 + 1000, "five images, and the word for the one that was left out"
    assert [event[1]["why"] for event in said if event and event[1] and "why" in event[1]] == [ENDLESS]
    # The shard, then the half that the image is in, then the image: each hangs two.
    assert notes == ["a worker showed no progress for 30 minutes and was ended"] * 6
    assert not hanging(tmp_path), "they were killed"


def test_workers_that_hang_while_they_start_end_the_study(tmp_path, monkeypatch):
    crew = real_workers(tmp_path, monkeypatch, stillborn=True)
    with pytest.raises(EngineError, match="worker processes die while starting"):
        drive(Schedule([Task(0, 0, 4)], 1), crew, 1, lambda views: None, lambda text: None)
    assert not hanging(tmp_path)


HANGS = """
import os, time
from pathlib import Path
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 1000)

    def forward(self, x):
        means = x.mean((2, 3))
        if ((means[:, 0] > 2.2) & (means[:, 1] < -2.0)).any():
            Path(__file__).with_name(f"hangs-{os.getpid()}").touch()
            time.sleep(10_000)
        return self.head(means)

def net():
    torch.manual_seed(0)
    return Net()
"""


# A study whose patience runs, fast, only while a worker hangs.
STUDY = """
import sys
from pathlib import Path
from types import SimpleNamespace
import psutil, snellen
from snellen.engine import patience

model, data, out, engine = sys.argv[1:]
now = 0.0

def monotonic():
    global now
    pids = [int(path.name[6:]) for path in Path(data).parent.glob("hangs-*")]
    now += patience.LOOK if any(map(psutil.pid_exists, pids)) else 0.0
    return now

patience.time = SimpleNamespace(monotonic=monotonic)
patience.HANGING = 4 * patience.LOOK
snellen.study(model, data, out=out, backend="torch", workers=1, engine=engine)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_study_goes_on_without_the_image_that_hangs(engine, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray")
    (tmp_path / "hangs.py").write_text(HANGS)
    for name, colour in (("0", (10, 200, 30)), ("1", (255, 0, 255)), ("2", (90, 80, 70))):
        (tmp_path / "data" / "n01440764").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(tmp_path / "data" / "n01440764" / f"{name}.png")
    words = [f"{tmp_path / 'hangs.py'}:net", str(tmp_path / "data"), str(tmp_path / "out"), engine]
    done = subprocess.run([sys.executable, "-c", STUDY, *words], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found = snellen.load_run(tmp_path / "out")
    assert found.complete
    assert found.errors == [("n01440764/1.png", ENDLESS)]
    assert json.loads((found.path / "run.json").read_text())["sessions"][-1]["shards"] == 3
