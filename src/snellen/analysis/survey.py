"""Many runs at once: each read once, summed up by every label source, and compared with every other of its images."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.answers import read_answers
from snellen.analysis.bias import BiasDifference, bias_between
from snellen.analysis.bootstrap import RESAMPLES
from snellen.analysis.compare import groups
from snellen.analysis.pairs import UPPER, Pair, pair
from snellen.analysis.short_names import short_names
from snellen.analysis.sides import Side, answered, matched, side
from snellen.analysis.summary import Summary, summarise
from snellen.errors import DataError, UsageError
from snellen.store import Run

# Runs summed up at once. NumPy and Arrow run beside each other; each more would take some 200 MB at ImageNet's size.
AT_ONCE = 2


@dataclass(frozen=True)
class Union:
    """What several runs with the same zooms reach together, on the images that all of them have.

    names: the runs, in their order.
    upper: the share of images that any zoom of any run gets right; hard: the share that none does.
    hard_ids: these images, in order.
    only: by name, the share that this run alone gets right at any zoom.
    adds: the run with the highest upper bound, then each time the one that adds most, with the upper bound so far.
    letters: by measure (`1-crop`, `upper bound`) and name: runs that share a letter cannot be told apart
        (`compare.groups`).
    """

    data: str
    labels: str
    names: tuple[str, ...]
    images: int
    upper: Share
    hard: Share
    hard_ids: tuple[str, ...]
    only: dict[str, Share]
    adds: tuple[tuple[str, Share], ...]
    letters: dict[str, dict[str, str]]

    def to_json(self) -> dict[str, Any]:
        """A plain form without the single images."""
        return {
            "data": self.data,
            "labels": self.labels,
            "names": list(self.names),
            "images": self.images,
            "upper_bound": self.upper.to_json(),
            "hard": self.hard.to_json(),
            "only": {name: value.to_json() for name, value in self.only.items()},
            "adds": [{"name": name, "upper_bound": value.to_json()} for name, value in self.adds],
            "letters": self.letters,
        }


@dataclass(frozen=True)
class BiasShift:
    """The centre bias of one model on a data set less that on another, and the images of both.

    name: the model's runs; a, b: data set and label source; images: how many are scored of each.
    """

    name: str
    model: str
    precision: str
    a: tuple[str, str]
    b: tuple[str, str]
    images: tuple[int, int]
    found: BiasDifference


@dataclass(frozen=True, eq=False)
class Survey:
    """Everything that many studies say.

    summaries: for each run, in their order, one by each label source; runs: the run of each; names: a short name
        for each, unlike any other's of its data set.
    pairs: of every two runs of one data set by one label source.
    unions: of each data set by each label source where two runs or more have the same zooms.
    shifts: of each model with the same zooms on every two data sets.
    notes: what is left out, and why; what is not finished.
    """

    summaries: list[Summary]
    runs: list[Run]
    names: list[str]
    pairs: list[Pair]
    unions: list[Union]
    shifts: list[BiasShift]
    notes: list[str]


def survey(
    runs: Sequence[Run],
    labels: Sequence[str | None] = (None,),
    *,
    exact_cover: float | None = None,
    resamples: int = RESAMPLES,
) -> Survey:
    """Sum up studies by each label source, and compare all that are of the same images.

    labels: label sources, None for each run's own first.
    exact_cover: seconds that a search for the smallest cover of a run may take; None leaves it out.
    resamples: of every bootstrap.

    A run that is no study, that lacks a label source, that holds nothing yet or that cannot be compared with another
    is left out there, with a note. Raises UsageError where no run is left.
    """
    notes: list[str] = []
    studies = []
    for run in runs:
        if run.grid.one_crop is None:
            notes.append(f"{run.path} is left out: its grid {run.grid.name!r} has no 1-crop zoom")
        else:
            studies.append(run)
    models = Counter(run.model for run in studies)

    def summed_up(run: Run, name: str) -> tuple[list[Summary], list[Side], list[str]]:
        return _one(run, name, labels, models[run.model] > 1, exact_cover, resamples)

    summaries, sides = [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for summed, compared, remarks in pool.map(summed_up, studies, short_names(studies)):
            summaries += summed
            sides += compared
            notes += remarks
    if not summaries:
        raise UsageError("; ".join(notes) if notes else "no run to sum up; give at least one study")
    alike: dict[tuple[str, str], list[Side]] = {}
    for one in sides:
        if one.labels:
            alike.setdefault((one.run.data_name, one.source), []).append(one)
        else:
            notes.append(f"{one.name} on {one.run.data} has no image with a label in {one.source!r} yet")
    pairs, unions = [], []
    for members in alike.values():
        for a, b in combinations(members, 2):
            try:
                pairs.append(pair(a, b, resamples))
            except UsageError as error:
                notes.append(f"{a.name} and {b.name} on {a.run.data} are not compared: {error}")
        for group in _alike(members):
            try:
                unions.append(union(group))
            except UsageError as error:
                notes.append(f"no union of {', '.join(one.name for one in group)} on {members[0].run.data}: {error}")
    return Survey(
        summaries=summaries,
        runs=[one.run for one in sides],
        names=[one.name for one in sides],
        pairs=pairs,
        unions=unions,
        shifts=_shifts([one for one in sides if one.labels], resamples),
        notes=list(dict.fromkeys(notes)),
    )


def _one(
    run: Run, name: str, labels: Sequence[str | None], confidence: bool, exact_cover: float | None, resamples: int
) -> tuple[list[Summary], list[Side], list[str]]:
    """A run's summary and side by each label source, and what there is to note; `confidence` is for its sides."""
    summaries, sides, notes = [], [], []
    answers = read_answers(run)
    ids, where = answered(answers), f"{name} on {run.data}"
    if not run.complete:
        done = f"{len(run.samples)} of {run.record['shards'][-1]} images"
        notes.append(f"{where} is in progress: its numbers are of {done}")
    for source in dict.fromkeys(source or run.label_sources[0] for source in labels):
        try:
            summary = summarise(run, source, answers, exact_cover=exact_cover, resamples=resamples)
        except DataError as error:
            notes.append(f"{where} is left out by labels {source!r}: {error}")
            continue
        summaries.append(summary)
        known: dict[str, Any] = {"correct": summary.correct, "cover": summary.cover, "ids": ids}
        sides.append(side(answers, name, source, **known, confidence=confidence))
    return summaries, sides, notes


