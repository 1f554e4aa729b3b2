"""The geometry of framings. No pixels here: `zoom/render.py` cuts them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# The 36 scales of the study (shorter side after resizing, in pixels): arXiv 2304.05538 and its released code.
SCALES: tuple[int, ...] = (
    *(10, 16, 32, 48, 64, 96, 122, 128, 192),
    224,
    *(235, 240, 256, 288, 320, 348, 384, 448, 460, 512, 573, 576, 640),
    *(664, 672, 680, 686, 690, 700, 720, 768, 798, 832, 896, 911, 1024),
)
WINDOW = 224
GROUPS = ("zoom-in", "zoom-224", "zoom-out")

Anchor = Literal["thirds", "spread", "floor"]
Fit = Literal["shorter", "squash"]
Filter = Literal["bicubic", "bilinear", "lanczos", "nearest"]


@dataclass(frozen=True)
class ViewRule:
    """How one view is cut from an image: resize it, then cut a square window.

    resize: shorter side after resizing, in pixels; the longer becomes `int(resize * long / short)`.
    row, col: 0, 1 or 2, vertical position first.
    size: side of the window, in pixels; what lies outside the image is black.
    anchor: `thirds` centres the window on the middle of a cell of the 3 x 3 tiling (the study's arithmetic);
        `spread` puts it at the start, centre or end of each axis (centre crop, 5-crop), where a half pixel goes to
        the even side, as torchvision rounds; `floor` does the same and rounds it down, as transformers does.
    scale: the nominal scale that decides the group; equals `resize` where `size` is 224.
    fit: `squash` makes both sides `resize`, whatever the image's shape.

    >>> ViewRule(resize=256, row=1, col=1).window(256, 341)
    (15, 57)
    >>> ViewRule(resize=256, row=1, col=1, anchor="spread").window(256, 341)
    (16, 58)
    """

    resize: int
    row: int
    col: int
    size: int = WINDOW
    filter: Filter = "bicubic"
    anchor: Anchor = "thirds"
    flip: bool = False
    scale: int = 0
    fit: Fit = "shorter"

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing an image of `width` x `height` pixels (torchvision's `Resize(int)`)."""
        if self.fit == "squash":
            return self.resize, self.resize
        short, long = min(width, height), max(width, height)
        longer = int(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)

    def window(self, width: int, height: int) -> tuple[int, int]:
        """Left and top of the window in a resized image of `width` x `height` pixels; may be negative."""
        return self._start(self.col, width), self._start(self.row, height)

    def _start(self, cell: int, length: int) -> int:
        if self.anchor == "thirds":
            third = length // 3
            return cell * third + third // 2 - self.size // 2
        if self.anchor == "floor":
            return (0, (length - self.size) // 2, length - self.size)[cell]
        if length < self.size:  # torchvision pads (size - length) // 2 on this side first
            return -((self.size - length) // 2)
        return (0, round((length - self.size) / 2), length - self.size)[cell]


@dataclass(frozen=True)
class Zoom:
    """One framing of the study: shorter side after resizing, and the anchor's row and column.

    >>> Zoom(256, 1, 1).index
    112
    """

    scale: int
    row: int
    col: int

    @property
    def index(self) -> int:
        """Place in the paper's grid: 9 x scale index + 3 x row + col."""
        return 9 * SCALES.index(self.scale) + 3 * self.row + self.col

    def rule(self, size: int = WINDOW) -> ViewRule:
        """The view rule for a network that is shown windows of `size` pixels: scale x size / 224, rounded."""
        return ViewRule(round(self.scale * size / WINDOW), self.row, self.col, size, scale=self.scale)


ONE_CROP = Zoom(256, 1, 1)


@dataclass(frozen=True)
class Grid:
    """An ordered list of view rules; `zoom` in every file of a run is an index into it."""

    name: str
    rules: tuple[ViewRule, ...]

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[ViewRule]:
        return iter(self.rules)

    @property
    def size(self) -> int:
        """Side of every window, in pixels."""
        return self.rules[0].size

    @property
    def one_crop(self) -> int | None:
        """Index of the 1-crop zoom (scale 256, centre), or None where the grid lacks it."""
        wanted = ONE_CROP.rule(self.size)
        places = [i for i, rule in enumerate(self.rules) if rule == wanted]
        return places[0] if places else None

    @property
    def groups(self) -> dict[str, NDArray[np.intp]]:
        """Indices of the zooms of each group, by nominal scale against 224; groups without zooms are left out."""
        scales = np.array([rule.scale for rule in self.rules])
        found = {
            "zoom-in": np.flatnonzero(scales > WINDOW),
            "zoom-224": np.flatnonzero(scales == WINDOW),
            "zoom-out": np.flatnonzero(scales < WINDOW),
        }
        return {name: zooms for name, zooms in found.items() if len(zooms)}

    def to_json(self) -> dict[str, Any]:
        """A plain form for run.json: the field names once, then one row a rule."""
        names = [f.name for f in fields(ViewRule)]
        return {"name": self.name, "fields": names, "rules": [list(asdict(rule).values()) for rule in self.rules]}

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Grid":
        """The grid that `to_json` wrote."""
        rules = (ViewRule(**dict(zip(record["fields"], row, strict=True))) for row in record["rules"])
        return Grid(record["name"], tuple(rules))


@cache
def paper_grid(size: int = WINDOW, scales: tuple[int, ...] = SCALES) -> Grid:
    """The study's grid, 36 scales x 9 anchors, for a network that is shown windows of `size` pixels.

    >>> len(paper_grid()), {name: len(zooms) for name, zooms in paper_grid().groups.items()}
    (324, {'zoom-in': 234, 'zoom-224': 9, 'zoom-out': 81})
    """
    rules = (Zoom(s, row, col).rule(size) for s in scales for row in range(3) for col in range(3))
    return Grid("paper", tuple(rules))


PAPER_GRID = paper_grid()
