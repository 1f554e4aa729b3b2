"""Cutting the views that methods share, once an image, and timing them scale by scale."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.zoom.grid import ViewRule
from snellen.zoom.render import render


class Cutter:
    """Cuts a fixed list of views; `rules` are all different and of one size.

    Views that are cut from the same resized image are cut together: a method that wants one of them alone would pay
    for the resizing all the same, so the time of a scale counts for every method that looks at it.
    """

    def __init__(self, rules: Sequence[ViewRule]) -> None:
        self.rules = tuple(rules)
        self._place = {rule: place for place, rule in enumerate(self.rules)}
        kinds = list(dict.fromkeys(_resizing(rule) for rule in self.rules))
        self._scale = {kind: number for number, kind in enumerate(kinds)}
        self._members = [[i for i, rule in enumerate(self.rules) if _resizing(rule) == kind] for kind in kinds]

    def cut(self, image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """All views, uint8 `[views, size, size, 3]`, and the milliseconds that each scale took, `[scales]`.

        Raises UnreadableImage as `render` does.
        """
        size = self.rules[0].size
        views = np.empty((len(self.rules), size, size, 3), np.uint8)
        ms = np.empty(len(self._members))
        for number, members in enumerate(self._members):
            start = time.perf_counter()
            views[members] = render(image, [self.rules[member] for member in members])
            ms[number] = 1000 * (time.perf_counter() - start)
        return views, ms

    def places(self, rules: Sequence[ViewRule]) -> NDArray[np.intp]:
        """Where the views of some rules are among all."""
        return np.array([self._place[rule] for rule in rules], np.intp)

    def known(self, rules: Sequence[ViewRule]) -> dict[int, int]:
        """For those of some rules that are cut here, by their number: where."""
        return {number: self._place[rule] for number, rule in enumerate(rules) if rule in self._place}

    def scales(self, rules: Sequence[ViewRule]) -> list[int]:
        """The scales, as `cut` counts them, that some rules need; each once."""
        return sorted({self._scale[_resizing(rule)] for rule in rules})


def _resizing(rule: ViewRule) -> tuple[int, str, str]:
    return rule.resize, rule.filter, rule.fit
