"""The study's numbers of one run, together: what `study` prints, `--json` gives and `report` draws."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, best_zoom, oracle_curve, per_zoom, random_baseline, share, upper_bound
from snellen.analysis.answers import Answers, read_answers, rows_of
from snellen.analysis.bias import CentreBias, centre_bias, location_hits, scale_curve, share_map
from snellen.analysis.bootstrap import RESAMPLES
from snellen.analysis.cover import TOP_K, ExactCover, Transfer, cover_transfer, greedy_cover
from snellen.analysis.expected import Measured, measured
from snellen.analysis.groups import group_bounds
from snellen.analysis.images import ImageStats, image_stats
from snellen.analysis.luck import Luck, luck
from snellen.analysis.merged import merged_accuracy, merged_right
from snellen.analysis.tiles import tile_map
from snellen.errors import UsageError
from snellen.store import Run
from snellen.zoom.grid import Grid, ViewRule

# The lengths of the oracle curve that the JSON form gives.
ORACLE = (1, 2, 4, 9, 18, 36, 72, 162, 324)


@dataclass(frozen=True, eq=False)
class Summary:
    """One run's table. Every share carries its count and interval; `top_k` is an oracle, fitted to these labels.

    images: those that were scored; unlabelled: those read whose label set is empty, which are left out.
    planned, of: images that the run is to hold, and that its data set has.
    exclusive: what only that group of zooms gets right.
    merged: accuracy of the answer merged over a group of zooms, by mean and by max of the softmax.
    curve: scale, accuracy at the centre, upper bound over the nine anchors.
    random: what guessing would reach with as many zooms as the grid and as the top-k.
    per_zoom: accuracy at each zoom, in the grid's order.
    oracle: at place k - 1 the upper bound of the greedy cover's first k zooms, k = 1 … zooms; flat after its end.
    cover: the greedy cover, indices of zooms in the order they are taken.
    exact_cover: None unless asked for.
    transfer: covers learned on one half of the images and tested on the other.
    luck: what chance would reach.
    tiles: 3 x 3, the share that a zoom whose window sees that part of the image gets right; cover_tiles: that a zoom of
        `cover` does, as the study counts it.
    centre_bias: of `locations`, by how much the centre exceeds the mean of the eight others.
    consensus: accuracy of the answer that most zooms give.
    image_stats: numbers of each scored image; `scored_ids` names them.
    merged_right: by group of zooms and merge whether the merged answer is right: bool `[images]`.
    right: bits of `correct`: uint8 `[images, ceil(zooms / 8)]`, `numpy.packbits(correct, axis=1)`.
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
    per_zoom: list[Share] = field(repr=False)
    oracle: list[Share] = field(repr=False)
    cover: tuple[int, ...]
    exact_cover: ExactCover | None
    transfer: list[Transfer]
    luck: Luck
    tiles: list[list[Share]]
    cover_tiles: list[list[Share]]
    centre_bias: CentreBias
    consensus: Share
    image_stats: ImageStats = field(repr=False)
    grid: Grid = field(repr=False)
    scored_ids: list[str] = field(repr=False)
    right: NDArray[np.uint8] = field(repr=False)
    merged_right: dict[tuple[str, str], NDArray[np.bool_]] = field(repr=False)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each zoom is right on each scored image: bool `[images, zooms]`, unpacked anew at each call."""
        return np.unpackbits(self.right, axis=1, count=self.zooms).astype(bool)

    @property
    def done(self) -> int:
        """Images that the run has dealt with."""
        return self.images + self.unlabelled + len(self.errors)

    def measured(self) -> list[Measured]:
        """Its numbers, to be compared with expected ones."""
        return measured(self.model, self.data_name, self.labels, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """A plain form, shares as objects with hits, n, value, low and high.

        Nothing of single images, and the oracle curve at some lengths only.
        """
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
            "per_zoom": [
                {**value.to_json(), "scale": rule.scale, "row": rule.row, "col": rule.col}
                for value, rule in zip(self.per_zoom, self.grid, strict=True)
            ],
            "oracle": {str(k): self.oracle[k - 1].to_json() for k in ORACLE if k <= self.zooms},
            "cover": list(self.cover),
            "exact_cover": self.exact_cover.to_json() if self.exact_cover else None,
            "transfer": [one.to_json() for one in self.transfer],
            "luck": self.luck.to_json(),
            "tiles": [[cell.to_json() for cell in line] for line in self.tiles],
            "cover_tiles": [[cell.to_json() for cell in line] for line in self.cover_tiles],
            "centre_bias": self.centre_bias.to_json(),
            "consensus": self.consensus.to_json(),
            "per_image": self.image_stats.to_json(),
            "fingerprint": self.fingerprint,
        }


def summarise(
    run: Run,
    labels: str | None = None,
    answers: Answers | None = None,
    *,
    exact_cover: float | None = None,
    resamples: int = RESAMPLES,
) -> Summary:
    """All the study's numbers of a run by one label source; of what is committed, where it is still going on.

    answers: the run's, where they were read already (for another label source, say).
    exact_cover: seconds that the search for the smallest cover may take; None leaves it out.
    resamples: of the bootstrap of the centre bias; 0 leaves its interval out.

    Raises UsageError where the grid is not the paper's, DataError where the run lacks these labels.
    """
    grid = run.grid
    zoom = grid.one_crop
    if zoom is None:
        raise UsageError(f"{str(run.path)!r} is not a zoom study: its grid {grid.name!r} has no 1-crop zoom")
    if answers is None:
        answers = read_answers(run)
    rows, correct = answers.scored(labels), answers.correct(labels)
    every = answers.labels(labels)
    ids, label_sets = rows_of(answers.ids, rows), [every[row] for row in rows]
    accuracies, cover = per_zoom(correct), greedy_cover(correct)
    best = best_zoom(correct)
    classes = len(run.class_map.ids) if run.class_map else len(run.class_space)
    locations, sizes = location_hits(correct, grid), _sizes(run, rows)
    stats = image_stats(ids, correct, run.class_map)
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
        one_crop=accuracies[zoom],
        best_single=accuracies[best],
        best_rule=grid.rules[best],
        top_k=upper_bound(correct, cover[:TOP_K]),
        upper=upper_bound(correct),
        cover_size=len(cover),
        groups=group_bounds(correct, grid),
        locations=share_map(locations),
        curve=scale_curve(correct, grid),
        merged=merged_accuracy(answers, labels),
        random=(random_baseline(len(grid), classes), random_baseline(TOP_K, classes)),
        zooms=len(grid),
        fingerprint=run.record["fingerprint"],
        per_zoom=accuracies,
        oracle=oracle_curve(correct, cover),
        cover=tuple(cover.tolist()),
        exact_cover=_exact(correct, exact_cover),
        transfer=cover_transfer(correct),
        luck=luck(ids, rows_of(answers.confidence, rows), correct, label_sets, zoom),
        tiles=tile_map(correct, grid, *sizes),
        cover_tiles=tile_map(correct, grid, *sizes, cover),
        centre_bias=centre_bias(locations, resamples),
        consensus=share(stats.consensus_right),
        image_stats=stats,
        grid=grid,
        scored_ids=[run.image_ids[row] for row in rows],
        right=np.packbits(correct, axis=1),
        merged_right=merged_right(answers, labels),
    )


def _exact(correct: NDArray[np.bool_], time_limit: float | None) -> ExactCover | None:
    if time_limit is None:
        return None
    from snellen.analysis.exact import exact_cover  # here, since few ask for it

    return exact_cover(correct, time_limit)


def _sizes(run: Run, rows: NDArray[np.intp]) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Widths and heights of the scored images."""
    readable = run.samples.filter(pc.is_null(run.samples["error"]))
    if readable["width"].null_count or readable["height"].null_count:
        raise UsageError(f"{str(run.path)!r} is damaged: it lacks the size of an image that was read")
    return readable["width"].to_numpy()[rows], readable["height"].to_numpy()[rows]
