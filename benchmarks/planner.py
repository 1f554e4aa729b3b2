"""Whether planning, hand-out and commits can become the limit of a large run.

Two measurements. The first is real: a run of 10,000 shards is planned, handed out to 200 workers and committed in a
folder, by the code that `snellen study` runs; a worker is a thread that only writes its shard, with all its syncs. The
second has a clock of its own: workers take about a minute for a shard and say every few seconds how far they are, and
while the driver decides, which is timed, its clock goes on and the workers that need it wait.
"""

import argparse
import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import common
from snellen.classifiers import Prepared
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets.base import Item, ListedDataSet
from snellen.engine.drive import drive
from snellen.engine.plan import SHARD_SECONDS, open_plan
from snellen.engine.schedule import Schedule
from snellen.engine.worker import Task
from snellen.labels import IMAGENET_1K
from snellen.store import Run
from snellen.store.schema import KINDS, SAMPLES, made_kinds
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID

# Images of a shard of the planned run.
IMAGES = 10
# Seconds between two words of an actor about its progress, and such words a second at most, as in engine/ray.py.
ASK, QUESTIONS = 2.0, 100
# Seconds until a worker is ready.
STARTING = 10.0
# Seconds of computing that Ray takes in the driver for a call and its answer; `ray_engine.py` measures it.
MESSAGE = 0.001


class MadeUp(ListedDataSet):
    """A data set that is only a list."""

    spec = name = "made-up"

    def __init__(self, images: int) -> None:
        self.items = [Item(f"n00000000/{k:08d}.jpg", 100_000 + k) for k in range(images)]


def made_up_model(views_per_s: float = IMAGES * len(PAPER_GRID) / SHARD_SECONDS) -> Prepared:
    """A model of which a worker answers so many views; unless told otherwise, a shard of ten images a minute."""
    own = OwnTransform(256, 224, "bicubic")
    card = ModelCard(
        source="made-up",
        weights="0" * 64,
        view_size=224,
        own=own,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        space=IMAGENET_1K.name,
        keys=IMAGENET_1K.keys,
        parameters=0,
        embed_dim=0,
    )
    return Prepared("made-up/model", card, "torch", "cuda", "bf16", 64, views_per_s, {})


class Immortal:
    """What simulated workers of both kinds never need."""

    def bury(self, worker: int) -> bool:
        """None of them dies."""
        raise NotImplementedError

    def last_words(self) -> str:
        """Nor says anything."""
        return ""

    def end(self) -> None:
        """They are gone with the process."""


class Committing(Immortal):
    """Workers that do nothing but commit: threads."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._numbers = itertools.count()
        self._tasks: dict[int, queue.SimpleQueue[Task]] = {}
        self._events: queue.SimpleQueue[tuple[int, Mapping[str, Any]]] = queue.SimpleQueue()

    def start(self) -> int:
        """One more."""
        number = next(self._numbers)
        self._tasks[number] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(number,), daemon=True).start()
        return number

    def give(self, worker: int, task: Task) -> None:
        """What it is to do."""
        self._tasks[worker].put(task)

    def next_event(self) -> tuple[int, Mapping[str, Any] | None]:
        """Who says what next."""
        return self._events.get()

    def _work(self, number: int) -> None:
        self._events.put((number, {"event": "ready"}))
        while True:
            task = self._tasks[number].get()
            images = range(task.start, task.stop)
            tables = {kind: KINDS[kind].empty_table() for kind in made_kinds(len(PAPER_GRID))}
            rows = [{"image": k, "image_id": f"{k:08d}", "origin": "made-up", "error": "made up"} for k in images]
            tables["samples"] = pa.Table.from_pylist(rows, schema=SAMPLES)
            record = {"start": task.start, "stop": task.stop, "fingerprint": task.fingerprint}
            record |= {"images": len(images), "errors": len(images), "views": 0}
            commit(self._run, task.shard, tables, record | {"started": time.time(), "seconds": 0.0})
            self._events.put((number, {"event": "done"}))


class OnAClock(Immortal):
    """Workers that only take their time, on a clock that goes on by the driver's own computing as well.

    image: seconds a worker takes for an image, on average; start: seconds until it is ready.
    message: seconds of computing that each message costs the driver beside our own.
    """

    def __init__(self, workers: int, image: float, start: float = STARTING, message: float = MESSAGE) -> None:
        self._rng, self._image, self._start, self._message = random.Random(0), image, start, message
        self._ask = max(ASK, workers / QUESTIONS)
        self._numbers, self._order = itertools.count(), itertools.count()
        self._coming: list[tuple[float, int, int, Mapping[str, Any]]] = []
        self._said: dict[int, float] = {}
        self._entered = time.process_time()
        self.clock = self.driver = self.idle = 0.0
        self.messages = 0

    def start(self) -> int:
        """A worker that will be ready, sooner or later."""
        number = next(self._numbers)
        self._say(self.clock + self._rng.uniform(0.5, 1.5) * self._start, number, {"event": "ready"})
        return number

    def give(self, worker: int, task: Task) -> None:
        """A task, done after about the usual time; what this simulation itself takes is not the driver's."""
        self._spend()
        self.idle += self.clock - self._said[worker]
        took = (task.stop - task.start) * self._image * self._rng.uniform(0.9, 1.1)
        for k in range(1, int(took / self._ask) + 1):
            self._say(self.clock + k * self._ask, worker, {"event": "views", "views": 1})
        self._say(self.clock + took, worker, {"event": "done"})
        self._entered = time.process_time()

    def next_event(self) -> tuple[int, Mapping[str, Any] | None]:
        """Who says what next."""
        self._spend()
        at, _, worker, event = heapq.heappop(self._coming)
        self.clock = max(self.clock, at)
        self._said[worker] = at
        self._entered = time.process_time()
        return worker, event

    def _spend(self) -> None:
        """The driver has handled a message: what it computed since it was given it, and what sending one costs."""
        spent = time.process_time() - self._entered + self._message
        self.messages += 1
        self.driver += spent
        self.clock += spent

    def _say(self, at: float, worker: int, event: Mapping[str, Any]) -> None:
        heapq.heappush(self._coming, (at, next(self._order), worker, event))


