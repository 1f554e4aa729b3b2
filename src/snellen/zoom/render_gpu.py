"""Pixels of views, cut on the device that holds the image, bit-identical to Pillow's full resize and crop.

Pillow adds up 8-bit values times 22-bit weights, adds a half, drops the fraction and clips to 0 … 255, once an axis.
Here the sums are matrix products in float64: every term is a multiple of 2^-22, and every sum takes less than 33 bits
of the 53, so that it is exact in any order and on any device.
"""

import math
from collections.abc import Sequence

import torch

from snellen.zoom.bands import TILE, Bands, Batch, bands_of
from snellen.zoom.grid import ViewRule
from snellen.zoom.weights import PRECISION_BITS

# Source values that are multiplied at a time: 256 MB of float64.
CHUNK = 2**25


def render_gpu(image: torch.Tensor, rules: Sequence[ViewRule]) -> torch.Tensor:
    """Cut every view of an RGB image, uint8 `[height, width, 3]`: uint8 `[len(rules), size, size, 3]`, where it is.

    The image must be one that `bands.can_be_banded`.
    """
    height, width, _ = image.shape
    bands, numbers = bands_of(width, height, rules)
    return cut(image, bands, torch.from_numpy(numbers))


def cut(image: torch.Tensor, bands: Bands, numbers: torch.Tensor) -> torch.Tensor:
    """The views of an image, uint8 `[height, width, 3]`, as `bands_of` planned them; `numbers`: int32, as it gave them.

    Both may lie on different devices; the work is done where the image is.
    """
    per_side = bands.tiles
    tiles = image.new_zeros(bands.views * per_side * per_side, TILE, TILE, 3)
    given = _Numbers(numbers.to(image.device))
    for half in bands.halves:
        along, across = (bands.height, bands.width) if half.across else (bands.width, bands.height)
        # One line for each source pixel of the first pass, with all that lies there along the other axis.
        lines = (image.permute(0, 2, 1) if half.across else image.permute(1, 2, 0)).reshape(along, 3 * across)
        lines, passed = _with_ones(lines), []
        for batch in half.first:
            start, matrices = given.matrices(batch)
            each = torch.arange(batch.tiles, device=image.device)
            made = _products(lines, _runs(start, batch.reach, along, len(lines) - 1), matrices, each)
            passed.append(made.view(batch.tiles, TILE, 3, across).permute(0, 3, 2, 1).reshape(-1, 3 * TILE))
        lines = _with_ones(*passed)
        for batch in half.second:
            start, matrices = given.matrices(batch)
            tile, source, place = given.take(3, batch.uses).long()
            runs = _runs(start[tile], batch.reach, across, len(lines) - 1, of=source)
            made = _products(lines, runs, matrices, tile).view(batch.uses, TILE, 3, TILE)
            tiles[place] = made.permute(0, 3, 1, 2) if half.across else made.permute(0, 1, 3, 2)
    views = tiles.view(bands.views, per_side, per_side, TILE, TILE, 3).permute(0, 1, 3, 2, 4, 5)
    views = views.reshape(bands.views, per_side * TILE, per_side * TILE, 3)[:, : bands.size, : bands.size]
    if bands.flips:
        flips = torch.tensor(bands.flips, device=image.device)
        views[flips] = views[flips].flip(2)
    return views.contiguous()


class _Numbers:
    """The numbers of `bands_of`, taken in its order."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self._numbers, self._at = numbers, 0

    def take(self, *shape: int) -> torch.Tensor:
        """The next of them, int32 in this shape."""
        start, self._at = self._at, self._at + math.prod(shape)
        return self._numbers[start : self._at].view(shape)

    def matrices(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The first source pixel of each tile, int64 `[tiles]`, and its matrix, float64 `[tiles, TILE, reach]`.

        The last column is the half that is added before the fraction is dropped; its source value is 1.
        """
        start, first = self.take(batch.tiles).long(), self.take(batch.tiles, 1, TILE).long()
        weights = self.take(batch.tiles, batch.taps, TILE).double().mul_(2.0**-PRECISION_BITS)
        taps = torch.arange(batch.taps, device=start.device)[:, None]
        matrices = weights.new_zeros(batch.tiles, batch.reach, TILE)
        # Weights beyond a pixel's own taps are 0: they may fall on the last column.
        matrices.scatter_add_(1, (first + taps).clamp_(max=batch.reach - 1), weights)
        matrices[:, -1] = 0.5
        return start, matrices.transpose(1, 2)


def _runs(start: torch.Tensor, reach: int, length: int, ones: int, of: torch.Tensor | None = None) -> torch.Tensor:
    """The lines that each product is made of, int64 `[products, reach]`; the last is the line of ones.

    start: the first, counted in its part of the lines, which has `length`; of: the number of that part.
    """
    runs = (start[:, None] + torch.arange(reach, device=start.device)).clamp_(max=length - 1)
    if of is not None:
        runs += length * of[:, None]
    runs[:, -1] = ones
    return runs


def _with_ones(*lines: torch.Tensor) -> torch.Tensor:
    return torch.cat([*lines, torch.ones_like(lines[0][:1])])


def _products(lines: torch.Tensor, runs: torch.Tensor, matrices: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
    """Each product's tile of pixels: uint8 `[products, TILE, width of a line]`.

    lines: uint8 `[all, width]`; runs: which of them, `[products, reach]`; tile: which matrix, `[products]`.
    """
    made = lines.new_empty(len(runs), TILE, lines.shape[1])
    step = max(1, CHUNK // (max(runs.shape[1], TILE) * lines.shape[1]))
    for at in range(0, len(runs), step):
        some = slice(at, at + step)
        sums = matrices[tile[some]] @ lines[runs[some]].double()
        made[some] = sums.clamp_(0, 255)  # the conversion to uint8 drops the fraction
    return made
