"""Views of many images through a classifier, in batches that stay full."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Answering(Protocol):
    """What gives logits: a classifier, or what stands for one."""

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits `[n, classes]` of uint8 views `[n, size, size, 3]`."""
        ...


def full_batches(
    classifier: Answering,
    batch_size: int,
    size: int,
    source: Iterator[tuple[int, NDArray[np.uint8]]],
    batch: Any = None,
    join: Callable[[list[Any]], Any] = np.concatenate,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each image's logits `[views, classes]`; batches mix images and stay full to the last.

    source: an image's number and its views, uint8 `[views, size, size, 3]`.
    batch, join: memory for a batch, and what concatenates, where the arrays are not NumPy's.
    """
    if batch is None:
        batch = np.empty((batch_size, size, size, 3), np.uint8)
    held = 0  # views waiting in `batch`
    waiting: list[tuple[int, int, list[NDArray[np.float32]]]] = []  # image, views still to come, its logits

    def settle(logits: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        while len(logits):
            image, missing, got = waiting.pop(0)
            got.append(logits[:missing])
            if missing > len(logits):
                waiting.insert(0, (image, missing - len(logits), got))
            else:
                yield image, join(got)
            logits = logits[missing:]

    for image, views in source:
        waiting.append((image, len(views), []))
        while len(views):
            if not held and len(views) >= batch_size:  # a full batch needs no copy
                yield from settle(classifier.logits(views[:batch_size]))
                views = views[batch_size:]
                continue
            taken = min(batch_size - held, len(views))
            batch[held : held + taken] = views[:taken]
            held, views = held + taken, views[taken:]
            if held == batch_size:
                held = 0
                yield from settle(classifier.logits(batch))
    if held:
        yield from settle(classifier.logits(batch[:held]))
