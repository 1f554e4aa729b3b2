"""Clusters of images that are one picture, and which one of each is kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Pair:
    """Two images that are one picture, by number, `one` < `other`; `kind` and `score` as in `DUPLICATES`."""

    one: int
    other: int
    kind: str
    score: float


def clusters(images: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The images that pairs join, directly or through others: each cluster ascending, by their first images.

    Images in no pair are in no cluster.

    >>> clusters(6, [(4, 1), (5, 4), (0, 3)])
    [[0, 3], [1, 4, 5]]
    """
    joined = np.array(list(pairs), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined), np.int8), joined.T), shape=(images, images))
    _, names = connected_components(graph, directed=False)
    order = np.argsort(names, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(names[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def keep(cluster: Sequence[int], pixels: NDArray[np.int64], lengths: NDArray[np.int64], reference: int) -> int:
    """Which image of a cluster is kept: one of the reference, else the largest, the least compressed, the first.

    pixels, lengths: of every image, how many pixels it has and how many bytes its file; int64 `[images]`.
    reference: images from this number on are of the reference.
    """
    if cluster[-1] >= reference:
        return next(image for image in cluster if image >= reference)
    return min(cluster, key=lambda image: (-pixels[image], -lengths[image], image))


def links(cluster: Sequence[int], kept: int, pairs: Mapping[int, Sequence[Pair]]) -> dict[int, Pair]:
    """For each image of a cluster but the kept one, the pair that speaks for it: with the kept one if there is such.

    pairs: those that each image is in.
    """
    found = {}
    for image in cluster:
        if image != kept:
            found[image] = max(pairs[image], key=lambda pair: (kept in (pair.one, pair.other), pair.score))
    return found
