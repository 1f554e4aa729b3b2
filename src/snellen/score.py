"""Scoring predictions from elsewhere by the rules that Snellen's own runs are scored by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.published import dataset_key
from snellen.analysis.scoring import Score, score_answers
from snellen.datasets import DataSet, open_dataset
from snellen.engine.answers import masked, softmax, top_classes
from snellen.errors import DataError, UsageError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace
from snellen.labels.imagenet import SOURCES, validation_labels
from snellen.matching import match
from snellen.predictions import Predictions, read_predictions
from snellen.store.labels import read_labels
from snellen.store.schema import TOP

# Rows of logits that are worked on at once.
CHUNK = 4096
Missing = Literal["error", "wrong", "skip"]
WHAT_BECOMES = {"wrong": "count as wrong", "skip": "are left out"}


@dataclass(frozen=True)
class Scores:
    """What a file of predictions scores on a data set; `notes` say how its rows were read, and what was odd."""

    predictions: str
    data: str
    scores: tuple[Score, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {
            "predictions": self.predictions,
            "data": self.data,
            "scores": [score.to_json() for score in self.scores],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Truth:
    """The images of a data set, their label sets by each source asked for, and what else scoring needs."""

    name: str
    ids: Sequence[str]
    labels: dict[str, list[list[int]]]
    classes: int
    origins: Sequence[str] | None = None
    class_map: ClassMap | None = None


def score(
    predictions: str | Path,
    data: str | Path,
    *,
    root: str | Path | None = None,
    labels: str | Path | Sequence[str | Path] | None = None,
    columns: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    missing: Missing = "error",
) -> Scores:
    """Score a file of per-image predictions on a data set.

    predictions: CSV, Parquet or npy: file names (else rows in the order of the data set) and the predicted class (an
        index, a WordNet id or a name), the best five, or logits; and, if it is there, the probability.
    data: what `study` takes. `imagenet`, `imagenet-real` and `imagenet+real` need no images.
    root: the folder that holds a named data set in its released layout.
    labels: label sources to score by, or CSVs with columns `image_id` and `labels`; that of the data set where None.
    columns: the column to read as `image`, `class`, `probability` or `logits`, where it has no usual name.
    classes: the names of the classes that indices and logits stand for; ImageNet-1k's where None.
    missing: what an image without a prediction is: an `error`, `wrong`, or left out (`skip`).

    Raises DataError where the file, the data set and the labels do not fit.
    """
    if missing not in ("error", "wrong", "skip"):
        raise UsageError(f"missing={missing!r}: expected error, wrong or skip")
    space = ClassSpace.of_names(tuple(classes)) if classes is not None else IMAGENET_1K
    sources = [labels] if isinstance(labels, str | Path) else list(labels or [])
    given = read_predictions(Path(predictions), space, columns)
    truth = _truth(data, root, sources, space)
    place, how = match(given, truth.ids)
    ids, confidence, notes = _answers(given, truth.class_map)
    rows, odd = _row_of_each(place, ids, len(truth.ids))
    notes = [*notes, *how, *odd]
    scores = []
    for source in truth.labels:
        one, more = _score(truth, source, rows, ids, confidence, missing)
        scores.append(one)
        notes += more
    return Scores(str(predictions), truth.name, tuple(scores), tuple(notes))


def _row_of_each(place: NDArray[np.int64], ids: NDArray[np.int32], images: int) -> tuple[NDArray[np.int64], list[str]]:
    """The row of each image, -1 where there is none: int64 `[images]`; and what is wrong with the others."""
    rows = np.full(images, -1)
    known = np.flatnonzero(place >= 0)
    rows[place[known[::-1]]] = known[::-1]  # backwards, so that the first row of an image stays
    repeated = known[rows[place[known]] != known]
    other = int((ids[repeated, 0] != ids[rows[place[repeated]], 0]).sum())
    strangers = len(place) - len(known)
    notes = [f"{strangers} rows are of no image of the data set"] if strangers else []
    if len(repeated):
        notes.append(f"{len(repeated)} rows repeat an image, {other} with another class; the first of each counts")
    return rows, notes


def _truth(data: str | Path, root: str | Path | None, sources: Sequence[str | Path], space: ClassSpace) -> _Truth:
    name, own = dataset_key(data if isinstance(data, str) else str(data.absolute()))  # a Path is never a set's name
    if name == "imagenet" and root is None and "@" not in str(data):
        names, default_labels = validation_labels(own, space)
        labels = {
            str(source): default_labels if source == own else _imagenet_labels(source, names, space)
            for source in sources or [own]
        }
        return _Truth(name, names, labels, len(space))
    dataset = open_dataset(data, root)
    ids = [item.id for item in dataset.items]
    default = own if own in dataset.label_sources else dataset.label_sources[0]
    labels = {str(source): _labels_of(dataset, source, ids, space) for source in sources or [default]}
    class_map = ClassMap.of(dataset.name, dataset.classes, space) if dataset.classes is not None else None
    return _Truth(dataset.name, ids, labels, len(space), [dataset.origin(i) for i in range(len(ids))], class_map)


def _imagenet_labels(source: str | Path, names: Sequence[str], space: ClassSpace) -> list[list[int]]:
    if source not in SOURCES and Path(source).is_file():
        return read_labels(Path(source), names, space)
    return validation_labels(str(source), space)[1]


def _labels_of(dataset: DataSet, source: str | Path, ids: Sequence[str], space: ClassSpace) -> list[list[int]]:
    if source not in dataset.label_sources and Path(source).is_file():
        return read_labels(Path(source), ids, space)
    return dataset.label_sets(ids, space, str(source))


def _answers(
    given: Predictions, class_map: ClassMap | None
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None, list[str]]:
    """Best classes `[rows, k]` and the probability of the first, under the data set's mask; and what was odd."""
    notes = [f"read as {role}: {', '.join(_few(names))}" for role, names in given.read.items()] + [*given.notes]
    if given.ids is not None:
        silent = int((given.ids[:, 0] < 0).sum())
        outside = 0 if class_map is None else int((class_map.of_id[given.ids[given.ids[:, 0] >= 0, 0]] < 0).sum())
        notes += [f"{silent} rows name no class, which counts as wrong"] if silent else []
        if outside and class_map is not None:
            notes.append(
                f"{outside} rows name a class that takes no part in {class_map.name}, which counts as wrong; "
                "logits could be masked to its classes"
            )
        return given.ids, given.confidence, notes
    assert given.logits is not None
    parts = [slice(start, start + CHUNK) for start in range(0, given.rows, CHUNK)]
    shares = all(_are_shares(given.logits[part]) for part in parts)
    ids, confidence = np.full((given.rows, TOP), -1, np.int32), np.zeros(given.rows, np.float32)
    for part in parts:
        scores = masked(np.asarray(given.logits[part], np.float32), class_map)
        broken = ~np.isfinite(scores.max(axis=1))
        if broken.any():
            row = part.start + int(broken.argmax())
            raise DataError(f"row {row} of the logits has no largest one: it holds nan, inf, or nothing but -inf")
        ids[part] = top_classes(scores, class_map)
        best = np.take_along_axis(scores, ids[part, :1], 1)[:, 0]
        if shares:
            whole = np.where(np.isfinite(scores), scores, 0).sum(axis=1)
            confidence[part] = best / np.where(whole > 0, whole, 1)
        else:
            confidence[part] = softmax(scores).max(axis=1)
    masks = "" if class_map is None else f", of the {len(class_map.ids)} classes of {class_map.name}"
    notes.append(f"the rows are {'probabilities' if shares else 'logits'}{masks}")
    return ids, np.clip(confidence, 0, 1), notes


