"""What a run is to hold: its shards, and which of them are still to be done."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.atomic import check_replaces, create_atomic, write_atomic, writing
from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.engine.fingerprint import check_same, fingerprint
from snellen.engine.names import run_directory
from snellen.engine.record import new_record
from snellen.engine.worker import Task
from snellen.errors import Stopped, UsageError
from snellen.files import entries, entry, exists, make_folder, read_bytes, remove
from snellen.labels import ClassMap
from snellen.locks import Lock, only_here
from snellen.places import is_remote
from snellen.store.commits import damaged_shards, is_part, is_record, own_commits, read_commits
from snellen.store.find import read_run_json
from snellen.store.mined import mined_commits
from snellen.store.schema import kinds_of
from snellen.zoom.grid import Grid

# A shard is at most this many seconds of one worker's work, and at most a 16th part of what each worker has to do.
SHARD_SECONDS = 60.0
SHARDS_PER_WORKER = 16
# Towards the end shards shrink, so that workers end together: none has more than half of what is then left for each
# worker, but this many seconds of work all the same, since committing one takes some hundredths of a second.
LAST_SECONDS = 1.0
# Shards a second that one command plans to hand out at most: of very many workers' shards each is longer for that. A
# message of Ray's costs the driver about a millisecond (`benchmarks/ray_engine.py`), and there are some for each shard.
HAND_OUTS = 100.0
# Files without a commit are removed at this age. A writer commits within seconds of its first file, or, where its store
# is busy, within some times the patience of `trouble.py`.
ORPHAN_SECONDS = 900.0


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
    """A run directory that is open for work. `record` is what its run.json holds; `lock` keeps others out."""

    path: Path
    record: dict[str, Any]
    limit: int
    lock: Lock

    @property
    def bounds(self) -> list[int]:
        """Shard k holds images bounds[k] … bounds[k + 1] - 1."""
        return list(self.record["shards"])

    def tasks(self) -> list[Task]:
        """The shards below the limit that have no valid commit; damaged ones are put aside first."""
        committed = whole_commits(self.path, self.record, kinds_of(self.record))
        pairs = enumerate(itertools.pairwise(self.bounds))
        of = self.record["fingerprint"]
        mined = mined_commits(self.path, self.record)

        def told(shard: int) -> dict[str, Any]:
            numbers = [number for number, commits in mined.items() if shard in commits]
            return {"passes": numbers} if numbers else {}

        return [
            Task(k, a, b, fingerprint=of, told=told(k)) for k, (a, b) in pairs if k not in committed and a < self.limit
        ]

    def finish(self, session: dict[str, Any]) -> None:
        """Add how this command's work went to run.json; Stopped where another process has taken the run over.

        It is added to what the file says now: one that had the run in between may have added to it.
        """
        self.lock.check()
        try:
            record = read_run_json(self.path)
        except UsageError as error:  # it was whole when this command began
            raise Stopped(f"{error}; what was finished is kept") from error
        if record["fingerprint"] != self.record["fingerprint"]:
            raise Stopped(f"{str(self.path)!r} has become another run's meanwhile; run the same command again")
        record["sessions"].append(session)
        self.record = record
        write_atomic(self.path / "run.json", json.dumps(self.record, indent=1).encode())


def whole_commits(folder: Path, record: Mapping[str, Any], made: Set[str]) -> dict[int, dict[str, Any]]:
    """The commit records in a folder that count, by shard: those of the run of a run.json whose files are whole.

    Others are put aside, and files that no record names are removed when they are old enough. made: the tables that a
    shard has.
    """
    records = entries(folder / "commits")
    found = own_commits(read_commits(folder, records), record)
    written = {k: commit for k, commit in found.items() if commit["files"].keys() >= made}
    damaged = damaged_shards(folder, written)
    committed = {k: commit for k, commit in written.items() if k not in damaged}
    for file in records:
        if is_record(file) and int(file.name[:-5]) not in committed:
            _put_aside(folder, file.name)
    _remove_orphans(folder, {file["name"] for commit in committed.values() for file in commit["files"].values()})
    return committed


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
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Plan]:
    """Start the run in its directory, or take it up where it was left; other processes are kept out meanwhile.

    say: hears what is being waited for, if anything.

    Raises RunMismatch, and touches nothing, where the directory holds a run of something else; UsageError where
    nothing can be written, run.json is gone or another process is at work; Stopped where the disk is full.
    """
    path = run_directory(out, dataset, prepared, grid)
    stop = len(dataset.items) if limit is None else min(limit, len(dataset.items))
    images_per_s = prepared.views_per_s / (work.cost if work else len(grid))
    parts = fingerprint(dataset, prepared, grid, classes, keep_probs)
    if work:
        parts["methods"] = list(work.methods)
    with contextlib.ExitStack() as stack:
        check_replaces(path)
        with writing(path):
            if exists(path / "run.json"):
                check_same(path, read_run_json(path), parts, prepared)
            else:
                _check_empty(path)
            for folder in ("parts", "commits"):
                make_folder(path / folder)
            lock = stack.enter_context(only_here(path, say=say))
            if not exists(path / "run.json"):
                _check_empty(path)
                record = new_record(dataset, prepared, grid, classes, parts)
                if work:
                    record["methods"] = list(work.methods)
                record["shards"] = _bounds([0], stop, images_per_s, workers, dataset.breaks)
                create_atomic(path / "run.json", json.dumps(record, indent=1).encode())
            record = read_run_json(path)
            check_same(path, record, parts, prepared)
            if record["shards"][-1] < stop:
                record["shards"] = _bounds(record["shards"], stop, images_per_s, workers, dataset.breaks)
                write_atomic(path / "run.json", json.dumps(record, indent=1).encode())
        yield Plan(path, record, stop, lock)


def _check_empty(run: Path) -> None:
    """Raise UsageError where a directory without run.json has commit records: no other run may be begun among them."""
    if any(file.name.endswith(".json") for file in entries(run / "commits")):
        raise UsageError(
            f"{str(run)!r} has commit records, but no run.json that says of what; put run.json back, or move the "
            "directory away"
        )


def _bounds(bounds: list[int], stop: int, images_per_s: float, workers: int, breaks: Sequence[int]) -> list[int]:
    """Shard bounds up to `stop`, those in `bounds` kept; a shard ends at a break. images_per_s: of one worker."""
    bounds, ends = list(bounds), iter([*(b for b in breaks if bounds[-1] < b < stop), stop])
    share, end = (stop - bounds[-1]) / workers, bounds[-1]
    handy = workers / HAND_OUTS * images_per_s
    most = min(SHARD_SECONDS * images_per_s, max(share / SHARDS_PER_WORKER, min(handy, share)))
    least = max(LAST_SECONDS * images_per_s, handy)
    while (start := bounds[-1]) < stop:
        end = next(ends) if start == end else end
        size = min(most, max(least, (stop - start) / (2 * workers)))
        bounds.append(min(end, start + max(1, int(size))))
    return bounds


def _put_aside(run: Path, name: str) -> None:
    """Move a commit record that does not hold to `damaged`, so that its shard can be committed again."""
    record = run / "commits" / name
    taken = {file.name for file in entries(run / "damaged")}
    target = next(run / "damaged" / f"{name}.{k}" for k in itertools.count() if f"{name}.{k}" not in taken)
    make_folder(target.parent)
    if is_remote(run):
        write_atomic(target, read_bytes(record))
        remove(record)
    else:
        record.replace(target)


def _remove_orphans(run: Path, known: set[str]) -> None:
    """Remove the files of `parts` that no commit names, as writers leave them that die before their commit.

    Young ones stay: a worker of a command that has died may yet commit them. Ages are told by the clock that dates the
    files, whatever the clock here says.
    """
    inside = [file for file in entries(run / "parts") if is_part(file.name) and not file.is_folder]
    orphans = [file for file in inside if file.name not in known]
    if not orphans:
        return
    probe = run / ".clock"
    write_atomic(probe, b"")
    now = entry(probe).modified
    remove(probe)
    for file in orphans:
        if now is not None and file.modified is not None and now - file.modified > ORPHAN_SECONDS:
            remove(run / "parts" / file.name)
