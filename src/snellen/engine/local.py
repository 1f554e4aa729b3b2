"""The local engine: one worker process a core (or a GPU), replaced when it dies.

It only hands out tasks. A shard whose worker dies is given out again; one that kills twice is tried in halves until
the image that kills is found, which is then left out and listed in the run.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snellen.classifiers import Prepared
from snellen.engine.worker import Task, load_worker
from snellen.errors import EngineError, SnellenError, Stopped, UsageError
from snellen.labels import ClassMap
from snellen.zoom.grid import Grid

KILLER = "reading or classifying it ends the worker process"
# A worker that cannot even start this often in a row says that no worker can.
STARTS = 3
# Deaths of a shard after which no image is to blame: each half of it was survived, and yet it kills.
FRUITLESS = 3

Progress = Callable[[int], None]


@dataclass(eq=False)
class _Process:
    """One worker process and what it is doing. `number` decides its core and its GPU."""

    number: int
    handle: "subprocess.Popen[str]"
    ready: bool = False
    task: Task | None = None
    views: int = 0


@dataclass
class _Suspect:
    """A shard that killed twice: what is still being tried, and which images were found guilty."""

    task: Task
    trying: int = 0
    guilty: dict[int, str] = field(default_factory=dict)


def worker_count(requested: int | None, device: str) -> int:
    """How many workers: as asked, or one for each core this process may use, or for each GPU."""
    if requested is not None:
        if requested < 1:
            raise UsageError(f"--workers {requested}: expected at least 1")
        return requested
    if device.startswith("cuda"):
        return _gpus() if device == "cuda" else 1
    return len(_cores())


def run_local(job: Mapping[str, Any], prepared: Prepared, tasks: list[Task], workers: int, progress: Progress) -> None:
    """Do all tasks; `progress` hears the views done, and minus those that a dead worker had done in vain.

    Raises Stopped when interrupted, EngineError when the work itself cannot go on.
    """
    if prepared.generative:
        from snellen.engine.answering import run_answering

        run_answering(job, prepared, tasks, progress)
        return
    if prepared.network is not None:
        worker = load_worker(job, prepared)
        for task in tasks:
            worker.run(task, progress)
        return
    _Engine(job, prepared, tasks, min(workers, len(tasks)), progress).run()


class _Engine:
    def __init__(
        self, job: Mapping[str, Any], prepared: Prepared, tasks: list[Task], workers: int, progress: Progress
    ) -> None:
        self._job, self._prepared, self._progress = job, prepared, progress
        self._todo = deque(tasks)
        self._left = len(tasks)  # shards without a commit
        self._deaths: Counter[tuple[int, int, int]] = Counter()  # by shard, start, stop
        self._fruitless: Counter[int] = Counter()
        self._suspects: dict[int, _Suspect] = {}
        self._failed_starts = 0
        self._events: queue.Queue[tuple[_Process, dict[str, Any] | None]] = queue.Queue()
        self._log = Path(job["run"]) / "workers.log"
        self._workers = workers
        self._processes: list[_Process] = []

    def run(self) -> None:
        """Hand out tasks until every shard is committed."""
        try:
            for number in range(self._workers):
                self._processes.append(self._start(number))
            while self._left:
                process, event = self._next_event()
                if process not in self._processes:
                    continue  # the last words of one that was replaced
                if event is None:
                    self._replace(process)
                elif event["event"] == "image":
                    process.views += event["views"]
                    self._progress(event["views"])
                elif event["event"] == "error":
                    raise _error(event)
                else:
                    process.ready, self._failed_starts = True, 0
                    if event["event"] == "done":
                        self._done(process)
                    self._hand_out()
        finally:
            self._end()
        if not self._log.stat().st_size:
            self._log.unlink()

    def _next_event(self) -> tuple[_Process, dict[str, Any] | None]:
        """What a worker says next, or None from one that is dead."""
        while True:
            try:
                return self._events.get(timeout=1.0)
            except queue.Empty:
                # A child that a network forked may hold a dead worker's pipe open, so that it never ends.
                for process in self._processes:
                    if process.handle.poll() is not None:
                        return process, None

    def _start(self, number: int) -> _Process:
        cores = _cores()
        core = cores[number] if self._prepared.device == "cpu" and len(cores) > number else None
        device = f"cuda:{number % _gpus()}" if self._prepared.device == "cuda" else self._prepared.device
        model = self._prepared.to_json() | {"device": device}
        threads = {} if core is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with self._log.open("a") as log:
            handle = subprocess.Popen(
                [sys.executable, "-P", "-c", "from snellen.engine.worker import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | threads,
            )
        process = _Process(number, handle)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        self._say(process, {**self._job, "core": core, "model": model})
        return process

    def _listen(self, process: _Process) -> None:
        assert process.handle.stdout is not None
        with process.handle.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # the last line of a process that died while writing it
                    self._events.put((process, json.loads(line)))
        self._events.put((process, None))

    def _say(self, process: _Process, message: Mapping[str, Any]) -> None:
        assert process.handle.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead; the end of its output says so next
            process.handle.stdin.write(json.dumps(message) + "\n")
            process.handle.stdin.flush()

    def _hand_out(self) -> None:
        for process in self._processes:
            if process.ready and process.task is None and self._todo:
                process.task = self._todo.popleft()
                self._say(process, asdict(process.task))

    def _done(self, process: _Process) -> None:
        task, process.task = process.task, None
        assert task is not None
        if task.commit:
            self._left -= 1
        else:
            self._progress(-process.views)  # only a try: the shard itself is still to be done
            self._settle(task)
        process.views = 0

    def _replace(self, process: _Process) -> None:
        """A worker died: start another in its place, and decide what becomes of its task."""
        _reap(process)
        self._progress(-process.views)
        if not process.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise EngineError(f"worker processes die while starting:\n{_tail(self._log)}")
        if process.task:
            self._blame(process.task)
        self._processes[self._processes.index(process)] = self._start(process.number)
        self._hand_out()

    def _blame(self, task: Task) -> None:
        where = (task.shard, task.start, task.stop)
        self._deaths[where] += 1
        if self._deaths[where] < 2:
            self._todo.appendleft(task)
        elif task.commit:
            self._fruitless[task.shard] += 1
            if self._fruitless[task.shard] >= FRUITLESS:
                raise EngineError(
                    f"shard {task.shard} keeps ending its worker, but no image of it does:\n{_tail(self._log)}"
                )
            self._deaths[where] = 0
            suspect = self._suspects[task.shard] = _Suspect(task, guilty=dict(task.skip))
            self._split(suspect, task)
        elif task.stop - task.start == 1:
            self._suspects[task.shard].guilty[task.start] = KILLER
            self._settle(task)
        else:
            self._split(self._suspects[task.shard], task)
            self._settle(task)

    def _split(self, suspect: _Suspect, task: Task) -> None:
        middle = (task.start + task.stop) // 2
        bounds = [(a, b) for a, b in ((task.start, middle), (middle, task.stop)) if a < b]
        suspect.trying += len(bounds)
        self._todo.extendleft(Task(task.shard, a, b, commit=False, skip=task.skip) for a, b in bounds)

    def _settle(self, tried: Task) -> None:
        """A try has its verdict; when all have, the shard is done again without the guilty images."""
        suspect = self._suspects[tried.shard]
        suspect.trying -= 1
        if not suspect.trying:
            whole = suspect.task
            self._todo.appendleft(Task(whole.shard, whole.start, whole.stop, skip=suspect.guilty))

    def _end(self) -> None:
        """Kill the workers: what they have not committed is dropped."""
        for process in self._processes:
            process.handle.kill()
        for process in self._processes:
            _reap(process)


def _reap(process: _Process) -> None:
    process.handle.wait()
    if process.handle.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.handle.stdin.close()


def job_of(run: Path, data: str, images: str, grid: Grid, classes: ClassMap | None, keep_probs: bool) -> dict[str, Any]:
    """What every worker of a run is told, besides its model: where, which images, which views, which classes."""
    return {
        "run": str(run),
        "data": data,
        "images": images,
        "grid": grid.to_json(),
        "classes": classes.to_json() if classes else None,
        "keep_probs": keep_probs,
    }


@contextlib.contextmanager
def interruptible() -> Any:
    """Turn Ctrl-C and SIGTERM into Stopped while the work goes on."""

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped("interrupted; run the same command again to resume") from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _gpus() -> int:
    """GPUs this process may use, at least 1; counted without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))


def _error(event: Mapping[str, Any]) -> SnellenError:
    kinds = {2: UsageError, 3: Stopped}
    return kinds.get(event["exit_code"], EngineError)(event["message"])


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(nothing on its standard error)"
