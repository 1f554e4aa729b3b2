"""Cutting the views of several methods, those of each by themselves, so that a method's time is its own."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.tta.views import union
from snellen.zoom.grid import ViewRule
from snellen.zoom.render import render


class Cutter:
    """Cuts the views of several methods; `sets` are the view rules of each, all of one size.

    A view that several sets hold is cut for each of them. Only so is the time of a set what it takes by itself: views
    of one scale share its resizing, so their times cannot be told apart. Against the network, which answers such a view
    once, cutting costs little.
    """

    def __init__(self, sets: Iterable[Sequence[ViewRule]]) -> None:
        distinct = list(dict.fromkeys(tuple(rules) for rules in sets))
        grid, self._places = union(distinct)
        self.rules = grid.rules
        self._number = {rules: number for number, rules in enumerate(distinct)}

    def cut(self, image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The views of `rules`, uint8 `[views, size, size, 3]`, and the milliseconds that each set took, `[sets]`.

        Raises UnreadableImage as `render` does.
        """
        size = self.rules[0].size
        views = np.empty((len(self.rules), size, size, 3), np.uint8)
        ms = np.empty(len(self._number))
        for rules, number in self._number.items():
            start = time.perf_counter()
            cut = render(image, rules)
            ms[number] = 1000 * (time.perf_counter() - start)
            views[self._places[number]] = cut
        return views, ms

    def number(self, rules: Sequence[ViewRule]) -> int:
        """Which set some rules are, as `cut` counts them."""
        return self._number[tuple(rules)]

    def places(self, rules: Sequence[ViewRule]) -> NDArray[np.intp]:
        """Where the views of a set are among `rules`: intp `[views]`."""
        return self._places[self.number(rules)]

    def known(self, rules: Sequence[ViewRule]) -> dict[int, int]:
        """Of any rules those that are cut here: their number, and where they are among `self.rules`."""
        place = {rule: place for place, rule in enumerate(self.rules)}
        return {number: place[rule] for number, rule in enumerate(rules) if rule in place}
