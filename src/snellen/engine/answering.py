"""Shards of a generative model: their images are asked about, and what it said is committed.

One process does it all, since the work is the server's. Images of the next shard are sent while the last answers of
one are still to come; a shard is committed with its last answer. Killed in between, the answers are in the cache.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from snellen.atomic import writing
from snellen.classifiers import Prepared
from snellen.classifiers.vlm.classifier import Answer
from snellen.classifiers.vlm.prepare import PreparedVlm
from snellen.datasets import open_dataset
from snellen.engine.held import Held
from snellen.engine.samples import read_image, sample_row
from snellen.engine.worker import Progress, Task
from snellen.errors import SnellenError
from snellen.labels import ClassSpace
from snellen.places import place
from snellen.store.schema import ANSWERS, PREDICTIONS, SAMPLES, TOP
from snellen.store.writer import commit


@dataclass
class _Shard:
    """A shard under way: its samples, its answers so far, and how many images are still without either end."""

    task: Task
    left: int
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    samples: dict[int, dict[str, Any]] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)


def run_answering(
    job: Mapping[str, Any], prepared: Prepared, tasks: Iterable[Task], progress: Progress, held: Held
) -> None:
    """Do all tasks of a job (see `job_of`); `progress` hears each image that was answered.

    held: where they are committed.

    Raises ModelError where the call is wrong, Stopped where the server or the data cannot be reached, the disk is full
    or a shard has a commit record that is not this run's or not whole, SnellenError where the data set is no longer the
    planned one.
    """
    assert isinstance(prepared, PreparedVlm)
    dataset = open_dataset(job["data"], planned=job["images"])
    if dataset.fingerprint != job["images"]:
        raise SnellenError(f"the images of {job['data']!r} changed while the run was going on; run the command again")
    run, space = place(job["run"]), prepared.space
    asked: dict[int, _Shard] = {}  # by image

    def settle(shard: _Shard, images: int = 1) -> None:
        shard.left -= images
        if not shard.left and shard.task.commit:
            with writing(run, begun=True):
                if not commit(run, shard.task.shard, _tables(shard, space), _record(shard)):
                    held.check_committed(shard.task)
            held.committed(shard.task)

    def images() -> Iterator[tuple[int, bytes]]:
        for task in tasks:
            shard = _Shard(task, left=task.stop - task.start)
            settle(shard, 0)  # a shard may be empty
            for image in range(task.start, task.stop):
                row = shard.samples[image] = sample_row(dataset, image)
                row["error"] = task.skip.get(image)
                data = None if row["error"] else read_image(dataset, image, row)
                if data is None:
                    settle(shard)
                else:
                    asked[image] = shard
                    yield image, data

    with contextlib.closing(prepared.answerer().answers(images(), dataset.border)) as answers:
        for image, answer in answers:
            shard = asked.pop(image)
            shard.samples[image] |= {"width": answer.width, "height": answer.height, "error": answer.error}
            if answer.error is None:
                shard.answers[image] = answer
                progress(1)
            settle(shard)


def _tables(shard: _Shard, space: ClassSpace) -> dict[str, pa.Table]:
    """The tables of a shard, each in the order of images."""
    answered = sorted(shard.answers.items())
    images = [image for image, _ in answered]
    ids = [answer.id for _, answer in answered]
    none, unknown = [-1] * len(ids), [None] * len(ids)
    predictions: dict[str, list[Any]] = {"image": images, "zoom": [0] * len(ids)}
    predictions |= {f"id{k}": ids if k == 0 else none for k in range(TOP)}
    predictions |= {f"p{k}": unknown for k in range(TOP)} | {"raw_id0": ids, "raw_p0": unknown}
    said = {
        "image": images,
        "answer": [answer.text for _, answer in answered],
        "matched": [space.keys[i] if i >= 0 else None for i in ids],
    }
    return {
        "samples": pa.Table.from_pylist([row for _, row in sorted(shard.samples.items())], schema=SAMPLES),
        "predictions": pa.table(predictions, schema=PREDICTIONS),
        "answers": pa.table(said, schema=ANSWERS),
    }


def _record(shard: _Shard) -> dict[str, Any]:
    """What the commit record says beside the files; `cached`: answers that no request was sent for."""
    return {
        "fingerprint": shard.task.fingerprint,
        "start": shard.task.start,
        "stop": shard.task.stop,
        "images": len(shard.samples),
        "errors": len(shard.samples) - len(shard.answers),
        "views": len(shard.answers),
        "unmatched": sum(answer.id < 0 for answer in shard.answers.values()),
        "cached": sum(answer.cached for answer in shard.answers.values()),
        "started": shard.started,
        "seconds": round(time.monotonic() - shard.clock, 3),
    }
