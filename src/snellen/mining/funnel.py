"""Which images can be hard by what is known, and the funnel: how many each miner left, and what that took."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What is known of a miner and an image: it was right at a zoom; it was wrong at every one; neither yet.
READ, FAILED, UNKNOWN = 1, 0, -1


@dataclass(frozen=True)
class Stage:
    """One miner's part in the funnel, over all data sets.

    shown: images that could still be hard when its turn came, and could be read.
    read, failed: of these, how many it was right on at some zoom, and how many it was wrong on at every one.
    unanswered: how many of the failed it has no answer to at some zoom, or at any: its logits are not all numbers, or
        the image ends its workers.
    left: how many can still be hard after it. unreadable: how many could not be read.
    forwards: views that mining showed it; studied: views that it answers in a study, of images that mining did not
        show it; floor: the fewest that decide, all zooms of an image that it failed, where it answers them, and one of
        an image that it read; exhaustive: what a study of every image that can be read takes.
    """

    miner: str
    shown: int
    read: int
    failed: int
    unanswered: int
    left: int
    unreadable: int
    forwards: int
    studied: int
    floor: int
    exhaustive: int

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return asdict(self)


def can_be_hard(told: NDArray[np.int8], needed: int) -> NDArray[np.bool_]:
    """Which images at least `needed` miners may fail on: bool `[images]`.

    told: `READ`, `FAILED` or `UNKNOWN`: int8 `[miners, images]`.

    >>> can_be_hard(np.array([[READ, FAILED, FAILED], [UNKNOWN, UNKNOWN, READ]], np.int8), 2)
    array([False,  True, False])
    """
    return np.asarray((told != READ).sum(axis=0) >= needed)


def is_hard(told: NDArray[np.int8], needed: int) -> NDArray[np.bool_]:
    """Which images at least `needed` miners are known to fail on, as `can_be_hard`."""
    return np.asarray((told == FAILED).sum(axis=0) >= needed)


def undecided(told: NDArray[np.int8], needed: int) -> NDArray[np.bool_]:
    """Which images can be hard and are not known to be, as `can_be_hard`."""
    return can_be_hard(told, needed) & ~is_hard(told, needed)
