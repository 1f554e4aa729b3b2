"""From logits to the rows of a run."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.store.schema import MERGED, PREDICTIONS, PROBS, TOP

MERGES = ("mean", "max")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def top(scores: NDArray[np.float32], k: int = TOP) -> NDArray[np.int32]:
    """Ids of the `k` highest scores of each row, best first, ties to the lowest id: int32 `[n, k]`; -1 pads."""
    n, classes = scores.shape
    ids = np.argpartition(-scores, min(k, classes) - 1, axis=1)[:, :k]
    ids.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, ids, 1), axis=1, kind="stable")
    ids = np.take_along_axis(ids, order, 1).astype(np.int32)
    last = np.take_along_axis(scores, ids[:, -1:], 1)
    for row in np.flatnonzero((scores >= last).sum(axis=1) > ids.shape[1]):  # a tie across the border: any of it is in
        ids[row] = np.argsort(-scores[row], kind="stable")[:k]
    padding = np.full((n, max(0, k - classes)), -1, np.int32)
    return np.concatenate([ids, padding], axis=1)


def prediction_table(image: int, logits: NDArray[np.float32], probs: NDArray[np.float32]) -> pa.Table:
    """The rows of one image: its answer at every zoom, from logits and probabilities `[zooms, classes]`."""
    zooms = len(logits)
    ids = top(logits)
    best = np.take_along_axis(probs, np.maximum(ids, 0), 1)
    columns = {"image": np.full(zooms, image, np.int32), "zoom": np.arange(zooms, dtype=np.int16)}
    columns |= _answers(ids, best) | {"raw_id0": ids[:, 0], "raw_p0": best[:, 0]}
    return pa.table(columns, schema=PREDICTIONS)


def merged_table(image: int, probs: NDArray[np.float32], groups: Mapping[str, NDArray[np.intp]]) -> pa.Table:
    """One image's answer by the mean and by the max of the softmax over each group of zooms, and over all."""
    names, merges, rows = [], [], []
    for name, zooms in {**groups, "all": np.arange(len(probs))}.items():
        for merge in MERGES:
            names.append(name)
            merges.append(merge)
            rows.append(probs[zooms].mean(axis=0) if merge == "mean" else probs[zooms].max(axis=0))
    scores = np.stack(rows)
    ids = top(scores)
    columns = {
        "image": np.full(len(ids), image, np.int32),
        "group": pa.array(names).dictionary_encode().cast(MERGED.field("group").type),
        "merge": pa.array(merges).dictionary_encode().cast(MERGED.field("merge").type),
    }
    return pa.table(columns | _answers(ids, np.take_along_axis(scores, np.maximum(ids, 0), 1)), schema=MERGED)


def probs_table(image: int, probs: NDArray[np.float32]) -> pa.Table:
    """All of one image's probabilities, as float16."""
    zooms, classes = probs.shape
    offsets = pa.array(np.arange(0, (zooms + 1) * classes, classes, dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(probs.astype(np.float16).ravel()))
    columns = [np.full(zooms, image, np.int32), np.arange(zooms, dtype=np.int16), lists]
    return pa.table(dict(zip(PROBS.names, columns, strict=True)), schema=PROBS)


def _answers(ids: NDArray[np.int32], best: NDArray[np.float32]) -> dict[str, object]:
    columns: dict[str, object] = {f"id{k}": ids[:, k] for k in range(TOP)}
    missing = ids < 0
    return columns | {f"p{k}": pa.array(best[:, k], pa.float32(), mask=missing[:, k]) for k in range(TOP)}
