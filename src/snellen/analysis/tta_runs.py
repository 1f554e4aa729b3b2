"""Runs of `snellen tta` image by image: what each method answered, and paired comparisons of methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.analysis.accuracy import share
from snellen.analysis.answers import Answers
from snellen.analysis.bootstrap import RESAMPLES
from snellen.analysis.consistency import differences, error_consistency
from snellen.analysis.learned import count_learned
from snellen.analysis.methods import Answered, read_answered
from snellen.analysis.pairs import Agreement, Pair
from snellen.analysis.short_names import short_names
from snellen.analysis.sides import Side, matched, side
from snellen.errors import UsageError
from snellen.store import Run
from snellen.store.find import find_runs


@dataclass(frozen=True, eq=False)
class TtaRun:
    """What test-time methods answered; rows are images that could be read, columns are methods.

    run: its samples, labels and record. methods: their names, in the order in which they were asked for.
    answers: best class (head id), -1 where there is none: int32 `[images, methods]`.
    forwards: forward passes, int32 `[images, methods]`.
    ms, views_ms: milliseconds by that method alone, and of them those for its views: float32 `[images, methods]`.
    """

    run: Run
    methods: tuple[str, ...]
    answers: NDArray[np.int32] = field(repr=False)
    forwards: NDArray[np.int32] = field(repr=False)
    ms: NDArray[np.float32] = field(repr=False)
    views_ms: NDArray[np.float32] = field(repr=False)

    @property
    def image_ids(self) -> list[str]:
        """The id of each row."""
        return self.run.image_ids

    def labels(self, source: str | Path | None = None) -> list[list[int]]:
        """The label set of each row by a label source, the run's first where it is None; empty without a label."""
        return self.run.labels(source)

    def scored(self, labels: str | Path | None = None) -> NDArray[np.intp]:
        """The rows that have a label, which are the rows of `correct`: int `[scored images]`."""
        return self.run.scored(labels)

    def correct(self, labels: str | Path | None = None) -> NDArray[np.bool_]:
        """Whether each method is right: bool `[scored images, methods]`. Images without a label are left out."""
        return self.as_answers.correct(labels)

    def frame(self, labels: str | Path | None = None) -> pa.Table:
        """A row for each image and method; `.to_pandas()` gives a DataFrame, and DuckDB reads it as it is.

        Columns: `image_id`, `method`, `answer` (head id), `class` (its key; null where there is no answer), `correct`
        (null without a label), `forwards`, `ms`, `views_ms`.
        """
        images, methods = self.answers.shape
        keys = np.array([*self.run.class_space.keys, None], object)  # the last is that of -1
        right = np.full(self.answers.shape, None, object)
        right[self.scored(labels)] = self.correct(labels)
        names = pa.array(np.repeat(self.image_ids, methods), pa.string())
        return pa.table(
            {
                "image_id": names,
                "method": pa.array(list(self.methods) * images, pa.string()),
                "answer": self.answers.ravel(),
                "class": pa.array(keys[self.answers.ravel()], pa.string()),
                "correct": pa.array(right.ravel().tolist(), pa.bool_()),
                "forwards": self.forwards.ravel(),
                "ms": self.ms.ravel(),
                "views_ms": self.views_ms.ravel(),
            }
        )

    @cached_property
    def as_answers(self) -> Answers:
        """The same as the analyses of views take it: a method in place of each zoom."""
        return Answers(self.run, self.answers, np.full(self.answers.shape, np.nan, np.float32))

    def column(self, method: str) -> int:
        """Where a method is among `methods`; UsageError where it is not."""
        if method not in self.methods:
            raise UsageError(f"{str(self.run.path)!r} has no method {method!r}; it has {', '.join(self.methods)}")
        return self.methods.index(method)


