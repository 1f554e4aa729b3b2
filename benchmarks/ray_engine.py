"""The Ray engine against the local one, two workers each; and how many workers one driver can serve through Ray.

Throughput is that of the commits: all views, over the time from the first shard's start to the last one's end. What
comes before (Ray's own start, loading models) is in the column of the whole command. The second table has no models:
one actor answers for a thousand workers, after the time that a shard takes, and the driver is the real one.
"""

import argparse
import asyncio
import json
import random
import resource
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import common
from planner import made_up_model
from snellen.engine.drive import drive, job_of
from snellen.engine.schedule import Schedule
from snellen.engine.worker import Task
from snellen.zoom import PAPER_GRID

WORKERS = 2


def throughput(out: Path) -> float:
    """Views a second of a finished run, from its commit records."""
    commits = [json.loads(path.read_text()) for path in out.glob("*/*/*/commits/*.json")]
    first = min(commit["started"] for commit in commits)
    last = max(commit["started"] + commit["seconds"] for commit in commits)
    return sum(commit["views"] for commit in commits) / (last - first)


class Many:
    """An actor that answers for a thousand workers which only take their time."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._rng = seconds, random.Random(0)

    async def where(self) -> tuple[str, str, str]:
        """As `snellen.engine.actor.Actor`'s."""
        return "one", "here", version("snellen")

    async def load(self, text: str, slot: int, gpus: int) -> str:
        """At once."""
        return json.dumps({"event": "ready"})

    async def run(self, text: str) -> str:
        """After a while."""
        await asyncio.sleep(self._seconds * self._rng.uniform(0.7, 1.3))
        return json.dumps({"event": "done", "committed": True, "views": 1})

    async def views(self) -> tuple[int, int]:
        """Nothing new."""
        return 0, 0


def through_ray(workers: int, seconds: float, rounds: int) -> list[object]:
    """A row: `workers` do `rounds` shards each, `seconds` long, all of it asked and answered through Ray."""
    import ray

    from snellen.engine import cluster
    from snellen.engine import ray as engine

    class Crew(engine.RayCrew):
        messages = 0

        def __init__(self, job: dict[str, Any], actor: Any) -> None:
            super().__init__(job, made_up_model())
            self._class = SimpleNamespace(remote=lambda: actor)

        def _answered(self, worker: int, what: str, ref: Any) -> None:
            self.messages += 1
            super()._answered(worker, what, ref)

        def end(self) -> None:
            self._actors.clear()

    cluster.connect(None, WORKERS)
    many: Any = ray.remote(Many).options(num_cpus=1, max_concurrency=4 * workers)
    actor = many.remote(seconds)
    ray.get(actor.views.remote())
    shards = rounds * workers
    tasks = [Task(k, k, k + 1) for k in range(shards)]
    with common.kept(None) as folder:
        crew = Crew(job_of(folder, "made-up", "", PAPER_GRID, None, False), actor)
        wall, cpu = time.perf_counter(), _cpu()
        drive(Schedule(tasks, workers), crew, workers, lambda views: None, print)
        wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    ray.shutdown()
    return [
        f"{workers:,}",
        f"{seconds:g} s",
        f"{shards / wall:.0f}",
        f"{rounds * seconds / wall:.0%}",
        f"{crew.messages / wall:.0f}",
        f"{1e6 * cpu / crew.messages:.0f} µs",
        f"{cpu / wall:.0%}",
    ]


def _cpu() -> float:
    """CPU seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = common.arguments(__doc__.split("\n", 1)[0])
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    options: argparse.Namespace = parser.parse_args()
    model = common.mobilenet(options.checkpoint)
    how = ("--workers", str(WORKERS), "--limit", str(options.limit), "--precision", options.precision)
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    walls: dict[str, list[float]] = {"local": [], "ray": []}

    def one(engine: str) -> None:
        def run(out: Path) -> float:
            walls[engine].append(common.study(options.data, model, out, *how, "--engine", engine))
            return throughput(out)

        rates[engine].append(common.fresh(run))

    common.fresh(lambda out: common.study(options.data, model, out, "--limit", "1"))  # the model is in the cache
    for _ in range(options.rounds):
        for engine in rates:
            one(engine)
    rows = [
        [
            engine,
            f"{common.median(rates[engine]):.0f}",
            f"{common.median(walls[engine]):.1f}",
            ", ".join(f"{rate:.0f}" for rate in rates[engine]),
        ]
        for engine in rates
    ]
    header = ("engine", "views/s", "whole command, s", "views/s of each round")
    common.show(f"{WORKERS} workers, {options.limit} images, mobilenetv2_100 {options.precision}", header, rows)
    ratios = [ray / local for ray, local in zip(rates["ray"], rates["local"], strict=True)]
    print(f"\nRay / local, median of the rounds: {common.median(ratios):.3f}")
    header = (
        "workers",
        "a shard takes",
        "hand-outs/s",
        "of their time at work",
        "answers/s",
        "CPU an answer",
        "driver",
    )
    rows = [through_ray(workers, seconds, options.rounds) for workers, seconds in ((100, 1.0), (1000, 10.0))]
    common.show("Workers that only wait, asked and answered through Ray", header, rows)


if __name__ == "__main__":
    main()
