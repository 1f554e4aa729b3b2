"""Made-up right and wrong answers of a zoom study at ImageNet's size, in memory; `made_up.py` writes whole runs.

An answer is right where an image's ease, a zoom's quality and chance add up to more than 0. Chance is not independent:
neighbouring scales, anchors of one scale and all zooms of one image go together, as far as it takes for greedy covers
to have about as many zooms as the study's (93 to 289 of 324).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from snellen.zoom import PAPER_GRID

# Shares of the variance of chance: what an anchor adds at all scales, what a scale adds at all anchors, what
# neighbouring scales share at one anchor; the rest is each zoom's own.
ANCHOR, SCALE, NEAR = 0.2, 0.2, 0.4
# What the worst zoom loses against the best, in standard deviations of chance.
MOST_LOST = 1.2
# How alike two neighbouring scales are.
ALIKE = 0.9


def qualities() -> NDArray[np.float32]:
    """What each zoom adds: 0 at 1-crop, less at other scales and anchors; float32 `[zooms]`."""
    far = np.array([np.log2(rule.scale / 256) for rule in PAPER_GRID])
    off = np.array([abs(rule.row - 1) + abs(rule.col - 1) for rule in PAPER_GRID])
    lost = np.minimum(np.where(far < 0, 0.7, 0.4) * far**2 + 0.3 * off, MOST_LOST)
    return -lost.astype(np.float32)


def chance(images: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Correlated noise of unit variance, float32 `[images, zooms]`."""
    scales = len(PAPER_GRID) // 9
    near = rng.standard_normal((images, scales, 9), np.float32)
    for k in range(1, scales):
        near[:, k] = ALIKE * near[:, k - 1] + np.sqrt(1 - ALIKE**2) * near[:, k]
    noise = np.sqrt(NEAR) * near
    noise += np.sqrt(ANCHOR) * rng.standard_normal((images, 1, 9), np.float32)
    noise += np.sqrt(SCALE) * rng.standard_normal((images, scales, 1), np.float32)
    noise += np.sqrt(1 - ANCHOR - SCALE - NEAR) * rng.standard_normal((images, scales, 9), np.float32)
    return noise.reshape(images, -1)


def correct_matrix(images: int, accuracy: float, upper: float, seed: int) -> NDArray[np.bool_]:
    """Whether each zoom is right: bool `[images, zooms]`, with about this 1-crop accuracy and upper bound (0 … 1)."""
    rng = np.random.default_rng(seed)
    added = qualities() + chance(images, rng)
    best, ease = added.max(axis=1), rng.standard_normal(images).astype(np.float32)
    low, high = 0.05, 20.0
    for _ in range(30):  # the wider the ease is spread, the less zooming helps
        width = (low + high) / 2
        mean = ndtri(accuracy) * np.sqrt(1 + width**2)
        low, high = (width, high) if (mean + width * ease + best > 0).mean() > upper else (low, width)
    return added + (mean + width * ease)[:, None] > 0
