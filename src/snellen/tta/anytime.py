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
from snellen.tta.policy import lead_z
from snellen.zoom.render import UnreadableImage, render

Owner = TypeVar("Owner")


@dataclass
class Race(Generic[Owner]):
    """One image under way.

    owner: what its caller knows it by.
    known: probabilities of views that were computed before, by their number in the order.
    total: the sum of the probabilities of the first `shown` views.
    cut_ms, network_ms: what it cost beside what was known.
    error: why it has no answer.
    """

    owner: Owner
    picture: Image.Image
    known: Mapping[int, NDArray[np.float32]]
    total: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    shown: int = 0
    cut_ms: float = 0.0
    network_ms: float = 0.0
    error: str | None = None

    def add(self, probs: NDArray[np.float32]) -> None:
        """Take in the next view."""
        self.total = self.total + probs if self.shown else probs
        self.shown += 1


def settle_all(
    races: Iterator[Race[Owner]], method: Method, network: Answering, together: int, classes: ClassMap | None = None
) -> Iterator[Race[Owner]]:
    """Show each image its next view until its answer is settled; images come out as they are done, not in order.

    method: an `anytime` method. together: images under way at once, which is the size of a batch.
    """
    pool: list[Race[Owner]] = []
    while True:
        while len(pool) < together and (race := next(races, None)) is not None:
            if _settled_by_known(race, method):
                yield race
            else:
                pool.append(race)
        if not pool:
            return
        _round(pool, method, network, classes)
        still = []
        for race in pool:
            if race.error or _settled(race, method) or _settled_by_known(race, method):
                yield race
            else:
                still.append(race)
        pool = still


def _settled(race: Race[Any], method: Method) -> bool:
    views = len(method.rules)
    return race.shown > 0 and bool(lead_z(race.total, race.shown, views) >= method.threshold)


def _settled_by_known(race: Race[Any], method: Method) -> bool:
    """Take in views that are known as long as they come next; whether that settles it."""
    while not (settled := _settled(race, method)) and race.shown in race.known:
        race.add(race.known[race.shown])
    return settled


def _round(pool: list[Race[Any]], method: Method, network: Answering, classes: ClassMap | None) -> None:
    """Every race's next view, in one batch."""
    views, shown = [], []
    for race in pool:
        start = time.perf_counter()
        try:
            views.append(render(race.picture, [method.rules[race.shown]]))
        except UnreadableImage as error:
            race.error = str(error)
            continue
        race.cut_ms += 1000 * (time.perf_counter() - start)
        shown.append(race)
    if not shown:
        return
    start = time.perf_counter()
    logits = network.logits(np.concatenate(views))
    each = 1000 * (time.perf_counter() - start) / len(shown)
    probs = softmax(masked(logits, classes))
    for race, row, numbers in zip(shown, probs, logits, strict=True):
        race.network_ms += each
        race.error = None if np.isfinite(numbers).all() else NOT_NUMBERS
        race.add(row)
