"""Enlarging images to a width: by Lanczos, or by a super-resolution network that sees one tile at a time.

A tile is shown with some context on each side, and of the result the context is thrown away. Where the context covers
what the network sees of its input around a pixel (its receptive field), the result is that of the whole image. Of one
that sees further two tiles differ where they meet: what is left of them overlaps there, and one fades into the other.
What the network makes too large is reduced by Pillow's Lanczos: each band of tiles along its rows as soon as it is
there, then all of them along the columns. The pixels are those of a resize of the whole in width and then in height.
"""

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.errors import DataError

Pixels = NDArray[np.uint8]  # [height, width, 3]

# What `4k` means: as ImageNet-Hard-4K, images 3,840 pixels wide.
WIDTHS = {"4k": 3840}
# An image that would become higher than twice its new width becomes that high, and less wide: panoramas that stand.
MOST_HIGH = 2
# Of the source, pixels: a tile; what is shown around what of it is used, which covers 34 convolutions of 3 × 3, as many
# as Real-ESRGAN's compact networks have; and how far a tile reaches into the next one, into which it fades.
TILE, CONTEXT, BLEND = 144, 34, 6
# Lanczos enlarges what is left to be enlarged by less than this: once more through the network would cost its square.
ENOUGH = 1.5
# Columns that are reduced at a time.
STRIP = 256
# Of the JPEG files; no chroma is left out.
QUALITY = 95
# What decides the pixels beside the image, its width and the network: what was kept under another is made anew.
RECIPE = (TILE, CONTEXT, BLEND, ENOUGH, QUALITY)


@dataclass(frozen=True)
class Network:
    """A super-resolution network.

    name: its architecture and file; sha256: of the file.
    scale: how many times larger it makes an image. multiple: its input's sides should be multiples of this.
    enlarge: makes `[height, width, 3]` into `[scale * height, scale * width, 3]`, uint8.
    """

    name: str
    sha256: str
    scale: int
    multiple: int
    enlarge: Callable[[Pixels], Pixels]


def target_size(width: int, height: int, wide: int) -> tuple[int, int]:
    """The width and height that an image gets; those it has where it is as wide already.

    >>> target_size(500, 375, 3840), target_size(100, 1000, 3840), target_size(4000, 10, 3840)
    ((3840, 2880), (768, 7680), (4000, 10))
    """
    factor = min(wide / width, MOST_HIGH * wide / height)
    if factor <= 1:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))


def enlarge(image: Image.Image, wide: int, network: Network | None) -> Image.Image:
    """An RGB image `wide` pixels wide, see `target_size`; itself where it is as wide already.

    network: what enlarges it, until less than `ENOUGH` is left for Lanczos; None: Lanczos. Raises DataError where the
    network makes no image.
    """
    size = target_size(*image.size, wide)
    if size == image.size:
        return image
    if network is None:
        return image.resize(size, Image.Resampling.LANCZOS)
    source: Pixels = np.asarray(image)
    while size[0] >= ENOUGH * source.shape[1] * network.scale:
        source = np.concatenate(list(bands(source, network)))
    return Image.fromarray(_reduced(bands(source, network), size, source.shape[0] * network.scale))


def encode(image: Image.Image) -> bytes:
    """An image as the JPEG that is published."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def bands(
    source: Pixels, network: Network, tile: int = TILE, context: int = CONTEXT, blend: int = BLEND
) -> Iterator[Pixels]:
    """What a network makes of an image, from top to bottom, about a row of tiles at a time: `[rows, width, 3]`.

    tile, context, blend: see `TILE`; a tile, and all that is shown around it, become multiples of what the network asks
    for, and a tile fades over half of it at most.
    """
    tile = -(-tile // network.multiple) * network.multiple
    blend = min(blend, tile // 2)
    around = -(-(context + blend) // network.multiple) * network.multiple
    (rows, row_laps), (cols, col_laps) = (_cut(length, tile, blend) for length in source.shape[:2])
    scale = network.scale

    def band(row: range) -> Pixels:
        tiles = (_tile(source, network, row, col, around - blend) for col in cols)
        return np.concatenate(list(_faded(tiles, [lap * scale for lap in col_laps], axis=1)), axis=1)

    yield from _faded(map(band, rows), [lap * scale for lap in row_laps], axis=0)


def _cut(length: int, tile: int, blend: int) -> tuple[list[range], list[int]]:
    """The tiles of a side, each with what it fades over, and how much of each the next has too.

    >>> _cut(100, 40, 5)
    ([range(0, 45), range(35, 85), range(75, 100)], [10, 10, 0])
    """
    ranges = [range(max(0, at - blend), min(length, at + tile + blend)) for at in range(0, length, tile)]
    laps = [one.stop - other.start for one, other in itertools.pairwise(ranges)]
    return ranges, [*laps, 0]


def _faded(parts: Iterable[Pixels], laps: Sequence[int], axis: int) -> Iterator[Pixels]:
    """Parts without what they share, over which each fades linearly into the next.

    laps: how many of its last rows (axis 0) or columns (axis 1) each shares with the first of the next.
    """
    before: Pixels | None = None
    for given, lap in zip(parts, laps, strict=True):
        part = np.moveaxis(given, axis, 0)
        if before is not None:
            weight = ((np.arange(len(before), dtype=np.float32) + 0.5) / len(before))[:, None, None]
            part[: len(before)] = np.rint(before * (1 - weight) + part[: len(before)] * weight)
        end = len(part) - lap
        before = part[end:]
        yield np.moveaxis(part[:end], 0, axis)


def _tile(source: Pixels, network: Network, rows: range, cols: range, context: int) -> Pixels:
    """Some rows and columns of the source, enlarged."""
    start_row, start_col = max(0, rows.start - context), max(0, cols.start - context)
    shown = source[start_row : rows.stop + context, start_col : cols.stop + context]
    made = network.enlarge(shown.copy())  # contiguous, and theirs to write to, as Pillow's own is not
    scale = network.scale
    if made.shape != (scale * shown.shape[0], scale * shown.shape[1], 3):
        raise DataError(f"{network.name} makes {made.shape} of {shown.shape}: it does not enlarge {scale} times")
    down, right = ((kept.start - first) * scale for kept, first in ((rows, start_row), (cols, start_col)))
    return made[down : down + len(rows) * scale, right : right + len(cols) * scale]


def _reduced(made: Iterator[Pixels], size: tuple[int, int], height: int) -> Pixels:
    """Bands of `height` rows in all, resized by Lanczos, in width and then in height."""
    narrow = np.empty((height, size[0], 3), np.uint8)
    at = 0
    for band in made:
        narrow[at : at + len(band)] = _lanczos(band, (size[0], len(band)))
        at += len(band)
    if height == size[1]:
        return narrow
    found = np.empty((size[1], size[0], 3), np.uint8)
    for left in range(0, size[0], STRIP):
        strip = narrow[:, left : left + STRIP]
        found[:, left : left + STRIP] = _lanczos(strip, (strip.shape[1], size[1]))
    return found


def _lanczos(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
