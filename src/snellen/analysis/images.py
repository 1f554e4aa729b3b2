"""Per image: how many zooms read it and which, how much the answer changes with framing, and what most zooms say."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.labels import ClassMap

# Images whose answers are sorted at once; bounds the memory beside the result.
CHUNK = 2048
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class ImageStats:
    """Numbers of each scored image, in the order of the rows of `correct`.

    winning: how many zooms get it right: int32 `[images]`.
    sensitivity: the entropy of its answers over the zooms, in bits; 0 where every zoom says the same. No answer counts
        as one more answer: float32 `[images]`.
    consensus: the class that most zooms answer, ties to the lowest, as an id of the head (the first of its class where
        several are one); -1 where no zoom has an answer: int32 `[images]`.
    consensus_share: the share of all zooms that answer it: float32 `[images]`.
    consensus_right: whether it is right: bool `[images]`.
    """

    winning: NDArray[np.int32] = field(repr=False)
    sensitivity: NDArray[np.float32] = field(repr=False)
    consensus: NDArray[np.int32] = field(repr=False)
    consensus_share: NDArray[np.float32] = field(repr=False)
    consensus_right: NDArray[np.bool_] = field(repr=False)

    @staticmethod
    def fixing(correct: NDArray[np.bool_], image: int) -> list[int]:
        """The zooms that get one image right, ascending.

        correct: bool `[images, zooms]`; image: its row.

        >>> ImageStats.fixing(np.array([[0, 1, 1], [0, 0, 0]], bool), 0)
        [1, 2]
        """
        return [int(zoom) for zoom in np.flatnonzero(correct[image])]

    def to_json(self) -> dict[str, Any]:
        """Mean and quartiles over the images, None where there are none; not the single images."""
        return {
            "winning_zooms": _spread(self.winning),
            "sensitivity_bits": _spread(self.sensitivity),
            "consensus_share": _spread(self.consensus_share),
        }


def image_stats(
    ids: NDArray[np.integer[Any]], correct: NDArray[np.bool_], class_map: ClassMap | None = None
) -> ImageStats:
    """The numbers of each image.

    ids: the answers, ids of the head, -1 where there is none: `[images, zooms]`.
    correct: whether each is right, bool `[images, zooms]`.
    class_map: where several ids may be one class; answers of one class are then the same answer.

    >>> stats = image_stats(np.array([[7, 7, 3, 7]]), np.array([[True, True, False, True]]))
    >>> stats.winning.item(), round(stats.sensitivity.item(), 3), stats.consensus.item(), stats.consensus_right.item()
    (3, 0.811, 7, True)
    """
    n, zooms = ids.shape
    sensitivity, consensus_share = np.zeros((2, n), np.float32)
    consensus, consensus_right = np.full(n, -1, np.int32), np.zeros(n, bool)
    first = first_ids(class_map, ids.dtype)
    part = np.arange(1, zooms + 1) / zooms
    bits = np.concatenate([[0.0], -part * np.log2(part) + 0.0])  # what k zooms with the same answer add
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        answers = ids[rows] if first is None else first[ids[rows]]
        sensitivity[rows], consensus[rows], most = _runs(np.sort(answers, axis=1), bits)
        consensus_share[rows] = most / zooms
        where = (answers == consensus[rows, None]).argmax(axis=1)[:, None]
        consensus_right[rows] = np.take_along_axis(correct[rows], where, axis=1)[:, 0] & (consensus[rows] >= 0)
    return ImageStats(correct.sum(axis=1, dtype=np.int32), sensitivity, consensus, consensus_share, consensus_right)


def _runs(
    answers: NDArray[np.integer[Any]], bits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]], NDArray[np.intp]]:
    """Entropy, most frequent answer that is one, and how often it is given, of each row of sorted answers."""
    new = np.ones(answers.shape, bool)
    np.not_equal(answers[:, 1:], answers[:, :-1], out=new[:, 1:])
    starts = np.flatnonzero(new)
    lengths = np.diff(starts, append=answers.size)
    rows = np.searchsorted(starts, np.arange(len(answers)) * answers.shape[1])  # each row starts a run
    entropy = np.add.reduceat(bits[lengths], rows)
    values = answers.ravel()[starts]
    # The longest run of a row, of equally long ones the first: the lowest id.
    rank = np.where(values >= 0, lengths, 0) * len(starts) + np.arange(len(starts))[::-1]
    best = len(starts) - 1 - np.maximum.reduceat(rank, rows) % len(starts)
    return entropy, values[best], np.where(values[best] >= 0, lengths[best], 0)


def first_ids(class_map: ClassMap | None, kind: Any) -> NDArray[np.integer[Any]] | None:
    """For each id of the head the first of its class, and at the end, for no answer, -1; None where all differ."""
    if class_map is None or not class_map.many_to_one:
        return None
    first = np.where(class_map.of_id >= 0, class_map.members[class_map.of_id, 0], np.arange(class_map.outputs))
    return np.append(first, -1).astype(kind)


def _spread(values: NDArray[Any]) -> dict[str, float | None]:
    names = ["mean", *(f"quantile_{q:.2f}" for q in QUARTILES)]
    if not len(values):
        return dict.fromkeys(names)
    found = [values.mean(dtype=np.float64), *np.quantile(values.astype(np.float64), QUARTILES)]
    return dict(zip(names, map(float, found), strict=True))
