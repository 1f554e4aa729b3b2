"""The Ray engine: the same workers as actors, one for each core or GPU of a cluster or of this machine.

The command is the driver. It hands out tasks and hears of them; what is done is only in the commits, so it may be
killed and started again at any moment. Ray itself restarts nothing: a dead actor is replaced, and its task given out
again, by the same rules as a dead process.
"""

import contextlib
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from snellen.atomic import write_atomic, writing
from snellen.classifiers import Prepared
from snellen.engine.actor import PROBE, Actor
from snellen.engine.memory import NO_MEMORY
from snellen.engine.worker import Task
from snellen.files import remove
from snellen.places import place

# Seconds until the driver looks at something else than its actors.
LOOK = 1.0
# Seconds between two questions to every busy actor how far it is, and questions a second at most.
ASK, QUESTIONS = 2.0, 100


@dataclass
class _Actor:
    """One actor. `node` and `slot` are known once it runs; `serial` counts its tasks, `told` the views of this one."""

    handle: Any
    node: str = ""
    slot: int = -1
    serial: int = 0
    told: int = 0
    busy: bool = False
    asked: bool = False
    memory: bool = False


class RayCrew:
    """Actors of the cluster that `cluster.py` has connected to, see `snellen.engine.drive.Crew`."""

    def __init__(self, job: Mapping[str, Any], prepared: Prepared) -> None:
        token = uuid.uuid4().hex
        self._run = place(job["run"])
        self._cpu = prepared.device == "cpu"
        self._workers = job.get("sharing", 1)
        self._job = json.dumps(
            {
                **job,
                # Ray shows an actor no GPU but its own.
                "model": prepared.to_json() | ({} if self._cpu else {"device": "cuda:0"}),
                "own": job["grid"]["name"] == "own",
                "stream": sum(node["Alive"] for node in ray.nodes()) > 1,
                "folder": str(Path.cwd()),
                "token": token,
                # An actor is kept to its share of the cores before it counts them.
                "sharing": 1,
            }
        )
        need = {"num_cpus": 1} if self._cpu else {"num_cpus": 1, "num_gpus": 1}
        self._class = ray.remote(Actor).options(
            **need, max_restarts=0, max_task_retries=0, max_concurrency=2, scheduling_strategy="SPREAD"
        )
        self._numbers = itertools.count()
        self._actors: dict[int, _Actor] = {}
        self._pending: dict[Any, tuple[int, str]] = {}
        self._events: deque[tuple[int, dict[str, Any] | None]] = deque()
        self._asked = time.monotonic()
        self._words = "(nothing)"
        with writing(self._run):
            write_atomic(self._run / PROBE, token.encode())

    def start(self) -> int:
        """Ask the cluster for one more actor; it waits where all are taken."""
        number = next(self._numbers)
        actor = self._actors[number] = _Actor(self._class.remote())
        self._pending[actor.handle.where.remote()] = number, "where"
        return number

    def give(self, worker: int, task: Task) -> None:
        """Call an actor with a task."""
        actor = self._actors[worker]
        actor.serial, actor.told, actor.busy = actor.serial + 1, 0, True
        self._pending[actor.handle.run.remote(json.dumps(asdict(task)))] = worker, "run"

    def next_event(self) -> tuple[int, dict[str, Any] | None] | None:
        """The next answer of any actor; nothing where there is none for a while."""
        if not self._events:
            self._ask()
            refs = list(self._pending)
            ready, _ = ray.wait(refs, num_returns=1, timeout=LOOK)
            if ready:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            for ref in ready:
                worker, what = self._pending.pop(ref)
                self._answered(worker, what, ref)
        return self._events.popleft() if self._events else None

    def bury(self, worker: int) -> bool:
        """Have Ray end an actor; whether its node was short of memory."""
        actor = self._actors.pop(worker)
        self._pending = {ref: asked for ref, asked in self._pending.items() if asked[0] != worker}
        ray.kill(actor.handle)
        return actor.memory

    def last_words(self) -> str:
        """What Ray said of the last dead actor."""
        return self._words

    def end(self) -> None:
        """Have Ray end all actors."""
        for actor in self._actors.values():
            ray.kill(actor.handle)
        with contextlib.suppress(OSError):  # what ended the work may be the very place it lies in, and is what to say
            remove(self._run / PROBE)

    def _ask(self) -> None:
        """Ask busy actors how far they are, now and then."""
        if time.monotonic() - self._asked < max(ASK, len(self._actors) / QUESTIONS):
            return
        self._asked = time.monotonic()
        for number, actor in self._actors.items():
            if actor.busy and not actor.asked:
                actor.asked = True
                self._pending[actor.handle.views.remote()] = number, "views"

    def _answered(self, worker: int, what: str, ref: Any) -> None:
        actor = self._actors[worker]
        try:
            answer = ray.get(ref)
        except RayTaskError as error:  # what `Actor` itself does not catch, which is a defect
            self._events.append((worker, _failure(f"an actor failed: {error}", 1)))
            return
        except RayError as error:
            self._words = str(error)
            actor.memory = isinstance(error, OutOfMemoryError)
            self._events.append((worker, _cannot_start(error)))
            return
        if what == "where":
            self._load(worker, *answer)
        elif what == "views":
            actor.asked = False
            serial, views = answer
            if actor.busy and serial == actor.serial:
                self._shown(worker, views)
        else:
            event = json.loads(answer)
            if what == "run":
                self._shown(worker, event.pop("views", 0))
                actor.busy = False
            if event["event"] == "dead":
                actor.memory = event["exit_code"] == NO_MEMORY
                self._words = "memory was refused"
            self._events.append((worker, None if event["event"] == "dead" else event))

    def _shown(self, worker: int, views: int) -> None:
        actor = self._actors[worker]
        if views > actor.told:
            self._events.append((worker, {"event": "views", "views": views - actor.told}))
            actor.told = views

    def _load(self, worker: int, node: str, host: str, its_version: str) -> None:
        """Give an actor the job, and the first place of its node that no other actor of this run has."""
        actor = self._actors[worker]
        if its_version != version("snellen"):
            differs = f"{host} has snellen {its_version}, this command {version('snellen')}"
            self._events.append((worker, _failure(f"{differs}; install the same on all nodes", 2)))
            return
        taken = {other.slot for other in self._actors.values() if other.node == node}
        actor.node, actor.slot = node, next(slot for slot in itertools.count() if slot not in taken)
        gpus = 0 if self._cpu else min(_gpus_of(node), self._workers)
        self._pending[actor.handle.load.remote(self._job, actor.slot, gpus)] = worker, "load"
        # It may have waited for its place for hours; from now on it is to get on.
        self._events.append((worker, {"event": "begun"}))


def _gpus_of(node: str) -> int:
    """How many GPUs Ray has on a node, at least 1."""
    for one in ray.nodes():
        if one["NodeID"] == node:
            return max(1, int(one["Resources"].get("GPU", 0)))
    return 1


def _failure(message: str, exit_code: int) -> dict[str, Any]:
    return {"event": "error", "message": message, "exit_code": exit_code}


def _cannot_start(error: RayError) -> dict[str, Any] | None:
    """The event of an actor that can start nowhere, since its code is missing on a node; None for other deaths."""
    if isinstance(error, RayActorError) and error.actor_init_failed:
        last = str(error).strip().splitlines()[-1]
        return _failure(f"an actor cannot start: {last}; install snellen on all nodes", 2)
    return None
