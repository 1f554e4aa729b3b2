"""Wall time of the whole study over the bare model's on the same number of views: what everything else costs.

    python benchmarks/overhead.py DATA --checkpoint FILE [--limit 300] [--rounds 3]

The bare model is the same converted network at the same precision and batch size in the same number of processes,
each pinned to its core, fed the same views again and again; its rate is steady, so a share of the views is timed.
"""

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

import common
import snellen
from snellen.classifiers import prepare
from snellen.classifiers.prepare import Prepared


def bare(core: int, model: dict, views: int, start, done) -> None:
    """Classify `views` views on one core once every process is ready."""
    os.sched_setaffinity(0, {core})
    prepared = Prepared.from_json(model)
    classifier = prepared.classifier()
    size = prepared.card.view_size
    batch = np.random.default_rng(core).integers(0, 256, (prepared.batch_size, size, size, 3), np.uint8)
    classifier.logits(batch)
    start.wait()
    begin = time.perf_counter()
    for _ in range(views // len(batch)):
        classifier.logits(batch)
    done.put(time.perf_counter() - begin)


def time_bare(prepared: Prepared, views: int) -> float:
    context = multiprocessing.get_context("spawn")
    cores = common.worker_cores()
    start, done = context.Barrier(len(cores)), context.Queue()
    arguments = [(core, prepared.to_json(), views // len(cores), start, done) for core in cores]
    processes = [context.Process(target=bare, args=a) for a in arguments]
    for process in processes:
        process.start()
    seconds = max(done.get() for _ in processes)
    for process in processes:
        process.join()
    return seconds


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", type=int, default=4, help="time the bare model on 1/BARE of the views, times BARE")
    parser.add_argument("--out", type=Path, help="keep the runs of a single round here")
    options = parser.parse_args()
    model, rows = common.mobilenet(options.checkpoint), []
    for precision in ("fp32", "bf16"):
        prepared = prepare(model, precision=precision)
        ratios, walls, bares = [], [], []
        for _ in range(options.rounds):
            if options.out:
                wall, views, batch = whole(options, model, options.out, precision)
            else:
                wall, views, batch = common.fresh(lambda out, p=precision: whole(options, model, out, p))
            alone = options.bare * time_bare(prepared.with_batch(batch), views // options.bare)
            ratios.append(wall / alone)
            walls.append(wall)
            bares.append(alone)
        each = ", ".join(f"{ratio:.3f}" for ratio in ratios)
        medians = [f"{common.median(values):.1f}" for values in (walls, bares)]
        rows.append([precision, *medians, f"{common.median(ratios):.3f}", each])
    title = f"mobilenetv2_100, {options.limit} images, {len(common.worker_cores())} workers"
    common.show(title, ("", "whole command, s", "bare model, s", "ratio", "each round"), rows)


def whole(options, model: str, out: Path, precision: str) -> tuple[float, int, int]:
    seconds = common.study(options.data, model, out, "--precision", precision, "--limit", str(options.limit))
    run = snellen.load_run(next(out.glob(f"*/*/paper-{precision}")))
    views = sum(commit["views"] for commit in run.commits.values())
    return seconds, views, json.loads((run.path / "run.json").read_text())["batch_size"]


if __name__ == "__main__":
    main()
