"""Mining with one model: each image is shown zooms until one is right, and what was shown is kept beside the run.

The shards are those of a study in the same place, and so are run.json and the fingerprint. What is shown lies in
`mined/` (see `store/mined.py`); a later `study` there reuses images that were shown at every zoom.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snellen.atomic import writing
from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.engine.drive import interruptible, run_engine
from snellen.engine.held import Held
from snellen.engine.plan import Plan, whole_commits
from snellen.engine.record import session_record
from snellen.engine.running import Running
from snellen.engine.worker import Task
from snellen.errors import UsageError
from snellen.files import make_folder
from snellen.mining.outcomes import TEACHERS, Pool
from snellen.store import Run
from snellen.store.mined import MINED_KINDS, Seen, forwards, pass_folder, passes, seen_in_turn, seen_zooms
from snellen.study import opened
from snellen.zoom.grid import Grid

LOADER = "snellen.mining.cascade_worker:load_worker"
# Shards are handed out together until so many batches are full of their images, but no more than makes this many
# tasks for each worker.
BATCHES, TASKS_PER_WORKER = 4, 4
# What learning may take of the command's time, which shares its cores with the workers.
LEARNING = 0.05

# A shard as a worker is told it: `shard`, `start`, `stop`; `pass`: which pass it goes to; `images`: those to be shown,
# `labels`: the label set of each, and `shown`: the zooms that some were shown before, by the image's number as text.
Told = dict[str, Any]


class ZoomOrder(Protocol):
    """Which zooms come first; it learns while it is used."""

    def zooms(self) -> NDArray[np.int32]:
        """Every zoom of the grid once, in the order in which an image is shown them: int32 `[zooms]`."""
        ...

    def add(self, correct: NDArray[np.bool_], shown: NDArray[np.bool_]) -> None:
        """Learn from images that were shown some zooms: bool `[images, zooms]` each; `correct` is False elsewhere."""
        ...


def cascade(
    dataset: DataSet,
    prepared: Prepared,
    grid: Grid,
    out: Path,
    running: Running,
    order: ZoomOrder,
    *,
    images: Sequence[int] | None = None,
    labels: str | Path | None = None,
) -> Path:
    """Show each image zooms in turn until one of them is right, or all were shown; the run's directory.

    running: all of the options, as `completed` gives them; `limit` counts images of the data set.
    order: asked for whenever a shard is handed out. It hears of all that the directory holds already, whoever made it,
        and then of each shard that is committed; so it should not have learned from this directory before.
    images: which images of the data set, all up to the limit where None. Those that `labels` leaves without a label
        are never shown: nothing could be right.
    labels: a label source of the data set, or a CSV; None for the first.

    An image is finished when a view that is kept, of this call or of an earlier one, is right by these labels, when all
    zooms were shown, or when it cannot be read. Others go on from what they were shown. A view whose logits are not all
    numbers is a wrong answer, of which no row is kept; the image has an error if no other is right. Shards are
    committed as those of a study, so an interrupted call loses no more than the shards in flight.

    What came of it: `snellen.store.mined`. `mined_rows(run)` has a row for each view that was shown, `mined_samples`
    one for each image that was looked at, `forwards` counts; they take `load_run(directory)`.

    Raises what `study` raises, UsageError for an image that the data set has not.
    """
    started, clock = time.time(), time.monotonic()
    with opened(dataset, prepared, grid, out, running, labels=[labels]) as run:
        plan = run.plan
        pool = Pool.of(dataset, labels, plan.limit, prepared.card.class_space)
        learner, wanted = Learner(plan, order, pool), _wanted(images, pool)
        with writing(plan.path):
            shards = learner.open_shards(wanted)
            before = forwards(learner.now())  # without what was damaged and put aside
        planned = shards
        with writing(plan.path, begun=True):
            while shards:
                tasks = together(shards, run.prepared.batch_size, run.workers, plan.record["fingerprint"])
                left = sum(len(told["images"]) for told in shards)
                options: Running = {**running, "workers": run.workers}
                bar = running["report"].bar(left, len(grid), of=int(wanted.sum()), by_image=True)
                with interruptible(), bar as progress:
                    run_engine(run.job | {"loader": LOADER}, run.prepared, tasks, options, progress.advance, learner)
                # What somebody else committed of a shard may lack an image.
                shards = learner.open_shards(wanted) if learner.beaten else []
            if planned:
                views = forwards(learner.now()) - before
                plan.finish(session_record(started, time.monotonic() - clock, planned, views, run.workers))
    return plan.path


def together(shards: Sequence[Told], batch_size: int, workers: int, fingerprint: str) -> list[Task]:
    """Tasks of neighbouring shards, so that a worker has images enough for full batches."""
    images = sum(len(told["images"]) for told in shards)
    least = min(BATCHES * batch_size, max(1, images // (TASKS_PER_WORKER * workers)))
    groups: list[list[Told]] = []
    for told in shards:
        if not groups or sum(len(one["images"]) for one in groups[-1]) >= least:
            groups.append([])
        groups[-1].append(told)
    return [
        Task(some[0]["shard"], some[0]["start"], some[-1]["stop"], fingerprint=fingerprint, told={"shards": some})
        for some in groups
    ]


def _wanted(images: Sequence[int] | None, pool: Pool) -> NDArray[np.bool_]:
    """Which of the images of a pool, bool `[images]`: those asked for that have a label."""
    asked = np.zeros(len(pool), bool)
    for image in range(len(pool)) if images is None else images:
        if not 0 <= image < len(pool):
            raise UsageError(f"images has {image}: expected numbers of the first {len(pool)} images")
        asked[image] = True
    return asked & pool.labelled


class Learner(Held):
    """The directory of a cascade: what is to be done there, and an order of zooms that learns from what is committed.

    beaten: whether somebody else had committed what a worker did.
    """

    def __init__(self, plan: Plan, order: ZoomOrder, pool: Pool) -> None:
        super().__init__(plan.path, plan.lock)
        self._plan, self._order, self._pool = plan, order, pool
        self._zooms: list[int] | None = None
        self._new: list[Told] = []  # shards committed since it learned
        self._learns = 0.0
        self.beaten = False

    def now(self) -> Run:
        """The run as it is now."""
        return Run(self._plan.path, self._plan.record)

    def open_shards(self, wanted: NDArray[np.bool_]) -> list[Told]:
        """The shards that have images of those wanted, bool `[images]`, which are not finished.

        What is damaged is put aside first, see `whole_commits`. The order hears of what is there when it hears first.
        """
        path, record, count = self._plan.path, self._plan.record, len(self._pool)
        undone = self._plan.tasks()
        made = frozenset(MINED_KINDS)
        committed = {number: whole_commits(pass_folder(path, number), record, made) for number in passes(path)}
        unfinished = np.zeros(self._plan.bounds[-1], bool)
        unfinished[:count] = wanted
        before: dict[int, list[int]] = {}
        for seen in seen_in_turn(self.now()):
            right = self._right(seen)
            if self._zooms is None:
                self._teach(seen, right)
            unfinished[seen.images[right.any(axis=1) | seen.shown.all(axis=1)]] = False
            unfinished[list(seen.failed)] = False
            partly = np.flatnonzero(seen.shown.any(axis=1) & unfinished[seen.images])
            before |= {int(seen.images[row]): np.flatnonzero(seen.shown[row]).tolist() for row in partly}
        left = np.flatnonzero(unfinished)
        shards = []
        for task in undone:
            images = left[slice(*np.searchsorted(left, [task.start, task.stop]))].tolist()
            if not images:
                continue
            number = max((number for number, commits in committed.items() if task.shard in commits), default=-1) + 1
            for folder in ("parts", "commits"):
                make_folder(pass_folder(path, number) / folder)
            shards.append(
                {
                    "shard": task.shard,
                    "start": task.start,
                    "stop": task.stop,
                    "pass": number,
                    "images": images,
                    "labels": [list(self._pool.labels[image]) for image in images],
                    "shown": {str(image): before[image] for image in images if image in before},
                }
            )
        self.beaten = False
        return shards

    def briefed(self, task: Task) -> Task:
        """The task with the latest order of zooms."""
        clock = time.monotonic()
        if self._zooms is None or (self._new and clock >= self._learns):
            if self._new:
                seen = seen_zooms(self.now(), self._drawn())
                self._teach(seen, self._right(seen))
                self._new.clear()
            self._zooms = self._order.zooms().tolist()
            self._learns = clock + (time.monotonic() - clock) / LEARNING
        return replace(task, told={**task.told, "order": self._zooms})

    def _drawn(self) -> dict[int, list[int]]:
        """The shards that are new, by pass; where they showed far more images than it learns from at once, some."""
        step = max(1, sum(len(told["images"]) for told in self._new) // TEACHERS)
        drawn: dict[int, list[int]] = defaultdict(list)
        for told in self._new[::step]:
            drawn[told["pass"]].append(told["shard"])
        return drawn

    def committed(self, task: Task) -> None:
        """Remember what is to be learned from."""
        self._new += task.told["shards"]

    def check_committed(self, task: Task) -> None:
        """Remember that it has to be looked at again."""
        self.beaten = True

    def _right(self, seen: Seen) -> NDArray[np.bool_]:
        """Whether each answer is right, bool `[rows, zooms]`; False where there is no label."""
        known = len(self._pool)
        labels = [self._pool.labels[image] if image < known else () for image in seen.images.tolist()]
        return self.now().score(seen.answers, labels)

    def _teach(self, seen: Seen, right: NDArray[np.bool_]) -> None:
        labelled = np.zeros(len(seen.images), bool)
        here = seen.images < len(self._pool)
        labelled[here] = self._pool.labelled[seen.images[here]]
        self._order.add(right[labelled], seen.shown[labelled])
