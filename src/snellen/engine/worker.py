"""One worker: reads a shard's images, shows them to the classifier, commits what it answered.

As a process (`serve`) it takes JSON lines on standard input (first the job, then a task a
line), answers JSON lines on standard output, and ends when its input ends, so that it never outlives its parent.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.atomic import explain_os_error
from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet, open_dataset
from snellen.engine.answers import masked, merged_table, prediction_table, probs_table, softmax
from snellen.engine.batches import full_batches
from snellen.engine.samples import read_picture, sample_row
from snellen.errors import SnellenError
from snellen.labels import ClassMap
from snellen.store.schema import KINDS, SAMPLES, made_kinds
from snellen.store.writer import commit
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage, render

Progress = Callable[[int], None]

# Views whose answers become rows together: making a table costs the same for one row as for hundreds.
BLOCK = 64
NOT_NUMBERS = "the model's logits on it are not all numbers"


@dataclass(frozen=True)
class Task:
    """Images `start` … `stop` - 1 of a shard. `commit`: False only tries them, to find an image that kills.

    skip: images that are known to kill a worker, each with what the run says of it.
    """

    shard: int
    start: int
    stop: int
    commit: bool = True
    skip: Mapping[int, str] = field(default_factory=dict)


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
        """Do one task; True if its shard is committed by this call. `progress` hears the views done, image by image."""
        start = time.time()
        samples: list[dict[str, Any]] = []
        groups = self.grid.groups
        tables: dict[str, list[pa.Table]] = {kind: [] for kind in made_kinds(len(self.grid), self.keep_probs)}
        shown = full_batches(self.classifier, self.batch_size, self.grid.size, self._views(task, samples))
        for images, logits in self._blocks(shown, task, samples, progress):
            probs = softmax(masked(logits, self.classes))
            tables["predictions"].append(prediction_table(images, logits, probs, self.classes))
            for image, shares in zip(images, probs, strict=True):
                if len(self.grid) > 1:
                    tables["merged"].append(merged_table(image, shares, groups, self.classes))
                if self.keep_probs:
                    tables["probs"].append(probs_table(image, shares))
            progress(logits.shape[0] * logits.shape[1])
        if not task.commit:
            return False
        done = {"samples": pa.Table.from_pylist(samples, schema=SAMPLES)}
        for kind, parts in tables.items():
            done[kind] = pa.concat_tables(parts) if parts else KINDS[kind].empty_table()
        errors = sum(sample["error"] is not None for sample in samples)
        record = {
            "start": task.start,
            "stop": task.stop,
            "images": len(samples),
            "errors": errors,
            "views": (len(samples) - errors) * len(self.grid),
            "started": start,
            "seconds": round(time.time() - start, 3),
        }
        return commit(self.run_path, task.shard, done, record)

    def _blocks(
        self,
        source: Iterator[tuple[int, NDArray[np.float32]]],
        task: Task,
        samples: list[dict[str, Any]],
        progress: Progress,
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
                progress(len(logits))
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


def load_worker(job: Mapping[str, Any], prepared: Prepared) -> ShardWorker:
    """The worker of a job: of the kind that it names as `loader` (`module:function`), or of a run's views.

    Raises SnellenError where the data set is no longer the planned one.
    """
    dataset = open_dataset(job["data"])
    if dataset.fingerprint != job["images"]:
        raise SnellenError(f"the images of {job['data']!r} changed while the run was going on; run the command again")
    grid, classes = Grid.from_json(job["grid"]), ClassMap.from_json(job["classes"]) if job["classes"] else None
    if "loader" in job:
        module, _, name = job["loader"].partition(":")
        loader: Callable[..., ShardWorker] = getattr(importlib.import_module(module), name)
        return loader(job, prepared, dataset, grid, classes)
    classifier = prepared.classifier()
    return Worker(Path(job["run"]), dataset, classifier, grid, prepared.batch_size, job["keep_probs"], classes)


def _die_with_parent() -> None:
    """Be killed when the parent dies, so that a restarted command never works beside the dead one's workers."""
    with contextlib.suppress(AttributeError):  # no prctl: standard input still ends, after the task at hand
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of linux/prctl.h
    if os.getppid() == 1:  # it died before the call
        os._exit(1)


def serve() -> None:
    """Work as a child process until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    run = Path()
    try:
        job = json.loads(sys.stdin.readline())
        run = Path(job["run"])
        if job["core"] is not None:
            os.sched_setaffinity(0, {job["core"]})
        worker = load_worker(job, Prepared.from_json(job["model"]))
        say(event="ready")
        for line in sys.stdin:
            task = json.loads(line)
            skip = {int(image): why for image, why in task.pop("skip").items()}
            committed = worker.run(Task(**task, skip=skip), lambda views: say(event="image", views=views))
            say(event="done", committed=committed)
    except OSError as error:
        stop = explain_os_error(error, run)
        say(event="error", message=str(stop), exit_code=stop.exit_code)
    except SnellenError as error:
        say(event="error", message=str(error), exit_code=error.exit_code)
    except MemoryError:  # as if the system had killed it: the task is given to another worker, then split
        os._exit(1)
    except Exception as error:  # a defect, not an image: no other worker would do better
        traceback.print_exc()
        say(event="error", message=f"a worker failed: {type(error).__name__}: {error}", exit_code=1)
