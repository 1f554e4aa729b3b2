"""A run's fingerprint knows the pixels that the installed Pillow renders: its rounding, and the order of its passes."""

import numpy as np
import pytest
from PIL import Image

from snellen.engine.fingerprint import _rendered_sha256
from snellen.zoom import Grid, ViewRule, paper_grid, weights

GRIDS = [
    paper_grid(),
    Grid("own", (ViewRule(256, 1, 1),)),
    Grid("own", (ViewRule(232, 1, 1, filter="bilinear", fit="squash"),)),
]


def in_two_passes(columns_first):
    """Pillow's own resize, one axis after the other in the order that `columns_first(sizes)` says."""
    resize = Image.Image.resize

    def passes(self, size, resample=None, *_, **__):
        first = (self.width, size[1]) if columns_first(*self.size, *size) else (size[0], self.height)
        return resize(resize(self, first, resample), size, resample)

    return passes


@pytest.mark.parametrize("grid", GRIDS, ids=["paper", "own", "squash"])
def test_another_order_of_pillows_passes_is_noticed(grid, monkeypatch):
    here = _rendered_sha256(grid)
    hashes = {}
    for version in ((12, 1), (13, 0)):
        with monkeypatch.context() as patched:
            patched.setattr(weights, "PILLOW", version)
            patched.setattr(Image.Image, "resize", in_two_passes(weights.vertical_first))
            hashes[version] = _rendered_sha256(grid)
    assert len(set(hashes.values())) == 2
    assert here == hashes[(13, 0) if weights.PILLOW >= (13, 0) else (12, 1)]


@pytest.mark.parametrize("grid", GRIDS, ids=["paper", "own", "squash"])
def test_another_rounding_is_noticed(grid, monkeypatch):
    here = _rendered_sha256(grid)
    resize = Image.Image.resize

    def off_by_one(self, size, resample=None, *_, **__):
        pixels = np.asarray(resize(self, size, resample)).copy()
        pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] ^= 1
        return Image.fromarray(pixels)

    monkeypatch.setattr(Image.Image, "resize", off_by_one)
    assert _rendered_sha256(grid) != here
