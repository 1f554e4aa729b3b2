"""Labels that are surely wrong: those of other images, and any."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How often another image's labels are drawn before any classes are taken.
TRIES = 20


def swaps(
    labels: Sequence[tuple[int, ...]], draws: int, classes: NDArray[np.integer[Any]], rng: np.random.Generator
) -> list[list[tuple[int, ...]]]:
    """For each image `draws` label sets that share no class with its own.

    By turns those of another image, and as many classes as it has itself; all drawn evenly. Where there is no such
    image, as in data of one class, all are of the second kind.

    labels: of each image, not empty. classes: all that take part, more than any label set has.

    >>> swaps([(1,), (2, 3)], 1, np.arange(10), np.random.default_rng(0))
    [[(2, 3)], [(1,)]]
    """
    found = []
    for own in labels:
        held, drawn = set(own), []
        for turn in range(draws):
            tried = (labels[k] for k in rng.integers(len(labels), size=TRIES))
            other = next((other for other in tried if held.isdisjoint(other)), None)
            if other is None or turn % 2:
                free = classes[~np.isin(classes, own)]
                other = tuple(sorted(rng.choice(free, min(len(own), len(free)), replace=False).tolist()))
            drawn.append(other)
        found.append(drawn)
    return found