def _are_shares(scores: NDArray[Any]) -> bool:
    """Whether every row is a distribution already; 1 % is what float16 may round off."""
    return bool((scores >= 0).all() and (np.abs(scores.sum(axis=1, dtype=np.float32) - 1) < 0.01).all())


def _score(
    truth: _Truth,
    source: str,
    rows: NDArray[np.int64],
    ids: NDArray[np.int32],
    confidence: NDArray[np.float32] | None,
    missing: Missing,
) -> tuple[Score, list[str]]:
    """The numbers by one label source, and what to know about them; `rows` is the row of each image, or -1."""
    labels = truth.labels[source]
    scored = np.flatnonzero([len(accepted) > 0 for accepted in labels])
    lacking = scored[rows[scored] < 0].tolist()
    notes = []
    if lacking and missing == "error":
        raise DataError(
            f"{len(lacking)} of {len(scored)} images of {truth.name} have no prediction, for example "
            f'{truth.ids[lacking[0]]!r}; --missing wrong (missing="wrong" from Python) counts them as wrong, '
            "--missing skip leaves them out"
        )
    if lacking:
        notes.append(f"{len(lacking)} images without a prediction {WHAT_BECOMES[missing]} (labels {source})")
    if missing == "skip":
        scored = scored[rows[scored] >= 0]
    row = rows[scored]
    score = score_answers(
        np.where(row[:, None] >= 0, ids[row], -1),
        None if confidence is None else np.where(row >= 0, confidence[row], np.float32(np.nan)),
        [labels[image] for image in scored.tolist()],
        labels=source,
        classes=truth.classes,
        class_map=truth.class_map,
        origins=None if truth.origins is None else [truth.origins[image] for image in scored.tolist()],
    )
    return score, notes


def _few(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= TOP else (*names[:2], "…", names[-1])
