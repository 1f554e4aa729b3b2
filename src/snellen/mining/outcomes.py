"""What a miner made of the images of a data set: which it read, and what it took; from the run that mining left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.datasets import DataSet
from snellen.engine.schedule import ENDLESS, KILLER
from snellen.engine.worker import NOT_NUMBERS
from snellen.errors import DataError
from snellen.labels import ClassMap, ClassSpace
from snellen.mining.funnel import FAILED, READ, UNKNOWN
from snellen.mining.mined import image_key
from snellen.store import Run
from snellen.store.labels import find_labels, read_labels
from snellen.store.mined import mined_commits, pass_folder, seen_in_turn
from snellen.store.parts import read_part
from snellen.store.schema import PREDICTIONS
from snellen.study import check_labels
from snellen.zoom.grid import Grid

# Of a longer run an order learns from so many images, evenly spread.
TEACHERS = 20_000

# Errors that are of a miner and an image. Others are of the image alone.
OWN_ERRORS = frozenset({NOT_NUMBERS, KILLER, ENDLESS})

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
        """The pool of a data set.

        Raises DataError where there is no such label source, no image has a label, or one is none of the miners'
        classes or of those that answers to this data set are limited to.
        """
        check_labels(dataset, space, source, limit)
        ids = [item.id for item in dataset.items[:limit]]
        if source is None or source in dataset.label_sources:
            labels = dataset.label_sets(ids, space, None if source is None else str(source))
        else:
            labels = read_labels(Path(source), ids, space)
        if not any(labels):
            raise DataError(f"no image of {dataset.spec!r} has a label, so that none can be hard; name another DATA")
        if dataset.classes is not None:
            part = set(ClassMap.of(dataset.name, dataset.classes, space).taking_part.tolist())
            lost = next((k for k, row in enumerate(labels) if len(row) and part.isdisjoint(row)), None)
            if lost is not None:
                raise DataError(
                    f"the label {space.keys[labels[lost][0]]!r} of {ids[lost]!r} is none of the {len(dataset.classes)} "
                    f"classes of {dataset.name}, to which answers are limited, so that no view could be right; give "
                    "labels of these"
                )
        return Pool(dataset, source, labels)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Which images have a label: bool `[images]`, not to be changed."""
        found = np.array([len(row) > 0 for row in self.labels], bool)
        found.setflags(write=False)
        return found

    @property
    def keys(self) -> list[str]:
        """The id of each image in a hard set."""
        return [image_key(*name) for name in self.names]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Origin and image id of each image."""
        return [(self.dataset.origin(k), self.dataset.items[k].id) for k in range(len(self))]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a miner made of a pool; arrays by the image's number in its data set.

    told, crop: `READ`, `FAILED` or `UNKNOWN` at any zoom, and at 1-crop: int8 `[images]` each.
    forwards, views: of these mining showed, and in all it has answers to so many: int64 `[images]` each.
    unreadable: images that cannot be read, and why. unanswered: those that the miner fails on for want of answers.
    """

    told: NDArray[np.int8]
    crop: NDArray[np.int8]
    forwards: NDArray[np.int64]
    views: NDArray[np.int64]
    unreadable: dict[int, str] = field(default_factory=dict)
    unanswered: dict[int, str] = field(default_factory=dict)

    @property
    def studied(self) -> NDArray[np.int64]:
        """Views that a study showed of images that mining did not show: int64 `[images]`."""
        return np.where(self.forwards == 0, self.views, 0)


def nothing_known(pool: Pool) -> Outcome:
    """What is known of a miner that was shown nothing."""
    count = len(pool)
    told, crop = np.full((2, count), UNKNOWN, np.int8)
    forwards, views = np.zeros((2, count), np.int64)
    return Outcome(told, crop, forwards, views)


