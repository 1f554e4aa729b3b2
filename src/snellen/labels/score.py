"""The scoring rule: a prediction is right if its class is any of the image's labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def correct_by_labels(
    ids: NDArray[np.integer[Any]], labels: Sequence[Sequence[int]], classes: int
) -> NDArray[np.bool_]:
    """Whether each answer is one of its image's labels: bool, the shape of `ids`.

    ids: `[images, ...]`, predicted class ids; -1 (no answer) is never right.
    labels: for each image its label set; an image whose set is empty is never right (leave it out first).
    classes: the number of classes in the class space.

    >>> correct_by_labels(np.array([[3, 1], [2, -1]], np.int32), [[3, 4], [0]], 5)
    array([[ True, False],
           [False, False]])
    """
    if len(ids) != len(labels):
        raise ValueError(f"{len(ids)} rows of answers but {len(labels)} label sets")
    accepted = np.zeros((len(labels), classes + 1), bool)  # the last column, reached by -1, stays False
    counts = [len(row) for row in labels]
    flat = np.array([i for row in labels for i in row], dtype=np.int64)
    if flat.size and (flat.min() < 0 or flat.max() >= classes):
        raise ValueError(f"labels must lie in 0 … {classes - 1}, got {flat.min()} … {flat.max()}")
    accepted[np.repeat(np.arange(len(labels)), counts), flat] = True
    rows = np.arange(len(ids)).reshape(-1, *[1] * (ids.ndim - 1))
    right: NDArray[np.bool_] = accepted[rows, ids]
    return right
