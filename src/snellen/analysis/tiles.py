"""Spatial bias by what a window sees: which thirds of the image are in view when a classifier is right."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share
from snellen.analysis.bias import share_map
from snellen.analysis.bits import packed, unpacked
from snellen.zoom.grid import Grid, ViewRule


def tile_map(
    correct: NDArray[np.bool_],
    grid: Grid,
    widths: NDArray[np.integer],
    heights: NDArray[np.integer],
    zooms: Sequence[int] | NDArray[np.intp] | None = None,
) -> list[list[Share]]:
    """For each tile, rows first, the share of images that a zoom whose window sees it gets right; see `tile_hits`."""
    return share_map(tile_hits(correct, grid, widths, heights, zooms))


def tile_hits(
    correct: NDArray[np.bool_],
    grid: Grid,
    widths: NDArray[np.integer],
    heights: NDArray[np.integer],
    zooms: Sequence[int] | NDArray[np.intp] | None = None,
) -> NDArray[np.bool_]:
    """Whether any zoom is right whose window sees each tile: bool `[images, 9]`, tiles in reading order.

    The tiles are the 3 x 3 thirds of the image. A window sees a tile if the tile's middle, where the window of the
    anchor of the same name is centred, lies inside it: one tile at a large scale, all nine at a small one. The study
    does not say what it calls seeing. This meaning fits what it published: no cell falls below that of the anchor of
    the same name, and a corner can lie far below the centre.

    correct: bool `[images, zooms]`; widths, heights: of each image as it was read, before resizing.
    zooms: those that count, indices; None for all. The study counts those of the minimum cover.
    """
    kept = np.arange(len(grid)) if zooms is None else np.asarray(zooms, np.intp)
    right = packed(correct)
    found = np.zeros((3, 3, right.shape[1]), np.uint64)
    alike: dict[ViewRule, list[int]] = defaultdict(list)  # zooms that resize alike and differ in the anchor alone
    for zoom in kept.tolist():
        alike[replace(grid.rules[zoom], row=0, col=0, scale=0)].append(zoom)
    for rule, of_rule in alike.items():
        seen = _seen(rule, np.stack(resized_sides(rule, widths, heights)))
        for zoom in of_rule:
            at = grid.rules[zoom]
            found |= right[zoom] & seen[at.row, 1][:, None] & seen[at.col, 0]
    return unpacked(found.reshape(9, -1), len(correct))


def resized_sides(
    rule: ViewRule, widths: NDArray[np.integer], heights: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`rule.resized` of many images at once: widths and heights after resizing, int64 `[images]`."""
    short = np.full(len(widths), rule.resize, np.int64)
    if rule.fit == "squash":
        return short, short
    low, high = np.minimum(widths, heights).astype(np.float64), np.maximum(widths, heights).astype(np.float64)
    long = (rule.resize * high / low).astype(np.int64)
    upright = widths <= heights
    return np.where(upright, short, long), np.where(upright, long, short)


def _seen(rule: ViewRule, sides: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Whether windows see each third of each axis, as bits: uint64 `[cells, 2, thirds, ceil(images / 64)]`.

    sides: width and height of each resized image, `[2, images]`; cells: where on the axis the window is placed.
    """
    there = np.bincount(sides.ravel()) > 0
    lengths, which = np.flatnonzero(there), (np.cumsum(there) - 1)[sides]
    thirds = lengths // 3
    middles = np.arange(3)[:, None] * thirds + thirds // 2
    seen = []
    for cell in range(3):
        placed = replace(rule, row=cell, col=cell)
        starts = np.array([placed.window(length, length)[0] for length in lengths.tolist()], np.int64)
        inside = (starts <= middles) & (middles < starts + rule.size)
        seen.append([packed(inside[:, axis].T) for axis in which])
    return np.array(seen, np.uint64)
