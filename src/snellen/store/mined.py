"""What `mine` keeps beside a run: answers to the zooms that it showed, of images that left when one was right.

They come in passes. `mined/P/` has the folders of a run: commit records of the run's own shards in `commits`, and what
they name in `parts`. A pass holds of a shard only views that no pass before it holds, so nothing is there twice, and
the first commit of a shard in a pass stands as it does in a run. Images of a shard that a study has committed are
read from the study's parts.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.errors import UsageError
from snellen.files import entries, entry
from snellen.store.commits import commit_path, damaged_files, own_commits, read_commits
from snellen.store.parts import block, cells, each, read_part, read_parts
from snellen.store.reader import Run
from snellen.store.schema import KINDS, PREDICTIONS, SAMPLES

# Images that `seen_in_turn` gives at once, or a shard's: 100 MB at 324 zooms.
AT_ONCE = 2**16
# The files of a shard in a pass: `merged` has rows for images that this pass showed at every zoom.
MINED_KINDS = ("samples", "predictions", "merged")

# Folders and, of each, commit records by shard.
Places = list[tuple[Path, Mapping[int, dict[str, Any]]]]


def pass_folder(run: Path, number: int) -> Path:
    """Where a pass lies."""
    return run / "mined" / str(number)


def passes(run: Path) -> list[int]:
    """The numbers of the passes that a run's directory has, ascending."""
    found = (one.name for one in entries(run / "mined") if one.is_folder and one.name.isdecimal())
    return sorted(int(name) for name in found)


@dataclass(frozen=True)
class Seen:
    """Which zooms images were shown, and what was answered.

    samples: the row of each image, as `mined_samples` gives it, ascending.
    images: index in the data set of each row, int32 `[rows]`. failed: those that could not be read.
    shown: whether a zoom was shown, bool `[rows, zooms]`. answers: the best class, -1 elsewhere, int32 `[rows, zooms]`.
    """

    samples: pa.Table
    images: NDArray[np.int32]
    failed: frozenset[int]
    shown: NDArray[np.bool_]
    answers: NDArray[np.int32]


def mined_commits(run: Path, record: Mapping[str, Any]) -> dict[int, dict[int, dict[str, Any]]]:
    """The commit records of each pass of a run, by shard; those that do not count there are left out.

    record: its run.json.
    """
    return {number: _counting(read_commits(pass_folder(run, number)), record) for number in passes(run)}


