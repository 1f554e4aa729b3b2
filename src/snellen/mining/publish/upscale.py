"""Enlarging images to a width: by Lanczos, or by a super-resolution network that sees one tile at a time.

A tile is shown with some context on each side, and of the result the context is thrown away. Where the context covers
what the network sees of its input around a pixel (its receptive field), the result is that of the whole image. What
the network makes too large is reduced by Pillow's Lanczos: each band of tiles along its rows as soon as it is there,
then all of them along the columns. The pixels are those of a resize of the whole in width and then in height.
"""

import io
from collections.abc import Callable, Iterator
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
# Of the source, pixels: what of a tile is used, and what is shown around it, which covers 40 convolutions of 3 × 3.
TILE, CONTEXT = 144, 40
# Lanczos enlarges what is left to be enlarged by less than this: once more through the network would cost its square.
ENOUGH = 1.5
# Columns that are reduced at a time.
STRIP = 256
# Of the JPEG files; no chroma is left out.
QUALITY = 95


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


def bands(source: Pixels, network: Network, tile: int = TILE, context: int = CONTEXT) -> Iterator[Pixels]:
    """What a network makes of an image, from top to bottom, a row of tiles at a time: `[up to tile * scale, width, 3]`.

    tile, context: see `TILE`; both become multiples of what the network asks for.
    """
    tile, context = (-(-length // network.multiple) * network.multiple for length in (tile, context))
    height, width = source.shape[:2]
    for top in range(0, height, tile):
        rows = [
            _tile(source, network, top, min(top + tile, height), left, min(left + tile, width), context)
            for left in range(0, width, tile)
        ]
        yield np.concatenate(rows, axis=1)


def _tile(source: Pixels, network: Network, top: int, bottom: int, left: int, right: int, context: int) -> Pixels:
    """Rows `top` … `bottom` and columns `left` … `right` of the source, enlarged."""
    start_row, start_col = max(0, top - context), max(0, left - context)
    shown = source[start_row : bottom + context, start_col : right + context]
    made = network.enlarge(np.ascontiguousarray(shown))
    scale = network.scale
    if made.shape != (scale * shown.shape[0], scale * shown.shape[1], 3):
        raise DataError(f"{network.name} makes {made.shape} of {shown.shape}: it does not enlarge {scale} times")
    rows, cols = ((stop - first) * scale for first, stop in ((start_row, bottom), (start_col, right)))
    return made[(top - start_row) * scale : rows, (left - start_col) * scale : cols]


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
