"""What a run is to hold: its directory, its fingerprint, its shards, and which of them are still to be done."""

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from snellen.atomic import create_atomic, write_atomic, writing
from snellen.classifiers import Prepared
from snellen.classifiers.base import same_probe
from snellen.datasets import DataSet
from snellen.datasets.spec import parse_name
from snellen.engine.worker import Task
from snellen.errors import RunMismatch, UsageError
from snellen.labels import ClassMap
from snellen.store.reader import damaged_files, read_commits, read_run_json
from snellen.store.schema import FORMAT, made_kinds
from snellen.zoom.grid import Grid
from snellen.zoom.render import render

# A shard is at most this many seconds of one worker's work, and at least a 16th part of what each worker has to do.
SHARD_SECONDS = 60.0
SHARDS_PER_WORKER = 16


@dataclass(frozen=True)
class Work:
    """What workers do with an image in place of answering every view of the grid by itself.

    loader: `module:function` that makes such a worker (see `load_worker`).
    methods: the test-time methods that answer, as their plain forms.
    cost: what an image takes, in views.
    """

    loader: str
    methods: Sequence[dict[str, Any]]
    cost: int


@dataclass
class Plan:
    """A run directory that is open for work. `record` is what its run.json holds."""

    path: Path
    record: dict[str, Any]
    limit: int

    @property
    def bounds(self) -> list[int]:
        """Shard k holds images bounds[k] … bounds[k + 1] - 1."""
        return list(self.record["shards"])

    def tasks(self) -> list[Task]:
        """The shards below the limit that have no valid commit; damaged ones are put aside first."""
        committed, written = {}, read_commits(self.path)
        kinds = ("methods",) if "methods" in self.record else made_kinds(len(self.record["grid"]["rules"]))
        made = {"samples", *kinds}
        for record in sorted((self.path / "commits").glob("*.json")):
            commit = written.get(int(record.stem)) if record.stem.isdecimal() else None
            if commit is None or not commit["files"].keys() >= made or damaged_files(self.path, commit):
                _put_aside(self.path, record)
            else:
                committed[int(record.stem)] = commit
        known = {file["name"] for commit in committed.values() for file in commit["files"].values()}
        for path in (self.path / "parts").iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)  # left by a writer that died before its commit
        pairs = enumerate(itertools.pairwise(self.bounds))
        return [Task(k, a, b) for k, (a, b) in pairs if k not in committed and a < self.limit]

    def finish(self, session: dict[str, Any]) -> None:
        """Add how this command's work went to run.json."""
        self.record["sessions"].append(session)
        write_atomic(self.path / "run.json", json.dumps(self.record, indent=1).encode())


def run_directory(out: Path, dataset: DataSet, prepared: Prepared, grid: Grid) -> Path:
    """OUT/<data>/<model>/<grid>-<precision>; a set with a name of its own is found again wherever its files lie."""
    shown = dataset.name.replace("/", "-")
    full = shown if parse_name(dataset.spec) == dataset.name else dataset.spec
    return out / safe_name(shown, full) / model_name(prepared.text) / f"{grid.name}-{prepared.precision}"


def safe_name(shown: str, full: str) -> str:
    """A file name for `shown`: its safe characters, plus six hex digits of `full` where anything was dropped.

    >>> safe_name("examples", "examples"), safe_name("my images", "my images")
    ('examples', 'myimages-0999b2')
    """
    safe = re.sub(r"[^A-Za-z0-9._+=@,-]", "", shown).lstrip(".")[:80]
    return (
        safe
        if safe and safe == full
        else f"{safe}-{hashlib.sha256(full.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
    )


def model_name(text: str) -> str:
    """A file name for a model: the slash after its kind becomes a dash, a checkpoint keeps its file name only.

    >>> model_name("embedded/efficientnet_lite0")
    'embedded-efficientnet_lite0'
    """
    dashed = text.replace("/", "-", 1) if not text.startswith("/") else text
    shown = re.sub(r"(?<=@)[^,]*/|^/[^,]*/", "", dashed)
    return safe_name(shown, dashed)


def fingerprint(
    dataset: DataSet, prepared: Prepared, grid: Grid, classes: ClassMap | None, keep_probs: bool
) -> dict[str, Any]:
    """Everything that decides what a run's rows hold, by name; labels, limit, batch and workers do not."""
    card = prepared.card
    mask = f", masked to {classes.name} {classes.fingerprint}" if classes else ""
    return {
        "images": dataset.fingerprint,
        "border": dataset.border,
        "grid": hashlib.sha256(json.dumps(grid.to_json()).encode()).hexdigest(),
        "rendered views": _rendered_sha256(grid),
        "model": card.source,
        "weights": card.weights,
        "options": {key: str(value) for key, value in sorted(prepared.options.items())},
        "class space": f"{card.space} {card.class_space.fingerprint}{mask}",
        "inputs": dict(card.inputs),
        "normalisation": {"mean": list(card.mean), "std": list(card.std)},
        "precision": prepared.precision,
        "backend": prepared.backend,
        "all probabilities": keep_probs,
    }


