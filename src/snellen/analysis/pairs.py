"""Two runs on the same images: everything that a comparison of them says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.answers import read_answers
from snellen.analysis.bias import BiasDifference, bias_difference
from snellen.analysis.bootstrap import RESAMPLES
from snellen.analysis.consistency import (
    ErrorConsistency,
    HardOverlap,
    ShareDifference,
    differences,
    error_consistency,
    hard_overlap,
)
from snellen.analysis.cover import TOP_K, Transfer
from snellen.analysis.short_names import short_names
from snellen.analysis.sides import Side, matched, side
from snellen.errors import UsageError
from snellen.store import Run

# Images whose answers are compared at once; bounds the memory beside the answers themselves.
CHUNK = 4096
# From the zooms of each run to whether any is right on each image: bool `[images]`, of both runs.
Both = Callable[[Sequence[int], Sequence[int]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
# What the differences of all zooms together are called.
UPPER = "upper bound"


@dataclass(frozen=True)
class Agreement:
    """How often two runs give the same answer, right or wrong; no answer is one more answer.

    single: the share of images with the same answer at the single view; None where there is none.
    all: the share of equal answers over all images and zooms, and `answers` their number; None where the grids differ.
    confidence: the largest difference of the confidence at the same image and zoom, where both runs are of one model
        and have confidences; else None.
    """

    single: Share | None
    all: float | None
    answers: int
    confidence: float | None

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        single = self.single.to_json() if self.single else None
        return {"single": single, "all": self.all, "answers": self.answers, "confidence": self.confidence}


@dataclass(frozen=True)
class Pair:
    """Two runs by one label source, on the images that both have.

    a, b: their names; images: how many are compared; left_out: how many are not, by reason.
    differences: first the single view, then (where both have the same zooms, and more than one) the first 36 zooms of
        each run's own greedy cover, the upper bound, and that of each group.
    consistency: of the single view and of the upper bound, by the name of the difference.
    hard, union, bias, transfer: nothing where the grids differ, and where there is one view.
    union: the share that any zoom of either gets right. What each adds is `only_a` and `only_b` of the upper bound.
    bias: the difference of the centre biases (`bias.centre_bias`) of the upper bounds at each place.
    transfer: the cover of each tested on the other: the first 36 of it, and all.
    notes: what a reader of the numbers must know.
    """

    a: str
    b: str
    data: str
    labels: str
    images: int
    left_out: dict[str, int]
    differences: list[ShareDifference]
    consistency: dict[str, ErrorConsistency]
    agreement: Agreement
    hard: HardOverlap | None
    union: Share | None
    bias: BiasDifference | None
    transfer: list[Transfer]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """A plain form; shares as objects with hits, n, value, low, high and stderr."""
        return {
            "a": self.a,
            "b": self.b,
            "data": self.data,
            "labels": self.labels,
            "images": self.images,
            "left_out": self.left_out,
            "differences": {row.what: row.to_json() for row in self.differences},
            "error_consistency": {what: value.to_json() for what, value in self.consistency.items()},
            "agreement": self.agreement.to_json(),
            "hard": self.hard.to_json() if self.hard else None,
            "union": self.union.to_json() if self.union else None,
            "centre_bias": self.bias.to_json() if self.bias else None,
            "transfer": [one.to_json() for one in self.transfer],
            "notes": self.notes,
        }


def compare_runs(a: Run, b: Run, labels: str | None = None, *, resamples: int = RESAMPLES, seed: int = 0) -> Pair:
    """Compare two runs by one label source, each run's own first where it is None; see `pair`."""
    names, same_model = short_names((a, b)), a.model == b.model
    one = side(read_answers(a), names[0], labels, confidence=same_model)
    other = side(read_answers(b), names[1], labels, confidence=same_model)
    return pair(one, other, resamples, seed)


