"""One worker: reads a shard's images, shows them to the classifier, commits what it answered.

As a process (`serve`) it takes JSON lines on standard input (first the job, then a task a
line), answers JSON lines on standard output, and ends when its input ends, so that it never outlives its parent.
"""

import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet, open_dataset
from snellen.engine.answers import logprobs_table, masked, merged_table, prediction_table, softmax
from snellen.engine.batches import full_batches
from snellen.engine.child import become_child, give_up
from snellen.engine.samples import read_picture, sample_row
from snellen.errors import SnellenError
from snellen.labels import ClassMap
from snellen.places import place
from snellen.store.mined import Whole, by_image, read_whole
from snellen.store.schema import KINDS, SAMPLES, made_kinds
from snellen.store.writer import commit
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage, checked_resample, render

Progress = Callable[[int], None]

# Views whose answers become rows together: making a table costs the same for one row as for hundreds.
BLOCK = 64
# Seconds between two words of progress: each wakes the command, which shares the workers' cores.
EVERY = 0.25
NOT_NUMBERS = "the model's logits on it are not all numbers"


@dataclass(frozen=True)
class Task:
    """Images `start` … `stop` - 1 of a shard. `commit`: False only tries them, to find an image that kills.

    skip: images that are known to kill a worker, each with what the run says of it.
    fingerprint: of the run; the commit record says it, so that no other run takes the shard for its own.
    told: what else the worker is to know, as JSON holds it: `passes`, those that may have shown images of the shard at
        every zoom (see `store/mined.py`); or what a worker of another kind than a run's is told.
    """

    shard: int
    start: int
    stop: int
    commit: bool = True
    skip: Mapping[int, str] = field(default_factory=dict)
    fingerprint: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> "Task":
        """The task that `asdict` and JSON made a record of."""
        return Task(**{**record, "skip": {int(image): why for image, why in record["skip"].items()}})


@dataclass
class Counted:
    """A classifier whose `progress` hears how many views it has answered: of the first batch at once."""

    classifier: Classifier
    progress: Progress
    views: int = 0
    told: float = -math.inf

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As the classifier's."""
        logits = self.classifier.logits(views)
        self.add(len(views))
        return logits

    def add(self, views: int) -> None:
        """Count views that have been answered."""
        self.views += views
        if time.monotonic() - self.told >= EVERY:
            self.tell()

    def tell(self) -> None:
        """Pass on what `progress` has not heard yet."""
        if self.views:
            self.progress(self.views)
        self.views, self.told = 0, time.monotonic()


