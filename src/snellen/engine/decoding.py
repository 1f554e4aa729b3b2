"""A decode process: reads, hashes and decodes one image at a time, for a worker whose device does the rest.

`decoders.py` starts it and says what goes between the two. No torch is imported here.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.datasets import DataSet
from snellen.engine.child import become_child, give_up
from snellen.engine.samples import picture_of, read_picture
from snellen.engine.worker import planned_dataset
from snellen.zoom.bands import Bands, bands_of, can_be_banded
from snellen.zoom.grid import Grid, ViewRule
from snellen.zoom.render import UnreadableImage, render

# Views of an image up to which they are cut where it is decoded: sending many small products to a device takes longer.
FEW = 16
# Shapes whose plan a process keeps: it takes longer than decoding (benchmarks/gpu.py prints it) and some megabytes.
# Photographs share few shapes.
SHAPES = 8


@dataclass(frozen=True)
class Decoded:
    """An image as a decode process leaves it.

    row: of `samples`.
    bands: how its views are to be cut; None where they are cut already, or where it cannot be read.
    arrays: its pixels uint8 `[height, width, 3]` and the numbers of `bands`; or its views; or nothing.
    """

    row: dict[str, Any]
    bands: Bands | None
    arrays: list[NDArray[Any]]


def serve() -> None:
    """Decode as a child process until standard input ends."""
    say = become_child()
    try:
        job = json.loads(sys.stdin.readline())
        dataset, rules = planned_dataset(job), Grid.from_json(job["grid"]).rules
        plan = lru_cache(SHAPES)(partial(plan_views, rules=rules))
        for line in sys.stdin:
            row, size = json.loads(line)
            data = None if size is None else read_arrays(job["memory"], [("u1", [size])])[0].tobytes()
            decoded = decode_image(dataset, row, data, rules, plan)
            write_arrays(job["memory"], decoded.arrays)
            kinds = [(array.dtype.str, array.shape) for array in decoded.arrays]
            say(event="done", row=decoded.row, bands=decoded.bands and asdict(decoded.bands), arrays=kinds)
    except Exception as error:
        give_up(error, Path(), say)


def plan_views(width: int, height: int, rules: Sequence[ViewRule]) -> tuple[Bands, NDArray[np.int32]] | None:
    """How the views are cut on a device; None where they are cut here."""
    few = len(rules) < FEW
    return None if few or not can_be_banded(width, height, rules) else bands_of(width, height, rules)


def decode_image(
    dataset: DataSet,
    row: dict[str, Any],
    data: bytes | None,
    rules: Sequence[ViewRule],
    plan: Callable[[int, int], tuple[Bands, NDArray[np.int32]] | None],
) -> Decoded:
    """Read and decode the image of a row, and plan how its views are cut; where `plan` has none they are cut at once.

    data: its bytes, where they are read already.
    """
    picture = read_picture(dataset, row["image"], row) if data is None else picture_of(dataset, data, row)
    if picture is None:
        return Decoded(row, None, [])
    planned = plan(*picture.size)
    if planned:
        bands, numbers = planned
        return Decoded(row, bands, [np.asarray(picture), numbers])
    try:
        return Decoded(row, None, [render(picture, rules)])
    except UnreadableImage as error:
        return Decoded(row | {"error": str(error)}, None, [])


def read_arrays(memory: int, kinds: Sequence[tuple[str, Sequence[int]]]) -> list[NDArray[Any]]:
    """The arrays that lie one after the other in `memory`, each given by its type and shape."""
    arrays, at = [], 0
    for kind, shape in kinds:
        arrays.append(np.empty(shape, kind))
        into = arrays[-1].data.cast("B")
        while into:
            count = os.preadv(memory, [into], at)
            if not count:
                raise EOFError("a decode process left less than it said")
            into, at = into[count:], at + count
    return arrays


def write_arrays(memory: int, arrays: Sequence[NDArray[Any]]) -> None:
    """Lay arrays one after the other into `memory`."""
    at = 0
    for array in arrays:
        left = np.ascontiguousarray(array).data.cast("B")
        while left:
            count = os.pwrite(memory, left, at)
            left, at = left[count:], at + count