def pair(a: Side, b: Side, resamples: int = RESAMPLES, seed: int = 0) -> Pair:
    """Compare two runs on the images that both have, by id and content, and that have a label.

    Where their grids have other zooms, only the single views are compared; a grid at another size of view has the same
    zooms. Raises UsageError where the runs cannot be compared: other label sources or labels, other classes, no image
    in common, no view to compare.
    """
    at_a, at_b, left_out = matched(a, b)

    def both(zooms_a: Sequence[int], zooms_b: Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return a.solved(zooms_a)[at_a], b.solved(zooms_b)[at_b]

    measures = {}
    if a.single and b.single:
        name = a.single[0] if a.single[0] == b.single[0] else f"{a.single[0]} / {b.single[0]}"
        measures[name] = both([a.single[1]], [b.single[1]])
    first = list(measures)
    notes = [
        f"{one.name} is in progress: {len(one.contents)} of {one.run.record['shards'][-1]} images are done"
        for one in (a, b)
        if not one.run.complete
    ]
    if a.zooms != b.zooms:
        if not measures:
            raise UsageError(f"{a.name} and {b.name} have different zooms, and not a single view each to compare")
        notes.append(f"the grids differ ({a.grid.name}, {b.grid.name}): only the single views are compared")
    zoomed = a.zooms == b.zooms and len(a.grid) > 1
    if zoomed:
        every = range(len(a.grid))
        measures[f"top-{TOP_K} (oracle)"] = both(a.cover[:TOP_K], b.cover[:TOP_K])
        measures[UPPER] = both(every, every)
        measures |= {group: both(zooms.tolist(), zooms.tolist()) for group, zooms in a.grid.groups.items()}
    return Pair(
        a=a.name,
        b=b.name,
        data=a.run.data_name,
        labels=a.source,
        images=len(at_a),
        left_out=left_out,
        differences=differences(measures, resamples, seed),
        consistency={
            what: error_consistency(*measures[what], resamples, seed) for what in (*first, UPPER) if what in measures
        },
        agreement=_agreement(a, b, at_a, at_b),
        hard=hard_overlap(*measures[UPPER]) if zoomed else None,
        union=share(np.logical_or(*measures[UPPER])) if zoomed else None,
        bias=bias_difference(a.locations[at_a], b.locations[at_b], resamples, seed) if zoomed else None,
        transfer=_transfer(a, b, both) if zoomed else [],
        notes=notes,
    )


def _transfer(a: Side, b: Side, both: Both) -> list[Transfer]:
    found = []
    for learned, tested in ((a, b), (b, a)):
        for cover in dict.fromkeys((learned.cover[:TOP_K], learned.cover)):
            right = both(cover, cover)
            own, other = right if learned is a else right[::-1]
            found.append(Transfer(learned.name, tested.name, len(cover), share(own), share(other)))
    return found


def _agreement(a: Side, b: Side, at_a: NDArray[np.intp], at_b: NDArray[np.intp]) -> Agreement:
    rows_a, rows_b = a.rows[at_a], b.rows[at_b]
    single = None
    if a.single and b.single:
        single = share(a.ids[rows_a, a.single[1]] == b.ids[rows_b, b.single[1]])
    if a.zooms != b.zooms:
        return Agreement(single, None, 0, None)
    equal, gap = 0, -1.0
    for start in range(0, len(rows_a), CHUNK):
        part_a, part_b = rows_a[start : start + CHUNK], rows_b[start : start + CHUNK]
        equal += int(np.count_nonzero(a.ids[part_a] == b.ids[part_b]))
        if a.run.model == b.run.model and a.confidence is not None and b.confidence is not None:
            apart = np.abs(a.confidence[part_a] - b.confidence[part_b])
            gap = max(gap, float(apart.max(initial=-1.0, where=~np.isnan(apart))))
    cells = len(rows_a) * len(a.grid)
    return Agreement(single, equal / cells, cells, gap if gap >= 0 else None)
