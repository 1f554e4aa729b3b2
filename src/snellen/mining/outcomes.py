"""What a miner made of the images of a data set: which it read, and what it took; from the run that mining left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.datasets import DataSet
from snellen.errors import DataError
from snellen.labels import ClassSpace
from snellen.mining.funnel import FAILED, READ, UNKNOWN
from snellen.mining.mined import image_key
from snellen.store import Run
from snellen.store.labels import find_labels, read_labels
from snellen.store.mined import mined_commits, mined_samples, pass_folder, seen_zooms
from snellen.store.parts import read_part
from snellen.store.schema import PREDICTIONS
from snellen.zoom.grid import Grid

# Of a longer run an order learns from so many images, evenly spread.
TEACHERS = 20_000

Taught = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Pool:
    """The images of a data set that are mined: those with a label, up to the limit.

    source: the label source, None for the first of the data set. labels: ids of the classes of each image up to the
    limit; none where it has no label.
    """

    dataset: DataSet
    source: str | Path | None
    labels: Sequence[Sequence[int]]

    @staticmethod
    def of(dataset: DataSet, source: str | Path | None, limit: int | None, space: ClassSpace) -> "Pool":
        """The pool of a data set; DataError where no image has a label, or one is none of the miners' classes."""
        ids = [item.id for item in dataset.items[:limit]]
        if source is None or source in dataset.label_sources:
            labels = dataset.label_sets(ids, space, None if source is None else str(source))
        else:
            labels = read_labels(Path(source), ids, space)
        if not any(labels):
            raise DataError(f"no image of {dataset.spec!r} has a label, so that none can be hard; name another DATA")
        return Pool(dataset, source, labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which images have a label: bool `[images]`."""
        return np.array([len(row) > 0 for row in self.labels], bool)

    @property
    def keys(self) -> list[str]:
        """The id of each image in a hard set."""
        return [image_key(self.dataset.origin(k), self.dataset.items[k].id) for k in range(len(self))]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a miner made of a pool; arrays by the image's number in its data set.

    told: `READ`, `FAILED` or `UNKNOWN`: int8 `[images]`. forwards: views that mining showed it: int64 `[images]`.
    unreadable: images that cannot be read, and why.
    """

    told: NDArray[np.int8]
    forwards: NDArray[np.int64]
    unreadable: Mapping[int, str]


def nothing_known(pool: Pool) -> Outcome:
    """What is known of a miner that was shown nothing."""
    count = len(pool)
    return Outcome(np.full(count, UNKNOWN, np.int8), np.zeros(count, np.int64), {})


def outcome(run: Run, pool: Pool) -> Outcome:
    """What a miner's run holds of a pool. Raises UsageError where a file is damaged."""
    seen, samples, found = seen_zooms(run), mined_samples(run), nothing_known(pool)
    here = seen.images < len(pool)
    images, shown = seen.images[here], seen.shown[here]
    right = run.score(seen.answers[here], [pool.labels[image] for image in images.tolist()]).any(axis=1)
    found.told[images] = np.where(right, READ, np.where(shown.all(axis=1), FAILED, UNKNOWN))
    for number, commits in mined_commits(run.path, run.record).items():
        for commit in commits.values():
            file = commit["files"]["predictions"]
            path = pass_folder(run.path, number) / "parts" / file["name"]
            image = read_part(path, PREDICTIONS, ["image"], file.get("bytes"))["image"].to_numpy()
            found.forwards[:] += np.bincount(image[image < len(pool)], minlength=len(pool))
    bad = samples.filter(pc.is_valid(samples["error"])).select(["image", "error"]).to_pylist()
    return replace(found, unreadable={row["image"]: row["error"] for row in bad if row["image"] < len(pool)})


def taught(run: Run) -> Taught:
    """What a run teaches an order, by the labels it was made with.

    Which zooms were right, and which were shown: bool `[images, zooms]` each. Raises UsageError where a file is
    damaged.
    """
    seen, samples = seen_zooms(run), mined_samples(run)
    if not len(seen.images):  # a run that has just begun may have no labels beside it yet
        return seen.shown, seen.shown
    ids = dict(zip(samples["image"].to_pylist(), samples["image_id"].to_pylist(), strict=True))
    labels = read_labels(find_labels(run.path, None), [ids[image] for image in seen.images.tolist()], run.class_space)
    rows = np.flatnonzero(np.array([len(row) > 0 for row in labels]) & seen.shown.any(axis=1))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), TEACHERS)).astype(np.intp)]
    return run.score(seen.answers[rows], [labels[row] for row in rows]), seen.shown[rows]


def same_zooms(a: Grid, b: Grid) -> bool:
    """Whether two grids are of the same zooms, perhaps for windows of different sizes."""
    return [(rule.scale, rule.row, rule.col) for rule in a] == [(rule.scale, rule.row, rule.col) for rule in b]