def outcome(run: Run, pool: Pool) -> Outcome:
    """What a miner's run holds of a pool. Raises UsageError where a file is damaged.

    A miner fails on an image that it has no answer to, but for one that cannot be read.
    """
    found, one = nothing_known(pool), run.grid.one_crop
    for seen in seen_in_turn(run):
        here = seen.images < len(pool)
        images, shown = seen.images[here], seen.shown[here]
        right = run.score(seen.answers[here], [pool.labels[image] for image in images.tolist()])
        found.told[images] = np.where(right.any(axis=1), READ, np.where(shown.all(axis=1), FAILED, UNKNOWN))
        found.views[images] = shown.sum(axis=1)
        if one is not None:
            found.crop[images] = np.where(right[:, one], READ, np.where(shown[:, one], FAILED, UNKNOWN))
        bad = seen.samples.filter(pc.is_valid(seen.samples["error"])).select(["image", "error"]).to_pylist()
        for image, why in ((row["image"], row["error"]) for row in bad if row["image"] < len(pool)):
            if why not in OWN_ERRORS:
                found.unreadable[image] = why
            elif found.told[image] != READ:
                found.told[image], found.unanswered[image] = FAILED, why
                found.crop[image] = max(found.crop[image], FAILED)
    for number, commits in mined_commits(run.path, run.record).items():
        for commit in commits.values():
            file = commit["files"]["predictions"]
            path = pass_folder(run.path, number) / "parts" / file["name"]
            image = read_part(path, PREDICTIONS, ["image"], file.get("bytes"))["image"].to_numpy()
            np.add.at(found.forwards, image[image < len(pool)], 1)
    return found


def taught(run: Run, pools: Sequence[Pool]) -> Taught:
    """What a run teaches an order: images of the pools by their labels, others by those that the run was made with.

    Which zooms were right, and which were shown: bool `[images, zooms]` each, of `TEACHERS` images at most. Raises
    UsageError where a file is damaged.
    """
    names, answers, shown = _teachers(run)
    if not names:  # a run that has just begun may have no labels beside it yet
        return shown, shown
    wanted = set(names)
    labels: dict[tuple[str, str], Sequence[int]] = {}
    for pool in pools:
        labels |= {name: row for name, row in zip(pool.names, pool.labels, strict=True) if name in wanted}
    others = [name for name in names if name not in labels]
    own = read_labels(find_labels(run.path, None), [image for _, image in others], run.class_space) if others else []
    labels |= dict(zip(others, own, strict=True))
    sets = [labels[name] for name in names]
    rows = np.flatnonzero([len(row) > 0 for row in sets])
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), TEACHERS)).astype(np.intp)]
    return run.score(answers[rows], [sets[row] for row in rows]), shown[rows]


def _teachers(run: Run) -> tuple[list[tuple[str, str]], NDArray[np.int32], NDArray[np.bool_]]:
    """Origin and id, answers and zooms shown of the images of a run that were shown any.

    Of a long run those are every second, fourth, … of them, at least `TEACHERS`.
    """
    names: list[tuple[str, str]] = []
    answers = np.zeros((0, len(run.grid)), np.int32)
    shown = np.zeros(answers.shape, bool)
    step, count = 1, 0
    for seen in seen_in_turn(run):
        rows = np.flatnonzero(seen.shown.any(axis=1))
        count, rows = count + len(rows), rows[-count % step :: step]
        some = seen.samples.select(["origin", "image_id"]).take(rows)
        names += zip(some["origin"].to_pylist(), some["image_id"].to_pylist(), strict=True)
        answers = np.concatenate([answers, seen.answers[rows]])
        shown = np.concatenate([shown, seen.shown[rows]])
        while len(names) >= 2 * TEACHERS:
            names, answers, shown, step = names[::2], answers[::2], shown[::2], 2 * step
    return names, answers, shown


def same_zooms(a: Grid, b: Grid) -> bool:
    """Whether two grids are of the same zooms, perhaps for windows of different sizes."""
    return [(rule.scale, rule.row, rule.col) for rule in a] == [(rule.scale, rule.row, rule.col) for rule in b]
