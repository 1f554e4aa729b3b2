"""Accuracy by class and by origin: what one number for all images hides."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.stats import wilson
from snellen.labels import ClassMap


@dataclass(frozen=True)
class PerClass:
    """The mean over classes of the share right among a class's images.

    value, low, high: in 0 … 1, with a 95 % interval; nan where they are undefined.
    stderr: nan where a class has a single image, whose spread nobody knows.
    classes: how many have an image, and so take part.
    shares: of each class with an image, by its number in the class map, or its id where there is none.
    """

    value: float
    stderr: float
    low: float
    high: float
    classes: int
    shares: dict[int, Share]

    def to_json(self) -> dict[str, Any]:
        """A plain form without the single classes; what is undefined is None."""
        plain = {name: getattr(self, name) for name in ("value", "stderr", "low", "high")}
        return {name: None if value != value else value for name, value in plain.items()} | {"classes": self.classes}


def per_class(right: NDArray[np.bool_], labels: Sequence[Sequence[int]], class_map: ClassMap | None = None) -> PerClass:
    """The mean per-class accuracy; an image with several labels counts in each of their classes.

    right: bool `[images]`.
    labels: for each image its label set, ids of the head.
    class_map: which of the data set's classes an id is, where ids are not classes themselves.

    The standard error is that of a sum over independent images (delta method): each adds its deviations from its
    classes' shares, over the number of classes and of their images. The interval is the normal one, within 0 … 1.

    >>> per_class(np.array([1, 0, 1, 1], bool), [[0], [0], [2], [2]]).value
    0.75
    """
    flat = np.array([label for row in labels for label in row], np.int64)
    image = np.repeat(np.arange(len(labels)), [len(row) for row in labels])
    if class_map is not None:
        flat = class_map.of_id[flat].astype(np.int64)
        image, flat = image[flat >= 0], flat[flat >= 0]
    span = int(flat.max(initial=-1)) + 1
    if not span:
        return PerClass(*(float("nan"),) * 4, 0, {})
    image, label = np.divmod(np.unique(image * span + flat), span)  # several ids of one class count once
    counts = np.bincount(label, minlength=span)
    hits = np.bincount(label, right[image], span).astype(np.int64)
    there = np.flatnonzero(counts)
    lows, highs = wilson(hits[there], counts[there])
    shares = {
        int(c): Share(int(hits[c]), int(counts[c]), float(hits[c] / counts[c]), float(low), float(high))
        for c, low, high in zip(there, lows, highs, strict=True)
    }
    means = hits / np.maximum(counts, 1)
    value = float(means[there].mean())
    if counts[there].min() < 2:
        return PerClass(value, *(float("nan"),) * 3, len(there), shares)
    parts = (right[image] - means[label]) / (len(there) * counts[label])
    stderr = float(np.sqrt((np.bincount(image, parts, len(right)) ** 2).sum()))
    half = NormalDist().inv_cdf(0.975) * stderr
    return PerClass(value, stderr, max(0.0, value - half), min(1.0, value + half), len(there), shares)


def by_origin(right: NDArray[np.bool_], origins: Sequence[str]) -> dict[str, Share]:
    """The accuracy on the images of each origin, by name.

    right: bool `[images]`; origins: where each image comes from.

    >>> print(by_origin(np.array([True, True, False]), ["a", "b", "b"])["b"].hits)
    1
    """
    names, place = np.unique(np.asarray(origins, dtype=np.str_), return_inverse=True)
    return {str(name): share(right[place == k]) for k, name in enumerate(names)}
