"""`<model>.json`: what a model makes of every image of a set, as columns, and its summary.

They are made shard by shard, and what a shard gives is kept: a study that goes on is not read again from its start.
"""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, best_zoom, per_zoom, share, upper_bound
from snellen.analysis.bias import location_hits, share_map
from snellen.analysis.cover import TOP_K, greedy_cover
from snellen.analysis.groups import group_bounds
from snellen.analysis.images import image_stats
from snellen.atomic import write_atomic
from snellen.store import Run
from snellen.web.index import UNREADABLE, Index
from snellen.web.shards import Shard, read_shown, shards_of
from snellen.web.viewed import ViewModel, digest
from snellen.zoom.grid import Grid

Piece = dict[str, NDArray[Any]]

# By column, what stands where the model was not shown the image, and how it is written.
COLUMNS: dict[str, float] = {
    "crop": -1, "crop_p": math.nan, "right": -1, "shown": 0, "winning": -1, "consensus": -1,
    "consensus_share": math.nan, "consensus_right": -1, "sensitivity": math.nan, "best": -1,
}  # fmt: skip
# Columns that say something only where there are several zooms.
OF_ZOOMS = ("winning", "consensus", "consensus_share", "consensus_right", "sensitivity", "best")


def write_model(model: ViewModel, index: Index, path: Path, pieces: Path) -> None:
    """Put the columns and the summary of a model at `path`, whole or not at all.

    pieces: a folder for what each shard gives. Raises UsageError where a file is damaged, Stopped where a store cannot
    be reached.
    """
    text = json.dumps(model_columns(model, index, pieces), separators=(",", ":"), allow_nan=False)
    write_atomic(path, text.encode())


def model_columns(model: ViewModel, index: Index, pieces: Path | None = None) -> dict[str, Any]:
    """The columns and the summary of a model on the images of an index."""
    run, early = model.run, False
    found: list[Piece] = []
    for source, one in model.runs.items():
        for shard in shards_of(one):
            early |= shard.mined
            positions = index.within(source, shard.start, shard.stop)
            if len(positions):
                found.append(_kept(one, shard, positions, index, pieces))
    several = len(run.grid) > 1
    columns: dict[str, Any] = {"n": len(index)}
    for name, absent in COLUMNS.items():
        if (name in OF_ZOOMS and not several) or (name == "shown" and not early):
            continue
        whole = np.full(len(index), absent, np.float32 if math.isnan(absent) else np.int32)
        for piece in found:
            whole[piece["positions"]] = piece[name]
        columns[name] = _plain(whole)
    if not found:  # nothing is committed yet
        return columns | {"summary": {}}
    joined = {name: np.concatenate([piece[name] for piece in found]) for name in ("right", "shown", "bits", "labelled")}
    return columns | _summary(run.grid, joined, early)


def right_of(
    run: Run, ids: NDArray[np.integer[Any]], shown: NDArray[np.bool_], labels: Sequence[Sequence[int]]
) -> NDArray[np.bool_]:
    """Whether each answer that was given is one of its image's labels, as `Run.score` has it: bool, shape of `ids`."""
    return run.score(ids, labels) & shown


def _kept(run: Run, shard: Shard, positions: NDArray[np.intp], index: Index, folder: Path | None) -> Piece:
    labels = index.labels(positions)
    name = digest(run.record["fingerprint"], shard.names, positions.tolist(), labels)
    path = folder / f"{name}.npz" if folder else None
    if path is not None:
        try:
            with path.open("rb") as file, np.load(file) as kept:
                return dict(kept)
        except UNREADABLE:
            pass
    piece = piece_of(run, shard, positions, index.number[positions], labels)
    if path is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **piece)  # type: ignore[arg-type]
        write_atomic(path, buffer.getvalue())
    return piece


