"""The benchmark's numbers of one set of answers, by one label source: the one scorer of runs and of files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.calibration import Calibration, calibration
from snellen.analysis.perclass import PerClass, by_origin, per_class
from snellen.labels import ClassMap, correct_by_labels
from snellen.store.schema import TOP


@dataclass(frozen=True)
class Score:
    """The numbers by one label source, over the images that have a label there.

    top5: None where fewer than five classes are told for an image.
    calibration: None where no probabilities are told.
    origins: accuracy by where images come from, where there is more than one place.
    """

    labels: str
    top1: Share
    top5: Share | None
    per_class: PerClass
    calibration: Calibration | None
    origins: dict[str, Share]

    def to_json(self) -> dict[str, Any]:
        """A plain form; shares as objects with hits, n, value, low, high and stderr."""
        return {
            "labels": self.labels,
            "top1": self.top1.to_json(),
            "top5": self.top5.to_json() if self.top5 else None,
            "per_class_mean": self.per_class.to_json(),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "by_origin": {origin: value.to_json() for origin, value in self.origins.items()},
        }


def score_answers(
    ids: NDArray[np.int32],
    confidence: NDArray[np.float32] | None,
    label_sets: Sequence[Sequence[int]],
    *,
    labels: str,
    classes: int,
    class_map: ClassMap | None = None,
    origins: Sequence[str] | None = None,
) -> Score:
    """Score answers by label sets; an answer is right where it is any of its image's labels.

    ids: int32 `[images, k]`, best class first, -1 where there is none; under a class map the best id of each of `k`
        different classes.
    confidence: float32 `[images]`, the probability of the best class, nan where there is none.
    label_sets: all ids accepted for each image; an image without any is left out.
    labels: the name of the label source.
    classes: how many ids there are.
    class_map: the data set's own classes, over which the per-class mean is taken.
    origins: where each image comes from.

    >>> ids, sets = np.array([[3, 1], [2, 0], [1, -1]], np.int32), [[3, 4], [0], []]
    >>> print(score_answers(ids, None, sets, labels="own", classes=5).top1)
    50.00% [9.45%, 90.55%] (n = 2)
    """
    scored = [image for image, accepted in enumerate(label_sets) if len(accepted)]
    kept = [label_sets[image] for image in scored]
    right = correct_by_labels(ids[scored, :TOP], kept, classes)
    first = right[:, 0]
    places = by_origin(first, [origins[image] for image in scored]) if origins is not None else {}
    return Score(
        labels=labels,
        top1=share(first),
        top5=share(np.any(right, axis=1)) if right.shape[1] == TOP else None,
        per_class=per_class(first, kept, class_map),
        calibration=calibration(confidence[scored], first) if confidence is not None else None,
        origins=places if len(places) > 1 else {},
    )
