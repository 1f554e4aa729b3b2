"""The benchmark's numbers of one run, by one label source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
    """One model on one data set by one label source.

    score: top-1, top-5, per class, calibration, by origin.
    published: what the paper or the model's release states for this pair.
    images_per_s: over the time that workers ran, start-up left out; None where it is not known.
    image_ids, right: the scored images, and whether each one's best class is one of its labels, bool `[n]`.
    """

    run: Run
    score: Score
    published: list[Published]
    images_per_s: float | None
    image_ids: list[str] = field(repr=False)
    right: NDArray[np.bool_] = field(repr=False)

    @property
    def model(self) -> str:
        """The model's spec."""
        return self.run.model

    @property
    def data(self) -> str:
        """The data set's name."""
        return str(self.run.record["data"]["name"])

    @property
    def card(self) -> dict[str, Any]:
        """The model's card as run.json keeps it."""
        return dict(self.run.record["model"]["card"])

    @cached_property
    def unmatched(self) -> tuple[int, list[tuple[str, str]]]:
        """Answers of a generative model that mean no class: how many, and each with its image."""
        return unmatched(self.run)

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
            "errors": [{"image_id": image, "error": error} for image, error in self.run.errors],
            "images_per_s": self.images_per_s,
            "fingerprint": self.run.record["fingerprint"],
            "run": str(self.run.path),
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
    return Result(
        run=run,
        score=score_answers(
            ids,
            confidence if np.isfinite(confidence).any() else None,
            label_sets,
            labels=source,
            classes=len(run.class_space),
            class_map=run.class_map,
            origins=samples["origin"].to_pylist(),
        ),
        published=lookup(str(run.record["data"]["name"]), source, run.model, "top1"),
        images_per_s=_rate(run),
        image_ids=[run.image_ids[row] for row in rows],
        right=run.correct(labels)[:, 0],
    )


def _rate(run: Run) -> float | None:
    """Images a second from the start of the first shard to the end of the last; None for a run made in pieces."""
    commits = list(run.commits.values())
    if len(run.record["sessions"]) != 1 or not commits:
        return None
    start = min(commit["started"] for commit in commits)
    end = max(commit["started"] + commit["seconds"] for commit in commits)
    return sum(commit["images"] for commit in commits) / (end - start) if end > start else None


def group_letters(results: Sequence[Result]) -> dict[str, str]:
    """Letters of the models of one data set and label source: those that share one cannot be told apart.

    Paired on the images that every model was scored on. Method: see `analysis/compare.py`.
    """
    common = set(results[0].image_ids).intersection(*(result.image_ids for result in results[1:]))
    correct = {}
    for result in results:
        by_id = dict(zip(result.image_ids, result.right.tolist(), strict=True))
        correct[result.model] = np.array([by_id[i] for i in result.image_ids if i in common])
    return groups(correct)
