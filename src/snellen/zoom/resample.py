"""Both passes of a resize and the cut of its windows, compiled by numba at the first use."""

import hashlib
from collections.abc import Callable
from types import FunctionType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from snellen.zoom.weights import PRECISION_BITS

# The number of taps that are added at a time; `weights` are padded with zeros to a multiple.
TAPS = 4
# Added before the shift, so that it rounds.
HALF = 1 << (PRECISION_BITS - 1)

Resample = Callable[..., None]


def resample(
    source: NDArray[np.uint8],
    width: int,
    blocks: NDArray[np.int64],
    first_col: NDArray[np.int64],
    col_weights: NDArray[np.int32],
    middle: NDArray[np.uint8],
    pixels: NDArray[np.uint32],
    first_row: NDArray[np.int64],
    row_weights: NDArray[np.int32],
    cuts: NDArray[np.int64],
    views: NDArray[np.uint8],
) -> None:
    """Resize the rows of an image, then the columns of that, and copy windows of the result.

    The loops are laid out for a compiler that vectorises the innermost. The horizontal pass takes the same columns of
    many rows at once, since those share their weights; the vertical pass takes a row.

    source: `[blocks x width + TAPS, rows x 4]`, the image in blocks of rows; each line is one column of one block:
        the pixels of its rows, four bytes a pixel.
    blocks: which blocks are needed; they are the rows of `middle`, in this order.
    first_col, col_weights, first_row, row_weights: as `resample_weights` returns them, for the columns and rows that
        are needed; `first_row` counts in rows of `middle`.
    middle: room for the rows after the horizontal pass, `[rows + TAPS, bytes]`, three bytes a pixel.
    pixels: the same memory as one 32-bit number a pixel, `[rows, columns]`; neighbours share a byte.
    cuts: one line a window: its view, then for rows and for columns the first one of those needed, how many, and
        the place of the first in the view: int64 `[windows, 7]`.
    views: where the windows go, `[views, size, 3 x size]`.
    """
    rows = source.shape[1] // 4
    sums = np.empty(max(source.shape[1], middle.shape[1]), np.int32)
    column = np.empty(source.shape[1], np.uint8)
    column_pixels = column.view(np.uint32)
    for b in range(len(blocks)):
        for x in range(len(first_col)):
            for i in range(len(column)):
                sums[i] = HALF
            for k in range(0, col_weights.shape[1], TAPS):
                # Behind an image's last column all weights are 0, whatever is there.
                at = min(blocks[b] * width + first_col[x] + k, len(source) - TAPS)
                p0, p1, p2, p3 = source[at], source[at + 1], source[at + 2], source[at + 3]
                w0, w1, w2, w3 = col_weights[x, k], col_weights[x, k + 1], col_weights[x, k + 2], col_weights[x, k + 3]
                for i in range(len(column)):
                    sums[i] += w0 * p0[i] + w1 * p1[i] + w2 * p2[i] + w3 * p3[i]
            for i in range(len(column)):
                column[i] = min(max(sums[i] >> PRECISION_BITS, 0), 255)
            # Four bytes are written and three counted: the next column writes over the fourth.
            for i in range(rows):
                pixels[b * rows + i, x] = column_pixels[i]
    line = np.empty(3 * len(first_col), np.uint8)
    for y in range(len(first_row)):
        for i in range(len(line)):
            sums[i] = HALF
        for k in range(0, row_weights.shape[1], TAPS):
            at = min(first_row[y] + k, len(middle) - TAPS)
            p0, p1, p2, p3 = middle[at], middle[at + 1], middle[at + 2], middle[at + 3]
            w0, w1, w2, w3 = row_weights[y, k], row_weights[y, k + 1], row_weights[y, k + 2], row_weights[y, k + 3]
            for i in range(len(line)):
                sums[i] += w0 * p0[i] + w1 * p1[i] + w2 * p2[i] + w3 * p3[i]
        for i in range(len(line)):
            line[i] = min(max(sums[i] >> PRECISION_BITS, 0), 255)
        for c in range(len(cuts)):
            row, left, start, length = y - cuts[c, 1], 3 * cuts[c, 4], 3 * cuts[c, 6], 3 * cuts[c, 5]
            if 0 <= row < cuts[c, 2]:
                target = views[cuts[c, 0], cuts[c, 3] + row, start : start + length]
                shown = line[left : left + length]
                for i in range(length):
                    target[i] = shown[i]


def compile_resample() -> Resample:
    """`resample` as machine code; what numba compiles is kept for later processes where it can be.

    Numba keeps it in `__pycache__` beside this file, else in the user's cache folder, or where NUMBA_CACHE_DIR says; of
    each kind of processor in files of its own, since machines of a cluster may share the folder.
    Raises ImportError where numba does not fit the other packages, and whatever numba does where it cannot compile.
    """
    import numba
    from numba import types

    byte, index = types.uint8, types.int64[::1]
    weights = types.int32[:, ::1]
    signature = types.void(
        *(byte[:, ::1], types.int64, index, index, weights),
        *(byte[:, ::1], types.Array(types.uint32, 2, "A", aligned=False)),
        *(index, weights, types.int64[:, ::1], byte[:, :, ::1]),
    )
    try:
        from numba.core.registry import cpu_target

        # Numba itself tells processors apart by this, but within one index, which two machines may write at a time.
        processor = repr(cpu_target.target_context.codegen().magic_tuple())
        named = FunctionType(resample.__code__, globals(), resample.__name__)
        named.__qualname__ = f"{resample.__qualname__}_{hashlib.sha256(processor.encode()).hexdigest()[:8]}"
        return cast(Resample, numba.njit(signature, nogil=True, cache=True)(named))
    # RuntimeError: no folder can be written. OSError: a full disk, for one. Whatever pickle raises: a damaged file.
    except Exception:
        return cast(Resample, numba.njit(signature, nogil=True)(resample))
