"""Methods on a run that is there already: no forward pass, only the merges that its files allow."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.engine.answers import MERGES as STORED_MERGES
from snellen.engine.answers import top_classes
from snellen.errors import UsageError
from snellen.labels import ClassMap
from snellen.store import Run
from snellen.store.schema import TOP
from snellen.tta.merge import Merge, geometric_mean, merged
from snellen.zoom.grid import ViewRule


def merged_from_run(run: Run, rules: Sequence[ViewRule], merge: Merge) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The merged answer of each image of a run: int32 `[images, 5]` best ids first (-1 pads), and their scores.

    A run with all probabilities gives every merge of any views of its grid, exact to their rounding
    (`store/logprobs.py`): scores to 1e-3, but where two views are so nearly equal that rounding decides which one of
    them confident-k or zero keeps, or what one votes for. A run without gives what it stored: mean and max over
    zoom-in, zoom-out, zoom-224 and all of its views. Raises UsageError for anything else.
    """
    merge.check(len(rules))
    zooms = places_in(run, rules)
    if not run.keeps_probs:
        return _stored(run, zooms, merge)
    ids = np.full((len(run.images), TOP), -1, np.int32)
    scores = np.full(ids.shape, np.nan, np.float32)
    for rows, found in _merged(run, zooms, merge):
        ids[rows], scores[rows] = best_of(found, run.class_map)
    return ids, scores


def places_in(run: Run, rules: Sequence[ViewRule]) -> NDArray[np.intp]:
    """Where the views of some rules are in a run's grid: intp `[rules]`; UsageError where it lacks some."""
    place = {rule: zoom for zoom, rule in enumerate(run.grid)}
    lacking = sum(rule not in place for rule in rules)
    if lacking:
        raise UsageError(
            f"the run's grid {run.grid.name!r} lacks {lacking} of {len(rules)} views (crops and mirrored views are no "
            "zooms); give DATA and -m MODEL instead"
        )
    return np.array([place[rule] for rule in rules], np.intp)


def best_of(scores: NDArray[np.float32], classes: ClassMap | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The five best ids of each row of scores, ties to the lowest id, and their scores; nan where the id is -1."""
    ids = top_classes(scores, classes)
    best = np.take_along_axis(scores, np.maximum(ids, 0), 1)
    return ids, np.where(ids >= 0, best, np.nan).astype(np.float32)


def _merged(run: Run, zooms: NDArray[np.intp], merge: Merge) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    if merge.name == "gmean":  # of the logarithms themselves: float32 has no probability below 1e-38
        yield from ((rows, geometric_mean(logs)) for rows, logs in run.log_probabilities(zooms))
    else:
        yield from ((rows, merged(probs, merge, run.class_map)) for rows, probs in run.probabilities(zooms))


def _stored(run: Run, zooms: NDArray[np.intp], merge: Merge) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What the run's `merged` table holds, where the views are one of its groups; one view's answer is stored too."""
    groups = {**run.grid.groups, "all": np.arange(len(run.grid))}
    wanted = np.sort(zooms)
    group = next((name for name, members in groups.items() if np.array_equal(members, wanted)), None)
    if len(zooms) == 1:  # each merge of one view orders the classes as the view does
        return _columns(run, lambda column: run.answers(column)[:, zooms[0]])
    if group is None or merge.name not in STORED_MERGES:
        held = ", ".join(f"paper:{name.removeprefix('zoom-')}" for name in groups)
        raise UsageError(
            f"{str(run.path)!r} kept no probabilities, so it has mean and max of {held} only; make the run again with "
            "`snellen study --keep-probs` in another -o"
        )
    table = run.table("merged")
    part = table.filter(pc.and_(pc.equal(table["group"], group), pc.equal(table["merge"], merge.name)))
    rows = np.searchsorted(run.images, part["image"].to_numpy())

    def column(name: str) -> NDArray[Any]:
        values = np.empty(len(run.images), np.float32 if name[0] == "p" else np.int32)
        values[rows] = part[name].to_numpy()
        return values

    return _columns(run, column)


def _columns(run: Run, column: Callable[[str], NDArray[Any]]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    ids = np.stack([column(f"id{k}") for k in range(TOP)], axis=1).astype(np.int32)
    return ids, np.stack([column(f"p{k}") for k in range(TOP)], axis=1).astype(np.float32)
