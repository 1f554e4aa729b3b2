"""Windows of resized images without the resized images: only the columns and rows that they show are computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.zoom.resample import TAPS, Resample
from snellen.zoom.weights import PRECISION_BITS, vertical_first, weights_of

# So many rows go through the horizontal pass together; a lower image has fewer. With 16 the pass took 1.4 times as
# long, on a core with AVX-512.
BLOCK_ROWS = 32
# Bytes of the image that are copied out of Pillow at a time.
STRIP_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Packed:
    """An image laid out for the horizontal pass.

    lines: uint8 `[blocks x width + TAPS, rows x 4]`, as `resample` takes them.
    """

    lines: NDArray[np.uint8]
    width: int
    height: int

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return int(self.lines.shape[1]) // 4


@dataclass(frozen=True)
class Shown:
    """What windows show of one axis of a resized image.

    spans: (start, stop) of the stretches that are shown, in order and apart from each other.
    first, weights: how the places of all stretches, one after the other, are made of the source.
    """

    spans: tuple[tuple[int, int], ...]
    first: NDArray[np.int64]
    weights: NDArray[np.int32]

    def index(self, place: int) -> int:
        """Where a place of the resized image is among those shown."""
        before = 0
        for start, stop in self.spans:
            if place < stop:
                return before + place - start
            before += stop - start
        raise IndexError(place)


class WindowCutter:
    """Cuts windows of an image as it would be after `image.resize`.

    It is laid out for one order of the axes at a time: of a large image two would take as much again. So resized images
    of one order should follow each other.
    """

    def __init__(self, image: Image.Image, resample: Resample) -> None:
        self._image = image
        self._resample = resample
        self._turned = False
        self._packed: Packed | None = None

    def columns_first(self, resized: tuple[int, int]) -> bool:
        """Whether Pillow would resize the columns before the rows."""
        return vertical_first(*self._image.size, *resized)

    def cut(
        self,
        resized: tuple[int, int],
        kernel: str,
        corners: Sequence[tuple[int, int]],
        places: Sequence[int],
        views: NDArray[np.uint8],
    ) -> None:
        """Cut the windows of one resized image.

        resized: its width and height.
        corners: left and top of each window.
        views: uint8 `[views, size, size, 3]`; the windows are written to `views[places]`, which are black before.
        """
        turned = self.columns_first(resized)
        if self._packed is None or turned != self._turned:
            self._packed = None  # its memory is free for the next
            self._turned, self._packed = turned, pack(self._image, turned)
        packed = self._packed
        if not turned:
            _cut(self._resample, packed, resized, kernel, corners, places, views)
            return
        # The columns come first: so they are the rows of an image that is mirrored at its diagonal, as are the views.
        mirrored = np.zeros((len(places), *views.shape[1:]), np.uint8)
        swapped = [(top, left) for left, top in corners]
        _cut(self._resample, packed, resized[::-1], kernel, swapped, range(len(places)), mirrored)
        views[places] = mirrored.swapaxes(1, 2)


def _cut(
    resample: Resample,
    packed: Packed,
    resized: tuple[int, int],
    kernel: str,
    corners: Sequence[tuple[int, int]],
    places: Sequence[int],
    views: NDArray[np.uint8],
) -> None:
    """`WindowCutter.cut` where the rows are resized first."""
    size = views.shape[1]
    cols = shown(packed.width, resized[0], kernel, [left for left, _ in corners], size)
    rows = shown(packed.height, resized[1], kernel, [top for _, top in corners], size)
    cuts = []
    for place, (left, top) in zip(places, corners, strict=True):
        x, x_end = _inside(left, size, resized[0])
        y, y_end = _inside(top, size, resized[1])
        if x < x_end and y < y_end:
            cuts.append([place, rows.index(y), y_end - y, y - top, cols.index(x), x_end - x, x - left])
    if not cuts:
        return
    blocks, first_row = _blocks(rows, packed)
    height = len(blocks) * packed.rows
    # A fourth byte is written behind the last column, and no row may begin with it.
    middle = np.empty((height + TAPS, 3 * len(cols.first) + 1), np.uint8)
    pixels = np.ndarray((height, len(cols.first)), np.uint32, middle, 0, (middle.shape[1], 3))
    resample(
        *(packed.lines, packed.width, blocks, cols.first, cols.weights, middle, pixels, first_row, rows.weights),
        *(np.array(cuts), views.reshape(len(views), size, 3 * size)),
    )


def pack(image: Image.Image, turned: bool = False) -> Packed:
    """Lay out an RGB image for the horizontal pass; takes 4 bytes a pixel, rounded up to whole blocks of rows.

    turned: mirror it at its diagonal, so that its columns are the rows.
    """
    width, height = image.size[::-1] if turned else image.size
    rows = min(BLOCK_ROWS, 1 << (height - 1).bit_length())
    blocks = -(-height // rows)
    lines = np.zeros((blocks * width + TAPS, rows * 4), np.uint8)
    columns = lines[: blocks * width].view(np.uint32).reshape(blocks, width, rows)
    step = rows * max(1, STRIP_BYTES // (4 * width * rows))
    for top in range(0, height, step):
        bottom = min(top + step, height)
        strip = image.crop((top, 0, bottom, width) if turned else (0, top, width, bottom)) if step < height else image
        if turned:
            strip = strip.transpose(Image.Transpose.TRANSPOSE)
        pixels = np.frombuffer(strip.tobytes("raw", "RGBX"), np.uint32).reshape(-1, width)
        whole = len(pixels) // rows
        block = top // rows
        columns[block : block + whole] = pixels[: whole * rows].reshape(whole, rows, width).swapaxes(1, 2)
        if rest := len(pixels) % rows:
            columns[block + whole, :, :rest] = pixels[whole * rows :].T
    return Packed(lines, width, height)


def shown(in_size: int, out_size: int, kernel: str, starts: Iterable[int], size: int) -> Shown:
    """What windows of `size` pixels from `starts` on show of an axis of `in_size` pixels resized to `out_size`."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted({_inside(start, size, out_size) for start in starts}):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(stop, spans[-1][1])
        elif start < stop:
            spans.append((start, stop))
    places = np.concatenate([np.arange(0), *(np.arange(*span) for span in spans)])
    if in_size == out_size:  # Pillow leaves such an axis alone, and so does a weight of 1
        first, weights = places, np.full((len(places), 1), 1 << PRECISION_BITS, np.int32)
    else:
        first, weights = weights_of(in_size, out_size, kernel, places)
    padded = np.zeros((len(places), -(-weights.shape[1] // TAPS) * TAPS), np.int32)
    padded[:, : weights.shape[1]] = weights
    return Shown(tuple(spans), first.astype(np.int64), padded)


def _blocks(rows: Shown, packed: Packed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The blocks that some rows of the result need, and `rows.first` counted in rows of these blocks."""
    needed = np.zeros(len(packed.lines) // packed.width, np.bool_)
    at = 0
    for start, stop in rows.spans:
        last = at + stop - start - 1
        end = min(rows.first[last] + rows.weights.shape[1], packed.height)
        needed[rows.first[at] // packed.rows : (end - 1) // packed.rows + 1] = True
        at = last + 1
    rank = np.cumsum(needed) - 1
    return np.flatnonzero(needed), rank[rows.first // packed.rows] * packed.rows + rows.first % packed.rows


def _inside(start: int, size: int, length: int) -> tuple[int, int]:
    """The part of a window from `start` on that is inside an axis of `length` pixels."""
    return max(start, 0), min(start + size, length)
