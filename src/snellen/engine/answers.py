"""From logits to the rows of a run."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.labels import ClassMap
from snellen.store.logprobs import encode_logs
from snellen.store.schema import LOGPROBS, MERGED, PREDICTIONS, TOP

MERGES = ("mean", "max")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis; a logit of -inf has probability 0."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithm of the softmax over the last axis; -inf where a logit is."""
    below = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


def masked(logits: NDArray[np.float32], classes: ClassMap | None) -> NDArray[np.float32]:
    """The logits with -inf for every id that takes no part; the very same array where all do."""
    return logits if classes is None else np.where(classes.of_id >= 0, logits, np.float32(-np.inf))


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


def top_classes(scores: NDArray[np.float32], classes: ClassMap | None, k: int = TOP) -> NDArray[np.int32]:
    """For each row the best id of each of the `k` best different classes, best first: int32 `[n, k]`; -1 pads.

    Where several ids are one class, the arg-max is over ids and the class counts once.
    """
    if classes is None:
        return top(scores, k)
    if not classes.many_to_one:
        best = top(scores[:, classes.taking_part], k)
        return np.where(best >= 0, classes.taking_part[best], -1).astype(np.int32)
    members = classes.members
    each = np.where(members >= 0, scores[:, members], -np.inf)  # [n, classes, ids of a class]
    best = top(each.max(axis=2).astype(np.float32), k)
    winner = np.take_along_axis(members[None], each.argmax(axis=2)[..., None], 2)[..., 0]
    return np.where(best >= 0, np.take_along_axis(winner, np.maximum(best, 0), 1), -1).astype(np.int32)


def prediction_table(
    images: Sequence[int],
    logits: NDArray[np.float32],
    probs: NDArray[np.float32],
    classes: ClassMap | None,
    shown: NDArray[np.int16] | None = None,
) -> pa.Table:
    """The rows of some images: their answers at every zoom.

    logits: as the head gave them, `[images, zooms, outputs]`; probs: of the ids that take part, the same shape.
    shown: which zooms these are, int16 `[images, zooms]`; all in their order where None.
    """
    n, zooms, outputs = logits.shape
    flat, shares = logits.reshape(n * zooms, outputs), probs.reshape(n * zooms, outputs)
    ids = top_classes(masked(flat, classes), classes)
    best = np.take_along_axis(shares, np.maximum(ids, 0), 1)
    raw, raw_share = ids[:, 0], best[:, 0]
    if classes is not None:
        raw = flat.argmax(axis=1).astype(np.int32)
        raw_share = np.take_along_axis(softmax(flat), raw[:, None], 1)[:, 0]
    columns: dict[str, object] = {
        "image": np.repeat(np.asarray(images, np.int32), zooms),
        "zoom": np.tile(np.arange(zooms, dtype=np.int16), n) if shown is None else shown.ravel(),
    }
    return pa.table(columns | _answers(ids, best) | {"raw_id0": raw, "raw_p0": raw_share}, schema=PREDICTIONS)


def merged_table(
    image: int, probs: NDArray[np.float32], groups: Mapping[str, NDArray[np.intp]], classes: ClassMap | None
) -> pa.Table:
    """One image's answer by the mean and by the max of the softmax over each group of zooms, and over all."""
    names, merges, rows = [], [], []
    for name, zooms in {**groups, "all": np.arange(len(probs))}.items():
        for merge in MERGES:
            names.append(name)
            merges.append(merge)
            rows.append(probs[zooms].mean(axis=0) if merge == "mean" else probs[zooms].max(axis=0))
    scores = np.stack(rows)
    ids = top_classes(scores, classes)
    columns = {
        "image": np.full(len(ids), image, np.int32),
        "group": pa.array(names).dictionary_encode().cast(MERGED.field("group").type),
        "merge": pa.array(merges).dictionary_encode().cast(MERGED.field("merge").type),
    }
    return pa.table(columns | _answers(ids, np.take_along_axis(scores, np.maximum(ids, 0), 1)), schema=MERGED)


def logprobs_table(image: int, logits: NDArray[np.float32]) -> pa.Table:
    """All of one image's log-probabilities, coded as `store/logprobs.py` says.

    logits: `[zooms, classes]`, -inf for ids that take no part.
    """
    zooms, classes = logits.shape
    offsets = pa.array(np.arange(0, (zooms + 1) * classes, classes, dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(encode_logs(log_softmax(logits)).ravel()))
    columns = [np.full(zooms, image, np.int32), np.arange(zooms, dtype=np.int16), lists]
    return pa.table(dict(zip(LOGPROBS.names, columns, strict=True)), schema=LOGPROBS)


def _answers(ids: NDArray[np.int32], best: NDArray[np.float32]) -> dict[str, object]:
    columns: dict[str, object] = {f"id{k}": ids[:, k] for k in range(TOP)}
    missing = ids < 0
    return columns | {f"p{k}": pa.array(best[:, k], pa.float32(), mask=missing[:, k]) for k in range(TOP)}
