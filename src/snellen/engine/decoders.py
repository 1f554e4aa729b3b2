"""The decode processes of a worker whose device does the rest: started, told, replaced; `decoding.py` is what they do.

As the engine's workers they are told and answer in lines of JSON: for each image its row of `samples`, then the same
with what is learned of it. Pixels, and bytes that the worker has read itself, go through memory that both processes
hold.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import IO, Any

import numpy as np

from snellen.datasets import DataSet
from snellen.engine.child import child_command
from snellen.engine.decoding import Decoded, read_arrays, write_arrays
from snellen.engine.drive import error_of
from snellen.engine.memory import NO_MEMORY, KillCount
from snellen.engine.samples import read_image
from snellen.engine.schedule import DEATHS, KILLER
from snellen.zoom.bands import Bands

# The row of an image, and its bytes where this process has read them.
Given = tuple[dict[str, Any], bytes | None]


class DecodePool:
    """Some decode processes, replaced when they die; fewer once memory was short.

    An image that ends two of them is reported as one that no worker survives.

    reading: a data set that is read here, in order, since each process would have to read nearly all of it.
    """

    def __init__(self, job: Mapping[str, Any], count: int, reading: DataSet | None = None) -> None:
        self._reading, self._reader = reading, ThreadPoolExecutor(1, "read")
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        self._children = [_Child(job) for _ in range(count)]
        for child in self._children:
            self._idle.put(child)
        self._left, self._kills, self._lock = count, KillCount(), threading.Lock()
        self._threads = ThreadPoolExecutor(count, "decode")

    def submit(self, row: dict[str, Any]) -> "Future[Decoded]":
        """Decode the image of a row of `samples`; the future raises what ended the work as a worker would."""
        given = self._reader.submit(_read_here, self._reading, row) if self._reading else None
        return self._threads.submit(self._decode, row, given)

    def close(self) -> None:
        """End all processes; what is being decoded is dropped."""
        for pool in (self._reader, self._threads):
            pool.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.end()
        for pool in (self._reader, self._threads):
            pool.shutdown()
        while self._children:
            os.close(self._children.pop().memory)

    def _decode(self, row: dict[str, Any], given: "Future[Given] | None") -> Decoded:
        told, data = given.result() if given else (row, None)
        if told["error"]:
            return Decoded(told, None, [])
        child, deaths = self._idle.get(), 0
        try:
            while deaths < DEATHS:
                try:
                    # After a death in a new process: it is not to blame for an old one's.
                    return child.decode(told, data)
                except _Death as death:
                    if self._one_fewer(death.code):
                        child = self._idle.get()
                    else:
                        deaths += 1
        finally:
            self._idle.put(child)
        return Decoded(row | {"error": KILLER}, None, [])

    def _one_fewer(self, code: int) -> bool:
        """Whether a process died because memory was short, and can be done without."""
        with self._lock:
            short = code == NO_MEMORY or (code == -signal.SIGKILL and self._kills.another())
            if short and self._left > 1:
                self._left -= 1
                return True
        return False


def _read_here(dataset: DataSet, row: dict[str, Any]) -> Given:
    row = dict(row)
    return row, read_image(dataset, row["image"], row)


class _Death(Exception):
    """A decode process ended, with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code


class _Child:
    """One decode process, started when it is needed. `memory`: a file without a name, for bytes and pixels."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.memory = os.memfd_create("snellen")
        self._job = {key: job[key] for key in ("data", "images", "stream", "grid")} | {"memory": self.memory}
        self._process: subprocess.Popen[str] | None = None
        self._lock, self._ended = threading.Lock(), False

    def decode(self, row: dict[str, Any], data: bytes | None) -> Decoded:
        """What the process makes of an image; _Death where it dies of it, and what it failed with otherwise."""
        process = self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        line = ""
        if data is not None:
            write_arrays(self.memory, [np.frombuffer(data, np.uint8)])
        with contextlib.suppress(BrokenPipeError):  # it is dead, and says nothing
            _tell(process.stdin, [row, None if data is None else len(data)])
            line = process.stdout.readline()
        if not line.endswith("\n"):
            self._process = None
            raise _Death(_reap(process))
        reply = json.loads(line)
        if reply["event"] == "error":
            raise error_of(reply)
        bands = Bands.from_json(reply["bands"]) if reply["bands"] else None
        return Decoded(reply["row"], bands, read_arrays(self.memory, reply["arrays"]))

    def end(self) -> None:
        """Kill the process; no other is started."""
        with self._lock:
            self._ended = True
            process, self._process = self._process, None
        if process:
            process.kill()
            _reap(process)

    def _ready(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._ended:
                raise CancelledError
            if self._process is None:
                self._process = subprocess.Popen(
                    child_command("snellen.engine.decoding"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    pass_fds=[self.memory],
                    env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
                )
                assert self._process.stdin is not None
                with contextlib.suppress(BrokenPipeError):
                    _tell(self._process.stdin, self._job)
            return self._process


def _tell(pipe: IO[str], message: Any) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def _reap(process: "subprocess.Popen[str]") -> int:
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    return code