def planned(shards: int, workers: int, out: Path) -> tuple[int, list[tuple[str, float]]]:
    """Of a run of so many shards or more, since they shrink towards the end: how many, and seconds of each part."""
    steps = [time.perf_counter()]
    opened = open_plan(
        MadeUp(shards * IMAGES), made_up_model(), PAPER_GRID, out, limit=None, workers=workers, keep_probs=False
    )
    with opened as plan:
        tasks = plan.tasks()
        assert len(tasks) >= shards
        steps.append(time.perf_counter())
        drive(Schedule(tasks, workers), Committing(plan.path), workers, lambda views: None, print)
        steps.append(time.perf_counter())
        assert not plan.tasks()
        steps.append(time.perf_counter())
        assert Run(plan.path, plan.record).complete
    names = ("planned", "handed out and committed", "looked at again, every checksum")
    took = [b - a for a, b in itertools.pairwise(steps)]
    return len(tasks), [*zip(names, took, strict=True), ("planned, handed out and committed", sum(took[:2]))]


def on_a_clock(workers: int, seconds: float, message: float, rounds: int = 20) -> list[object]:
    """A row of the second table: `workers` do `rounds` shards each, `seconds` long."""
    crew = OnAClock(workers, seconds / IMAGES, message=message)
    shards = rounds * workers
    tasks = [Task(k, k * IMAGES, (k + 1) * IMAGES) for k in range(shards)]
    drive(Schedule(tasks, workers), crew, workers, lambda views: None, print)
    return [
        f"{workers:,}",
        f"{seconds:g} s",
        f"{1e6 * message:.0f} µs",
        f"{shards / crew.clock:.1f}",
        f"{shards / crew.driver:,.0f}",
        f"{crew.driver / crew.clock:.2%}",
        f"{1000 * crew.idle / shards:.2f} ms",
        f"{crew.idle / shards / seconds:.3%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=200)
    options = parser.parse_args()
    with common.kept(None) as out:
        shards, parts = planned(options.shards, options.workers, out)
    title = f"{shards:,} shards, {options.workers} workers that only commit"
    common.show(title, ("", "seconds"), [[name, f"{seconds:.1f}"] for name, seconds in parts])
    header = (
        "workers",
        "a shard takes",
        "a message costs",
        "hand-outs/s",
        "at most",
        "driver's CPU",
        "a worker waits",
        "",
    )
    grid = [(1_000, 60.0, 0.0), (1_000, 60.0, MESSAGE), (1_000, 10.0, MESSAGE), (5_000, 60.0, MESSAGE)]
    common.show("Simulated workers on a clock of their own", header, [on_a_clock(*row) for row in grid])


if __name__ == "__main__":
    main()