def piece_of(
    run: Run, shard: Shard, positions: NDArray[np.intp], numbers: NDArray[np.int32], labels: Sequence[Sequence[int]]
) -> Piece:
    """The columns of the images of one shard; with them `positions`, `labelled` and the `bits` of what is right."""
    zooms = len(run.grid)
    one = 0 if zooms == 1 else run.grid.one_crop
    shown, (ids, confidence) = read_shown(run, shard, numbers, ["id0", "p0"])
    right = right_of(run, ids, shown, labels)
    labelled = np.array([len(row) > 0 for row in labels], bool)
    count = shown.sum(axis=1)
    piece: Piece = {"positions": positions, "shown": count.astype(np.int32), "labelled": labelled}
    piece["bits"] = np.packbits(right, axis=1)
    none = np.full(len(positions), -1, np.int32)
    at = np.zeros(len(positions), bool) if one is None else shown[:, one]
    piece["crop"] = none if one is None else np.where(at, ids[:, one], -1)
    piece["crop_p"] = np.full(len(none), np.nan, np.float32) if one is None else confidence[:, one]
    piece["right"] = none if one is None else np.where(at & labelled, right[:, one], -1)
    seen, whole = count > 0, count == zooms
    winning = np.where(seen & labelled, right.sum(axis=1), -1)
    stats = image_stats(ids, right, run.class_map)
    order = nearest_first(run.grid)
    best = np.where(right.any(axis=1), order[right[:, order].argmax(axis=1)], -1)
    return piece | {
        "winning": winning.astype(np.int32),
        "best": best.astype(np.int32),
        # Of an image that left at its first right answer, what most zooms say is not known.
        "consensus": np.where(whole, stats.consensus, -1),
        "consensus_share": np.where(whole, stats.consensus_share, np.nan).astype(np.float32),
        "consensus_right": np.where(whole & labelled & (stats.consensus >= 0), stats.consensus_right, -1),
        "sensitivity": np.where(whole, stats.sensitivity, np.nan).astype(np.float32),
    }


def nearest_first(grid: Grid) -> NDArray[np.intp]:
    """The zooms by their distance from the 1-crop in steps of the grid: scales, rows and columns; ties to the lowest.

    >>> from snellen import PAPER_GRID
    >>> nearest_first(PAPER_GRID)[:3].tolist()
    [112, 103, 109]
    """
    scales = sorted({rule.scale for rule in grid})
    middle = min(range(len(scales)), key=lambda k: abs(scales[k] - 256))
    steps = [abs(scales.index(rule.scale) - middle) + abs(rule.row - 1) + abs(rule.col - 1) for rule in grid]
    return np.argsort(steps, kind="stable")


def _summary(grid: Grid, joined: Piece, early: bool) -> dict[str, Any]:
    """The summary, accuracy at each zoom and the map of locations; of an early-exit run only what it can tell."""
    zooms, labelled = len(grid), joined["labelled"].astype(bool)
    correct = np.unpackbits(joined["bits"], axis=1, count=zooms).astype(bool)
    judged = joined["right"] >= 0
    summary: dict[str, Any] = {}
    if judged.any():
        summary["1-crop"] = plain_share(share(joined["right"][judged] == 1))
    if zooms == 1:
        return {"summary": summary}
    whole = labelled & (joined["shown"] == zooms)
    finished = labelled & ((joined["shown"] == zooms) | correct.any(axis=1))
    if finished.any():
        summary["upper bound"] = plain_share(upper_bound(correct[finished]))
    if early or not whole.any():
        return {"summary": summary, "early_exit": early}
    correct = correct[whole]
    at = per_zoom(correct)
    best = best_zoom(correct)
    cover = greedy_cover(correct)
    summary["best zoom"] = plain_share(at[best]) | {"zoom": best}
    summary["top-36"] = plain_share(upper_bound(correct, cover[:TOP_K]))
    summary["groups"] = {name: plain_share(bound) for name, (bound, _) in group_bounds(correct, grid).items()}
    locations = share_map(location_hits(correct, grid))
    return {
        "summary": summary,
        "zooms": {"k": [one.hits for one in at], "n": len(correct)},
        "map": [[plain_share(cell) for cell in line] for line in locations],
    }


def plain_share(one: Share) -> dict[str, Any]:
    """A share as the page reads it."""
    return {"k": one.hits, "n": one.n, "value": one.value, "low": one.low, "high": one.high}


def _plain(column: NDArray[Any]) -> list[Any]:
    if column.dtype != np.float32:
        return list(column.tolist())
    return [None if math.isnan(value) else round(value, 4) for value in column.tolist()]
