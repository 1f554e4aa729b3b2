"""What one image's pictures are drawn from: its views and what a model answered at each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.labels.score import correct_by_labels
from snellen.zoom.grid import WINDOW, ViewRule


@dataclass(frozen=True, eq=False)
class Seen:
    """One image as a model saw it at some views; arrays go by view.

    name, model: what the image and the model are called.
    whole: the image itself, RGB.
    rules, views: how each view was cut, and its pixels: uint8 `[n, size, size, 3]`.
    ids, confidence: the best class at each view, int32 `[n]`, and its probability, float32 `[n]`.
    labels: the accepted classes; empty where none is known.
    label_ids, label_confidence: the likeliest of the accepted classes at each view, int32 `[n]`, and its probability,
        float32 `[n]`; -1 and nan where there is no label.
    names: the name of each class.
    """

    name: str
    model: str
    whole: Image.Image
    rules: tuple[ViewRule, ...]
    views: NDArray[np.uint8]
    ids: NDArray[np.int32]
    confidence: NDArray[np.float32]
    labels: tuple[int, ...]
    label_ids: NDArray[np.int32]
    label_confidence: NDArray[np.float32]
    names: tuple[str, ...]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is one of the labels: bool `[n]`."""
        return correct_by_labels(self.ids, [self.labels] * len(self.ids), len(self.names))

    def only(self, views: Sequence[int]) -> "Seen":
        """The same image at some of the views, in the order given."""
        arrays = ("views", "ids", "confidence", "label_ids", "label_confidence")
        chosen = {name: getattr(self, name)[list(views)] for name in arrays}
        return replace(self, rules=tuple(self.rules[k] for k in views), **chosen)


def group_of(rule: ViewRule) -> str:
    """The group of a view by its scale: `zoom-in`, `zoom-224` or `zoom-out`.

    >>> group_of(ViewRule(256, 1, 1, scale=256))
    'zoom-in'
    """
    return "zoom-in" if rule.scale > WINDOW else "zoom-out" if rule.scale < WINDOW else "zoom-224"