@dataclass
class Worker:
    """Everything a shard needs, loaded once."""

    run_path: Path
    dataset: DataSet
    classifier: Classifier
    grid: Grid
    batch_size: int
    keep_probs: bool = False
    classes: ClassMap | None = None

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if its shard is committed by this call. `progress` hears of views while they are done."""
        started, clock = time.time(), time.monotonic()
        samples: list[dict[str, Any]] = []
        groups = self.grid.groups
        mined = self._mined(task)
        rest = replace(task, skip={**task.skip, **dict.fromkeys(mined.samples, "mined")})
        tables: dict[str, list[pa.Table]] = {kind: [] for kind in made_kinds(len(self.grid), self.keep_probs)}
        for images, logits in self._blocks(self._logits(rest, samples, progress), task, samples):
            inside = masked(logits, self.classes)
            probs = softmax(inside)
            tables["predictions"].append(prediction_table(images, logits, probs, self.classes))
            for image, scores, shares in zip(images, inside, probs, strict=True):
                if len(self.grid) > 1:
                    tables["merged"].append(merged_table(image, shares, groups, self.classes))
                if self.keep_probs:
                    tables["logprobs"].append(logprobs_table(image, scores))
        if not task.commit:
            return False
        samples = [mined.samples.get(sample["image"], sample) for sample in samples]
        done = {"samples": pa.Table.from_pylist(samples, schema=SAMPLES)}
        for kind, parts in tables.items():
            done[kind] = by_image([KINDS[kind].empty_table(), *parts, *mined.tables.get(kind, ())])
        errors = sum(sample["error"] is not None for sample in samples)
        record = {
            "fingerprint": task.fingerprint,
            "start": task.start,
            "stop": task.stop,
            "images": len(samples),
            "errors": errors,
            "views": (len(samples) - errors - len(mined.samples)) * len(self.grid),
            "started": started,
            "seconds": round(time.monotonic() - clock, 3),
        }
        return commit(self.run_path, task.shard, done, record)

    def _mined(self, task: Task) -> Whole:
        """What the task says was shown of its shard at every zoom, which is not to be shown again."""
        place = {"shard": task.shard, "start": task.start, "stop": task.stop, "fingerprint": task.fingerprint}
        return read_whole(self.run_path, place, task.told.get("passes", ()) if task.commit else ())

    def _logits(
        self, task: Task, samples: list[dict[str, Any]], progress: Progress
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Each readable image's index and logits; every image leaves its row in `samples`."""
        counted = Counted(self.classifier, progress)
        yield from full_batches(counted, self.batch_size, self.grid.size, self._views(task, samples))
        counted.tell()

    def _blocks(
        self, source: Iterator[tuple[int, NDArray[np.float32]]], task: Task, samples: list[dict[str, Any]]
    ) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Images and their logits `[images, zooms, outputs]`, some hundred views at a time; bad logits are left out."""
        images: list[int] = []
        held: list[NDArray[np.float32]] = []
        for image, logits in source:
            if np.isfinite(logits).all():
                images.append(image)
                held.append(logits)
            else:
                samples[image - task.start]["error"] = NOT_NUMBERS
            if len(held) * len(self.grid) >= BLOCK:
                yield images, np.stack(held)
                images, held = [], []
        if held:
            yield images, np.stack(held)

    def _views(self, task: Task, samples: list[dict[str, Any]]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each readable image's index and views; every image leaves its row in `samples`."""
        for image in range(task.start, task.stop):
            sample = sample_row(self.dataset, image)
            samples.append(sample)
            sample["error"] = task.skip.get(image)
            picture = None if sample["error"] else read_picture(self.dataset, image, sample)
            if picture is None:
                continue
            try:
                views = render(picture, self.grid.rules)
            except UnreadableImage as error:
                sample["error"] = str(error)
            else:
                yield image, views


class ShardWorker(Protocol):
    """What does the tasks of a job."""

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if its shard is committed by this call."""
        ...


def planned_dataset(job: Mapping[str, Any]) -> DataSet:
    """The data set of a job; SnellenError where it is no longer the planned one."""
    dataset = open_dataset(job["data"], planned=job["images"], stream=job.get("stream", False))
    if dataset.fingerprint != job["images"]:
        raise SnellenError(f"the images of {job['data']!r} changed while the run was going on; run the command again")
    return dataset


def load_worker(job: Mapping[str, Any], prepared: Prepared) -> ShardWorker:
    """The worker of a job: of the kind that it names as `loader` (`module:function`), or of a run's views.

    Raises SnellenError where the data set is no longer the planned one.
    """
    dataset = planned_dataset(job)
    grid, classes = Grid.from_json(job["grid"]), ClassMap.from_json(job["classes"]) if job["classes"] else None
    if "loader" in job:
        module, _, name = job["loader"].partition(":")
        loader: Callable[..., ShardWorker] = getattr(importlib.import_module(module), name)
        return loader(job, prepared, dataset, grid, classes)
    if prepared.device.startswith("cuda"):
        from snellen.engine.gpu import load_gpu_worker

        return load_gpu_worker(job, prepared, dataset, grid, classes)
    classifier = prepared.classifier()
    return Worker(place(job["run"]), dataset, classifier, grid, prepared.batch_size, job["keep_probs"], classes)


def ready_event() -> dict[str, str]:
    """What a loaded worker says: with a `note` for the user where it cuts views the slow way."""
    _, why = checked_resample()
    return {"event": "ready"} | ({"note": why} if why else {})


def serve() -> None:
    """Work as a child process until standard input ends."""
    say = become_child()
    run = Path()
    try:
        job = json.loads(sys.stdin.readline())
        run = place(job["run"])
        if job["core"] is not None:
            os.sched_setaffinity(0, {job["core"]})
        worker = load_worker(job, Prepared.from_json(job["model"]))
        say(**ready_event())
        for line in sys.stdin:
            task = Task.from_json(json.loads(line))
            committed = worker.run(task, lambda views: say(event="views", views=views))
            say(event="done", committed=committed)
    except Exception as error:
        give_up(error, run, say)
