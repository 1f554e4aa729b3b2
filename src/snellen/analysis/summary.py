"""The study's numbers of one run, together: what `study` prints, `--json` gives and `report` draws."""

from dataclasses import dataclass
from typing import Any

from snellen.analysis.accuracy import Share, best_zoom, random_baseline, share, upper_bound
from snellen.analysis.bias import location_map, scale_curve
from snellen.analysis.cover import greedy_cover
from snellen.analysis.expected import Measured, measured
from snellen.analysis.groups import group_bounds
from snellen.analysis.merged import merged_accuracy
from snellen.errors import UsageError
from snellen.store import Run
from snellen.zoom.grid import ViewRule

# The study's top-k: as many zooms as it has scales.
TOP_K = 36


@dataclass(frozen=True)
class Summary:
    """One run's table. Every share carries its count and interval; `top_k` is an oracle, fitted to these labels.

    images: those that were scored; unlabelled: those read whose label set is empty, which are left out.
    planned, of: images that the run is to hold, and that its data set has.
    exclusive: what only that group of zooms gets right.
    merged: accuracy of the answer merged over a group of zooms, by mean and by max of the softmax.
    curve: scale, accuracy at the centre, upper bound over the nine anchors.
    random: what guessing would reach with as many zooms as the grid and as the top-k.
    """

    model: str
    data: str
    data_name: str
    labels: str
    precision: str
    images: int
    unlabelled: int
    planned: int
    of: int
    errors: list[tuple[str, str]]
    one_crop: Share
    best_single: Share
    best_rule: ViewRule
    top_k: Share
    upper: Share
    cover_size: int
    groups: dict[str, tuple[Share, Share]]
    locations: list[list[Share]]
    curve: list[tuple[int, Share, Share]]
    merged: dict[str, dict[str, Share]]
    random: tuple[float, float]
    zooms: int
    fingerprint: str

    @property
    def done(self) -> int:
        """Images that the run has dealt with."""
        return self.images + self.unlabelled + len(self.errors)

    def measured(self) -> list[Measured]:
        """Its numbers, to be compared with expected ones."""
        return measured(self.model, self.data_name, self.labels, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """A plain form, shares as objects with hits, n, value, low and high."""
        return {
            "model": self.model,
            "data": self.data,
            "labels": self.labels,
            "precision": self.precision,
            "images": self.images,
            "unlabelled": self.unlabelled,
            "planned": self.planned,
            "of": self.of,
            "errors": [{"image_id": image, "error": error} for image, error in self.errors],
            "one_crop": self.one_crop.to_json(),
            "best_single_zoom": {
                **self.best_single.to_json(),
                "scale": self.best_rule.scale,
                "row": self.best_rule.row,
                "col": self.best_rule.col,
            },
            f"top_{TOP_K}": self.top_k.to_json(),
            "upper_bound": {**self.upper.to_json(), "zooms": self.zooms, "greedy_cover": self.cover_size},
            "random_baseline": {f"top_{TOP_K}": self.random[1], "upper_bound": self.random[0]},
            "groups": {
                name: {"upper_bound": bound.to_json(), "exclusive": only.to_json()}
                for name, (bound, only) in self.groups.items()
            },
            "locations": [[cell.to_json() for cell in line] for line in self.locations],
            "scales": [
                {"scale": scale, "centre": centre.to_json(), "upper_bound": bound.to_json()}
                for scale, centre, bound in self.curve
            ],
            "merged": {
                group: {merge: value.to_json() for merge, value in merges.items()}
                for group, merges in self.merged.items()
            },
            "fingerprint": self.fingerprint,
        }


def summarise(run: Run, labels: str | None = None) -> Summary:
    """All the study's numbers of a run; UsageError where its grid is not the paper's."""
    grid = run.grid
    zoom = grid.one_crop
    if zoom is None:
        raise UsageError(f"{str(run.path)!r} is not a zoom study: its grid {grid.name!r} has no 1-crop zoom")
    correct = run.correct(labels)
    best = best_zoom(correct)
    cover = greedy_cover(correct)
    classes = len(run.class_map.ids) if run.class_map else len(run.class_space)
    return Summary(
        model=run.model,
        data=run.data,
        data_name=run.data_name,
        labels=labels or run.label_sources[0],
        precision=run.record["model"]["precision"],
        images=len(correct),
        unlabelled=len(run.images) - len(correct),
        planned=run.record["shards"][-1],
        of=run.record["data"].get("images", run.record["shards"][-1]),
        errors=run.errors,
        one_crop=share(correct[:, zoom]),
        best_single=share(correct[:, best]),
        best_rule=grid.rules[best],
        top_k=upper_bound(correct, cover[:TOP_K]),
        upper=upper_bound(correct),
        cover_size=len(cover),
        groups=group_bounds(correct, grid),
        locations=location_map(correct, grid),
        curve=scale_curve(correct, grid),
        merged=merged_accuracy(run, labels),
        random=(random_baseline(len(grid), classes), random_baseline(TOP_K, classes)),
        zooms=len(grid),
        fingerprint=run.record["fingerprint"],
    )