def _counting(commits: Mapping[int, dict[str, Any]], record: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Those of the run's own shards that have all files."""
    own = own_commits(commits, record)
    return {shard: commit for shard, commit in own.items() if commit["files"].keys() >= set(MINED_KINDS)}


def forwards(run: Run) -> int:
    """How many views the passes of a run have answered in all."""
    found = mined_commits(run.path, run.record).values()
    return sum(commit.get("views", 0) for commits in found for commit in commits.values())


def mined_samples(run: Run) -> pa.Table:
    """A row for each image that was looked at, in order; as `Run.samples`.

    One that a pass could not read any more, or not answer, has the reason.
    """
    return _samples(_files(run, "samples"))


def _samples(files: Sequence[tuple[Path, int | None]]) -> pa.Table:
    found = _joined(files, SAMPLES, None)
    read = pc.is_null(found["error"]).to_numpy(zero_copy_only=False)
    found = found.take(np.argsort(read, kind="stable"))
    _, first = np.unique(found["image"].to_numpy(), return_index=True)
    return found.take(first)


def mined_rows(run: Run, columns: Sequence[str] | None = None) -> pa.Table:
    """A row for each view that was shown, by image and zoom; as `Run.table("predictions")`.

    columns: which of them, all where None; `image` and `zoom` are there in any case.
    """
    names = list(dict.fromkeys(("image", "zoom", *(columns or PREDICTIONS.names))))
    rows = _joined(_files(run, "predictions"), PREDICTIONS, names)
    return rows.sort_by([("image", "ascending"), ("zoom", "ascending")])


def mined_parts(run: Run, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of `mined_rows` with `image`, `zoom` and these columns, a file at a time; memory does not grow."""
    yield from read_parts(_files(run, "predictions"), PREDICTIONS, ["image", "zoom", *columns])


def seen_zooms(run: Run, of: Mapping[int, Sequence[int]] | None = None) -> Seen:
    """What was shown, as arrays; UsageError where a file is damaged.

    of: only what these passes hold of these shards, which are committed; all, and what a study holds, where None.
    """
    return _seen(run, _places(run) if of is None else _places_of(run, of))


def seen_in_turn(run: Run) -> Iterator[Seen]:
    """What `seen_zooms` gives, of some neighbouring shards after the other: memory does not grow with the run."""
    places, bounds = _places(run), run.record["shards"]
    some: set[int] = set()
    for shard in sorted({shard for _, commits in places for shard in commits}):
        if some and bounds[shard + 1] - bounds[min(some)] > AT_ONCE:
            yield _seen(run, _of_shards(places, some))
            some = set()
        some.add(shard)
    if some:
        yield _seen(run, _of_shards(places, some))


def _seen(run: Run, places: Places) -> Seen:
    samples = _samples(_named(run, places, "samples"))
    failed = frozenset(samples.filter(pc.is_valid(samples["error"]))["image"].to_pylist())
    images = np.asarray(samples["image"].to_numpy(), np.int32)
    shape = len(images), len(run.grid)
    shown, answers = np.zeros(shape, bool), np.full(shape, -1, np.int32)

    def place(path: Path, size: int | None) -> None:
        part = read_part(path, PREDICTIONS, ["image", "zoom", "id0"], size)
        image, zoom, best = (part[name].to_numpy() for name in ("image", "zoom", "id0"))
        run.check_answers(best)
        rows = block(images, shape[1], image, zoom)
        where = cells(images, shape[1], image, zoom) if rows is None else rows
        if where is None:
            raise UsageError(f"{str(path)!r} is damaged: it has answers of images or zooms that are not listed")
        shown[where] = True
        answers[where] = best if rows is None else best.reshape(-1, shape[1])

    each(place, _named(run, places, "predictions"))
    return Seen(samples, images, failed, shown, answers)


@dataclass(frozen=True)
class Whole:
    """Images of a shard that one pass showed at every zoom: all that a study says of them.

    samples: the row of each. tables: their rows of `predictions` and of `merged`.
    """

    samples: Mapping[int, dict[str, Any]]
    tables: Mapping[str, Sequence[pa.Table]]


def read_whole(run: Path, place: Mapping[str, Any], numbers: Sequence[int]) -> Whole:
    """The images of a shard that passes showed at every zoom.

    place: the `shard`, its `start` and `stop`, and the `fingerprint` of the run, as the commit record must say them.
    A pass whose files are not what was committed is passed over.
    """
    samples: dict[int, dict[str, Any]] = {}
    tables: dict[str, list[pa.Table]] = {"predictions": [], "merged": []}
    for folder in (pass_folder(run, number) for number in numbers):
        record = commit_path(folder, place["shard"])
        commit = read_commits(folder, [entry(record)]).get(place["shard"], {})
        own = commit.get("files", {}).keys() >= set(MINED_KINDS)
        if not own or any(commit.get(key) != value for key, value in place.items()) or damaged_files(folder, commit):
            continue
        files = {kind: (folder / "parts" / file["name"], file["bytes"]) for kind, file in commit["files"].items()}
        found = {kind: read_part(path, KINDS[kind], None, size) for kind, (path, size) in files.items()}
        images = pc.unique(found["merged"]["image"])
        rows = {kind: table.filter(pc.is_in(table["image"], images)) for kind, table in found.items()}
        samples |= {row["image"]: row for row in rows.pop("samples").to_pylist()}
        for kind, table in rows.items():
            tables[kind].append(table)
    return Whole(samples, tables)


def by_image(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows in the order of images, those of one image in the order they have."""
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    images = table["image"].to_numpy()
    return table if (images[1:] >= images[:-1]).all() else table.take(np.argsort(images, kind="stable"))


def _places(run: Run) -> Places:
    """Where answers lie: a study's shards, then in each pass those that the study has not done."""
    return [(run.path, run.commits)] + [
        (pass_folder(run.path, number), {shard: one for shard, one in commits.items() if shard not in run.commits})
        for number, commits in mined_commits(run.path, run.record).items()
    ]


def _places_of(run: Run, of: Mapping[int, Sequence[int]]) -> Places:
    """Where some passes have some shards."""
    folders = {pass_folder(run.path, number): shards for number, shards in of.items()}
    listed = {folder: [entry(commit_path(folder, shard)) for shard in shards] for folder, shards in folders.items()}
    return [(folder, _counting(read_commits(folder, there), run.record)) for folder, there in listed.items()]


def _of_shards(places: Places, shards: Set[int]) -> Places:
    return [(folder, {shard: commits[shard] for shard in shards if shard in commits}) for folder, commits in places]


def _files(run: Run, kind: str) -> list[tuple[Path, int | None]]:
    return _named(run, _places(run), kind)


def _named(run: Run, places: Places, kind: str) -> list[tuple[Path, int | None]]:
    """The files of one kind of table in some places, and their lengths."""
    found = [(folder, commit["files"].get(kind)) for folder, commits in places for commit in commits.values()]
    if any(file is None for _, file in found):
        raise UsageError(f"a commit record of {str(run.path)!r} is damaged: it names no {kind}; run the study again")
    return [(folder / "parts" / file["name"], file["bytes"]) for folder, file in found]


def _joined(files: Sequence[tuple[Path, int | None]], schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    empty = pa.schema([schema.field(name) for name in columns or schema.names]).empty_table()
    return pa.concat_tables([empty, *read_parts(files, schema, columns)]).combine_chunks()
