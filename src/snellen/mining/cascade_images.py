"""Images that a cascade is showing: how many zooms of each go into a batch, and the rows of those that leave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.engine.answers import masked, merged_table, prediction_table, softmax
from snellen.engine.worker import NOT_NUMBERS
from snellen.labels import ClassMap
from snellen.zoom.grid import Grid
from snellen.zoom.render import ViewCutter

# What a pixel takes while its image is shown: Pillow's copy and the cutter's.
PIXEL_BYTES = 8
# An image is shown at most half as many zooms in one batch as it was shown before: so much may be shown in vain.
AHEAD = 2


@dataclass(eq=False)
class Image:
    """An image that is being shown zooms.

    shown: those that were answered in numbers; the logits are theirs. right: whether one of them was. views: how many
    were answered at all.
    """

    sample: dict[str, Any]
    labels: Sequence[int]
    waiting: Sequence[int]
    before: int = 0
    shown: list[int] = field(default_factory=list)
    logits: list[NDArray[np.float32]] = field(default_factory=list)
    views: int = 0
    right: bool = False
    cutter: ViewCutter | None = None

    @property
    def seen(self) -> int:
        """How many zooms it was shown, in passes before this one too."""
        return self.before + self.views

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be shown."""
        return self.right or not self.waiting or self.sample["error"] is not None

    @property
    def bytes(self) -> int:
        """What it takes while it is shown."""
        return int(self.sample["width"] * self.sample["height"]) * PIXEL_BYTES

    def answered(self, logits: NDArray[np.float32], best: NDArray[np.int32]) -> None:
        """Take the answers to the next zooms: logits `[zooms, outputs]`, and the best class of each.

        Logits that are not all numbers are a wrong answer, and no row; an image that no view ends has them as its
        error. So the order of zooms decides nothing here either.
        """
        numbers = np.logical_and.reduce(np.isfinite(logits), axis=1)
        self.shown += [zoom for zoom, good in zip(self.waiting, numbers.tolist(), strict=False) if good]
        self.waiting = self.waiting[len(best) :]
        self.views += len(best)
        self.logits.append(logits[numbers])
        self.right = bool(np.isin(best[numbers], self.labels).any())
        if not self.right and not self.waiting and len(self.shown) < self.views:
            self.sample["error"] = NOT_NUMBERS


def next_counts(seen: Sequence[int], room: int) -> list[int]:
    """How many zooms of each image go into a batch.

    seen: how many each was shown; room: views of the batch, at least as many.

    >>> next_counts([0, 0, 7], 4), next_counts([20, 0], 4), next_counts([3, 2], 4)
    ([1, 1, 2], [3, 1], [1, 1])
    """
    counts = [1] * len(seen)
    room -= len(seen)
    for k in sorted(range(len(seen)), key=lambda k: -seen[k]):
        counts[k] += max(0, min(room, seen[k] // AHEAD - 1))
        room -= counts[k] - 1
    return counts


def tables_of(images: Sequence[Image], grid: Grid, classes: ClassMap | None) -> tuple[pa.Table, list[pa.Table]]:
    """The rows of `predictions` of images that were shown zooms, and those of `merged` of each that was shown all."""
    shown, logits = [], []
    for image in images:
        order = np.argsort(image.shown)
        shown.append(np.array(image.shown, np.int16)[order])
        logits.append(np.concatenate(image.logits)[order])
    flat = np.concatenate(logits)[:, None]
    probs = softmax(masked(flat, classes))
    numbers = np.repeat([image.sample["image"] for image in images], [len(zooms) for zooms in shown]).tolist()
    predictions = prediction_table(numbers, flat, probs, classes, np.concatenate(shown)[:, None])
    parts = np.split(probs[:, 0], np.cumsum([len(zooms) for zooms in shown])[:-1])
    whole = [(image, part) for image, part in zip(images, parts, strict=True) if len(part) == len(grid) > 1]
    return predictions, [merged_table(image.sample["image"], part, grid.groups, classes) for image, part in whole]
