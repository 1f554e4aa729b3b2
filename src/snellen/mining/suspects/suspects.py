"""Suspects: images whose label is likely wrong, that show several objects, or that nobody can read.

What all views of all models say of an image is gathered (`evidence.py`) and held against its label
(`features.py`). How much the two must differ is learned from labels of the same data that are swapped
(`swaps.py`, `fit.py`) and tried on others (`check.py`). `kinds.py` tells what else
may be wrong with an image.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.analysis.images import first_ids
from snellen.errors import UsageError
from snellen.labels import ClassSpace
from snellen.mining.mined import read_record
from snellen.mining.suspects.check import Check, check
from snellen.mining.suspects.evidence import Gathered, Judge, gather, views_of, whole
from snellen.mining.suspects.features import Opinion, features, opinion_of, padded
from snellen.mining.suspects.file import SUSPECTS
from snellen.mining.suspects.fit import FOLDS, USUAL, Model, learn
from snellen.mining.suspects.kinds import LABEL, LIKELY, SEVERAL, ill_posed, objects
from snellen.mining.suspects.swaps import swaps
from snellen.redact import redacted
from snellen.store import Run
from snellen.store.find import find_runs
from snellen.store.mined import mined_parts

# From this score on an image is a suspect: its label is more likely wrong than right.
DOUBTED = 0.5
# So many classes are proposed at most, such as are `LIKELY`.
PROPOSED = 3
# A model is learned from no fewer images, and from no more: more change nothing but the time. Each is given other label
# sets instead of its own, so many in all but no more than `DRAWS` of each.
ENOUGH, LEARNED_FROM = 100, 4000
GIVEN, DRAWS = 10_000, 10
# Weights of the features, and the intercept, where there are too few images that studies have shown at every zoom; else
# they pull at what is learned like so many images. Learned from 300 photographs by two models:
# `benchmarks/suspects.py` prints them.
WEIGHTS, PULL = (-1.0, -0.5, -3.5), 1.0


@dataclass(frozen=True, eq=False)
class Suspects:
    """Every image of some runs, and what is suspected of it.

    table: of `SUSPECTS`, the highest score first, images without one last. `score` is the probability that none of an
        image's labels is right; null where it has none or was shown no view. `kind` is `label` (the score is `DOUBTED`
        or more), `several objects`, `too small`, `blank`, `unreadable`, or null. `proposed` are other classes that it
        may be, the most likely first, and `share` is how many of its views answer the first, in the mean over models.
    rate: the share of wrong labels, as estimated; supposed where the score was not learned from these runs.
    weights: of the features and, last, the intercept: the mean over folds.
    check: how the score does on labels that are known to be wrong; None where it was not learned from these runs.
    """

    table: pa.Table = field(repr=False)
    space: ClassSpace = field(repr=False)
    models: tuple[str, ...]
    rate: float
    weights: tuple[float, ...]
    check: Check | None


def find_suspects(
    runs: Sequence[Run],
    labels: str | Path | Mapping[str, str | Path | None] | None = None,
    *,
    seed: int = 0,
    start: Sequence[float] = WEIGHTS,
) -> Suspects:
    """Find images of runs whose label is likely wrong, or of which something else is.

    runs: of one or several models, on one or several data sets; also what mining left of one.
    labels: the label source, as in `Run.labels`; or of each data set's spec its own.
    seed: draws the swapped labels and the folds.
    start: weights of the features and the intercept that were learned elsewhere, as `Suspects.weights` are.

    From `ENOUGH` images on that studies showed at every zoom the score is learned from them. Each image is judged by a
    model that has not seen it. Images that only mining has shown were chosen by what it found, so nothing can be
    learned from them: `start` judges them.

    Raises UsageError where there is no run, models have different classes or a run is damaged, DataError where labels
    are lacking.
    """
    if not runs:
        raise UsageError("no run to look at; `snellen study … -o OUT` makes one")
    gathered = gather(
        [(run, labels.get(redacted(run.data)) if isinstance(labels, Mapping) else labels) for run in runs]
    )
    opinion = opinion_of(gathered)
    score, model, found = _scores(gathered, opinion, np.array(start, np.float64), np.random.default_rng(seed))
    table = _table(gathered, opinion, score)
    names = tuple(redacted(judge.model) for judge in gathered.judges)
    weights = tuple(model.weights.mean(axis=0).tolist())
    return Suspects(table, runs[0].class_space, names, model.rate, weights, found)


def runs_to_doubt(places: Sequence[Path]) -> tuple[list[Run], dict[str, str | None]]:
    """The runs of several zooms below some places, and of hard sets the label source of each data set's spec.

    Raises UsageError where there is none, DataError where a mine.json is damaged.
    """
    runs: list[Run] = []
    labels: dict[str, str | None] = {}
    for folder in places:
        record = read_record(folder) or {}
        labels |= {source["spec"]: source["labels"] for source in record.get("sources", ())}
        found = [run for run in find_runs(folder) if len(run.grid) > 1]
        if not found:
            raise UsageError(f"no run of several zooms in {str(folder)!r}; `snellen study … -o {folder}` makes one")
        runs += found
    return runs, labels


def _scores(
    gathered: Gathered, opinion: Opinion, start: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], Model, Check | None]:
    """The score of each image, nan where there is none, what gives it, and how it does."""
    shown = np.sum([judge.views for judge in gathered.judges], axis=0) > 0
    judged = np.flatnonzero([bool(one.labels) and bool(seen) for one, seen in zip(gathered.images, shown, strict=True)])
    score = np.full(len(gathered.images), np.nan)
    if not len(judged):
        return score, Model(start[None], USUAL), None
    labels = [gathered.images[image].labels for image in judged]
    rows = features(opinion, judged, labels)
    fold = rng.permutation(len(judged)) % FOLDS
    from_all = np.flatnonzero(whole(gathered)[judged])
    if len(from_all) < ENOUGH:
        model, found = Model(start[None], USUAL), None
    else:
        some = from_all[np.linspace(0, len(from_all) - 1, min(len(from_all), LEARNED_FROM)).astype(int)]
        draws = min(DRAWS, -(-GIVEN // len(some)))
        drawn = swaps([labels[k] for k in some], draws, gathered.taking_part, rng)
        wrong = np.stack([features(opinion, judged[some], [own[k] for own in drawn]) for k in range(draws)], axis=1)
        model = learn(rows[some], fold[some], wrong, start, PULL)
        found = check(model, rows[some], fold[some], wrong, DOUBTED, rng)
    score[judged] = model.score(rows, fold)
    return score, model, found


def _table(gathered: Gathered, opinion: Opinion, score: NDArray[np.float64]) -> pa.Table:
    """The rows of `SUSPECTS`."""
    images, judges = gathered.images, gathered.judges
    labels = padded([image.labels for image in images])
    right = [views_of(judge, gathered.classes, labels).sum(axis=1) for judge in judges]
    several = objects(gathered, opinion)
    unread = np.flatnonzero(np.sum(right, axis=0) == 0).tolist()
    kind = dict.fromkeys(np.flatnonzero(score >= DOUBTED).tolist(), LABEL)
    kind = {**dict.fromkeys(several, SEVERAL), **kind, **ill_posed(gathered, unread)}
    proposed = [_proposed(opinion, k, image.labels, several.get(k, ()), kind.get(k)) for k, image in enumerate(images)]
    first = np.array([classes[0] if classes else -1 for classes in proposed], np.int64)[:, None]
    agree = [views_of(judge, gathered.classes, first)[:, 0] for judge in judges]
    zooms = [_zooms(judge, {k: int(first[k, 0]) for k in kind if first[k, 0] >= 0}) for judge in judges]
    rows = []
    for k, image in enumerate(images):
        models = [
            {
                "model": redacted(judge.model),
                "views": int(judge.views[k]),
                "right": int(right[n][k]),
                "share": float(agree[n][k] / judge.views[k]) if proposed[k] else None,
                "zooms": zooms[n].get(k, []),
            }
            for n, judge in enumerate(judges)
            if judge.views[k]
        ]
        shares = [float(agree[n][k] / judge.views[k]) for n, judge in enumerate(judges) if judge.views[k]]
        rows.append(
            {
                "id": image.id,
                "score": None if np.isnan(score[k]) else float(score[k]),
                "kind": kind.get(k),
                "proposed": proposed[k],
                "share": sum(shares) / len(shares) if shares and proposed[k] else None,
                "labels": list(image.labels),
                "origin": image.origin,
                "image_id": image.image_id,
                "models": models,
            }
        )
    rows.sort(key=lambda row: -1.0 if row["score"] is None else row["score"], reverse=True)
    return pa.Table.from_pylist(rows, schema=SUSPECTS)


def _proposed(opinion: Opinion, image: int, labels: Sequence[int], seen: Sequence[int], kind: str | None) -> list[int]:
    """Classes that an image may be beside its labels: objects that are seen, then what is likely, up to `PROPOSED`."""
    rivals = opinion.rivals[image]
    means = opinion.mean_of(np.full(len(rivals), image), rivals)
    likely = [int(k) for k, mean in zip(rivals, means, strict=True) if k >= 0 and mean >= LIKELY]
    others = [k for k in dict.fromkeys((*seen, *likely)) if k not in labels]
    if not others and kind == LABEL:
        others = [int(k) for k in rivals if k >= 0 and k not in labels][:1]
    return others[:PROPOSED]


def _zooms(judge: Judge, wanted: Mapping[int, int]) -> dict[int, list[int]]:
    """Of some images, by number, the zooms at which a model answers a class, ascending."""
    found: dict[int, list[int]] = defaultdict(list)
    if not wanted:
        return found
    answer = np.full(len(judge.views), -2, np.int64)
    answer[list(wanted)] = list(wanted.values())
    for run, numbers in judge.runs:
        first = first_ids(run.class_map, np.int64)
        for part in mined_parts(run, ("id0",)):
            ids, image = part["id0"].to_numpy(), numbers[part["image"].to_numpy()]
            here = np.flatnonzero(((ids if first is None else first[ids]) == answer[image]) & (image >= 0))
            for k, zoom in zip(image[here].tolist(), part["zoom"].to_numpy()[here].tolist(), strict=True):
                found[k].append(zoom)
    return {k: sorted(zooms) for k, zooms in found.items()}
