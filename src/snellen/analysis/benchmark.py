"""The benchmark's numbers of one run, by one label source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.analysis.compare import groups
from snellen.analysis.expected import Measured, measured
from snellen.analysis.published import Published, lookup
from snellen.analysis.scoring import Score, score_answers
from snellen.analysis.unanswered import unmatched
from snellen.classifiers.base import ModelCard
from snellen.errors import UsageError
from snellen.store import Run
from snellen.store.schema import TOP


@dataclass(frozen=True)
class Result:
    """One model on one data set by one label source. It holds no run: thousands of them fit into memory.

    path, record: the run's directory and its run.json.
    data: what tells the data set from others (`Run.data_name`).
    score: top-1, top-5, per class, calibration, by origin.
    published: what the paper or the model's release states for this pair.
    images_per_s: over the time that shards were worked on, start-up left out; None where there was none.
    errors: images that could not be read, and why.
    unmatched: answers of a generative model that mean no class: how many, and each with its image.
    scored, right: bits of the data set's images in order (`numpy.packbits`): which were scored, which are right.
    """

    path: Path
    record: dict[str, Any] = field(repr=False)
    data: str
    score: Score
    published: list[Published]
    images_per_s: float | None
    errors: list[tuple[str, str]]
    unmatched: tuple[int, list[tuple[str, str]]]
    scored: NDArray[np.uint8] = field(repr=False)
    right: NDArray[np.uint8] = field(repr=False)

    @property
    def model(self) -> str:
        """The model's spec."""
        return str(self.record["model"]["spec"])

    @property
    def card(self) -> dict[str, Any]:
        """The model's card as run.json keeps it."""
        return dict(self.record["model"]["card"])

    @property
    def run(self) -> Run:
        """The run itself."""
        return Run(self.path, self.record)

    @property
    def preprocessing(self) -> str:
        """The fingerprint of the model's own transform."""
        return ModelCard.from_json(self.card).preprocessing

    def measured(self) -> list[Measured]:
        """Its numbers, to be compared with expected ones."""
        return measured(self.model, self.data, self.score.labels, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """A plain form; shares as objects with hits, n, value, low, high and stderr."""
        return {
            "model": self.model,
            "data": self.data,
            **self.score.to_json(),
            "published": [{"value": p.value, "source": p.source} for p in self.published],
            "unmatched": self.unmatched[0],
            "errors": [{"image_id": image, "error": error} for image, error in self.errors],
            "images_per_s": self.images_per_s,
            "fingerprint": self.record["fingerprint"],
            "run": str(self.path),
        }


def result_of(run: Run, labels: str | Path | None = None) -> Result:
    """Score a finished run of one view an image; UsageError where its grid has more."""
    if len(run.grid) != 1:
        raise UsageError(f"{str(run.path)!r} is no benchmark run: its grid {run.grid.name!r} has {len(run.grid)} views")
    source = str(labels) if labels is not None else run.label_sources[0]
    label_sets, rows = run.labels(labels), run.scored(labels)
    samples = run.samples.filter(pc.is_null(run.samples["error"]))
    several = bool((run.answers("id1") >= 0).any())
    ids = np.concatenate([run.answers(f"id{k}") for k in range(TOP if several else 1)], axis=1)
    confidence = run.answers("p0")[:, 0]
    scored, right = np.zeros((2, int(run.record["data"]["images"])), bool)
    scored[run.images[rows]] = True
    right[run.images[rows]] = run.correct(labels)[:, 0]
    return Result(
        path=run.path,
        record=run.record,
        data=run.data_name,
        score=score_answers(
            ids,
            confidence if np.isfinite(confidence).any() else None,
            label_sets,
            labels=source,
            classes=len(run.class_space),
            class_map=run.class_map,
            origins=samples["origin"].to_pylist(),
        ),
        published=lookup(run.data_name, source, run.model, "top1"),
        images_per_s=_rate(list(run.commits.values())),
        errors=run.errors,
        unmatched=unmatched(run),
        scored=np.packbits(scored),
        right=np.packbits(right),
    )


def _rate(commits: Sequence[dict[str, Any]]) -> float | None:
    """Images a second over the time in which any shard was worked on: the gaps of a run made in pieces do not count."""
    busy, end = 0.0, 0.0
    for start, stop in sorted((commit["started"], commit["started"] + commit["seconds"]) for commit in commits):
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return sum(commit["images"] for commit in commits) / busy if busy else None


def group_letters(results: Sequence[Result]) -> dict[str, str]:
    """Letters of the models of one data set and label source: those that share one cannot be told apart.

    Paired on the images that every model was scored on. Method: see `analysis/compare.py`.
    """
    common = np.bitwise_and.reduce([result.scored for result in results])
    images = np.flatnonzero(np.unpackbits(common))
    return groups({result.model: np.unpackbits(result.right)[images].astype(bool) for result in results})
