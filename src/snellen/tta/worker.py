"""A shard of `tta`.

Every image is decoded once, views that methods share are cut and computed once, and each method answers and says what
it would have cost alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet
from snellen.engine.answers import masked, softmax
from snellen.engine.batches import full_batches
from snellen.engine.samples import read_picture, sample_row
from snellen.engine.worker import NOT_NUMBERS, Task
from snellen.labels import ClassMap
from snellen.store.schema import METHODS, SAMPLES, TOP
from snellen.store.writer import commit
from snellen.tta.anytime import Race, settle_all
from snellen.tta.cutting import Cutter
from snellen.tta.from_run import best_of
from snellen.tta.memo_options import parse_memo
from snellen.tta.merge import merged
from snellen.tta.methods import Method
from snellen.tta.views import union
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage

Progress = Callable[[int], None]
# Images that are adapted in one call; the network decides how many of them at once.
TOGETHER = 8


@dataclass
class Seen:
    """An image on its way through the methods.

    probs: of the shared views, float32 `[views, classes]`.
    decode_ms, cut_ms: its own costs; `cut_ms` of each scale that shared views are cut from.
    rows: the answers so far.
    """

    image: int
    picture: Image.Image
    decode_ms: float
    cut_ms: NDArray[np.float64]
    probs: NDArray[np.float32]
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Meter:
    """A classifier that notes how long it takes."""

    classifier: Classifier
    seconds: float = 0.0
    views: int = 0

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As the classifier's."""
        start = time.perf_counter()
        logits = self.classifier.logits(views)
        self.seconds += time.perf_counter() - start
        self.views += len(views)
        return logits

    @property
    def ms(self) -> float:
        """Milliseconds a view."""
        return 1000 * self.seconds / max(1, self.views)


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
    adapted: Mapping[str, Any]
    batch_size: int
    classes: ClassMap | None
    cost: int

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if its shard is committed by this call."""
        started = time.time()
        samples: list[dict[str, Any]] = []
        meter = Meter(self.classifier) if self.classifier is not None else None
        stream = self._shared(task, samples, meter)
        for method in self.methods:
            stage = {"merge": self._merge, "anytime": self._anytime, "memo": self._memo}[method.kind]
            stream = stage(method, stream, samples)
        found = []
        for seen in stream:
            if samples[seen.image - task.start]["error"] is None:
                found.append((seen.image, seen.rows))
            progress(self.cost)
        rows = [row for _, several in sorted(found, key=lambda pair: pair[0]) for row in several]
        for row in rows:
            row["ms"] += row.pop("shared") * (meter.ms if meter else 0.0)
        if not task.commit:
            return False
        tables = {
            "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
            "methods": pa.Table.from_pylist(rows, schema=METHODS),
        }
        record = {
            "start": task.start,
            "stop": task.stop,
            "images": len(samples),
            "errors": sum(sample["error"] is not None for sample in samples),
            "views": sum(row["forwards"] for row in rows),
            "started": started,
            "seconds": round(time.time() - started, 3),
        }
        return commit(self.run_path, task.shard, tables, record)

    def _pictures(self, task: Task, samples: list[dict[str, Any]]) -> Iterator[tuple[int, Image.Image, float]]:
        for image in range(task.start, task.stop):
            sample = sample_row(self.dataset, image)
            samples.append(sample)
            sample["error"] = task.skip.get(image)
            start = time.perf_counter()
            picture = None if sample["error"] else read_picture(self.dataset, image, sample)
            if picture is not None:
                yield image, picture, 1000 * (time.perf_counter() - start)

    def _shared(self, task: Task, samples: list[dict[str, Any]], meter: Meter | None) -> Iterator[Seen]:
        """Each readable image, with the probabilities of all views that merges look at."""
        cutter = self.cutter
        waiting: dict[int, Seen] = {}

        def views() -> Iterator[tuple[int, NDArray[np.uint8]]]:
            for image, picture, ms in self._pictures(task, samples):
                try:
                    cut, cut_ms = cutter.cut(picture)
                except UnreadableImage as error:
                    _fail(samples, image, str(error))
                    continue
                waiting[image] = Seen(image, picture, ms, cut_ms, np.empty((0, 0), np.float32))
                yield image, cut

        if not len(cutter.rules) or meter is None:
            for image, picture, ms in self._pictures(task, samples):
                yield Seen(image, picture, ms, np.empty(0), np.empty((0, 0), np.float32))
            return
        for image, logits in full_batches(meter, self.batch_size, cutter.rules[0].size, views()):
            seen = waiting.pop(image)
            if np.isfinite(logits).all():
                seen.probs = softmax(masked(logits, self.classes))
                yield seen
            else:
                _fail(samples, image, NOT_NUMBERS)

    @cached_property
    def cutter(self) -> Cutter:
        """What cuts the views that are shared."""
        return Cutter(union(method.rules for method in self.methods if method.kind == "merge")[0].rules)

    def _merge(self, method: Method, stream: Iterator[Seen], _: list[dict[str, Any]]) -> Iterator[Seen]:
        places, scales = self.cutter.places(method.rules), self.cutter.scales(method.rules)
        for seen in stream:
            start = time.perf_counter()
            scores = merged(seen.probs[None, places], method.merge, self.classes)
            merge_ms = 1000 * (time.perf_counter() - start)
            views_ms = seen.decode_ms + float(seen.cut_ms[scales].sum())
            forwards = len(places)
            seen.rows.append(self._row(seen, method, scores, forwards, views_ms + merge_ms, views_ms, shared=forwards))
            yield seen

    def _anytime(self, method: Method, stream: Iterator[Seen], samples: list[dict[str, Any]]) -> Iterator[Seen]:
        """Images under way together, so that batches stay full: each round shows each of them its next view."""
        assert self.classifier is not None
        ready = self.cutter.known(method.rules)

        def races() -> Iterator[Race]:
            for seen in stream:
                known = {k: seen.probs[place] for k, place in ready.items()}
                yield Race(seen, seen.picture, known)

        meter = Meter(self.classifier)
        for race in settle_all(races(), method, meter, self.batch_size, self.classes):
            seen: Seen = race.owner
            if race.error:
                _fail(samples, seen.image, race.error)
            else:
                shared = sum(k in ready for k in range(race.shown))
                scales = self.cutter.scales([method.rules[k] for k in range(race.shown) if k in ready])
                views_ms = seen.decode_ms + race.cut_ms + float(seen.cut_ms[scales].sum())
                scores = race.total[None] / np.float32(race.shown)
                ms = views_ms + race.network_ms
                seen.rows.append(self._row(seen, method, scores, race.shown, ms, views_ms, shared=shared))
            yield seen

    def _memo(self, method: Method, stream: Iterator[Seen], samples: list[dict[str, Any]]) -> Iterator[Seen]:
        memo = self.adapted[method.name]
        for group in _groups(stream, TOGETHER):
            keys = [self.dataset.items[seen.image].id for seen in group]
            for seen, answer in zip(group, memo.adapt_many([seen.picture for seen in group], keys), strict=True):
                views_ms = seen.decode_ms + answer.augment_ms
                if np.isfinite(answer.logits).all():
                    scores = softmax(masked(answer.logits[None], self.classes))
                    forwards = memo.options.views + 1
                    ms = views_ms + answer.adapt_ms
                    seen.rows.append(self._row(seen, method, scores, forwards, ms, views_ms))
                else:
                    _fail(samples, seen.image, NOT_NUMBERS)
                yield seen

    def _row(
        self,
        seen: Seen,
        method: Method,
        scores: NDArray[np.float32],
        forwards: int,
        ms: float,
        views_ms: float,
        shared: int = 0,
    ) -> dict[str, Any]:
        """A row of `methods`; `shared`: forward passes whose time is known when the shard is done."""
        ids, best = best_of(scores, self.classes)
        answers: dict[str, Any] = {f"id{k}": int(ids[0, k]) for k in range(TOP)}
        answers |= {f"p{k}": float(best[0, k]) if ids[0, k] >= 0 else None for k in range(TOP)}
        costs = {"forwards": forwards, "ms": ms, "views_ms": views_ms, "shared": shared}
        return {"image": seen.image, "method": method.name} | answers | costs


def _fail(samples: list[dict[str, Any]], image: int, why: str) -> None:
    """Note why an image has no answer; `samples` holds the shard's images in order from its first."""
    samples[image - samples[0]["image"]]["error"] = why


def _groups(stream: Iterator[Seen], size: int) -> Iterator[list[Seen]]:
    group: list[Seen] = []
    for seen in stream:
        group.append(seen)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


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

        module = _module(prepared)
        make = partial(Memo, module, mean=prepared.card.mean, std=prepared.card.std, size=prepared.card.view_size)
        for method in memos:
            adapted[method.name] = make(
                parse_memo(method.options),
                rule=method.rules[0],
                precision=prepared.precision,
                device=prepared.device,
                classes=classes,
            )
    return MethodWorker(
        Path(job["run"]), dataset, methods, classifier, adapted, prepared.batch_size, classes, int(job["cost"])
    )


def _module(prepared: Prepared) -> Any:
    """The torch network, whatever backend computes the views."""
    if prepared.network is not None:
        return prepared.network
    from snellen.classifiers.sources import load
    from snellen.classifiers.spec import parse_spec

    return load(parse_spec(prepared.text)).module
