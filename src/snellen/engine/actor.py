"""A worker as a Ray actor: the same worker as of the local engine, told and answering in the same JSON."""

import contextlib
import fcntl
import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snellen.classifiers import Prepared, prepare
from snellen.classifiers.base import same_probe
from snellen.engine.child import end_for_memory, error_event
from snellen.engine.worker import ShardWorker, Task, load_worker, ready_event
from snellen.errors import ModelError, UsageError
from snellen.files import read_bytes
from snellen.places import cache_root, place

# The file below a run by which actors know that it is the driver's.
PROBE = ".driver"


class Actor:
    """Loads a job's worker once and does its tasks. `run` may be asked while `views` is, from another thread."""

    def __init__(self) -> None:
        self._worker: ShardWorker | None = None
        self._run = Path()
        self._lock = threading.Lock()
        self._serial = 0
        self._views = 0

    def where(self) -> tuple[str, str, str]:
        """The id of its node, the name of the host, and the version of the package there."""
        import ray

        return ray.get_runtime_context().get_node_id(), socket.gethostname(), version("snellen")

    def load(self, text: str, slot: int, gpus: int) -> str:
        """Load the worker of a job.

        text: JSON: the job, with `model`, `own`, `folder` (of the driver), `token` (in the probe).
        slot: which of the node's workers this is, by which it takes a core, or a share of them as one of `gpus`.
        """
        try:
            job = json.loads(text)
            pin(slot, gpus)
            if Path(job["folder"]).is_dir():
                os.chdir(job["folder"])  # data and models may be named by relative paths
            self._run = place(job["run"])
            _check_same_place(self._run, job["token"])
            self._worker = load_worker(job, prepared_here(job["model"], job["own"]))
            return json.dumps(ready_event())
        except Exception as error:
            return json.dumps(self._failure(error))

    def run(self, text: str) -> str:
        """Do a task; what a worker process says at its end, and the views of it."""
        assert self._worker is not None
        with self._lock:
            self._serial, self._views = self._serial + 1, 0
        try:
            task = Task.from_json(json.loads(text))
            committed = self._worker.run(task, self._count)
        except Exception as error:
            return json.dumps(self._failure(error))
        return json.dumps({"event": "done", "committed": committed, "views": self._views})

    def views(self) -> tuple[int, int]:
        """Which task this is at, counted from 1, and how many of its views are done."""
        with self._lock:
            return self._serial, self._views

    def _count(self, views: int) -> None:
        with self._lock:
            self._views += views

    def _failure(self, error: Exception) -> dict[str, Any]:
        code = end_for_memory(error)
        return {"event": "dead", "exit_code": code} if code else error_event(error, self._run)


def prepared_here(record: Mapping[str, Any], own: bool) -> Prepared:
    """The model of a job, on this node: from the cache where it is in it, else prepared from its spec.

    own: whether it is shown views of its own transform.
    Raises ModelError where the model's weights here are not those of the run.
    """
    prepared = Prepared.from_json(dict(record))
    if all(path is None or path.exists() for path in (prepared.entry, prepared.model)):
        return prepared
    host = socket.gethostname()
    if prepared.text.startswith("module/"):
        raise ModelError(
            f"{prepared.text} was given as a module and is in no cache on {host}: set SNELLEN_CACHE to a folder that "
            "all nodes see, or give FILE.py:FUNCTION"
        )
    cache_root().mkdir(parents=True, exist_ok=True)
    with (cache_root() / "preparing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one actor of the node prepares, the others find what it made
        here = prepare(
            prepared.text,
            precision=prepared.precision,
            backend=prepared.backend,
            device=prepared.device,
            batch_size=prepared.batch_size,
            own=own,
            measure=False,
        )
    if here.card.weights != prepared.card.weights or not same_probe(here.card.probe, prepared.card.probe):
        raise ModelError(
            f"{prepared.text} on {host} is another network than the run's (weights {here.card.weights[:8]}… there, "
            f"{prepared.card.weights[:8]}… here); give all nodes the same files"
        )
    return replace(here, batch_size=prepared.batch_size)


def _check_same_place(run: Path, token: str) -> None:
    try:
        found = read_bytes(run / PROBE).decode()
    except OSError:
        found = ""
    if found != token:
        raise UsageError(
            f"{str(run)!r} on {socket.gethostname()} is not the folder of the command: choose an -o that all nodes "
            "see, a shared disk or a store (s3://…)"
        )


def pin(slot: int, gpus: int) -> None:
    """Keep this process, with all its threads, to a core of its own; as one of `gpus`, to its share of the cores.

    Threads and processes that come later inherit it. Where there are fewer cores than workers, nothing is kept.
    """
    cores = sorted(os.sched_getaffinity(0))
    own = set(cores[slot::gpus] if gpus else cores[slot : slot + 1])
    if own:
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(thread.name), own)
