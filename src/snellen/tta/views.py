"""Which views of an image a method looks at, and the one grid that all of a command's methods share."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers.base import OwnTransform
from snellen.errors import UsageError
from snellen.places import place
from snellen.zoom.grid import ONE_CROP, WINDOW, Grid, ViewRule, paper_grid

# Zooms of the paper's grid by name: its three groups, all 324, and the 36 scales at the centre anchor.
PAPER = ("in", "out", "224", "all", "centre")
# Corners of five crops in torchvision's order, then the centre: row, col.
FIVE = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))
# In which order anchors are taken where not all are: the centre, then corners and edges that face each other.
ANCHORS = ((1, 1), (0, 0), (2, 2), (0, 2), (2, 0), (0, 1), (2, 1), (1, 0), (1, 2))
FORMS = "center, 1crop, own, 5crop, 10crop, paper:in|out|224|all|centre or top36@RUN"


@dataclass(frozen=True)
class ViewSet:
    """Views of an image, in the order in which they are looked at.

    name: as a person writes it.
    best_first: whether the order says which are better.
    images: those that the choice was learned from, as `analysis/learned.py` joins them, or "".
    """

    name: str
    rules: tuple[ViewRule, ...]
    images: str = ""
    best_first: bool = False

    def __len__(self) -> int:
        return len(self.rules)

    def at_most(self, count: int) -> tuple[ViewRule, ...]:
        """`count` of these views: the first where they stand best first, else `spread` over scales and anchors."""
        return self.rules[:count] if self.best_first else spread(self.rules, count)

    def flipped(self) -> "ViewSet":
        """These views, and after them their mirror images; each rule once."""
        mirrored = (replace(rule, flip=not rule.flip) for rule in self.rules)
        return replace(self, name=f"{self.name}+flip", rules=tuple(dict.fromkeys((*self.rules, *mirrored))))


def view_set(text: str, size: int = WINDOW, own: OwnTransform | None = None) -> ViewSet:
    """The views that `text` names, `size` pixels wide; `+flip` after it adds their mirror images.

    `center`: Resize(256, bilinear) and CenterCrop(224), what MEMO and the published crops start from.
    `1crop`: the study's own baseline, zoom 256/1/1 (bicubic, another left edge). `own`: the model's transform.
    `5crop`, `10crop`: the corners and the centre of what `center` resizes; with their mirror images.
    `paper:in`, `paper:out`, `paper:224`, `paper:all`: zooms of the study; `paper:centre`: its 36 scales, centred.
    `top36@RUN`: the first 36 (or another number) zooms of the greedy cover of a run, by its own labels.

    Other sizes than 224 are resized in proportion, as the study does. Raises UsageError for anything else.

    >>> len(view_set("paper:in")), len(view_set("5crop+flip")), view_set("center").rules[0].window(256, 341)
    (234, 10, (16, 58))
    """
    name, plus, rest = text.partition("+flip")
    if rest:
        raise UsageError(f"views {text!r}: +flip stands at the end")
    found = _named(name, size, own)
    return found.flipped() if plus else found


def _named(name: str, size: int, own: OwnTransform | None) -> ViewSet:
    crops = [ViewRule(round(256 * size / WINDOW), row, col, size, "bilinear", "spread", scale=256) for row, col in FIVE]
    group = name.removeprefix("paper:")
    if name == "center":
        return ViewSet(name, (crops[-1],))
    if name == "1crop":
        return ViewSet(name, (ONE_CROP.rule(size),))
    if name == "5crop":
        return ViewSet(name, tuple(crops))
    if name == "10crop":
        return replace(ViewSet(name, tuple(crops)).flipped(), name=name)
    if name == "own":
        return ViewSet(name, (_own_rule(own, size),))
    if name.startswith("paper:") and group in PAPER:
        return ViewSet(name, _paper(group, size))
    top = re.fullmatch(r"top(\d+)@(.+)", name)
    if top and int(top[1]) > 0:
        return _top(name, int(top[1]), place(top[2]).expanduser(), size)
    raise UsageError(f"unknown views {name!r}; expected {FORMS}, each with or without +flip")


def _own_rule(own: OwnTransform | None, size: int) -> ViewRule:
    if own is None:
        raise UsageError("views 'own': no transform is known of this model; use center, or give a Grid")
    if own.size != size:
        raise UsageError(
            f"views 'own': the model's own transform cuts {own.size} pixels, but it is shown {size}; use center"
        )
    return own.rule()


@cache
def _paper(group: str, size: int) -> tuple[ViewRule, ...]:
    grid = paper_grid(size)
    if group == "centre":
        return tuple(rule for rule in grid if (rule.row, rule.col) == (1, 1))
    zooms = range(len(grid)) if group == "all" else grid.groups[f"zoom-{group}"]
    return tuple(grid.rules[zoom] for zoom in zooms)


def _top(name: str, count: int, path: Path, size: int) -> ViewSet:
    from snellen.analysis.cover import greedy_cover
    from snellen.analysis.learned import image_keys, joined
    from snellen.store import load_run

    run = load_run(path)
    if run.grid.size != size:
        raise UsageError(f"{name!r}: its run's views are {run.grid.size} pixels wide, this model's {size}")
    cover = greedy_cover(run.correct())[:count]
    if not len(cover):
        raise UsageError(f"{name!r}: no zoom of that run gets any image right; choose another run")
    rules = tuple(run.grid.rules[zoom] for zoom in cover)
    keys = image_keys(run)
    return ViewSet(name, rules, joined(keys[row] for row in run.scored()), best_first=True)


def spread(rules: Sequence[ViewRule], count: int) -> tuple[ViewRule, ...]:
    """`count` of some views, or all if there are fewer, spread evenly over their scales.

    Anchors take turns from each view to the next, in the order of `ANCHORS`, and so do mirror images.

    >>> [(rule.scale, rule.row, rule.col) for rule in spread(view_set("paper:in").rules, 4)]
    [(288, 1, 1), (512, 0, 0), (686, 2, 2), (832, 0, 2)]
    """
    left: dict[int, list[ViewRule]] = {}
    for rule in rules:
        left.setdefault(rule.scale or rule.resize, []).append(rule)
    scales = sorted(left)
    chosen = []
    for turn in range(min(count, len(rules))):
        middle = (2 * turn + 1) * len(scales) / (2 * count) - 0.5  # of the turn's equal part of all scales
        _, scale = min((abs(number - middle), scale) for number, scale in enumerate(scales) if left[scale])
        anchor = [ANCHORS[(turn + k) % len(ANCHORS)] for k in range(len(ANCHORS))]
        best = min(left[scale], key=lambda rule: (anchor.index((rule.row, rule.col)), rule.flip != bool(turn % 2)))
        left[scale].remove(best)
        chosen.append(best)
    return tuple(chosen)


def union(sets: Iterable[Sequence[ViewRule]], name: str = "tta") -> tuple[Grid, list[NDArray[np.intp]]]:
    """One grid that holds every rule of several view sets once, and where each set's views are in it.

    >>> grid, places = union([view_set("center").rules, view_set("5crop").rules])
    >>> len(grid), [place.tolist() for place in places]
    (5, [[0], [1, 2, 3, 4, 0]])
    """
    held = [tuple(rules) for rules in sets]
    place = {rule: k for k, rule in enumerate(dict.fromkeys(rule for rules in held for rule in rules))}
    return Grid(name, tuple(place)), [np.array([place[rule] for rule in rules], np.intp) for rules in held]
