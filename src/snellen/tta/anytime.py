"""Answering with as few views as an image needs: many images under way at once, so that batches stay full."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.engine.answers import masked, softmax
from snellen.engine.batches import Answering
from snellen.engine.worker import NOT_NUMBERS
from snellen.labels import ClassMap
from snellen.tta.methods import Method
from snellen.tta.policy import settled
from snellen.zoom.render import UnreadableImage, render

Owner = TypeVar("Owner")


@dataclass
class Viewing(Generic[Owner]):
    """One image that is shown view after view.

    owner: what its caller knows it by.
    known: probabilities of views that were computed before, by their number in the order.
    total: the sum of the probabilities of the first `shown` views, float32 `[classes]`.
    cut_ms: milliseconds for cutting these, one by one.
    error: why it has no answer.
    """

    owner: Owner
    picture: Image.Image
    known: Mapping[int, NDArray[np.float32]]
    total: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    shown: int = 0
    cut_ms: float = 0.0
    error: str | None = None

    def add(self, probs: NDArray[np.float32]) -> None:
        """Take in the next view."""
        self.total = self.total + probs if self.shown else probs
        self.shown += 1


def settle_all(
    viewings: Iterator[Viewing[Owner]],
    method: Method,
    network: Answering,
    together: int,
    classes: ClassMap | None = None,
) -> Iterator[Viewing[Owner]]:
    """Show each image its next view until its answer is settled; images come out as they are done, not in order.

    method: an `anytime` method. together: images under way at once, which is the size of a batch.
    """
    pool: list[tuple[Viewing[Owner], NDArray[np.uint8]]] = []
    while True:
        while len(pool) < together and (viewing := next(viewings, None)) is not None:
            view = _next_view(viewing, method)
            if view is None:
                yield viewing
            else:
                pool.append((viewing, view))
        if not pool:
            return
        logits = network.logits(np.concatenate([view for _, view in pool]))
        probs = softmax(masked(logits, classes))
        still = []
        for (viewing, _), row, numbers in zip(pool, probs, logits, strict=True):
            if np.isfinite(numbers).all():
                viewing.add(row)
            else:
                viewing.error = NOT_NUMBERS
            view = _next_view(viewing, method)
            if view is None:
                yield viewing
            else:
                still.append((viewing, view))
        pool = still


def _next_view(viewing: Viewing[Any], method: Method) -> NDArray[np.uint8] | None:
    """The next view that the network has to answer, uint8 `[1, size, size, 3]`; None where the image is done.

    Views that are known are cut as well, since `cut_ms` is what the method takes by itself.
    """
    while not viewing.error and not _settled(viewing, method):
        start = time.perf_counter()
        try:
            view = render(viewing.picture, [method.rules[viewing.shown]])
        except UnreadableImage as error:
            viewing.error = str(error)
            break
        viewing.cut_ms += 1000 * (time.perf_counter() - start)
        if viewing.shown not in viewing.known:
            return view
        viewing.add(viewing.known[viewing.shown])
    return None


def _settled(viewing: Viewing[Any], method: Method) -> bool:
    return viewing.shown > 0 and bool(settled(viewing.total, viewing.shown, len(method.rules), method.threshold))
