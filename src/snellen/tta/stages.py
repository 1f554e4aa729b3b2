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
from snellen.engine.worker import NOT_NUMBERS
from snellen.labels import ClassMap
from snellen.store.schema import TOP
from snellen.tta.anytime import Race, settle_all
from snellen.tta.cutting import Cutter
from snellen.tta.from_run import best_of
from snellen.tta.merge import merged
from snellen.tta.methods import Method
from snellen.zoom.render import UnreadableImage

if TYPE_CHECKING:
    from snellen.tta.memo import Adapted, Memo

# Images that are adapted in one call; the network decides how many of them at once.
TOGETHER = 8


@dataclass
class Seen:
    """An image on its way through the methods.

    sample: its row of `samples`, whose `error` says why it has no answer.
    decode_ms: what reading it took; cut_ms: what cutting took at each scale of the shared views, `[scales]`.
    probs: of the shared views, float32 `[views, classes]`.
    rows: of `methods` so far; `shared` counts forward passes whose time is known when the shard is done.
    """

    sample: dict[str, Any]
    picture: Image.Image
    decode_ms: float
    cut_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    probs: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    rows: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, why: str) -> None:
        """Note that it has no answer."""
        self.sample["error"] = why

    def answer(
        self,
        method: Method,
        scores: NDArray[np.float32],
        classes: ClassMap | None,
        *,
        forwards: int,
        ms: float,
        views_ms: float,
        shared: int = 0,
    ) -> None:
        """Add a method's row: the best classes of scores `[1, classes]`, and what they cost."""
        ids, best = best_of(scores, classes)
        row: dict[str, Any] = {"image": self.sample["image"], "method": method.name}
        row |= {f"id{k}": int(ids[0, k]) for k in range(TOP)}
        row |= {f"p{k}": float(best[0, k]) if ids[0, k] >= 0 else None for k in range(TOP)}
        self.rows.append(row | {"forwards": forwards, "ms": ms, "views_ms": views_ms, "shared": shared})


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
        """Milliseconds a view."""
        return 1000 * self.seconds / max(1, self.views)


def by_merge(method: Method, stream: Iterator[Seen], cutter: Cutter, classes: ClassMap | None) -> Iterator[Seen]:
    """The merge of shared views."""
    places, scales = cutter.places(method.rules), cutter.scales(method.rules)
    for seen in stream:
        start = time.perf_counter()
        scores = merged(seen.probs[None, places], method.merge, classes)
        merge_ms = 1000 * (time.perf_counter() - start)
        views_ms = seen.decode_ms + float(seen.cut_ms[scales].sum())
        costs = {"forwards": len(places), "shared": len(places)}
        seen.answer(method, scores, classes, ms=views_ms + merge_ms, views_ms=views_ms, **costs)
        yield seen


def by_policy(
    method: Method,
    stream: Iterator[Seen],
    cutter: Cutter,
    classes: ClassMap | None,
    classifier: Classifier,
    batch_size: int,
) -> Iterator[Seen]:
    """`anytime`: images under way together, so that batches stay full; views that are shared are not computed again."""
    ready = cutter.known(method.rules)

    def races() -> Iterator[Race[Seen]]:
        for seen in stream:
            yield Race(seen, seen.picture, {k: seen.probs[place] for k, place in ready.items()})

    for race in settle_all(races(), method, Meter(classifier), batch_size, classes):
        seen = race.owner
        if race.error:
            seen.fail(race.error)
        else:
            scores = race.total[None] / np.float32(race.shown)
            known = [k for k in range(race.shown) if k in ready]
            scales = cutter.scales([method.rules[k] for k in known])
            views_ms = seen.decode_ms + race.cut_ms + float(seen.cut_ms[scales].sum())
            costs = {"forwards": race.shown, "shared": len(known)}
            seen.answer(method, scores, classes, ms=views_ms + race.network_ms, views_ms=views_ms, **costs)
        yield seen


def by_memo(method: Method, stream: Iterator[Seen], memo: "Memo", classes: ClassMap | None) -> Iterator[Seen]:
    """MEMO: the image's id seeds its views, so that neither order nor shards change them."""
    forwards = memo.options.views + 1
    for group in _groups(stream, TOGETHER):
        keys = [seen.sample["image_id"] for seen in group]
        for seen, answer in zip(group, _adapted(memo, [seen.picture for seen in group], keys), strict=True):
            if isinstance(answer, UnreadableImage):
                seen.fail(str(answer))
            elif np.isfinite(answer.logits).all():
                scores = softmax(masked(answer.logits[None], classes))
                views_ms = seen.decode_ms + answer.augment_ms
                ms = views_ms + answer.adapt_ms
                seen.answer(method, scores, classes, forwards=forwards, ms=ms, views_ms=views_ms)
            else:
                seen.fail(NOT_NUMBERS)
            yield seen


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


def _groups(stream: Iterator[Seen], size: int) -> Iterator[list[Seen]]:
    while group := list(itertools.islice(stream, size)):
        yield group
