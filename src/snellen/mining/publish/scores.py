"""How given runs do on the images that are published, with intervals, and which of them a paired test tells apart."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snellen.analysis.accuracy import Share, share
from snellen.analysis.compare import groups
from snellen.analysis.consistency import ShareDifference, differences
from snellen.analysis.short_names import short_names
from snellen.errors import UsageError
from snellen.labels import ClassSpace
from snellen.mining.mined import image_key
from snellen.store import Run
from snellen.store.mined import passes

# Of the images that one model was shown, the share that another must have been shown to be compared with it.
COVERED = 0.9


@dataclass(frozen=True)
class Target:
    """An image that is scored: sha256 of bytes that show it, and the ids of its classes."""

    hashes: frozenset[str]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class RunScore:
    """One model on the images that the runs of all models were shown.

    name: short; view: `own transform` or `1-crop`; letters: models that share one cannot be told apart; "" where there
    is nothing to compare.
    against: how the best model differs from this one, paired; None for the best. miner: whether it mined the images.
    """

    name: str
    spec: str
    view: str
    accuracy: Share
    letters: str
    against: ShareDifference | None
    miner: bool = False


def score_runs(
    runs: Sequence[Run], targets: Mapping[str, Target], space: ClassSpace, miners: Collection[str] = ()
) -> tuple[list[RunScore], list[str]]:
    """Score runs on the images that are published, by their ids; best model first, and notes on what is left out.

    Runs of one model on several data sets count as one. All are scored on the images that all were shown; one that was
    shown fewer than `COVERED` of those that another was is left out. miners: specs of those that mined the images.
    Raises UsageError where no run has an image of these.
    """
    notes: list[str] = []
    found: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    first: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        why, view = _unfit(run, space)
        if why:
            notes.append(f"{run.path} is left out: {why}")
            continue
        right = _right(run, targets)
        if not right:
            notes.append(f"{run.path} is left out: it was shown none of these images")
            continue
        key = run.model, str(run.record["model"]["precision"]), view
        first.setdefault(key, run)
        found[key] |= right
    if runs and not found:
        raise UsageError(f"no --run fits: {'; '.join(notes)}")
    names = dict(zip(first, short_names(list(first.values())), strict=True))
    most = max(map(len, found.values()), default=0)
    for key in [key for key, one in found.items() if len(one) < COVERED * most]:
        shown = len(found.pop(key))
        notes.append(f"{names[key]} is left out: it was shown {shown:,} of these images, another {most:,}")
    images = sorted(set.intersection(*(set(one) for one in found.values()))) if found else []
    rows = {key: np.array([one[image] for image in images], bool) for key, one in found.items()}
    order = sorted(rows, key=lambda key: -rows[key].sum())
    letters = groups({names[key]: rows[key] for key in order}) if len(order) > 1 else {}
    # All at once: their p-values are corrected together.
    others = {names[key]: (rows[order[0]], rows[key]) for key in order[1:]}
    against = dict(zip(order[1:], differences(others), strict=True)) if others else {}
    return [
        RunScore(
            names[key],
            key[0],
            key[2],
            share(rows[key]),
            letters.get(names[key], ""),
            against.get(key),
            key[0] in miners,
        )
        for key in order
    ], notes


def _unfit(run: Run, space: ClassSpace) -> tuple[str, str]:
    """Why a run cannot be scored, "" where it can, and which of its views is."""
    if not run.commits and passes(run.path):
        return "a mined run has no accuracy, since an image leaves at the first right view", ""
    if len(run.grid) > 1 and run.grid.one_crop is None:
        return "it has no view that stands for the image", ""
    if run.class_space.keys != space.keys:
        return f"its classes are those of {run.class_space.name}, not of {space.name}", ""
    if run.class_map is not None:
        return f"its answers are masked to the classes of {run.class_map.name}", ""
    if run.grid.one_crop is not None:
        return "", "1-crop"
    return "", "own transform" if run.grid.name == "own" else "the only view"


def _right(run: Run, targets: Mapping[str, Target]) -> dict[str, bool]:
    """By id whether a run is right, for each image that is published with the bytes that the run was shown."""
    columns = (run.samples[name].to_pylist() for name in ("image_id", "origin", "sha256", "error"))
    readable = [row[:3] for row in zip(*columns, strict=True) if row[3] is None]
    ids = [image if image in targets else image_key(origin, image) for image, origin, _ in readable]
    rows = [
        row
        for row, (key, (_, _, sha256)) in enumerate(zip(ids, readable, strict=True))
        if key in targets and sha256 in targets[key].hashes
    ]
    zoom = run.grid.one_crop or 0  # of a single view the first
    right = run.score(run.answers()[rows][:, [zoom]], [targets[ids[row]].labels for row in rows])
    return {ids[row]: bool(one) for row, one in zip(rows, right[:, 0], strict=True)}
