"""The control for luck: how much of an upper bound many guesses would reach by themselves."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, shares

# The levels of confidence at which the upper bound is taken again.
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
PERMUTATIONS = 20
# Images whose answers are looked at at once; bounds the memory beside the result.
CHUNK = 512


@dataclass(frozen=True)
class Permuted:
    """A share when every image is scored by another's labels; all nan where there are no images.

    what: `1-crop` or `upper bound`; mean, low, high: of the permutations, the mean, the least and the most.
    """

    what: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Luck:
    """What is left of the numbers when labels mean nothing, and when only confident answers count.

    permuted: 1-crop and upper bound under label sets that were permuted over the images.
    permutations: how many times; images: how many there are.
    confident: levels t, and the upper bound that counts only right answers whose confidence is at least t; answers
        without one count at 0 alone, which is the only level where no answer has any.
    """

    permuted: list[Permuted]
    permutations: int
    images: int
    confident: list[tuple[float, Share]]

    def to_json(self) -> dict[str, Any]:
        """A plain form; None instead of nan."""
        return {
            "permuted": [{k: None if v != v else v for k, v in asdict(one).items()} for one in self.permuted],
            "permutations": self.permutations,
            "images": self.images,
            "confident": {f"{level:g}": value.to_json() for level, value in self.confident},
        }


def luck(
    ids: NDArray[np.integer[Any]],
    confidence: NDArray[np.float32],
    correct: NDArray[np.bool_],
    label_sets: Sequence[Sequence[int]],
    one_crop: int,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Luck:
    """The control for luck of one run by one label source.

    ids, confidence, correct: the answers, ids of the head, -1 where there is none; their probability, nan where there
        is none; whether they are right: each `[images, zooms]`.
    label_sets: all ids accepted for each image.
    one_crop: index of the 1-crop zoom.

    A permutation gives every image the label set of another. What a picture shows then says nothing about its labels,
    but how often each class is a label, how often it is answered and how many different answers an image gets stay as
    they are. So the upper bound under permuted labels is what that many different answers hit blindly. It bounds blind
    luck: of the images that no zoom really reads, no more than about this share is counted as read. It does not bound
    the luck of a guess among the few classes that a picture looks like; the upper bound of confident answers, which a
    guess seldom is, looks at that.
    """
    n = len(ids)
    answered, counts = _answered(ids, label_sets), np.array([len(row) for row in label_sets], np.intp)
    flat = np.array([label for row in label_sets for label in row], np.intp)
    starts = np.cumsum(counts) - counts
    rng = np.random.default_rng(seed)
    hits = np.zeros((2, permutations), np.int64)
    for k in range(permutations):
        order = rng.permutation(n)
        given = counts[order]
        image = np.repeat(np.arange(n), given)
        label = flat[np.repeat(starts[order] - (np.cumsum(given) - given), given) + np.arange(len(image))]
        hits[0, k] = _images(image[ids[image, one_crop] == label], n)
        hits[1, k] = _images(image[answered[image, label >> 3] >> (7 - (label & 7)) & 1 == 1], n)
    return Luck(
        [_permuted(what, row, n) for what, row in zip(("1-crop", "upper bound"), hits, strict=True)],
        permutations,
        n,
        _confident(confidence, correct),
    )


def _answered(ids: NDArray[np.integer[Any]], label_sets: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Which ids each image is answered with at any zoom, as bits: uint8 `[images, bytes]`."""
    width = 1 + max(int(ids.max(initial=-1)), max((max(row, default=-1) for row in label_sets), default=-1))
    found = np.zeros((len(ids), -(-width // 8)), np.uint8)
    table = np.zeros((CHUNK, 1 + width), bool)  # the first column takes "no answer", -1
    cells, first = table.reshape(-1), np.arange(1, table.size, 1 + width)[:, None]
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        table[:] = False
        cells[first[: len(part)] + part] = True
        found[start : start + CHUNK] = np.packbits(table[: len(part), 1:], axis=1)
    return found


def _images(image: NDArray[np.intp], n: int) -> int:
    """How many different images there are among those."""
    return int(np.count_nonzero(np.bincount(image, minlength=n)))


def _permuted(what: str, hits: NDArray[np.int64], n: int) -> Permuted:
    if not n:
        return Permuted(what, float("nan"), float("nan"), float("nan"))
    return Permuted(what, float(hits.mean() / n), float(hits.min() / n), float(hits.max() / n))


def _confident(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> list[tuple[float, Share]]:
    n = len(correct)
    sure, known = np.zeros(n, np.float32), False  # of each image the highest confidence of a right answer
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        known = known or bool(np.isfinite(confidence[rows]).any())
        # A product takes a tenth of the time of a choice, but not where a confidence is unknown.
        sure[rows] = (confidence[rows] * correct[rows]).max(axis=1)
        unknown = start + np.flatnonzero(np.isnan(sure[rows]))
        sure[unknown] = np.where(correct[unknown], np.nan_to_num(confidence[unknown]), np.float32(0)).max(axis=1)
    # A probability is kept as float32, and so is its level: 0.7 itself counts at 0.7.
    levels = [level for level in LEVELS[1:] if known]
    hits = [np.count_nonzero(correct.any(axis=1)), *(np.count_nonzero(sure >= np.float32(level)) for level in levels)]
    return list(zip([LEVELS[0], *levels], shares(hits, n), strict=True))
