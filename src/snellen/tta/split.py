"""Which images a policy is learned from: each file counts once, some teach the order, the others set the threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.learned import image_keys
from snellen.errors import UsageError
from snellen.store import Run
from snellen.tta.views import ViewSet

# The share of images that the order is learned from. The threshold needs the more: its rate is exact only to 1 in n.
LEARNING = 0.375


@dataclass(frozen=True)
class Labelled:
    """Images of one run that have a label: rows of its answers, and a number that is the same for the same file."""

    run: Run
    rows: NDArray[np.intp]
    images: NDArray[np.intp]

    @cached_property
    def number(self) -> dict[int, int]:
        """The number of the image of each row."""
        return dict(zip(self.rows.tolist(), self.images.tolist(), strict=True))

    def among(self, rows: NDArray[np.intp], wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Those of some rows that are of wanted images (by number): place and row."""
        return [(k, row) for k, row in enumerate(rows.tolist()) if row in self.number and wanted[self.number[row]]]


def labelled(runs: Sequence[Run], images: Sequence[str] | None) -> tuple[list[Labelled], list[str]]:
    """The images of some runs that have a label, numbered over all of them by sha256; and the key of each number.

    images: ids of those that are wanted; all where None.
    """
    number: dict[str, int] = {}
    wanted = None if images is None else set(images)
    found = []
    for run in runs:
        keys = image_keys(run)
        rows = [row for row in run.scored().tolist() if wanted is None or run.image_ids[row] in wanted]
        numbers = [number.setdefault(keys[row], len(number)) for row in rows]
        found.append(Labelled(run, np.array(rows, np.intp), np.array(numbers, np.intp)))
    return found, list(number)


def drawn(keys: Sequence[str], among: ViewSet | None, error: float, seed: int) -> NDArray[np.bool_]:
    """Which images, by number, teach the order: those that chose `among`, then others as `seed` draws them.

    Raises UsageError where too few are left for the threshold: none of n answered otherwise is a rate of 1 / (n + 1).
    """
    least = math.ceil(1 / error) - 1
    needed = max(least + 1, math.floor((least - 1) / (1 - LEARNING)) + 1)
    if len(keys) < needed:
        raise UsageError(
            f"{len(keys)} images with a label are too few for an error rate of {error:g}: at least {needed} are "
            "needed; use more, or a higher --error"
        )
    chose = set(among.images.split()) if among else set()
    teaching = np.array([key in chose for key in keys], bool)
    others = np.random.default_rng(seed).permutation(len(keys))
    more = max(1, int(LEARNING * len(keys))) - int(teaching.sum())
    teaching[others[~teaching[others]][: max(0, more)]] = True
    left = len(keys) - int(teaching.sum())
    if among and left < least:
        raise UsageError(
            f"{among.name!r} was learned from {len(keys) - left} of these {len(keys)} images, which leaves {left}; a "
            f"rule with an error rate of {error:g} is set on at least {least} others; name views that a run of other "
            "images chose, or leave --views out"
        )
    return teaching
