"""In which order zooms are shown to images that nothing has read yet.

Cover order: the next zoom is the one that most of the images not read by those before it are expected to be right at.
What is expected comes from images whose zooms are known, in part or in full, and from `geometry`, which alone decides
while nothing is known.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.zoom.grid import WINDOW, Grid

# An image like a known one is right at a zoom as often as the known one is around it: a neighbour counts less by
# exp(-1/2) at this distance in octaves of scale, and by this factor for each cell that its anchor is away.
NEAR_SCALE, NEAR_CELL = 0.15, 0.5
# Nothing is certain: the lowest and the highest chance.
LOWEST, HIGHEST = 0.005, 0.95
# How many known images `geometry` counts as much as.
GEOMETRY_WEIGHT = 30.0
# Kinds of images that are told apart; of more, as many are drawn evenly. An order then takes some tenths of a second.
MOST_KINDS = 2048
# A new order is made when so many more images are known: making one is work that workers wait for.
GROWTH = 1.25

# Objects of `geometry`: scales at which they fill the window, in pixels, two to an octave around that of the 1-crop …
CENTRE, SPREAD, OBJECT_SCALES = 256.0, 0.8, 2.0 ** np.arange(6, 10.5, 0.5)
# … how far from it, in octaves, a view may be scaled until an object is read at exp(-1/2) of the best …
SCALE_TOLERANCE = 0.7
# … and how often they lie in the centre, at the middle of an edge and in a corner.
PLACES = np.array([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]])


class Order:
    """A cover order that learns from every image it hears of.

    >>> from snellen.zoom import PAPER_GRID
    >>> order = Order(PAPER_GRID)
    >>> first = PAPER_GRID.rules[order.zooms()[0]]
    >>> first.scale, first.row, first.col
    (224, 1, 1)
    >>> right = np.zeros((200, 324), bool)
    >>> right[:, :54] = True  # the six smallest scales
    >>> order.add(right, np.ones_like(right))
    >>> PAPER_GRID.rules[order.zooms()[0]].scale <= 96
    True
    """

    def __init__(self, grid: Grid) -> None:
        self._objects, self._weights = geometry(grid)
        self._near = neighbours(grid)
        self._kinds: dict[bytes, float] = {}
        self._known = self._ordered = 0
        self._zooms = np.zeros(0, np.int32)

    @staticmethod
    def learn(prior: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]], grid: Grid) -> "Order":
        """The order that some images teach: for each of some runs what `add` takes."""
        order = Order(grid)
        for correct, shown in prior:
            order.add(correct, shown)
        return order

    def add(self, correct: NDArray[np.bool_], shown: NDArray[np.bool_]) -> None:
        """Hear of more images: at which zooms each was right, and which it was shown, bool `[images, zooms]` both."""
        if correct.shape != shown.shape or correct.shape[1] != self._objects.shape[1]:
            raise ValueError(f"expected two [images, {self._objects.shape[1]}], got {correct.shape} and {shown.shape}")
        rows = np.ascontiguousarray(np.packbits(np.concatenate([correct & shown, shown], axis=1), axis=1))
        # Counted by hash: sorting rows as long as these takes twenty times as long.
        counts = Counter(rows.view(f"V{rows.shape[1]}").ravel().tolist())
        for kind, count in sorted(counts.items()):
            self._kinds[kind] = self._kinds.get(kind, 0.0) + count
        self._known += len(rows)
        if len(self._kinds) > MOST_KINDS:
            self._draw()

    def zooms(self) -> NDArray[np.int32]:
        """Every zoom, in the order in which to show them: int32 `[zooms]`; ties to the lowest."""
        if not len(self._zooms) or self._known >= max(1, self._ordered) * GROWTH:
            self._zooms, self._ordered = cover_order(*self._expected()), self._known
        return self._zooms

    def _expected(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The chance of each kind of image to be right at each zoom, `[kinds, zooms]`, and how many there are."""
        width = self._objects.shape[1]
        kinds = sorted(self._kinds)  # the order they were heard in decides nothing
        packed = np.frombuffer(b"".join(kinds), np.uint8).reshape(len(kinds), -(-2 * width // 8))
        right, shown = np.split(np.unpackbits(packed, axis=1, count=2 * width).astype(bool), [width], axis=1)
        counts = np.array([self._kinds[kind] for kind in kinds])
        whole, weights = shown.all(axis=1), GEOMETRY_WEIGHT * self._weights
        like = np.concatenate([self._objects, self._around(right[whole])])
        # A zoom that an image was not shown is guessed from what is like it at those that it was shown.
        likely = right[~whole].astype(float) @ np.log(like).T
        likely += (shown & ~right)[~whole].astype(float) @ np.log1p(-like).T
        likely = np.exp(likely - likely.max(axis=1, keepdims=True)) * np.concatenate([weights, counts[whole]])
        guessed = likely / likely.sum(axis=1, keepdims=True) @ like
        partly = self._around(np.where(shown[~whole], right[~whole], guessed))
        rows, heads = np.concatenate([like, partly]), np.concatenate([weights, counts[whole], counts[~whole]])
        return rows.astype(np.float32), heads.astype(np.float32)

    def _around(self, right: NDArray[Any]) -> NDArray[np.float64]:
        """The chances of images like some that are right, or may be, at these zooms: `[images, zooms]` both."""
        return np.clip(right @ self._near, LOWEST, HIGHEST)

    def _draw(self) -> None:
        """Keep at most `MOST_KINDS`, drawn evenly from all images."""
        ends = np.cumsum(np.fromiter(self._kinds.values(), np.float64, len(self._kinds)))
        share = ends[-1] / MOST_KINDS
        drawn = Counter(np.searchsorted(ends, (np.arange(MOST_KINDS) + 0.5) * share).tolist())
        kinds = list(self._kinds)
        self._kinds = {kinds[place]: share * times for place, times in drawn.items()}


def cover_order(chances: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.int32]:
    """Zooms in the order in which each is right for most of the images that those before it were wrong for.

    chances: of each kind of image to be right at each zoom, float32 `[kinds, zooms]`. counts: how many there are.

    Method: greedy min-sum set cover (Feige, Lovász, Tetali 2004, at most 4 times the fewest forwards on what it is
    learned from), on expected counts.

    >>> cover_order(np.array([[0.9, 0.0, 0.8], [0.0, 0.6, 0.0]], np.float32), np.array([2, 1], np.float32))
    array([0, 1, 2], dtype=int32)
    """
    left = counts.copy()
    open_zooms = np.ones(chances.shape[1], bool)
    order = np.empty(chances.shape[1], np.int32)
    for k in range(len(order)):
        order[k] = np.where(open_zooms, left @ chances, -1.0).argmax()
        open_zooms[order[k]] = False
        left *= 1 - chances[:, order[k]]
    return order


def neighbours(grid: Grid) -> NDArray[np.float64]:
    """How much each zoom says of each other: `[zooms, zooms]`, columns sum to 1."""
    octaves = np.log2([rule.scale for rule in grid])
    cells = np.array([(rule.row, rule.col) for rule in grid])
    steps = np.abs(cells[:, None] - cells).sum(axis=2)
    near = np.exp(-0.5 * ((octaves[:, None] - octaves) / NEAR_SCALE) ** 2) * NEAR_CELL**steps
    return np.asarray(near / near.sum(axis=0))


def geometry(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Made-up images with one object each: their chances `[objects, zooms]` to be read, and weights that sum to 1.

    An object is read where it is scaled to about the window's size and lies in the window. Nothing here is fitted to
    any image: most objects are of the size that the 1-crop suits, and in the centre.
    """
    scales = np.array([rule.scale for rule in grid], float)
    cells = np.array([(rule.row, rule.col) for rule in grid])
    octaves = np.log2(scales) - np.log2(OBJECT_SCALES)[:, None]
    fits = np.exp(-0.5 * (octaves / SCALE_TOLERANCE) ** 2)
    rows, cols = np.indices(PLACES.shape)
    steps = np.abs(cells - np.stack([rows.ravel(), cols.ravel()], axis=1)[:, None])
    # Windows a cell apart are a third of the image apart: what of one the other shows.
    overlap = np.clip(1 - steps * scales[:, None] / (3 * WINDOW), 0, 1).prod(axis=2)
    chances = fits[:, None] * overlap[None]
    common = np.exp(-0.5 * (np.log2(OBJECT_SCALES / CENTRE) / SPREAD) ** 2)
    weights = common[:, None] * PLACES.ravel()
    return np.clip(chances.reshape(-1, len(grid)), LOWEST, HIGHEST), weights.ravel() / weights.sum()
