"""What `snellen mine` takes of the driver's time and memory with as many images as ImageNet's training set has.

    python benchmarks/mining_scale.py [--images 1281167] [--first 0.97] [--hard 0.005]

Two miners on a data set that is only a list. All is what the command does, but that workers show nothing: of each image
they make up at which zoom of the order they are given it leaves (`--first`: so many at the first; `--hard`: so many at
none), and commit that, as real workers do. They take turns with the driver in one process, and their time is taken off.
How many views a second a worker would answer decides how long shards are. The whole is about three minutes.
"""

import argparse
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import common
import snellen
from made_up import answers, coded
from planner import MadeUp, made_up_model
from snellen.classifiers import Prepared
from snellen.datasets.base import Item
from snellen.engine.answers import MERGES
from snellen.engine.progress import silent
from snellen.engine.worker import Task
from snellen.labels import IMAGENET_1K
from snellen.store.mined import pass_folder
from snellen.store.schema import MERGED, PREDICTIONS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID

ZOOMS, CLASSES = len(PAPER_GRID), len(IMAGENET_1K)
# Of the images that no zoom of a miner reads, so many are hard for the others too.
SHARED = 0.5


class Listed(MadeUp):
    """A data set that is only a list, of a thousand classes in folders."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.items = [
            replace(item, id=f"{IMAGENET_1K.keys[k * CLASSES // images]}/{k:08d}.JPEG")
            for k, item in enumerate(self.items)
        ]

    def origin(self, index: int) -> str:
        """Its name."""
        return self.name

    def label_sets(self, ids: Sequence[str], space: Any, source: str | None = None) -> list[list[int]]:
        """By folder."""
        find = {key: k for k, key in enumerate(space.keys)}
        return [[find[name.partition("/")[0]]] for name in ids]


class Clock:
    """Seconds and most memory of the driver from one word of it to the next, without those of the workers."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []
        self.working = 0.0
        self._what, self._since, self._worked = "opening", time.perf_counter(), 0.0
        self._reset()

    def status(self, text: str) -> None:
        """What begins now."""
        now = time.perf_counter()
        self.rows.append((self._what, now - self._since - (self.working - self._worked), self._peak()))
        self._what, self._since, self._worked = text, now, self.working
        self._reset()

    @contextlib.contextmanager
    def bar(self, images: int, zooms: int, of: int, by_image: bool = False) -> Iterator[Any]:
        """The hand-out of shards."""
        before = self._what
        self.status(f"{before}: handing out")
        with silent.bar(images, zooms, of, by_image) as progress:
            yield progress
        self.status(f"{before}: looking at it")

    @staticmethod
    def _reset() -> None:
        Path("/proc/self/clear_refs").write_text("5")

    @staticmethod
    def _peak() -> float:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1]) / 2**20


class Workers:
    """What commits, in the driver's process. leaves: of each miner, how many zooms each image is shown."""

    def __init__(self, items: Sequence[Item], leaves: dict[str, NDArray[np.int64]], clock: Clock) -> None:
        self._items, self._leaves, self._clock = items, leaves, clock

    def run_engine(
        self, job: dict[str, Any], prepared: Prepared, tasks: list[Task], running: Any, progress: Any, held: Any
    ) -> None:
        """As `engine/drive.py` has it."""
        for task in held.handed_out(tasks):
            start = time.perf_counter()
            for told in task.told["shards"]:
                self._commit(Path(job["run"]), told, task, self._leaves[prepared.text])
            held.committed(task)
            self._clock.working += time.perf_counter() - start

    def _commit(self, run: Path, told: dict[str, Any], task: Task, leaves: NDArray[np.int64]) -> None:
        images = np.array(told["images"], np.int32)
        labels = np.array([row[0] for row in told["labels"]], np.int32)
        order = np.array(task.told["order"], np.int16)
        views = np.minimum(np.abs(leaves[images]), len(order))
        zooms = np.concatenate([np.sort(order[:count]) for count in views])
        read = (leaves[images] > 0) & (leaves[images] <= len(order))
        last = (zooms == np.repeat(order[views - 1], views)) & np.repeat(read, views)
        best = np.where(last, np.repeat(labels, views), np.repeat((labels + 1) % CLASSES, views)).astype(np.int32)
        share = np.full(len(best), 0.5, np.float32)
        predictions = {"image": np.repeat(images, views), "zoom": zooms, **answers(best, share)}
        predictions |= {"raw_id0": best, "raw_p0": share}
        whole, groups = (views == ZOOMS) & (len(order) > 1), [*PAPER_GRID.groups, "all"]
        rows = len(groups) * len(MERGES)
        codes = np.tile(np.repeat(np.arange(len(groups), dtype=np.int8), len(MERGES)), whole.sum())
        ways = np.tile(np.arange(len(MERGES), dtype=np.int8), len(groups) * whole.sum())
        wrong = np.repeat((labels[whole] + 1) % CLASSES, rows)
        merged = {
            "image": np.repeat(images[whole], rows),
            "group": coded(codes, groups),
            "merge": coded(ways, MERGES),
            **answers(wrong, np.full(len(wrong), 0.5, np.float32)),
        }
        samples = {
            "image": images,
            "image_id": [self._items[image].id for image in images.tolist()],
            "width": np.full(len(images), 500, np.int32),
            "height": np.full(len(images), 375, np.int32),
            "sha256": [f"{image:064x}" for image in images.tolist()],
            "origin": ["made-up"] * len(images),
            "error": pa.nulls(len(images), pa.string()),
        }
        tables = {
            "samples": pa.table(samples, schema=SAMPLES),
            "predictions": pa.table(predictions, schema=PREDICTIONS),
            "merged": pa.table(merged, schema=MERGED),
        }
        record = {"fingerprint": task.fingerprint, "start": told["start"], "stop": told["stop"], "images": len(images)}
        record |= {"errors": 0, "views": len(best), "started": time.time(), "seconds": 0.0}
        commit(pass_folder(run, told["pass"]), told["shard"], tables, record)


