"""The worker of a cascade: images are shown one zoom after the other until one is right, in batches that mix them.

An image has one view in a batch. As one leaves, the next of the shards at hand takes its place; where fewer are left
than a batch has views, those that were shown most already get several.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet
from snellen.engine.answers import masked, top_classes
from snellen.engine.local import cores
from snellen.engine.samples import picture_of, read_image, sample_row
from snellen.engine.worker import BLOCK, Counted, Progress, Task
from snellen.files import exists
from snellen.labels import ClassMap
from snellen.mining.cascade_images import Image, next_counts, tables_of
from snellen.places import place
from snellen.store.commits import commit_path
from snellen.store.mined import by_image, pass_folder
from snellen.store.schema import MERGED, PREDICTIONS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage, ViewCutter

# Bytes of pixels that images being shown may take together; one image is taken in any case.
HELD_BYTES = 512 * 2**20


@dataclass(eq=False)
class Shard:
    """A shard under way. told: as the task says it, see `cascade.py`. open: images that are not finished."""

    told: Mapping[str, Any]
    open: int
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    images: list[Image] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[pa.Table] = field(default_factory=list)
    merged: list[pa.Table] = field(default_factory=list)
    views: int = 0


@dataclass
class CascadeWorker:
    """Everything a shard needs, loaded once.

    threads: what decodes and cuts beside this one, for a device that computes meanwhile; 0 on a core of its own.
    """

    run_path: Path
    dataset: DataSet
    classifier: Classifier
    grid: Grid
    batch_size: int
    classes: ClassMap | None = None
    threads: int = 0
    _pool: Executor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, "view") if self.threads else None

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if all its shards are committed by this call. `progress` hears of views.

        Of an image that leaves it hears of the others too, as if it had been shown all.
        """
        counted = Counted(self.classifier, progress)
        shards = [self._shard(told, task) for told in task.told["shards"]]
        # A worker that died may have committed some.
        left = [one for one in shards if not (task.commit and exists(commit_path(self._pass(one), one.told["shard"])))]
        won = len(left) == len(shards)
        for shard, image in self._finished(self._images(left, task), counted):
            shard.open -= 1
            shard.views += image.views
            shard.samples.append(image.sample)
            image.cutter = None
            if image.shown:
                shard.images.append(image)
                if sum(len(one.shown) for one in shard.images) >= BLOCK:
                    self._settle(shard)
            counted.add(len(self.grid) - image.views)
            if not shard.open and task.commit:
                self._settle(shard)
                won &= self._commit(shard, task)
        counted.tell()
        return won and task.commit

    def _shard(self, told: Mapping[str, Any], task: Task) -> Shard:
        return Shard(told, sum(task.start <= image < task.stop for image in told["images"]))

    def _pass(self, shard: Shard) -> Path:
        return pass_folder(self.run_path, shard.told["pass"])

    def _images(self, shards: Sequence[Shard], task: Task) -> Iterator[tuple[Shard, Image]]:
        """The images of some shards in order, read and decoded."""
        waiting: deque[Callable[[], tuple[Shard, Image]]] = deque()
        for shard in shards:
            told = shard.told
            for image, labels in zip(told["images"], told["labels"], strict=True):
                if not task.start <= image < task.stop:
                    continue
                sample = sample_row(self.dataset, image) | {"error": task.skip.get(image)}
                shown = told["shown"].get(str(image), ())
                left = [zoom for zoom in task.told["order"] if zoom not in shown] if shown else task.told["order"]
                data = None if sample["error"] else read_image(self.dataset, image, sample)
                made = Image(sample, labels, left, before=len(shown))
                waiting.append(self._later(self._opened, shard, made, data))
                if len(waiting) > self.threads:
                    yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

    def _opened(self, shard: Shard, image: Image, data: bytes | None) -> tuple[Shard, Image]:
        picture = None if data is None else picture_of(self.dataset, data, image.sample)
        if picture is not None:
            try:
                image.cutter = ViewCutter(picture, self.grid.rules)
            except UnreadableImage as error:
                image.sample["error"] = str(error)
        return shard, image

    def _later(self, work: Callable[..., Any], *given: Any) -> Callable[[], Any]:
        """What gives the result of some work: of another thread where there are any, else done when it is asked for."""
        return self._pool.submit(work, *given).result if self._pool else partial(work, *given)

    def _finished(self, images: Iterator[tuple[Shard, Image]], counted: Counted) -> Iterator[tuple[Shard, Image]]:
        """Show images zooms until each is finished."""
        active: list[tuple[Shard, Image]] = []
        while True:
            held = sum(image.bytes for _, image in active)
            while len(active) < self.batch_size and held < HELD_BYTES and (one := next(images, None)):
                if one[1].finished:
                    yield one
                else:
                    active.append(one)
                    held += one[1].bytes
            if not active:
                return
            self._show([image for _, image in active], counted)
            yield from (one for one in active if one[1].finished)
            active = [one for one in active if not one[1].finished]

    def _show(self, images: Sequence[Image], classifier: Counted) -> None:
        """One batch."""
        counts = next_counts([image.seen for image in images], self.batch_size)
        cuts = []
        for image, count in zip(images, counts, strict=True):
            assert image.cutter is not None
            cuts.append(self._later(image.cutter.cut, image.waiting[:count]))
        views = [cut() for cut in cuts]
        logits = classifier.logits(np.concatenate(views))
        best = top_classes(masked(logits, self.classes), self.classes, 1)[:, 0]
        at = 0
        for image, cut in zip(images, views, strict=True):
            rows = slice(at, at + len(cut))
            image.answered(logits[rows], best[rows])
            at += len(cut)

    def _settle(self, shard: Shard) -> None:
        """Turn the answers of finished images into rows."""
        if shard.images:
            predictions, merged = tables_of(shard.images, self.grid, self.classes)
            shard.predictions.append(predictions)
            shard.merged += merged
            shard.images = []

    def _commit(self, shard: Shard, task: Task) -> bool:
        told = shard.told
        tables = {
            "samples": by_image([pa.Table.from_pylist(shard.samples, schema=SAMPLES)]),
            "predictions": by_image([PREDICTIONS.empty_table(), *shard.predictions]),
            "merged": by_image([MERGED.empty_table(), *shard.merged]),
        }
        record = {
            "fingerprint": task.fingerprint,
            "start": told["start"],
            "stop": told["stop"],
            "images": len(shard.samples),
            "errors": sum(sample["error"] is not None for sample in shard.samples),
            "views": shard.views,
            "started": shard.started,
            "seconds": round(time.monotonic() - shard.clock, 3),
        }
        return commit(self._pass(shard), told["shard"], tables, record)


def load_worker(
    job: Mapping[str, Any], prepared: Prepared, dataset: DataSet, grid: Grid, classes: ClassMap | None
) -> CascadeWorker:
    """The worker of a job that names it as its loader (see `engine/worker.py`)."""
    threads = len(cores()) // job.get("sharing", 1) if prepared.device.startswith("cuda") else 0
    return CascadeWorker(place(job["run"]), dataset, prepared.classifier(), grid, prepared.batch_size, classes, threads)
