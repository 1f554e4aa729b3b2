"""Views of an image as products of banded matrices: which weights, which pixels, which places. NumPy only.

The windows of a view rule are cut into tiles of `TILE` pixels a side. Along one axis, the pixels of a tile come from a
short run of source pixels, its reach; tiles of about the same reach, whatever their scale, are multiplied in one batch.
`zoom/render_gpu.py` carries it out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.zoom.grid import ViewRule
from snellen.zoom.weights import KERNELS, resample_weights, vertical_first

# Wider tiles make fewer and larger products, with more zeros in them. 224 is 7 of these.
TILE = 32
# Reaches are rounded up to one of these, two an octave, so that tiles of many scales share a batch.
REACHES = np.array([size for k in range(4, 14) for size in (2**k, 3 * 2 ** (k - 1))])
# What the arrays between the passes stay below 2 GB with. Larger images are cut on the CPU.
MAX_PIXELS = 2**24
MAX_SIDE = 2**13

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Batch:
    """Tiles that are multiplied together.

    reach: source pixels of each; the last is the one that rounds (see `render_gpu.py`).
    taps: weights that each pixel of a tile has at most.
    uses: how many products they take part in, one for each tile of the other axis that they meet; 0 in a first pass.
    """

    reach: int
    tiles: int
    taps: int
    uses: int = 0


@dataclass(frozen=True)
class Half:
    """The scales that Pillow resizes in one order of the axes; `across`: columns before rows."""

    across: bool
    first: tuple[Batch, ...]
    second: tuple[Batch, ...]


@dataclass(frozen=True)
class Bands:
    """How all views of an image of `width` x `height` pixels are cut; the numbers it speaks of come beside it.

    flips: the views that are mirrored.
    """

    width: int
    height: int
    views: int
    size: int
    flips: tuple[int, ...]
    halves: tuple[Half, ...]

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Bands":
        """What `dataclasses.asdict` made plain."""
        halves = []
        for half in record["halves"]:
            first, second = (tuple(Batch(**batch) for batch in half[name]) for name in ("first", "second"))
            halves.append(Half(half["across"], first, second))
        return Bands(**(record | {"flips": tuple(record["flips"]), "halves": tuple(halves)}))

    @property
    def tiles(self) -> int:
        """Tiles along a side of a view; the last may reach beyond it."""
        return -(-self.size // TILE)


def can_be_banded(width: int, height: int, rules: Sequence[ViewRule]) -> bool:
    """Whether `bands_of` serves these views of an image of `width` x `height` pixels."""
    known = all(rule.filter in KERNELS for rule in rules)
    return known and width * height <= MAX_PIXELS and max(width, height) <= MAX_SIDE


def bands_of(width: int, height: int, rules: Sequence[ViewRule]) -> tuple[Bands, Ints]:
    """How to cut views of an image of `width` x `height` pixels, and the numbers of it, one after the other.

    For each batch of each pass: of each tile its first source pixel `[tiles]`; of each of its pixels the first, counted
    from there `[tiles, TILE]`, and the weights `[tiles, taps, TILE]`, in units of 2^-22. Then, in a second pass: of
    each product its tile in the batch, the tile of the first pass that it is applied to, and its place among the tiles
    of all views `[3, uses]`.
    """
    orders: dict[bool, list[int]] = defaultdict(list)
    for view, rule in enumerate(rules):
        orders[vertical_first(width, height, *rule.resized(width, height))].append(view)
    numbers: list[Ints] = []
    halves = tuple(_half(across, width, height, rules, views, numbers) for across, views in sorted(orders.items()))
    flips = tuple(view for view, rule in enumerate(rules) if rule.flip)
    bands = Bands(width, height, len(rules), rules[0].size, flips, halves)
    return bands, np.concatenate([part.ravel() for part in numbers] or [np.empty(0, np.int32)])


class _Axis:
    """The tiles along one axis of all windows of a half. A tile's number is its place in the order of adding."""

    def __init__(self, in_size: int, size: int) -> None:
        self._in_size, self._size = in_size, size
        self._windows: dict[tuple[int, str, int], tuple[Ints, Ints]] = {}  # the tiles' numbers, their places
        self._count = 0
        self._parts: list[tuple[Ints, Ints, Ints, Ints]] = []  # reach, start, first and weights of tiles

    def window(self, out_size: int, kernel: str, start: int) -> tuple[Ints, Ints]:
        """The tiles of the window at `start` that hold part of the image: their numbers, and places in the window."""
        key = out_size, kernel, start
        if key not in self._windows:
            self._windows[key] = self._add(*key)
        return self._windows[key]

    def _add(self, out_size: int, kernel: str, start: int) -> tuple[Ints, Ints]:
        begin, end = max(start, 0), min(start + self._size, out_size)
        first, weights = resample_weights(self._in_size, out_size, kernel, begin, end)
        count, taps = -(-self._size // TILE), weights.shape[1]
        inside = slice(begin - start, begin - start + len(first))
        firsts: Ints = np.full(count * TILE, -1, np.int32)
        firsts[inside] = first
        spread: Ints = np.zeros((count * TILE, taps), np.int32)
        spread[inside] = weights
        firsts, spread = firsts.reshape(count, TILE), spread.reshape(count, TILE, taps)
        places = np.flatnonzero((firsts >= 0).any(axis=1)).astype(np.int32)
        firsts, spread = firsts[places], spread[places]
        starts = np.where(firsts < 0, self._in_size, firsts).min(axis=1, initial=self._in_size)
        offsets = np.maximum(firsts - starts[:, None], 0)
        reach = np.minimum(offsets.max(axis=1, initial=0) + taps, self._in_size - starts)
        numbers = self._count + np.arange(len(places), dtype=np.int32)
        self._count += len(places)
        self._parts.append((reach, starts.astype(np.int32), offsets, spread.transpose(0, 2, 1)))
        return numbers, places

    def batches(self) -> list[tuple[int, int, Ints, list[Ints]]]:
        """For each batch: reach, taps, the numbers of its tiles, and their start, first and weights."""
        reach = np.concatenate([part[0] for part in self._parts])
        rounded = REACHES[np.searchsorted(REACHES, reach + 1)]  # one more, for what rounds
        made = []
        for size in np.unique(rounded):
            tiles = np.flatnonzero(rounded == size).astype(np.int32)
            made.append((int(size), *self._gather(tiles)))
        return made

    def _gather(self, tiles: Ints) -> tuple[int, Ints, list[Ints]]:
        ends = np.cumsum([len(part[0]) for part in self._parts])
        bounds = np.searchsorted(tiles, [0, *ends])
        parts = [
            [array[tiles[a:b] - (end - len(part[0]))] for array in part[1:]]
            for part, end, a, b in zip(self._parts, ends, bounds[:-1], bounds[1:], strict=True)
            if a < b
        ]
        taps, at = max(weights.shape[1] for _, _, weights in parts), 0
        padded: Ints = np.zeros((len(tiles), taps, TILE), np.int32)
        for _, _, weights in parts:
            padded[at : at + len(weights), : weights.shape[1]] = weights
            at += len(weights)
        start, first = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        return taps, tiles, [start, first, padded]


def _half(
    across: bool, width: int, height: int, rules: Sequence[ViewRule], views: Sequence[int], numbers: list[Ints]
) -> Half:
    """The part of some views, whose numbers are added to `numbers`."""
    size = rules[0].size
    columns, rows = _Axis(width, size), _Axis(height, size)
    first, second = (rows, columns) if across else (columns, rows)
    per_side = -(-size // TILE)
    uses: list[NDArray[np.int64]] = []  # of each product: tile of the second pass, tile of the first, place
    for view in views:
        rule = rules[view]
        wide, high = rule.resized(width, height)
        left, top = rule.window(wide, high)
        x_tiles, x_places = columns.window(wide, rule.filter, left)
        y_tiles, y_places = rows.window(high, rule.filter, top)
        places = (view * per_side + y_places[:, None]) * per_side + x_places
        pair = np.repeat(y_tiles, len(x_tiles)), np.tile(x_tiles, len(y_tiles))
        uses.append(np.stack([*(pair[::-1] if across else pair), places.ravel()]))
    products = np.concatenate(uses, axis=1)

    first_pass, order = [], []
    for reach, taps, tiles, arrays in first.batches():
        first_pass.append(Batch(reach, len(tiles), taps))
        order.append(tiles)
        numbers.extend(arrays)
    products[1] = _inverse(np.concatenate(order))[products[1]]
    second_pass = []
    for reach, taps, tiles, arrays in second.batches():
        chosen = products[:, np.isin(products[0], tiles)]
        chosen[0] = np.searchsorted(tiles, chosen[0])
        second_pass.append(Batch(reach, len(tiles), taps, chosen.shape[1]))
        numbers.extend([*arrays, chosen.astype(np.int32)])
    return Half(across, tuple(first_pass), tuple(second_pass))


def _inverse(order: Ints) -> Ints:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order), dtype=order.dtype)
    return inverse