def _shifts(sides: Sequence[Side], resamples: int) -> list[BiasShift]:
    """Every two data sets that runs of one name, model, precision and zooms are of."""
    models: dict[Any, list[Side]] = {}
    for one in sides:
        key = (one.name, one.run.model, str(one.run.record["model"]["precision"]), tuple(one.zooms))
        if one.zooms:
            models.setdefault(key, []).append(one)
    return [
        BiasShift(
            name=name,
            model=model,
            precision=precision,
            a=(a.run.data_name, a.source),
            b=(b.run.data_name, b.source),
            images=(len(a.rows), len(b.rows)),
            found=bias_between(a.locations, b.locations, resamples),
        )
        for (name, model, precision, _), members in models.items()
        for a, b in combinations(members, 2)
        if a.run.data_name != b.run.data_name
    ]


def _alike(sides: Sequence[Side]) -> list[list[Side]]:
    """The runs with the same zooms and the same classes, where they are two or more."""
    found: dict[Any, list[Side]] = {}
    for one in sides:
        found.setdefault((tuple(one.zooms), one.run.class_space.keys), []).append(one)
    return [group for group in found.values() if len(group) > 1]


def union(sides: Sequence[Side]) -> Union:
    """What runs with the same zooms reach together; UsageError where they cannot be compared or share no image."""
    first, *others = sides
    at = [matched(first, one)[:2] for one in others]
    common = sorted(set.intersection(*(set(mine.tolist()) for mine, _ in at)))
    if not common:
        raise UsageError("no image is in all runs")
    places = [np.array(common)]
    for mine, theirs in at:
        other = dict(zip(mine.tolist(), theirs.tolist(), strict=True))
        places.append(np.array([other[place] for place in common]))
    solved: dict[str, NDArray[np.bool_]] = {}
    single: dict[str, NDArray[np.bool_]] = {}
    for one, place in zip(sides, places, strict=True):
        solved[one.name] = one.solved(range(len(one.grid)))[place]
        if one.single:
            single[one.name] = one.solved([one.single[1]])[place]
    right = np.stack(list(solved.values()))
    reached, left, adds = np.zeros(len(common), bool), dict(solved), []
    while left:
        best = max(left, key=lambda name: int((left[name] & ~reached).sum()))
        reached = reached | left.pop(best)
        adds.append((best, share(reached)))
    ids = list(first.labels)
    count = right.sum(axis=0)
    return Union(
        data=first.run.data_name,
        labels=first.source,
        names=tuple(solved),
        images=len(common),
        upper=share(count > 0),
        hard=share(count == 0),
        hard_ids=tuple(ids[common[k]] for k in np.flatnonzero(count == 0)),
        only={name: share(row & (count == 1)) for name, row in solved.items()},
        adds=tuple(adds),
        letters={what: groups(rows) for what, rows in (("1-crop", single), (UPPER, solved)) if len(rows) == len(sides)},
    )
