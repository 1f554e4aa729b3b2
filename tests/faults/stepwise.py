"""A small study that is disturbed at each step it takes on the file system, one after the other.

python tests/faults/stepwise.py DATA FOLDER HOW

HOW: `kill`, `power`, or the name of an error (`ENOSPC`). The study that nothing happens to goes to FOLDER/0. For step n
it goes to FOLDER/n, in a process of its own that is disturbed at that step; then it is run again without. Prints a line
of JSON for each step: how the first and the second process ended, and which shards the first had committed.

All that is real but the network, which is a plain function of the pixels: the plan, the worker, the writer.
"""

import errno
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snellen.classifiers import Prepared
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets import open_dataset
from snellen.engine.running import completed
from snellen.errors import SnellenError
from snellen.study import show
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(192, 256))
CHANGES = ("os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "os.truncate")
UNEXPECTED = 99


class Means(Prepared):
    """A prepared model whose logits are means of the pixels, run in this process."""

    def classifier(self):
        return self

    def logits(self, views):
        seen = views[:, ::16, ::16]
        return np.concatenate([seen.mean((1, 2)), seen.std((1, 2))], 1).astype(np.float32)[:, :5] / 10


def means():
    keys = tuple(f"kind-{k}" for k in range(5))
    card = ModelCard("means", "0" * 64, 224, OwnTransform(224, 256, "bicubic"), (0.5,), (0.5,), "kinds", keys, 1, 0)
    return Means("module/means", card, "torch", "cpu", "fp32", 7, 30.0, {}, network=object())


def study(data: Path, out: Path) -> None:
    show(open_dataset(data), means(), GRID, out, completed("study", {"workers": 1}))


class Steps:
    """Counts what is about to be changed below a folder, and calls `disturb` at step `at`."""

    def __init__(self, below: Path, at: int, disturb: Callable[[], None]) -> None:
        self.below, self.at, self.disturb, self.count, self.last = str(below), at, disturb, 0, ""
        self.real_fsync = os.fsync
        os.fsync = self.fsync
        sys.addaudithook(self.hear)

    def step(self, what: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.last = what
            self.disturb()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else False
            writes = writes or (isinstance(mode, str) and set(mode) & set("wxa+"))
            if writes and self.inside(path):
                self.step(f"open {Path(os.fsdecode(path)).name}")
        elif event in CHANGES and any(map(self.inside, arguments)):
            self.step(f"{event} {Path(os.fsdecode(arguments[0])).name}")

    def inside(self, path: Any) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and f"{os.fsdecode(path)}/".startswith(f"{self.below}/")

    def fsync(self, handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if self.inside(path):
            self.step(f"fsync {path.name}")
        self.real_fsync(handle)
        self.synced(path)

    def synced(self, path: Path) -> None:
        """A file or folder is on the disk now."""


class PowerCut(Steps):
    """A cut of the power: what was not synced may be there, in part, or not at all; by a coin for each."""

    def __init__(self, below: Path, at: int, seed: int) -> None:
        super().__init__(below, at, self.cut)
        self.top, self.rng = below, random.Random(seed)
        self.contents: dict[int, bytes] = {}  # by inode: what is surely on the disk
        self.names: dict[Path, dict[str, int]] = {}  # by folder: the names that surely are

    def synced(self, path: Path) -> None:
        if path.is_dir():
            self.names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.contents[path.stat().st_ino] = path.read_bytes()

    def cut(self) -> None:
        self.below = "\0"  # what follows is the power, not the study
        kept = self.top.with_name(f"{self.top.name}.kept")
        if self.on_disk(self.top.parent, self.top.name):
            self.settle(self.top, kept)
        shutil.rmtree(self.top, ignore_errors=True)
        if kept.exists():
            kept.rename(self.top)
        os.kill(os.getpid(), signal.SIGKILL)

    def on_disk(self, folder: Path, name: str) -> bool:
        return name in self.names.get(folder, {}) or self.rng.random() < 0.5

    def settle(self, folder: Path, target: Path) -> None:
        target.mkdir()
        now = {entry.name: entry.inode() for entry in os.scandir(folder)}
        surely = self.names.get(folder, {})
        for name in sorted({**surely, **now}):
            inode = surely.get(name) if name not in now or self.rng.random() < 0.5 else now[name]
            if name in now and now[name] == surely.get(name):
                inode = now[name]
            if inode is None:
                continue
            if name in now and (folder / name).is_dir():
                self.settle(folder / name, target / name)
            elif inode in self.contents:
                (target / name).write_bytes(self.contents[inode])
            elif now.get(name) == inode:
                whole = (folder / name).read_bytes()
                (target / name).write_bytes(whole[: self.rng.randint(0, len(whole))])


def disturbed(how: str, out: Path, number: int) -> Steps:
    if how == "power":
        return PowerCut(out, number, seed=number)
    if how == "kill":
        return Steps(out, number, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def fail() -> None:
        raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))

    return Steps(out, number, fail)


def in_a_child(work: Callable[[], None]) -> int:
    """How a process that does `work` ends: 0, the exit code of Snellen's error, minus the signal, or UNEXPECTED."""
    child = os.fork()
    if not child:
        code = UNEXPECTED
        try:
            work()
            code = 0
        except SnellenError as error:
            code = error.exit_code
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    data, folder, how = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3]
    study(data, folder / "0")
    for number in range(1, 1000):
        out, notes = folder / str(number), folder / f"{number}.notes"

        def first(number: int = number, out: Path = out, notes: Path = notes) -> None:
            steps = disturbed(how, out, number)
            noted = notes.open("a")
            import snellen.engine.worker as worker

            real = worker.commit

            def commit(run: Path, shard: int, *rest: Any) -> bool:
                done = real(run, shard, *rest)
                print(shard, file=noted, flush=True)
                return done

            worker.commit = commit
            try:
                study(data, out)
            finally:
                print("steps", steps.count, steps.last, file=noted, flush=True)

        ended = in_a_child(first)
        said = notes.read_text().splitlines() if notes.exists() else []
        committed = [int(line) for line in said if line.isdecimal()]
        left = sorted(int(path.stem) for path in out.glob("*/*/*/commits/*.json"))
        if ended == 0 and not any(line.startswith("steps") and len(line.split()) > 2 for line in said):
            break  # there is no such step any more
        again = in_a_child(lambda out=out: study(data, out))
        print(json.dumps({"step": number, "ended": ended, "again": again, "committed": committed, "left": left}))
    print(json.dumps({"steps": number - 1}), flush=True)


if __name__ == "__main__":
    main()
