"""The local engine: one worker process for each core (or GPU), which are told and answer in lines of JSON."""

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snellen.atomic import writing
from snellen.classifiers import Prepared
from snellen.engine.child import child_command
from snellen.engine.memory import NO_MEMORY, KillCount
from snellen.engine.names import log_file
from snellen.engine.worker import Task
from snellen.places import place

# Seconds between two looks at whether the workers are alive.
LOOK = 1.0


@dataclass(eq=False)
class _Process:
    """One worker process. `slot` decides its core or its GPU; `dead`: how many looks have found it so."""

    slot: int
    handle: "subprocess.Popen[str]"
    dead: int = 0


class LocalCrew:
    """Worker processes of this machine, see `snellen.engine.drive.Crew`."""

    def __init__(self, job: Mapping[str, Any], prepared: Prepared) -> None:
        self._job, self._prepared = job, prepared
        self._log = log_file(place(job["run"]))
        self._numbers = itertools.count()
        self._processes: dict[int, _Process] = {}
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._kills = KillCount()
        self._looked = time.monotonic()

    def start(self) -> int:
        """Start a worker process on the first free core or GPU."""
        taken = {process.slot for process in self._processes.values()}
        slot = next(slot for slot in itertools.count() if slot not in taken)
        number = next(self._numbers)
        core = cores()[slot] if self._prepared.device == "cpu" and len(cores()) > slot else None
        device = f"cuda:{slot % gpus()}" if self._prepared.device == "cuda" else self._prepared.device
        threads = {} if core is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with writing(self._log.parent, begun=True), self._log.open("a") as log:
            handle = subprocess.Popen(
                child_command("snellen.engine.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | threads,
            )
        self._processes[number] = _Process(slot, handle)
        self._events.put((number, {"event": "begun"}))
        model = self._prepared.to_json() | {"device": device}
        job = {**self._job, "core": core, "model": model}
        threading.Thread(target=self._listen, args=(number, handle, job), daemon=True).start()
        return number

    def give(self, worker: int, task: Task) -> None:
        """Write the task to a worker's input."""
        _say(self._processes[worker].handle, asdict(task))

    def next_event(self) -> tuple[int, dict[str, Any] | None] | None:
        """The next line of any worker, or the end of its output; nothing where there is none for a while."""
        if time.monotonic() - self._looked >= LOOK:
            self._look()
        with contextlib.suppress(queue.Empty):
            return self._events.get(timeout=LOOK)
        return None

    def _look(self) -> None:
        """Tell of dead workers whose output does not end, since a child that a network forked holds it open.

        At the second look: by then all that they had said is in the queue.
        """
        self._looked = time.monotonic()
        for number, process in self._processes.items():
            process.dead += process.handle.poll() is not None
            if process.dead == 2:
                self._events.put((number, None))

    def bury(self, worker: int) -> bool:
        """Take a worker's exit code; whether it tells of memory: the kernel's kill, or a refused allocation."""
        handle = self._processes.pop(worker).handle
        handle.kill()  # nothing to one that is dead
        code = _reap(handle)
        return code == NO_MEMORY or (code == -signal.SIGKILL and self._kills.another())

    def last_words(self) -> str:
        """The end of what workers wrote beside their answers."""
        lines = self._log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join(lines) or "(nothing on its standard error)"

    def end(self) -> None:
        """Kill the workers, and remove a log that says nothing."""
        for process in self._processes.values():
            process.handle.kill()
        for process in self._processes.values():
            _reap(process.handle)
        with contextlib.suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()

    def _listen(self, number: int, handle: "subprocess.Popen[str]", job: Mapping[str, Any]) -> None:
        """Tell a worker its job, then pass on what it says.

        A job may be longer than a pipe holds, and is read only when the worker has imported what it needs.
        """
        _say(handle, job)
        assert handle.stdout is not None
        with handle.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # the last line of a process that died while writing it
                    self._events.put((number, json.loads(line)))
        self._events.put((number, None))


def capacity(device: str) -> int:
    """How many workers this machine has place for: one on each core this process may use, or on each GPU."""
    if device.startswith("cuda"):
        return gpus() if device == "cuda" else 1
    return len(cores())


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def gpus() -> int:
    """GPUs this process may use, at least 1; counted without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))


def _say(handle: "subprocess.Popen[str]", message: Mapping[str, Any]) -> None:
    assert handle.stdin is not None
    # It is dead, or even reaped (ValueError: its input is closed); the end of its output says so next.
    with contextlib.suppress(BrokenPipeError, ValueError):
        handle.stdin.write(json.dumps(message) + "\n")
        handle.stdin.flush()


def _reap(handle: "subprocess.Popen[str]") -> int:
    code = handle.wait()
    if handle.stdin:
        with contextlib.suppress(BrokenPipeError):
            handle.stdin.close()
    return code
