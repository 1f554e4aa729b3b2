"""What speaks for a label or against it: how it compares with what all views of all models say of its image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snellen.mining.suspects.evidence import Gathered

# So many classes that an image may be are at hand, the most probable ones.
RIVALS = 16
# Images whose rivals are sought together; bounds the memory, and changes nothing.
AT_ONCE = 4096
# Added to a probability before its logarithm is taken: what is smaller is all alike.
FLOOR = 1e-4

Labels = Sequence[tuple[int, ...]]
Ids = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the models that were shown an image say of it together: means over models, of means over their views.

    keys: image x classes + class, ascending, of the classes among the five best of a view: int64 `[pairs]`.
    mean, peak: the mean probability of a pair; the mean over models of the highest that a view gives it: float32
        `[pairs]`.
    rest: the mean probability of each class that is among no view's best: `[images]`.
    rivals: the most probable classes of each image, -1 after the last: int64 `[images, RIVALS]`.
    couples, together: class x classes + class, ascending, and the sum over images of the product of their means.
    """

    classes: int
    keys: Ids = field(repr=False)
    mean: NDArray[np.float32] = field(repr=False)
    peak: NDArray[np.float32] = field(repr=False)
    rest: Values = field(repr=False)
    rivals: Ids = field(repr=False)
    couples: Ids = field(repr=False)
    together: Values = field(repr=False)

    def mean_of(self, images: Ids, classes: Ids) -> Values:
        """The mean probability of classes in images; 0 of class -1, and of one among no view's best."""
        return _found(self.keys, self.mean, images * self.classes + classes, classes >= 0)

    def peak_of(self, images: Ids, classes: Ids) -> Values:
        """The peak, likewise."""
        return _found(self.keys, self.peak, images * self.classes + classes, classes >= 0)

    def likeness(self, a: Ids, b: Ids, without: int) -> Values:
        """How often images but one are taken for both of two classes: the cosine of their means, 0 … 1: `[n]`."""
        products = []
        for x, y in ((a, b), (a, a), (b, b)):
            own = (self.mean_of(np.full(len(x), without), x), self.mean_of(np.full(len(y), without), y))
            marked = (own[0] > 1 / self.classes) & (own[1] > 1 / self.classes)  # as in `together`
            key = x * self.classes + y
            products.append(_found(self.couples, self.together, key, key >= 0) - np.where(marked, own[0] * own[1], 0))
        norm = np.sqrt(np.maximum(0, products[1]) * np.maximum(0, products[2]))
        return np.where(norm > FLOOR**2, np.clip(products[0] / np.maximum(norm, FLOOR**2), 0, 1), 0.0)


def opinion_of(gathered: Gathered) -> Opinion:
    """What the models together say, each as much as another."""
    classes, images = gathered.classes, len(gathered.images)
    judges = np.maximum(1, np.sum([judge.views > 0 for judge in gathered.judges], axis=0))
    keys = gathered.judges[0].pairs.keys
    for judge in gathered.judges[1:]:
        keys = np.union1d(keys, judge.pairs.keys)
    mean, peak = np.zeros((2, len(keys)), np.float32)
    for judge in gathered.judges:
        place, image = np.searchsorted(keys, judge.pairs.keys), judge.pairs.keys // classes
        mean[place] += judge.pairs.total / judge.views[image] / judges[image]
        peak[place] += judge.pairs.peak / judges[image]
    rest = np.sum([judge.rest for judge in gathered.judges], axis=0) / judges / classes
    # Products of what chance gives would fill the table and join nothing.
    marked = mean > 1 / classes
    table = sparse.csr_array((mean[marked].astype(np.float64), np.divmod(keys[marked], classes)), (images, classes))
    couples = sparse.coo_array(table.T @ table)
    order = np.lexsort((couples.col, couples.row))
    return Opinion(
        classes=classes,
        keys=keys,
        mean=mean,
        peak=peak,
        rest=rest,
        rivals=_rivals(keys, mean, images, classes),
        couples=(couples.row.astype(np.int64) * classes + couples.col)[order],
        together=couples.data[order],
    )


def padded(labels: Labels) -> Ids:
    """Label sets as rows: int64 `[n, most labels]`, -1 after the last."""
    table = np.full((len(labels), max((len(row) for row in labels), default=1)), -1, np.int64)
    for row, ids in zip(table, labels, strict=True):
        row[: len(ids)] = ids
    return table


def rival_of(opinion: Opinion, images: Ids, labels: Ids) -> Ids:
    """The most probable class of each image that is none of its labels, -1 where no view names any: int64 `[n]`.

    labels: as `padded` gives them.
    """
    rivals = opinion.rivals[images]
    other = (rivals >= 0) & (rivals[:, :, None] != labels[:, None, :]).all(axis=2)
    first = np.take_along_axis(rivals, other.argmax(axis=1)[:, None], 1)[:, 0]
    return np.where(other.any(axis=1), first, -1)


def features(opinion: Opinion, images: Ids, labels: Labels) -> Values:
    """What speaks for the labels of images, float64 `[n, features]`; of several labels the most probable counts.

    odds: the logarithm of the label's mean probability over that of the best other class.
    peak: the logarithm of the highest probability that a view gives the label.
    """
    ids = padded(labels)
    every = np.broadcast_to(images[:, None], ids.shape)
    means = np.where(ids >= 0, opinion.mean_of(every, ids), -1)
    label = np.take_along_axis(ids, means.argmax(axis=1)[:, None], 1)[:, 0]
    rival = opinion.mean_of(images, rival_of(opinion, images, ids))
    rest = opinion.rest[images] + FLOOR
    odds = (opinion.mean_of(images, label) + rest) / (rival + rest)
    return np.log(np.stack([odds, opinion.peak_of(images, label) + rest], axis=1))


def _found(keys: Ids, values: NDArray[np.floating[Any]], wanted: Ids, known: NDArray[np.bool_]) -> Values:
    """The values of some keys, 0 where a key is not there or not known."""
    if not len(keys):
        return np.zeros(wanted.shape)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(known & (keys[place] == wanted), values[place].astype(np.float64), 0.0)


def _rivals(keys: Ids, mean: NDArray[np.float32], images: int, classes: int) -> Ids:
    rivals = np.full((images, RIVALS), -1, np.int64)
    for start in range(0, images, AT_ONCE):
        own = slice(*np.searchsorted(keys, (start * classes, (start + AT_ONCE) * classes)))
        rows, columns = np.divmod(keys[own], classes)
        order = np.lexsort((columns, -mean[own], rows))
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        near = rank < RIVALS
        rivals[rows[near], rank[near]] = columns[order][near]
    return rivals
