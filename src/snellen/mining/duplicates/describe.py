"""What is looked at in every image to find those that may be one picture: digests, a hash, embeddings of views."""

import hashlib
import os
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers import Classifier, Prepared
from snellen.datasets import DataSet
from snellen.engine.progress import Progress
from snellen.engine.samples import picture_of, read_image, sample_row
from snellen.mining.duplicates.hash import ORIENTATIONS, image_hashes
from snellen.zoom.grid import ViewRule
from snellen.zoom.render import UnreadableImage, render

# Images described before they are compared with others.
BLOCK = 1024
# Images a thread takes at once where no batch of views says how many.
AT_ONCE = 8
# The side of the parts that are shown beside the whole image: four corners and the centre.
PART = 0.65

# An image of a data set.
Picture = tuple[DataSet, int]


@dataclass(frozen=True)
class Described:
    """Some images, in order.

    rows: of `samples`, with the file's `length` in bytes and a digest of its decoded `pixels`, None where it cannot be
        read.
    hashes: uint64 `[images, 8]`; views: embeddings of length 1, float16 `[images, views, width]`, the whole image
        first; no views without a model. Of an image that cannot be read both are 0.
    """

    rows: list[dict[str, Any]]
    hashes: NDArray[np.uint64]
    views: NDArray[np.float16]


def view_rules(size: int) -> tuple[ViewRule, ...]:
    """The whole image, and parts of it, squashed to squares of `size` pixels."""
    places = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))
    parts = (ViewRule(round(size / PART), row, col, size, anchor="spread", fit="squash") for row, col in places)
    return ViewRule(size, 1, 1, size, anchor="spread", fit="squash"), *parts


def describe(pictures: Sequence[Picture], model: Prepared | None, progress: Progress) -> Iterator[Described]:
    """Describe images in blocks; `model` is a classifier whose embeddings are wanted.

    Raises Stopped where a data set is gone, ModelError where the model has no embedding.
    """
    rules = view_rules(model.card.view_size) if model else ()
    at_once = max(1, model.batch_size // len(rules)) if model else AT_ONCE
    threads = len(os.sched_getaffinity(0))
    # A converted network answers one thread at a time; a GPU is one.
    copies = (1 if model.device.startswith("cuda") else threads) if model else 0
    classifiers: queue.SimpleQueue[Classifier] = queue.SimpleQueue()
    for _ in range(copies):
        assert model is not None
        classifiers.put(model.classifier())

    def some(start: int) -> Described:
        found = [_look(*picture, rules) for picture in pictures[start : start + at_once]]
        rows, hashes = [row for row, _, _ in found], np.stack([hashes for _, hashes, _ in found])
        if model is None:
            return Described(rows, hashes, np.zeros((len(rows), 0, 0), np.float16))
        views = np.concatenate([views for _, _, views in found])
        with _borrowed(classifiers) as classifier:
            batches = range(0, len(views), model.batch_size)
            embedded = np.concatenate([classifier.embed(views[k : k + model.batch_size]) for k in batches])
        length = np.linalg.norm(embedded, axis=1, keepdims=True)
        embedded = np.divide(embedded, length, out=np.zeros_like(embedded), where=length > 0)
        return Described(rows, hashes, embedded.reshape(len(rows), len(rules), -1).astype(np.float16))

    block = -(-BLOCK // at_once) * at_once
    with ThreadPoolExecutor(threads, "describe") as pool:
        for start in range(0, len(pictures), block):
            done = []
            for one in pool.map(some, range(start, min(start + block, len(pictures)), at_once)):
                done.append(one)
                progress.advance(len(one.rows) * max(1, len(rules)))
            rows = [row for one in done for row in one.rows]
            yield Described(
                rows, *(np.concatenate([getattr(one, name) for one in done]) for name in ("hashes", "views"))
            )


def _look(
    dataset: DataSet, image: int, rules: Sequence[ViewRule]
) -> tuple[dict[str, Any], NDArray[np.uint64], NDArray[np.uint8]]:
    """The row, hashes and views of an image; black views where it cannot be read."""
    row = sample_row(dataset, image) | {"length": 0, "pixels": None}
    size = rules[0].size if rules else 0
    nothing = np.zeros(len(ORIENTATIONS), np.uint64), np.zeros((len(rules), size, size, 3), np.uint8)
    data = read_image(dataset, image, row)
    picture = None if data is None else picture_of(dataset, data, row)
    if data is None or picture is None:
        return row, *nothing
    try:
        views = render(picture, rules) if rules else nothing[1]
    except UnreadableImage as error:
        return row | {"error": str(error)}, *nothing
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return row | {"length": len(data), "pixels": digest}, image_hashes(picture), views


@contextmanager
def _borrowed(classifiers: "queue.SimpleQueue[Classifier]") -> Iterator[Classifier]:
    classifier = classifiers.get()
    try:
        yield classifier
    finally:
        classifiers.put(classifier)
