"""How each kind of method answers the images of a shard: one stage after another, and each adds its row.

A stage takes images and gives them on as they are done, which need not be in order.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.classifiers import Classifier
from snellen.engine.answers import masked, softmax
from snellen.labels import ClassMap
from snellen.store.schema import TOP
from snellen.tta.anytime import Viewing, settle_all
from snellen.tta.cutting import Cutter
from snellen.tta.from_run import best_of
from snellen.tta.merge import merged
from snellen.tta.methods import Method
from snellen.zoom.render import UnreadableImage

if TYPE_CHECKING:
    from snellen.tta.memo import Adapted, Memo


@dataclass
class InFlight:
    """An image on its way through the methods.

    sample: its row of `samples`, whose `error` says why it has no answer.
    decode_ms: milliseconds for reading and decoding it; cut_ms: for cutting each of the cutter's sets, `[sets]`.
    probs: of the shared views, float32 `[views, classes]`.
    rows: of `methods` so far.
    """

    sample: dict[str, Any]
    picture: Image.Image
    decode_ms: float
    cut_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    probs: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    rows: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, why: str) -> None:
        """Note that no method has an answer to it."""
        self.sample["error"] = why

    def answer(
        self,
        method: Method,
        scores: NDArray[np.float32] | None,
        classes: ClassMap | None,
        *,
        forwards: int,
        ms: float,
        views_ms: float,
        metered: int = 0,
    ) -> None:
        """Add a method's row: the best classes of its scores `[1, classes]` (None: no answer), and what it cost.

        metered: of `forwards` those that `ms` does not hold yet: a meter knows their time when the shard is done.
        """
        row: dict[str, Any] = {"image": self.sample["image"], "method": method.name}
        row |= {f"id{k}": -1 for k in range(TOP)} | {f"p{k}": None for k in range(TOP)}
        if scores is not None:
            ids, best = best_of(scores, classes)
            row |= {f"id{k}": int(ids[0, k]) for k in range(TOP)}
            row |= {f"p{k}": float(best[0, k]) for k in range(TOP) if ids[0, k] >= 0}
        self.rows.append(row | {"forwards": forwards, "ms": ms, "views_ms": views_ms, "metered": metered})


@dataclass
class Meter:
    """A classifier that notes how long it takes."""

    classifier: Classifier
    seconds: float = 0.0
    views: int = 0

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As the classifier's."""
        start = time.perf_counter()
        logits = self.classifier.logits(views)
        self.seconds += time.perf_counter() - start
        self.views += len(views)
        return logits

    @property
    def ms(self) -> float:
        """Milliseconds a view, on the average so far."""
        return 1000 * self.seconds / max(1, self.views)


def by_merge(
    method: Method, stream: Iterator[InFlight], cutter: Cutter, classes: ClassMap | None
) -> Iterator[InFlight]:
    """The merge of shared views."""
    places, number = cutter.places(method.rules), cutter.number(method.rules)
    for image in stream:
        start = time.perf_counter()
        scores = merged(image.probs[None, places], method.merge, classes)
        merge_ms = 1000 * (time.perf_counter() - start)
        views_ms = image.decode_ms + float(image.cut_ms[number])
        costs = {"forwards": len(places), "metered": len(places)}
        image.answer(method, scores, classes, ms=views_ms + merge_ms, views_ms=views_ms, **costs)
        yield image


def by_policy(
    method: Method,
    stream: Iterator[InFlight],
    cutter: Cutter,
    classes: ClassMap | None,
    network: Meter,
    batch_size: int,
) -> Iterator[InFlight]:
    """`anytime`: images under way together, so that batches stay full; views that are shared are not computed again."""
    known = cutter.known(method.rules)

    def viewings() -> Iterator[Viewing[InFlight]]:
        for image in stream:
            yield Viewing(image, image.picture, {k: image.probs[place] for k, place in known.items()})

    for viewing in settle_all(viewings(), method, network, batch_size, classes):
        image = viewing.owner
        if viewing.error:
            image.fail(viewing.error)
        else:
            scores = viewing.total[None] / np.float32(viewing.shown)
            views_ms = image.decode_ms + viewing.cut_ms
            costs = {"forwards": viewing.shown, "metered": viewing.shown}
            image.answer(method, scores, classes, ms=views_ms, views_ms=views_ms, **costs)
        yield image


def by_memo(method: Method, stream: Iterator[InFlight], memo: "Memo", classes: ClassMap | None) -> Iterator[InFlight]:
    """MEMO: the image's id seeds its views, so that neither order nor shards change them.

    Where a step leaves a network whose logits are no numbers, this method alone has no answer: what the others show the
    image to is another network.
    """
    forwards = memo.options.views + 1
    while group := list(itertools.islice(stream, memo.together)):
        keys = [image.sample["image_id"] for image in group]
        for image, answer in zip(group, _adapted(memo, [image.picture for image in group], keys), strict=True):
            if isinstance(answer, UnreadableImage):
                image.fail(str(answer))
            else:
                numbers = np.isfinite(answer.logits).all()
                scores = softmax(masked(answer.logits[None], classes)) if numbers else None
                views_ms = image.decode_ms + answer.augment_ms + answer.cut_ms
                ms = views_ms + answer.adapt_ms
                image.answer(method, scores, classes, forwards=forwards, ms=ms, views_ms=views_ms)
            yield image


def _adapted(
    memo: "Memo", pictures: Sequence[Image.Image], keys: Sequence[str]
) -> "Sequence[Adapted | UnreadableImage]":
    """What the network adapted to each image answers, or why the image cannot be cut."""
    try:
        return memo.adapt_many(pictures, keys)
    except UnreadableImage as error:
        if len(pictures) == 1:
            return [error]
        return [_adapted(memo, [picture], [key])[0] for picture, key in zip(pictures, keys, strict=True)]
