"""The Ray engine against the local one, two workers each: throughput once both are at work, and what a message costs.

Throughput is that of the commits: all views, over the time from the first shard's start to the last one's end. What
comes before (Ray's own start, loading models) is in the column of the whole command.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import common

WORKERS = 2


def throughput(out: Path) -> float:
    """Views a second of a finished run, from its commit records."""
    commits = [json.loads(path.read_text()) for path in out.glob("*/*/*/commits/*.json")]
    first = min(commit["started"] for commit in commits)
    last = max(commit["started"] + commit["seconds"] for commit in commits)
    return sum(commit["views"] for commit in commits) / (last - first)


def message_seconds(calls: int) -> tuple[float, float]:
    """Wall and CPU seconds that the driver takes for one call of an actor and its answer."""
    import ray

    from snellen.engine.actor import Actor
    from snellen.engine.ray import connect

    connect(None, WORKERS)
    kind: Any = ray.remote(Actor).options(num_cpus=1, max_concurrency=2)
    actors = [kind.remote() for _ in range(WORKERS)]
    ray.get([actor.views.remote() for actor in actors])
    wall, cpu = time.perf_counter(), _cpu()
    pending = {actor.views.remote(): actor for actor in actors for _ in range(50)}
    for _ in range(calls):
        ready, _ = ray.wait(list(pending), num_returns=1)
        ray.get(ready)
        pending[pending[ready[0]].views.remote()] = pending.pop(ready[0])
    took = (time.perf_counter() - wall) / calls, (_cpu() - cpu) / calls
    ray.shutdown()
    return took


def _cpu() -> float:
    """CPU seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = common.arguments(__doc__.split("\n", 1)[0])
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=5000)
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
    wall, cpu = message_seconds(options.calls)
    print(f"A call of an actor and its answer: {1e6 * wall:.0f} µs, {1e6 * cpu:.0f} µs of the driver's CPU")


if __name__ == "__main__":
    main()
