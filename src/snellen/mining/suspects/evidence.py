"""What the views of models say of images: for each class among their five best, how probable they find it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.analysis.images import first_ids
from snellen.errors import UsageError
from snellen.mining.mined import image_key
from snellen.mining.suspects.pairs import ANCHORS, Pairs, joined, pairs_of
from snellen.store import Run
from snellen.store.labels import find_labels, read_labels
from snellen.store.mined import mined_parts, mined_samples
from snellen.store.schema import TOP
from snellen.zoom.grid import WINDOW, Grid

IDS, PROBS = [f"id{k}" for k in range(TOP)], [f"p{k}" for k in range(TOP)]
# Runs of one model, each with the number here of every image of its data set, -1 of one that does not count there.
Sources = tuple[tuple[Run, NDArray[np.int64]], ...]


@dataclass(frozen=True, eq=False)
class Judge:
    """What one model says of the images, in the order of `Gathered.images`.

    runs: of this model; each image counts in the one that showed it most views alone.
    views: how many views of each image it was shown: int32 `[images]`.
    zoomed: how many of them are zoom-in views at each anchor: uint16 `[images, 9]`.
    whole: whether a study showed it the image at every zoom, whatever it is: bool `[images]`.
    rest: the mean probability of all classes that are not among a view's best: float32 `[images]`.
    """

    model: str
    runs: Sources = field(repr=False)
    views: NDArray[np.int32] = field(repr=False)
    zoomed: NDArray[np.uint16] = field(repr=False)
    whole: NDArray[np.bool_] = field(repr=False)
    rest: NDArray[np.float32] = field(repr=False)
    pairs: Pairs = field(repr=False)


@dataclass(frozen=True)
class Photograph:
    """One image of the runs.

    labels: its classes, ascending; empty where its label source has none, or it could not be read.
    error: why no run could read it.
    run, number: a run that lists it, and its number in that run's data set.
    """

    id: str
    origin: str
    image_id: str
    width: int
    height: int
    error: str | None
    labels: tuple[int, ...]
    run: Run = field(repr=False)
    number: int


@dataclass(frozen=True, eq=False)
class Gathered:
    """The images of some runs, each once, and what every model says of them.

    classes: the size of the head. taking_part: ids of those that a data set has, the first of each class, ascending.
    """

    images: tuple[Photograph, ...]
    judges: tuple[Judge, ...]
    classes: int
    taking_part: NDArray[np.int64] = field(repr=False)


def gather(runs: Sequence[tuple[Run, str | Path | None]]) -> Gathered:
    """The evidence of runs of one or several models over one or several data sets, each with its label source.

    What mining left of a run counts, too. A model that several runs show an image to, in another precision or place,
    judges it once, by the run that showed it most views. Of the ids of the head that are one class, the first stands
    for all.

    Raises UsageError where models have different classes or a run is damaged, DataError where labels are lacking.
    """
    spaces = {run.class_space.fingerprint: run for run, _ in runs}
    if len(spaces) > 1:
        a, b = (str(run.path) for run in list(spaces.values())[:2])
        raise UsageError(f"{a!r} and {b!r} have different classes; give runs of models that answer in the same ones")
    found: dict[str, Photograph] = {}
    numbers: dict[str, int] = {}
    models: dict[str, list[tuple[Run, NDArray[np.int64]]]] = defaultdict(list)
    for run, labels in runs:
        of_run = np.full(run.record["data"]["images"], -1, np.int64)
        for photograph in _photographs(run, labels):
            known = found.setdefault(photograph.id, photograph)
            if known.error and not photograph.error:
                found[photograph.id] = photograph
            of_run[photograph.number] = numbers.setdefault(photograph.id, len(numbers))
        models[run.model].append((run, of_run))
    classes = len(runs[0][0].class_space)
    judges = tuple(_judge(_fullest(some, len(found)), len(found), classes) for some in models.values())
    return Gathered(tuple(found.values()), judges, classes, _taking_part(runs, classes))


def _taking_part(runs: Sequence[tuple[Run, str | Path | None]], classes: int) -> NDArray[np.int64]:
    maps = [run.class_map for run, _ in runs]
    ids = [np.arange(classes) if one is None else one.members[:, 0].astype(np.int64) for one in maps]
    return np.unique(np.concatenate(ids))


def _photographs(run: Run, labels: str | Path | None) -> Iterator[Photograph]:
    first = first_ids(run.class_map, np.int64)
    rows = mined_samples(run).to_pylist()
    source = find_labels(run.path, None if labels == run.label_sources[0] else labels)
    readable = [row["image_id"] for row in rows if row["error"] is None]
    sets = dict(zip(readable, read_labels(source, readable, run.class_space), strict=True))
    for row in rows:
        own = sets.get(row["image_id"], [])
        yield Photograph(
            image_key(row["origin"], row["image_id"]),
            row["origin"],
            row["image_id"],
            row["width"] or 0,
            row["height"] or 0,
            row["error"],
            tuple(sorted({int(k if first is None else first[k]) for k in own})),
            run,
            row["image"],
        )


def whole(gathered: Gathered) -> NDArray[np.bool_]:
    """The images that studies showed at every zoom to each model that was shown them at all: bool `[images]`."""
    found = np.stack([judge.whole for judge in gathered.judges])
    unseen = np.stack([judge.views == 0 for judge in gathered.judges])
    return np.asarray((found | unseen).all(axis=0) & found.any(axis=0))


def views_of(judge: Judge, classes: int, wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    """How many views of each image answer some classes, int64 `[images, k]`; 0 of class -1: int32 `[images, k]`."""
    keys = np.arange(len(wanted))[:, None] * classes + wanted
    if not len(judge.pairs.keys):
        return np.zeros(wanted.shape, np.int32)
    place = np.minimum(np.searchsorted(judge.pairs.keys, keys), len(judge.pairs.keys) - 1)
    known = (judge.pairs.keys[place] == keys) & (wanted >= 0)
    return np.where(known, judge.pairs.first[place], 0).astype(np.int32)


def anchors_of(grid: Grid) -> NDArray[np.int8]:
    """The anchor of each zoom-in view, 3 x row + col, -1 of other views: int8 `[zooms]`."""
    return np.array([3 * rule.row + rule.col if rule.scale > WINDOW else -1 for rule in grid], np.int8)


def _fullest(runs: Sequence[tuple[Run, NDArray[np.int64]]], images: int) -> Sources:
    """Each image in the run that showed it most views alone, in the first of several."""
    listed = np.concatenate([numbers[numbers >= 0] for _, numbers in runs])
    if len(np.unique(listed)) == len(listed):
        return tuple(runs)
    views = np.zeros((len(runs), images), np.int32)
    for count, (run, numbers) in zip(views, runs, strict=True):
        for part in mined_parts(run, ()):
            count += np.bincount(numbers[part["image"].to_numpy()], minlength=images).astype(np.int32)
    best = views.argmax(axis=0)
    return tuple((run, np.where(best[numbers] == k, numbers, -1)) for k, (run, numbers) in enumerate(runs))


def _judge(runs: Sources, images: int, classes: int) -> Judge:
    views, rest, studied = np.zeros(images, np.int32), np.zeros(images), np.zeros(images, bool)
    zoomed = np.zeros((images, ANCHORS), np.uint16)
    columns: dict[str, list[NDArray[Any]]] = {one.name: [] for one in fields(Pairs)}
    for run, numbers in runs:
        own = numbers[run.images]
        studied[own[own >= 0]] = True
        first, anchors = first_ids(run.class_map, np.int32), anchors_of(run.grid)
        for whole_part in mined_parts(run, (*IDS, *PROBS)):
            part = whole_part.filter(pa.array(numbers[whole_part["image"].to_numpy()] >= 0))
            number, anchor = numbers[part["image"].to_numpy()], anchors[part["zoom"].to_numpy()]
            ids = np.stack([part[name].to_numpy() for name in IDS], axis=1)
            probs = np.stack([part[name].to_numpy() for name in PROBS], axis=1)
            run.check_answers(ids)
            probs = np.where(ids < 0, 0, np.nan_to_num(probs, nan=1.0))  # a model that answers in words is certain
            views += np.bincount(number, minlength=images).astype(np.int32)
            rest += np.bincount(number, np.maximum(0, 1 - probs.sum(axis=1)), images)
            np.add.at(zoomed, (number[anchor >= 0], anchor[anchor >= 0]), 1)
            ids = ids if first is None else first[ids]
            of_part = pairs_of(number, ids, probs, anchor, classes)
            for name, column in columns.items():
                column.append(getattr(of_part, name))
    if not columns["keys"]:
        raise UsageError(f"{str(runs[0][0].path)!r} has no answers yet; let the command that makes it go on")
    rest /= np.maximum(1, views)
    return Judge(runs[0][0].model, runs, views, zoomed, studied, rest.astype(np.float32), joined(columns))
