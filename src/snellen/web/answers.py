"""`answers/<chunk>.bin`: the five best answers to some images at every zoom, and which are right.

For each image in turn: ids, int16 `[zooms, 5]`, -1 where there is none; probabilities in 65535ths, uint16
`[zooms, 5]`; and a byte a zoom: 0 wrong, 1 right, 2 not shown. All little-endian.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.store.schema import TOP
from snellen.web.index import Index
from snellen.web.models import right_of
from snellen.web.shards import Shard, read_shown, shards_of
from snellen.web.viewed import ViewModel, digest

# Images of a chunk.
CHUNK = 32
WRONG, RIGHT, NOT_SHOWN = range(3)


def parts_of(model: ViewModel, index: Index, chunk: int) -> list[tuple[int, Shard]]:
    """The shards, each with the number of its data set, that have answers to images of a chunk."""
    rows = slice(CHUNK * chunk, CHUNK * (chunk + 1))
    source, number = index.source[rows], index.number[rows]
    return [
        (k, shard)
        for k, run in model.runs.items()
        for shard in shards_of(run)
        if ((source == k) & (number >= shard.start) & (number < shard.stop)).any()
    ]


def chunk_name(model: ViewModel, index: Index, chunk: int, parts: list[tuple[int, Shard]]) -> str:
    """A name that changes with what a chunk holds."""
    rows = np.arange(CHUNK * chunk, min(CHUNK * (chunk + 1), len(index)))
    names = [shard.names for _, shard in parts]
    fingerprints = [run.record["fingerprint"] for run in model.runs.values()]
    places = index.source[rows].tolist(), index.number[rows].tolist()
    return digest("answers", fingerprints, names, places, index.labels(rows), index.hashes[rows].tobytes())


def chunk_bytes(model: ViewModel, index: Index, chunk: int, parts: list[tuple[int, Shard]]) -> bytes:
    """The answers to the images of a chunk, as above.

    Raises UsageError where a file is damaged, Stopped where a store cannot be reached.
    """
    start, stop = CHUNK * chunk, min(CHUNK * (chunk + 1), len(index))
    zooms = len(model.run.grid)
    ids = np.full((stop - start, zooms, TOP), -1, "<i2")
    shares = np.zeros((stop - start, zooms, TOP), "<u2")
    right = np.full((stop - start, zooms), NOT_SHOWN, np.uint8)
    columns = [*(f"id{k}" for k in range(TOP)), *(f"p{k}" for k in range(TOP))]
    for source, shard in parts:
        run = model.runs[source]
        positions = index.within(source, shard.start, shard.stop)
        positions = positions[(positions >= start) & (positions < stop)]
        shown, arrays = read_shown(run, shard, index.number[positions], columns)
        rows = positions - start
        for k in range(TOP):
            ids[rows, :, k] = _small(arrays[k])
            shares[rows, :, k] = np.rint(np.nan_to_num(arrays[TOP + k]) * 65535)
        scored = right_of(run, arrays[0], shown, index.labels(positions))
        right[rows] = np.where(shown, scored, NOT_SHOWN)
    record = zip(ids, shares, right, strict=True)
    return b"".join(array.tobytes() for one in record for array in one)


def _small(ids: NDArray[Any]) -> NDArray[np.int16]:
    """Ids as int16; -1 for one that this does not hold."""
    return np.where(ids <= np.iinfo(np.int16).max, ids, -1).astype(np.int16)
