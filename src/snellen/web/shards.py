"""What is committed of a run, shard by shard: by a study, else by the passes of `mine`; and the rows of some images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.errors import UsageError
from snellen.store import Run
from snellen.store.mined import mined_commits, pass_folder
from snellen.store.parts import block, cells, read_part
from snellen.store.schema import KINDS


@dataclass(frozen=True)
class Shard:
    """Images `start` … `stop - 1` of a run's data set, and what was committed of them."""

    start: int
    stop: int
    commits: tuple[tuple[Path, Mapping[str, Any]], ...]
    mined: bool

    def files(self, kind: str) -> list[tuple[Path, int | None]]:
        """The files of one kind of table, and their lengths."""
        return [
            (folder / "parts" / commit["files"][kind]["name"], commit["files"][kind]["bytes"])
            for folder, commit in self.commits
            if kind in commit["files"]
        ]

    @property
    def names(self) -> list[str]:
        """What tells this content from other content: every file has a name of its own."""
        return [path.name for path, _ in self.files("predictions")]


def shards_of(run: Run) -> list[Shard]:
    """The shards of which something is committed, in the order of images."""
    bounds = run.record["shards"]
    found = {shard: [(run.path, commit)] for shard, commit in run.commits.items()}
    for number, commits in mined_commits(run.path, run.record).items():
        for shard, commit in commits.items():
            if shard not in run.commits:
                found.setdefault(shard, []).append((pass_folder(run.path, number), commit))
    return [
        Shard(bounds[shard], bounds[shard + 1], tuple(commits), shard not in run.commits)
        for shard, commits in sorted(found.items())
    ]


def read_shown(
    run: Run, shard: Shard, images: NDArray[np.int32], columns: Sequence[str]
) -> tuple[NDArray[np.bool_], list[NDArray[Any]]]:
    """Which zooms some images were shown, bool `[images, zooms]`, and columns of their answers, each of that shape.

    images: indices in the data set, ascending. Where a zoom was not shown an id is -1 and a probability nan.
    Raises UsageError where a file is damaged, Stopped where its store cannot be reached.
    """
    shape = len(images), len(run.grid)
    shown = np.zeros(shape, bool)
    ids = np.int16 if len(run.class_space) <= np.iinfo(np.int16).max else np.int32
    arrays = [np.full(shape, -1, ids) if name.startswith("id") else np.full(shape, np.nan, "f4") for name in columns]
    for path, size in shard.files("predictions") if len(images) else ():
        part = _some(read_part(path, KINDS["predictions"], ["image", "zoom", *columns], size), images, shard)
        image, zoom = part["image"].to_numpy(), part["zoom"].to_numpy()
        rows = block(images, shape[1], image, zoom)
        where = cells(images, shape[1], image, zoom) if rows is None else rows
        if where is None:
            raise UsageError(f"{str(path)!r} is damaged: it has answers of images or zooms that are not listed")
        shown[where] = True
        for array, name in zip(arrays, columns, strict=True):
            values = part[name].to_numpy()
            if name.startswith("id"):
                run.check_answers(values)
            array[where] = values if rows is None else values.reshape(-1, shape[1])
    return shown, arrays


def _some(part: pa.Table, images: NDArray[np.int32], shard: Shard) -> pa.Table:
    """The rows of the wanted images; where these are a whole shard all of them, without a look."""
    if len(images) == shard.stop - shard.start:
        return part
    image = part["image"].to_numpy()
    first, last = np.searchsorted(image, images[0]), np.searchsorted(image, images[-1], "right")
    ordered = len(image) < 2 or bool((image[1:] >= image[:-1]).all())
    if ordered:
        part, image = part.slice(first, last - first), image[first:last]
    wanted = np.isin(image, images)
    return part if wanted.all() else part.filter(pa.array(wanted))
