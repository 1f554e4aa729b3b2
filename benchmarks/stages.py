"""Where one worker's time goes on one core: CPU milliseconds an image of each stage, beside the bare network's.

    python benchmarks/stages.py DATA --checkpoint FILE [--limit 32]

The worker itself runs, with a clock around each stage's functions. The bare network is fed one batch again and again,
before and after.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import common
from snellen.classifiers import Classifier, Prepared, prepare
from snellen.datasets import open_dataset
from snellen.engine import samples, worker
from snellen.zoom import PAPER_GRID

# The functions of each stage, none of which calls another.
STAGES = {
    "read, hash": [(samples, "read_image")],
    "decode": [(samples, "decode")],
    "cut 324 views": [(worker, "render")],
    "softmax, best classes, merged answers": [
        *((worker, name) for name in ("masked", "softmax", "prediction_table", "merged_table")),
    ],
    "Parquet and commit": [(worker, "commit")],
}
BARE, NETWORK, WAITING = "bare network", "network, in the worker", "beside it: waiting for the disk"


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=32)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(common.worker_cores())})
    found = []
    for precision in ("fp32", "bf16"):
        prepared = prepare(common.mobilenet(options.checkpoint), precision=precision)
        found.append(common.fresh(lambda run, p=prepared: measure(p, options.data, options.limit, run)))
    rows = []
    for stage in found[0]:
        shares = [f"{100 * ms[stage] / ms[BARE]:.1f} %" for ms in found]
        rows.append([stage, *(f"{ms[stage]:.1f}" for ms in found), *shares])
    title = f"mobilenetv2_100, one worker, {options.limit} images: ms an image, and its share of the bare network's"
    common.show(title, ("", "float32, ms", "bf16, ms", "float32", "bf16"), rows)


def measure(prepared: Prepared, data: Path, limit: int, run: Path) -> dict[str, float]:
    """CPU milliseconds an image, by stage."""
    for folder in ("parts", "commits"):
        (run / folder).mkdir()
    classifier = prepared.classifier()
    at_work = worker.Worker(run, open_dataset(data), classifier, PAPER_GRID, prepared.batch_size)
    at_work.run(worker.Task(0, 0, 1), lambda views: None)  # what only the first image costs
    before = bare_seconds(classifier, prepared)
    seconds: Counter[str] = Counter()
    with ExitStack() as patches:
        for stage, functions in {**STAGES, NETWORK: [(classifier, "logits")]}.items():
            for owner, name in functions:
                patches.enter_context(mock.patch.object(owner, name, clocked(getattr(owner, name), stage, seconds)))
        start = time.process_time()
        at_work.run(worker.Task(1, 0, limit), lambda views: None)
        whole = time.process_time() - start
    waiting = seconds.pop(WAITING)
    stages = {stage: seconds[stage] for stage in (*STAGES, NETWORK)}
    stages |= {"batches, rows": whole - sum(stages.values()), "whole worker": whole, WAITING: waiting}
    bare = (before + bare_seconds(classifier, prepared)) / 2
    return {BARE: 1000 * bare} | {stage: 1000 * value / limit for stage, value in stages.items()}


def clocked(function: Callable[..., Any], stage: str, seconds: Counter[str]) -> Callable[..., Any]:
    """The function, its CPU time added to `seconds`, and the wall time beyond it to what a commit waits."""

    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        done = function(*args, **kwargs)
        used = time.process_time() - cpu
        seconds[stage] += used
        if stage == "Parquet and commit":
            seconds[WAITING] += time.perf_counter() - wall - used
        return done

    return timed


def bare_seconds(classifier: Classifier, prepared: Prepared, least: float = 3.0) -> float:
    """CPU seconds of the network alone for the views of one image."""
    size = prepared.card.view_size
    views = np.random.default_rng(0).integers(0, 256, (prepared.batch_size, size, size, 3), np.uint8)
    classifier.logits(views)
    start, done = time.process_time(), 0
    while time.process_time() - start < least:
        classifier.logits(views)
        done += len(views)
    return (time.process_time() - start) * common.ZOOMS / done


if __name__ == "__main__":
    main()
