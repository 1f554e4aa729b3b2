"""Pictures to enlarge, and a network that Pillow can check."""

import numpy as np

from snellen.mining.publish.upscale import Network


def noise(width, height, seed=0):
    """A picture in which every pixel counts."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def repeated(scale):
    """A network that makes `scale` by `scale` pixels of each, which Pillow does too."""

    def nearest(pixels):
        return pixels.repeat(scale, axis=0).repeat(scale, axis=1)

    return Network("nearest", "0" * 64, scale, 1, nearest)