@contextlib.contextmanager
def open_plan(
    dataset: DataSet,
    prepared: Prepared,
    grid: Grid,
    out: Path,
    *,
    limit: int | None,
    workers: int,
    classes: ClassMap | None = None,
    keep_probs: bool = False,
    work: Work | None = None,
) -> Iterator[Plan]:
    """Start the run in its directory, or take it up where it was left; other processes are kept out meanwhile.

    Raises RunMismatch, and touches nothing, where the directory holds a run of something else; UsageError where
    nothing can be written or another process is at work; Stopped where the disk is full.
    """
    path = run_directory(out, dataset, prepared, grid)
    stop = len(dataset.items) if limit is None else min(limit, len(dataset.items))
    most = SHARD_SECONDS * prepared.views_per_s / (work.cost if work else len(grid))
    parts = fingerprint(dataset, prepared, grid, classes, keep_probs)
    if work:
        parts["methods"] = list(work.methods)
    with contextlib.ExitStack() as stack:
        with writing(path):
            if (path / "run.json").exists():
                _check_same(path, read_run_json(path), parts, prepared)
            for folder in ("parts", "commits"):
                (path / folder).mkdir(parents=True, exist_ok=True)
            stack.enter_context(_only_here(path))
            if not (path / "run.json").exists():
                record = _new_record(dataset, prepared, grid, classes, parts)
                if work:
                    record["methods"] = list(work.methods)
                record["shards"] = _bounds([0], stop, most, workers, dataset.breaks)
                create_atomic(path / "run.json", json.dumps(record, indent=1).encode())
            record = read_run_json(path)
            _check_same(path, record, parts, prepared)
            if record["shards"][-1] < stop:
                record["shards"] = _bounds(record["shards"], stop, most, workers, dataset.breaks)
                write_atomic(path / "run.json", json.dumps(record, indent=1).encode())
        yield Plan(path, record, stop)


@contextlib.contextmanager
def _only_here(path: Path) -> Iterator[None]:
    """Hold a run directory's lock; UsageError where another process works in it. The lock goes with the process."""
    import fcntl

    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another process is working in {str(path)!r}; wait for it, or choose another -o"
            ) from None
        yield


def _new_record(
    dataset: DataSet, prepared: Prepared, grid: Grid, classes: ClassMap | None, parts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "fingerprint": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        "fingerprint_parts": parts,
        "data": {
            "spec": dataset.spec,
            "name": dataset.name,
            "images": len(dataset.items),
            "official": dataset.official,
            "revision": dataset.revision,
            "label_sources": list(dataset.label_sources),
        },
        "classes": classes.to_json() if classes else None,
        "model": {
            "spec": prepared.text,
            "card": prepared.card.to_json(),
            "backend": prepared.backend,
            "device": prepared.device,
            "precision": prepared.precision,
        },
        "batch_size": prepared.batch_size,
        "grid": grid.to_json(),
        "versions": _versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sessions": [],
    }


def session_record(started: float, tasks: list[Task], views: int, workers: int) -> dict[str, Any]:
    """One command's part in a run: when, where, how long, how much."""
    seconds = time.time() - started
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(seconds, 2),
        "shards": len(tasks),
        "views": views,
        "views_per_s": round(views / seconds, 1) if seconds else None,
        "workers": workers,
        "host": platform.node(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "command": shlex.join(sys.argv),
    }


def _versions() -> dict[str, str]:
    names = ("snellen", "numpy", "pillow", "pyarrow", "openvino", "torch", "torchvision", "timm")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def _bounds(bounds: list[int], stop: int, most: float, workers: int, breaks: Sequence[int]) -> list[int]:
    """Shard bounds up to `stop`, those in `bounds` kept; a shard has `most` images at most and ends at a break."""
    todo = stop - bounds[-1]
    size = max(1, int(min(most, todo / (SHARDS_PER_WORKER * workers))))
    edges = [bounds[-1], *(b for b in breaks if bounds[-1] < b < stop), stop]
    added = [k for a, b in itertools.pairwise(edges) for k in (*range(a + size, b, size), b)]
    return [*bounds, *added] if todo > 0 else bounds


def _rendered_sha256(grid: Grid) -> str:
    """sha256 of the pixels this Pillow makes of a fixed picture, so that another Pillow's rounding is noticed."""
    pixels = bytes((x * x + 7 * y * x + 13 * y * c) % 251 for y in range(24) for x in range(36) for c in range(3))
    return hashlib.sha256(render(Image.frombytes("RGB", (36, 24), pixels), grid.rules).tobytes()).hexdigest()


def _check_same(path: Path, record: dict[str, Any], parts: dict[str, Any], prepared: Prepared) -> None:
    before = record["fingerprint_parts"]
    changed = [key for key in {**before, **parts} if before.get(key) != parts.get(key)]
    if not changed and not same_probe(record["model"]["card"].get("probe", ()), prepared.card.probe):
        raise RunMismatch(
            f"{str(path)!r} holds a run of something else (the network's code: other logits on the same noise); "
            "choose another -o or move it away"
        )
    if changed:
        what = "; ".join(f"{key}: {_short(before.get(key))} there, {_short(parts.get(key))} here" for key in changed)
        raise RunMismatch(f"{str(path)!r} holds a run of something else ({what}); choose another -o or move it away")


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:8]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _put_aside(path: Path, record: Path) -> None:
    for number in itertools.count():
        target = path / "damaged" / f"{record.name}.{number}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            record.replace(target)
            return