def made_up_leaves(images: int, first: float, hard: float, seed: int) -> NDArray[np.int64]:
    """After how many zooms each image is read; minus `ZOOMS` where none reads it."""
    shared, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    luck = np.where(shared.random(images) < SHARED, shared.random(images), rng.random(images))
    # Of those that the first does not read, the next reads a third, and so on.
    later = np.minimum(1 + rng.geometric(1 / 3, images), ZOOMS)
    return np.where(luck < first, 1, np.where(luck < 1 - hard, later, -ZOOMS))


def files_of(folder: Path) -> tuple[str, float]:
    """How many files there are of each kind below a folder, in words, and their megabytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    kinds = Counter(path.suffix for path in paths)
    words = ", ".join(f"{kinds[kind]:,} {kind}" for kind in (".parquet", ".json"))
    return words, sum(path.stat().st_size for path in paths) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--first", type=float, default=0.97)
    parser.add_argument("--hard", type=float, default=0.005)
    parser.add_argument("--views-per-s", type=float, default=3000.0, help="of a worker, which decides its shards")
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    model = made_up_model(given.views_per_s)
    models = [
        replace(model, text=f"made-up/{k}", card=replace(model.card, weights=str(k) * 64, source=str(k)))
        for k in range(2)
    ]
    leaves = {m.text: made_up_leaves(given.images, given.first, given.hard, k) for k, m in enumerate(models)}
    hard = int(np.all([found < 0 for found in leaves.values()], axis=0).sum())
    dataset, rows, stages = Listed(given.images), [], []
    commands = (("`mine`", False), ("the same again", False), ("with `--leave-one-out`", True))
    with common.kept(None) as out:
        for name, leave_one_out in commands:
            clock = Clock()
            with (
                mock.patch("snellen.mining.mine.ready_models", return_value=models),
                mock.patch("snellen.mining.given.open_dataset", return_value=dataset),
                mock.patch("snellen.mining.cascade.run_engine", Workers(dataset.items, leaves, clock).run_engine),
            ):
                mining = snellen.mine(
                    "made-up",
                    "made-up",
                    out=out / "hard",
                    leave_one_out=leave_one_out,
                    workers=given.workers,
                    report=clock,
                )
            clock.status("")
            assert mining.record["hard"] == hard
            words, megabytes = files_of(out / "hard")
            seconds, most = sum(one for _, one, _ in clock.rows), max(one for *_, one in clock.rows)
            views = mining.record["views"]
            rows.append([name, f"{seconds:.0f}", f"{most:.2f}", f"{views:,}", words, f"{megabytes:,.0f}"])
            stages += [[name, what, f"{seconds:.1f}", f"{most:.2f}"] for what, seconds, most in clock.rows]
    common.show(f"{given.images:,} images, driver alone, by stage", ("", "stage", "s", "most memory, GB"), stages)
    header = ("", "driver, s", "its most memory, GB", "views in all", "files", "MB")
    common.show(f"{given.images:,} images, two miners, {hard:,} hard", header, rows)


if __name__ == "__main__":
    main()
