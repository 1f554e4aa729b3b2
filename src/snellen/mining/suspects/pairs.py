"""The classes that views of images find probable, in few bytes: most memory goes there."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANCHORS = 9
# A view that is as sure of its answer as this counts as one that sees it.
SURE = 0.5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Of every image and class that is among the five best of one of its views, in ascending order of `keys`.

    keys: image x classes + class: int64 `[pairs]`.
    total, peak: the sum and the highest of its probabilities: float32 `[pairs]`.
    first: how many views answer it: uint16 `[pairs]`.
    spots: key x 9 + anchor, ascending, where zoom-in views are `SURE` of a class: int64 `[spots]`.
    sure: how many views are: uint16 `[spots]`.
    """

    keys: NDArray[np.int64]
    total: NDArray[np.float32]
    peak: NDArray[np.float32]
    first: NDArray[np.uint16]
    spots: NDArray[np.int64]
    sure: NDArray[np.uint16]


def pairs_of(
    number: NDArray[np.int64],
    ids: NDArray[np.int32],
    probs: NDArray[np.float32],
    anchor: NDArray[np.int8],
    classes: int,
) -> Pairs:
    """The pairs of some views: given are the image of each, its best classes, their probabilities, and its anchor."""
    keys, known = number[:, None] * classes + ids, ids >= 0
    first = np.zeros(ids.shape, np.uint16)
    first[:, 0] = 1
    sure = known[:, 0] & (probs[:, 0] >= SURE) & (anchor >= 0)
    spots = keys[sure, 0] * ANCHORS + anchor[sure]
    columns = keys[known], probs[known], probs[known], first[known], spots, np.ones(len(spots), np.uint16)
    return joined({one.name: [column] for one, column in zip(fields(Pairs), columns, strict=True)})


def joined(columns: dict[str, list[NDArray[Any]]]) -> Pairs:
    """Each pair and each spot once, in order; given are the fields of `Pairs`, of which nothing is left."""
    keys, total, peak, first = _reduced(columns, "keys", {"total": np.add, "peak": np.maximum, "first": np.add})
    spots, sure = _reduced(columns, "spots", {"sure": np.add})
    return Pairs(keys, total, peak, first, spots, sure)


def _reduced(columns: dict[str, list[NDArray[Any]]], by: str, how: dict[str, np.ufunc]) -> list[NDArray[Any]]:
    """A column of keys, each once and ascending, and others reduced over equal ones.

    One column after another, each taken from `columns`: of what is large, no more than one is there twice.
    """
    keys = np.concatenate(columns.pop(by))
    if (keys[1:] > keys[:-1]).all():  # of shards, each of which has images of its own
        return [keys, *(np.concatenate(columns.pop(name)) for name in how)]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    found = [keys[starts]]
    for name, ufunc in how.items():
        column = np.concatenate(columns.pop(name))[order]
        found.append(ufunc.reduceat(column, starts, dtype=column.dtype))
    return found
