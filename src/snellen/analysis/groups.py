"""Zoom-in, zoom-out and zoom-224: what each group reaches, and what only it solves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.cover import greedy_cover
from snellen.zoom.grid import Grid


def group_bounds(correct: NDArray[np.bool_], grid: Grid) -> dict[str, tuple[Share, Share]]:
    """For each group of zooms: its upper bound, and the share of images that no other group gets right.

    Every zoom of the grid counts, in its own group.
    """
    solved, alone = group_solves(correct, grid)
    return {name: (share(solved[name]), share(alone[name])) for name in solved}


def group_solves(
    correct: NDArray[np.bool_], grid: Grid, zooms: Sequence[int] | NDArray[np.intp] | None = None
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.bool_]]]:
    """For each group the images that any of its zooms gets right, and those that only its zooms do: bool `[images]`.

    zooms: those that count, indices; None for all.
    """
    kept = {
        name: indices if zooms is None else np.intersect1d(indices, np.asarray(zooms, np.intp))
        for name, indices in grid.groups.items()
    }
    solved: dict[str, NDArray[np.bool_]] = {
        name: np.logical_or.reduce(correct[:, indices], axis=1) for name, indices in kept.items()
    }
    by = np.zeros(len(correct), np.int8)
    for right in solved.values():
        by += right
    return solved, {name: right & (by == 1) for name, right in solved.items()}


def group_bounds_published(corrects: Sequence[NDArray[np.bool_]], grid: Grid) -> list[dict[str, tuple[Share, Share]]]:
    """The groups of several classifiers on one data set as the study published them, its error included.

    For comparison with its table only. Two things differ from `group_bounds`. Only the zooms of a minimum cover count:
    for the upper bounds those of each classifier's own greedy cover; for the exclusive shares those of the *last*
    classifier's, for all of them. In the released notebook an inner loop over the classifiers shadows the variable of
    the outer one, starts the data set's result anew each time round, and selects by the zooms that the outer loop took
    from its classifier's cover; what stands at the end was made with the last one's. So an exclusive share is that of
    the cover for the last classifier alone, and for the others it depends on their order.

    corrects: bool `[images, zooms]` for each classifier, in the study's order: ResNet-18, ResNet-50, ViT-B/32, VGG-16,
        AlexNet, CLIP ViT-L/14.
    """
    covers = [greedy_cover(correct) for correct in corrects]
    found = []
    for correct, cover in zip(corrects, covers, strict=True):
        solved = group_solves(correct, grid, cover)[0]
        alone = group_solves(correct, grid, covers[-1])[1]
        found.append({name: (share(solved[name]), share(alone[name])) for name in solved})
    return found
