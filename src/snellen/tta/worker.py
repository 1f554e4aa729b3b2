"""A shard of `tta`.

Every image is decoded once, the network answers a view once whichever methods look at it, and each method answers and
says what it would have cost alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet
from snellen.engine.answers import masked, softmax
from snellen.engine.batches import full_batches
from snellen.engine.samples import read_picture, sample_row
from snellen.engine.worker import NOT_NUMBERS, Task
from snellen.labels import ClassMap
from snellen.places import place
from snellen.store.schema import METHODS, SAMPLES
from snellen.store.writer import commit
from snellen.tta.cutting import Cutter
from snellen.tta.memo_options import parse_memo
from snellen.tta.methods import Method
from snellen.tta.stages import InFlight, Meter, by_memo, by_merge, by_policy
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage

if TYPE_CHECKING:
    from snellen.tta.memo import Memo

Progress = Callable[[int], None]


@dataclass
class MethodWorker:
    """Everything a shard of `tta` needs, loaded once.

    classifier: None where no method needs one beside the adapted networks.
    adapted: for each memo method, what adapts the network.
    cost: what `progress` hears for an image that is done.
    """

    run_path: Path
    dataset: DataSet
    methods: Sequence[Method]
    classifier: Classifier | None
    adapted: "Mapping[str, Memo]"
    batch_size: int
    classes: ClassMap | None
    cost: int

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if its shard is committed by this call."""
        started, clock = time.time(), time.monotonic()
        samples: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        meter = None if self.classifier is None else Meter(self.classifier)
        stream = self._shared(self._pictures(task, samples), meter)
        for method in self.methods:
            stream = self._answered(method, stream, meter)
        for image in stream:  # an image that is done leaves its rows and no pixels
            if image.sample["error"] is None:
                rows += image.rows
            progress(self.cost)
        rows.sort(key=lambda row: int(row["image"]))
        for row in rows:
            row["ms"] += row.pop("metered") * (meter.ms if meter else 0.0)
        if not task.commit:
            return False
        tables = {
            "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
            "methods": pa.Table.from_pylist(rows, schema=METHODS),
        }
        record = {
            "fingerprint": task.fingerprint,
            "start": task.start,
            "stop": task.stop,
            "images": len(samples),
            "errors": sum(sample["error"] is not None for sample in samples),
            "views": sum(row["forwards"] for row in rows),
            "started": started,
            "seconds": round(time.monotonic() - clock, 3),
        }
        return commit(self.run_path, task.shard, tables, record)

    def _pictures(self, task: Task, samples: list[dict[str, Any]]) -> Iterator[InFlight]:
        """Each readable image; every image leaves its row in `samples`."""
        for image in range(task.start, task.stop):
            sample = sample_row(self.dataset, image)
            samples.append(sample)
            sample["error"] = task.skip.get(image)
            start = time.perf_counter()
            picture = None if sample["error"] else read_picture(self.dataset, image, sample)
            if picture is not None:
                yield InFlight(sample, picture, 1000 * (time.perf_counter() - start))

    def _shared(self, pictures: Iterator[InFlight], meter: Meter | None) -> Iterator[InFlight]:
        """The images with the probabilities of all views that merges look at."""
        cutter = self.cutter
        if not cutter.rules or meter is None:
            yield from pictures
            return
        waiting: dict[int, InFlight] = {}

        def views() -> Iterator[tuple[int, NDArray[np.uint8]]]:
            for image in pictures:
                try:
                    cut, image.cut_ms = cutter.cut(image.picture)
                except UnreadableImage as error:
                    image.fail(str(error))
                else:
                    waiting[image.sample["image"]] = image
                    yield image.sample["image"], cut

        for number, logits in full_batches(meter, self.batch_size, cutter.rules[0].size, views()):
            image = waiting.pop(number)
            if np.isfinite(logits).all():
                image.probs = softmax(masked(logits, self.classes))
                yield image
            else:
                image.fail(NOT_NUMBERS)

    @cached_property
    def cutter(self) -> Cutter:
        """What cuts the views that merges look at."""
        return Cutter(method.rules for method in self.methods if method.kind == "merge")

    def _answered(self, method: Method, stream: Iterator[InFlight], meter: Meter | None) -> Iterator[InFlight]:
        if method.kind == "merge":
            return by_merge(method, stream, self.cutter, self.classes)
        if method.kind == "memo":
            return by_memo(method, stream, self.adapted[method.name], self.classes)
        assert meter is not None
        return by_policy(method, stream, self.cutter, self.classes, meter, self.batch_size)


def load_worker(
    job: Mapping[str, Any], prepared: Prepared, dataset: DataSet, _: Grid, classes: ClassMap | None
) -> MethodWorker:
    """The worker of a job that names it as its loader (see `engine/worker.py`)."""
    methods = [Method.from_json(record) for record in job["methods"]]
    memos = [method for method in methods if method.kind == "memo"]
    needed = len(memos) < len(methods)
    classifier = prepared.classifier() if needed else None
    adapted = {}
    if memos:
        from snellen.tta.memo import Memo

        module = prepared.module()
        make = partial(Memo, module, mean=prepared.card.mean, std=prepared.card.std, size=prepared.card.view_size)
        for method in memos:
            adapted[method.name] = make(
                parse_memo(method.name),
                rule=method.rules[0],
                precision=prepared.precision,
                device=prepared.device,
                classes=classes,
            )
    return MethodWorker(
        place(job["run"]), dataset, methods, classifier, adapted, prepared.batch_size, classes, int(job["cost"])
    )
