"""Test-time methods side by side: accuracy, what it costs, and whether the difference to the plain crop is chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.compare import Mcnemar, holm, mcnemar
from snellen.analysis.expected import Measured
from snellen.analysis.learned import count_learned
from snellen.analysis.published import Published, lookup
from snellen.errors import UsageError
from snellen.labels import correct_by_labels
from snellen.store import Run

# What others are compared with: the first of these that was asked for, else the first method.
BASELINES = ("center", "1crop")
# Which published number a method is, by its name: of the study's aggregation table and of its table of MEMO.
PUBLISHED: Mapping[str, str] = {
    "own": "top1",
    "1crop": "one_crop",
    "5crop": "merged.5-crop.mean",
    "10crop": "merged.10-crop.mean",
    **{f"{m}:{n}crop": f"merged.{n}-crop.{m}" for m in ("mean", "max") for n in (5, 10)},
    **{f"{m}:paper:{g}": f"merged.zoom-{g}.{m}" for m in ("mean", "max") for g in ("in", "out", "224")},
    "memo-augmix": "memo.augmix",
    "memo-rrc": "memo.rrc",
}


@dataclass(frozen=True)
class Answered:
    """What a method answered and what it cost, image by image.

    ids: best class (head id), int32 `[images]`. forwards: int `[images]`. ms, views_ms: float `[images]`, nan where
    nothing was computed.
    """

    ids: NDArray[np.int32]
    forwards: NDArray[np.int32]
    ms: NDArray[np.float32]
    views_ms: NDArray[np.float32]


@dataclass(frozen=True)
class MethodResult:
    """One method's line.

    unanswered: images that it gave no answer to, where others did; they count as wrong.
    forwards, ms, views_ms: means an image; `views_ms` is the part of `ms` that went into decoding, cutting and
        augmenting views, nan where nothing was computed.
    front: on the Pareto front of accuracy against `forwards`, against `ms`.
    baseline: the method it is compared with; `test` and the Holm-corrected `p` are None for that one.
    learned_here: from how many of these images its views or its rule were learned; its accuracy is optimistic where
        that is not 0.
    """

    method: str
    accuracy: Share
    unanswered: int
    forwards: float
    ms: float
    views_ms: float
    front: tuple[bool, bool]
    baseline: str
    test: Mcnemar | None
    p: float | None
    published: list[Published]
    learned_here: int

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        test = self.test and {"only_this": self.test.only_a, "only_baseline": self.test.only_b, "p": self.test.p}
        return {
            "method": self.method,
            "accuracy": self.accuracy.to_json(),
            "unanswered": self.unanswered,
            "forwards": self.forwards,
            "ms": None if np.isnan(self.ms) else self.ms,
            "views_ms": None if np.isnan(self.views_ms) else self.views_ms,
            "pareto": {"forwards": self.front[0], "ms": self.front[1]},
            "baseline": self.baseline,
            "mcnemar": test,
            "p_holm": self.p,
            "published": [{"value": p.value, "source": p.source} for p in self.published],
            "learned_on_these_images": self.learned_here,
        }


@dataclass(frozen=True)
class MethodResults:
    """The table of one model on one data set by one label source."""

    model: str
    data: str
    data_name: str
    labels: str
    precision: str
    path: str
    rows: list[MethodResult]
    errors: list[tuple[str, str]]

    @property
    def timed(self) -> bool:
        """Whether the methods were run, not only their views merged from a study."""
        return not all(np.isnan(row.ms) for row in self.rows)

    def measured(self) -> list[Measured]:
        """Those of its numbers that have a published counterpart, to be compared with expected ones."""
        return [
            Measured(
                self.model,
                self.data_name,
                self.labels,
                PUBLISHED[row.method],
                value.value,
                value.low,
                value.high,
                value.n,
            )
            for row in self.rows
            if row.method in PUBLISHED
            for value in [row.accuracy]
        ]

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {
            "model": self.model,
            "data": self.data,
            "labels": self.labels,
            "precision": self.precision,
            "run": self.path,
            "methods": [row.to_json() for row in self.rows],
            "errors": [{"image_id": image, "error": error} for image, error in self.errors],
        }


def read_answered(run: Run) -> dict[str, Answered]:
    """What each method of a run of `tta` answered, in the order in which they were asked for."""
    table = run.table("methods", ["image", "method", "id0", "forwards", "ms", "views_ms"])
    method = np.asarray(table["method"].to_pylist(), object)
    found = {}
    for name in (str(record["name"]) for record in run.record["methods"]):
        mine = np.flatnonzero(method == name)
        if not np.array_equal(table["image"].to_numpy()[mine], run.images):
            raise UsageError(f"{str(run.path)!r} is damaged: {name} has no answer for some images; run tta again")
        columns = (table[column].to_numpy()[mine] for column in ("id0", "forwards", "ms", "views_ms"))
        found[name] = Answered(*columns)
    return found


def results_of(run: Run, labels: str | None = None) -> MethodResults:
    """The table of a run of `tta`, by a label source (None: the run's first)."""
    learned = {str(record["name"]): str(record["learned_from"]) for record in run.record["methods"]}
    return method_results(run, read_answered(run), labels, learned)


def method_results(
    run: Run,
    answered: Mapping[str, Answered],
    labels: str | None = None,
    learned_from: Mapping[str, str] | None = None,
) -> MethodResults:
    """Score methods by one label source, over the images that have a label there.

    answered: a row an image of `run`, in its order.
    learned_from: for each method the images it was learned from, as `analysis/learned.py` joins them.
    """
    names, rows = list(answered), run.scored(labels)
    all_labels = run.labels(labels)
    kept = [all_labels[row] for row in rows]
    right = {name: correct_by_labels(answered[name].ids[rows], kept, len(run.class_space)) for name in names}
    shares = {name: share(right[name]) for name in names}
    costs = {name: _costs(answered[name], rows) for name in names}
    fronts = [pareto([costs[n][axis] for n in names], [shares[n].value for n in names]) for axis in (0, 1)]
    base = next((name for name in BASELINES if name in answered), names[0])
    tests = {name: mcnemar(right[name], right[base]) for name in names if name != base}
    corrected = dict(zip(tests, holm([test.p for test in tests.values()]).tolist(), strict=True))
    source = labels or run.label_sources[0]
    learned_here = count_learned(run, rows, [(learned_from or {}).get(name, "") for name in names])
    results = [
        MethodResult(
            method=name,
            accuracy=shares[name],
            unanswered=int((answered[name].ids[rows] < 0).sum()),
            forwards=costs[name][0],
            ms=costs[name][1],
            views_ms=costs[name][2],
            front=(bool(fronts[0][place]), bool(fronts[1][place])),
            baseline=base,
            test=tests.get(name),
            p=corrected.get(name),
            published=lookup(run.data_name, source, run.model, PUBLISHED[name]) if name in PUBLISHED else [],
            learned_here=learned_here[place],
        )
        for place, name in enumerate(names)
    ]
    precision = str(run.record["model"]["precision"])
    return MethodResults(run.model, run.data, run.data_name, source, precision, str(run.path), results, run.errors)


def _costs(answered: Answered, rows: NDArray[np.intp]) -> tuple[float, float, float]:
    """Mean forward passes, milliseconds and milliseconds of views; nan where there are no images."""
    columns = (answered.forwards, answered.ms, answered.views_ms)
    forwards, ms, views_ms = (float(column[rows].mean()) if len(rows) else float("nan") for column in columns)
    return forwards, ms, views_ms


def pareto(costs: Sequence[float], values: Sequence[float]) -> NDArray[np.bool_]:
    """Which points no other beats: none has at most their cost and at least their value, and one of them better.

    A cost that is nan is on no front.

    >>> pareto([1, 2, 3, 3], [0.5, 0.4, 0.6, 0.6]).tolist()
    [True, False, True, True]
    """
    cost, value = np.asarray(costs, np.float64), np.asarray(values, np.float64)
    no_worse = (cost[None] <= cost[:, None]) & (value[None] >= value[:, None])
    better = (cost[None] < cost[:, None]) | (value[None] > value[:, None])
    return np.asarray(~np.isnan(cost) & ~(no_worse & better).any(axis=1))