def load_tta(path: str | Path) -> TtaRun:
    """The run of `snellen tta` in a directory: the one that holds run.json, or a folder above exactly one such.

    Raises UsageError where there is none, or more than one, and where a file is damaged.
    """
    runs = find_runs(path, methods=True)
    if len(runs) != 1:
        names = ", ".join(str(run.path) for run in runs)
        raise UsageError(f"{str(path)!r} holds {len(runs)} runs of tta; name one of them: {names}")
    (run,) = runs
    answered = read_answered(run)
    columns = [[getattr(one, name) for one in answered.values()] for name in Answered.__dataclass_fields__]
    ids, forwards, ms, views_ms = (np.stack(column, axis=1) for column in columns)
    run.check_answers(ids)
    return TtaRun(run, tuple(answered), ids, forwards, ms, views_ms)


def compare_methods(
    a: TtaRun,
    b: TtaRun,
    methods: Sequence[str] = (),
    labels: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Pair:
    """Compare two runs by each of some methods, all that both have where none is named, on the images of both.

    Raises UsageError where they have no method in common, lack one, or cannot be compared as `pairs.pair` says.
    """
    chosen = list(dict.fromkeys(methods)) or [method for method in a.methods if method in b.methods]
    if not chosen:
        raise UsageError(f"no method in common: one has {', '.join(a.methods)}; the other {', '.join(b.methods)}")
    columns = {method: (a.column(method), b.column(method)) for method in chosen}
    return _pair((a, b), short_names((a.run, b.run)), columns, labels, resamples, seed)


def compare_two_methods(
    run: TtaRun, methods: tuple[str, str], labels: str | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Pair:
    """Compare two methods of one run. Raises UsageError where it lacks one."""
    columns = {"top-1": (run.column(methods[0]), run.column(methods[1]))}
    return _pair((run, run), methods, columns, labels, resamples, seed)


def _pair(
    runs: tuple[TtaRun, TtaRun],
    names: Sequence[str],
    columns: dict[str, tuple[int, int]],
    labels: str | None,
    resamples: int,
    seed: int,
) -> Pair:
    """By what is compared, the column of each run."""
    a, b = (
        side(run.as_answers, name, labels, cover=(), confidence=False) for run, name in zip(runs, names, strict=True)
    )
    at_a, at_b, left_out = matched(a, b)
    measures = {what: (a.solved([i])[at_a], b.solved([j])[at_b]) for what, (i, j) in columns.items()}
    what, (i, j) = next(iter(columns.items()))
    same = share(a.ids[a.rows[at_a], i] == b.ids[b.rows[at_b], j])
    return Pair(
        a=a.name,
        b=b.name,
        data=a.run.data_name,
        labels=a.source,
        images=len(at_a),
        left_out=left_out,
        differences=differences(measures, resamples, seed),
        consistency={what: error_consistency(*measures[what], resamples, seed)},
        agreement=Agreement(same, None, 0, None),
        hard=None,
        union=None,
        bias=None,
        transfer=[],
        notes=_notes((a, b), (at_a, at_b), columns),
    )


def _notes(sides: tuple[Side, Side], at: Sequence[NDArray[np.intp]], columns: dict[str, tuple[int, int]]) -> list[str]:
    """What is in progress, has no answer to some of the images compared, or was learned from some."""
    one_run, notes = sides[0].run is sides[1].run, []
    for one in sides:
        if not one.run.complete:
            done, planned = len(one.contents), one.run.record["shards"][-1]
            notes.append(f"{'the run' if one_run else one.name} is in progress: {done} of {planned} images are done")
    for place, (one, here) in enumerate(zip(sides, at, strict=True)):
        rows, chosen = one.rows[here], [pair[place] for pair in columns.values()]
        methods = [one.run.record["methods"][column] for column in chosen]
        learned = count_learned(one.run, rows, [str(method["learned_from"]) for method in methods])
        for column, method, count in zip(chosen, methods, learned, strict=True):
            name = str(method["name"]) if one_run else f"{method['name']} of {one.name}"
            if lacking := int((one.ids[rows, column] < 0).sum()):
                notes.append(f"{name} has no answer to {lacking} of these {len(rows)} images, which count as wrong")
            if count:
                notes.append(
                    f"{name} was learned from {count} of these {len(rows)} images: its accuracy here is optimistic"
                )
    return list(dict.fromkeys(notes))
