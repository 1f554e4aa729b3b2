"""What the analyses need of a run, read once: its answers, their confidence, and how each label source scores them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.errors import UsageError
from snellen.store import Run


@dataclass(frozen=True, eq=False)
class Answers:
    """A run's answers in memory. The Parquet files are never read again, and each label source once.

    ids: best class of every readable image at every zoom as an id of the head, -1 where there is no answer:
        `[images, zooms]`, int16, or int32 where the head has more classes than that holds.
    confidence: its probability, nan where there is none: float32 `[images, zooms]`.
    """

    run: Run
    ids: NDArray[np.integer[Any]] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)
    _labels: dict[str, list[list[int]]] = field(default_factory=dict, repr=False)

    def labels(self, source: str | Path | None = None) -> list[list[int]]:
        """The label set of each row of `ids`, as `Run.labels`."""
        name = str(source if source is not None else self.run.label_sources[0])
        if name not in self._labels:
            self._labels[name] = self.run.labels(source)
        return self._labels[name]

    def scored(self, labels: str | Path | None = None) -> NDArray[np.intp]:
        """The rows of `ids` that have a label, as `Run.scored`: int `[scored images]`."""
        return np.flatnonzero([len(row) > 0 for row in self.labels(labels)])

    def correct(self, labels: str | Path | None = None) -> NDArray[np.bool_]:
        """Whether each zoom's answer is one of its image's labels, as `Run.correct`: bool `[scored images, zooms]`."""
        label_sets, rows = self.labels(labels), self.scored(labels)
        return self.run.score(rows_of(self.ids, rows), [label_sets[row] for row in rows])

    @cached_property
    def merged(self) -> dict[tuple[str, str], NDArray[np.int32]]:
        """By group of zooms and merge, the merged answer of each image, -1 where there is none: int32 `[images]`.

        Nothing for a run that holds none. Raises UsageError where a file is damaged.
        """
        run = self.run
        table = run.table("merged", ["image", "group", "merge", "id0"])
        image, ids = table["image"].to_numpy(), table["id0"].to_numpy()
        rows = np.minimum(np.searchsorted(run.images, image), len(run.images) - 1)
        if len(table) and not (len(run.images) and (run.images[rows] == image).all()):
            raise UsageError(f"{str(run.path)!r} is damaged: it has merged answers of images it does not list")
        group, merge = (table[name].unify_dictionaries().combine_chunks() for name in ("group", "merge"))
        found = {}
        for g, m in np.ndindex(len(group.dictionary), len(merge.dictionary)):
            here = (group.indices.to_numpy() == g) & (merge.indices.to_numpy() == m)
            if here.any():
                answers = np.full(len(run.images), -1, np.int32)
                answers[rows[here]] = ids[here]
                found[group.dictionary[g].as_py(), merge.dictionary[m].as_py()] = answers
        return found


def read_answers(run: Run) -> Answers:
    """The answers of what is committed of a run; UsageError where a file is damaged or an answer is no class."""
    ids, confidence = run.arrays(["id0", "p0"], narrow=True)
    return Answers(run, ids, confidence)


def rows_of(array: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Some rows of an array, in order; the array itself where they are all of them, which saves a copy."""
    return array if len(rows) == len(array) else array[rows]
