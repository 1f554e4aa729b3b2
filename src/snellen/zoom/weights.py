"""The recipe behind Pillow's `resize`: fixed-point weights, and which axis goes first.

Pillow resizes RGB images in two passes, one an axis. Each value of a pass is a weighted sum of source values in
32-bit integers: weights times 2^22, plus a half, shifted back and clipped to 0 … 255. So the result of the first pass
is rounded to 8 bits before the second, and the order of the passes matters.

Method: `src/libImaging/Resample.c` of Pillow, https://github.com/python-pillow/Pillow.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import PIL
from numpy.typing import NDArray

# 8 bits are for the value, 2 for filters that overshoot.
PRECISION_BITS = 32 - 8 - 2

# Which axis goes first is another in 12.2 and in 13.0.
PILLOW = tuple(int(part) for part in PIL.__version__.split(".")[:2])

# Weights that are made at a time: a strong reduction has tens of millions, and each is held as some float64 meanwhile.
AT_ONCE = 2**20

Floats = NDArray[np.float64]


def resample_weights(
    in_size: int, out_size: int, kernel: str, start: int, stop: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What Pillow adds up for the places start … stop - 1 of an axis of `in_size` pixels resized to `out_size`.

    kernel: `bilinear`, `bicubic` or `lanczos`.
    Returns the first source pixel of each place, int32 `[n]`, and the weights of the source pixels from there on,
    int32 `[n, taps]`, in units of 2^-22; beyond a place's own taps they are 0, where the source may have ended.

    >>> first, weights = resample_weights(4, 2, "bilinear", 0, 2)
    >>> first.tolist(), weights.tolist()
    ([0, 1], [[1797559, 1797559, 599186], [599186, 1797559, 1797559]])
    """
    return weights_of(in_size, out_size, kernel, np.arange(start, stop))


def weights_of(
    in_size: int, out_size: int, kernel: str, places: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What `resample_weights` returns, for any places of the resized axis."""
    reach, curve = KERNELS[kernel]
    # Pillow passes the source's side as a 32-bit float.
    scale = float(np.float32(in_size)) / out_size
    stretch = max(scale, 1.0)
    support = reach * stretch
    centre = (places + 0.5) * scale
    # As in C, where a cast to int drops the fraction.
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), in_size) - first
    # Taps go down the rows: a sum over them is then taken in Pillow's order, one tap after the other.
    tap = np.arange(count.max(initial=0))[:, None]
    made = np.zeros((len(places), len(tap)), np.int32)
    step = max(1, AT_ONCE // max(1, len(tap)))
    for at in range(0, len(places), step):
        part = slice(at, at + step)
        weights = curve((tap + first[part] - centre[part] + 0.5) * (1.0 / stretch))
        weights[tap >= count[part]] = 0
        total = np.add.accumulate(weights)[-1:]
        weights /= np.where(total == 0, 1, total)
        weights *= 1 << PRECISION_BITS
        weights += np.copysign(0.5, weights)
        made[part] = weights.T
    return first.astype(np.int32), made


def vertical_first(in_width: int, in_height: int, out_width: int, out_height: int) -> bool:
    """Whether Pillow resizes the columns before the rows, which saves work where far more height than width goes.

    >>> vertical_first(500, 375, 298, 224), vertical_first(100, 500, 224, 1120)
    (False, False)
    """
    if out_height >= in_height:
        return False
    if PILLOW >= (13, 0):
        return in_height - out_height > 2 * (in_width - out_width)
    return PILLOW >= (12, 2) and in_height > 100 * in_width


def _bilinear(x: Floats) -> Floats:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _bicubic(x: Floats) -> Floats:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: Floats) -> Floats:
    return np.where((x >= -3) & (x < 3), _sinc(x) * _sinc(x / 3), 0.0)


def _sinc(x: Floats) -> Floats:
    x = x * math.pi
    # The sine of the C library, as in Pillow; NumPy's own may differ in the last bit. A list of one row at a time.
    angles = itertools.chain.from_iterable(row.tolist() for row in x)
    sine = np.fromiter(map(math.sin, angles), np.float64, x.size).reshape(x.shape)
    return np.divide(sine, x, out=np.ones_like(x), where=x != 0)


# How far each filter reaches at its natural scale, in source pixels, and its curve.
KERNELS: dict[str, tuple[float, Callable[[Floats], Floats]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
