"""What is wrong with an image other than its label: several objects in it, or nothing that can be read."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from snellen.datasets import DataSet, open_dataset
from snellen.errors import SnellenError
from snellen.mining.suspects_evidence import ANCHORS, Gathered, Judge, Photograph, anchors_of
from snellen.mining.suspects_features import Opinion
from snellen.zoom.render import UnreadableImage, decode, without_border

UNREADABLE, TOO_SMALL, BLANK = "unreadable", "too small", "blank"
LABEL, SEVERAL = "label", "several objects"
KINDS = (LABEL, SEVERAL, TOO_SMALL, BLANK, UNREADABLE)

# Shorter side in pixels. At 32 x 32 people still name most of what they see, at 16 x 16 no longer: Torralba, Fergus and
# Freeman 2008, "80 Million Tiny Images", section III.
SMALL = 32
# Levels of 255 that 98 % of the pixels lie within where an image shows nothing; JPEG makes a few of none. Looked at are
# so many pixels a side.
FLAT, TAILS, SIDE = 8, (1, 99), 256
# An object is there if at one anchor this share of the zoom-in views are sure of it, and if it is `LIKELY` by the mean
# of all views, both in the mean over models: what is seen only from very near is as often a pattern that is taken for
# something. Two classes are two objects unless images are taken for both this often (1: always).
THERE, LIKELY, ALIKE = 0.25, 0.1, 0.1


def objects(gathered: Gathered, opinion: Opinion) -> dict[int, tuple[int, ...]]:
    """Of each image in which several objects are seen their classes, the one most seen first."""
    shown = sum((judge.views > 0).astype(np.int64) for judge in gathered.judges)
    seen: dict[int, float] = defaultdict(float)
    for judge in gathered.judges:
        most = _most_seen(judge)
        for place in np.flatnonzero(most > 0).tolist():
            key = int(judge.pairs.keys[place])
            seen[key] += float(most[place]) / int(shown[key // gathered.classes])
    found: dict[int, list[tuple[float, int]]] = defaultdict(list)
    there = np.array(sorted(key for key, share in seen.items() if share >= THERE), np.int64)
    image, classes = np.divmod(there, gathered.classes)
    for key in there[opinion.mean_of(image, classes) >= LIKELY].tolist():
        found[key // gathered.classes].append((-seen[key], key % gathered.classes))
    ordered = ((image, [k for _, k in sorted(some)]) for image, some in found.items())
    return {image: kept for image, some in ordered if len(kept := _apart(some, opinion)) > 1}


def _most_seen(judge: Judge) -> NDArray[np.float64]:
    """Of each pair the largest share of the zoom-in views at one anchor that are sure of it: `[pairs]`."""
    anchors = anchors_of(judge.grid)
    views = np.bincount(anchors[anchors >= 0], minlength=ANCHORS)
    return np.asarray((judge.pairs.seen / np.maximum(1, views)).max(axis=1))


def _apart(classes: Sequence[int], opinion: Opinion) -> tuple[int, ...]:
    """Those classes that are like none before them."""
    kept: list[int] = []
    for k in classes:
        others = np.array(kept, np.int64)
        if (opinion.likeness(np.full(len(kept), k, np.int64), others) < ALIKE).all():
            kept.append(k)
    return tuple(kept)


def ill_posed(gathered: Gathered, doubted: Iterable[int]) -> dict[int, str]:
    """Images that nobody can label, each with its kind: `UNREADABLE`, `TOO_SMALL` or `BLANK`.

    doubted: images whose pixels are looked at; none of them is blank if its data set cannot be opened any more.
    """
    found: dict[int, str] = {}
    for number, image in enumerate(gathered.images):
        if image.error is not None:
            found[number] = UNREADABLE
        elif 0 < min(image.width, image.height) < SMALL:
            found[number] = TOO_SMALL
    opened: dict[str, DataSet | None] = {}
    for number in doubted:
        image = gathered.images[number]
        if image.run.data not in opened:
            opened[image.run.data] = _opened(image.run.data)
        if number not in found and _shows_nothing(opened[image.run.data], image):
            found[number] = BLANK
    return found


def _opened(data: str) -> DataSet | None:
    try:
        return open_dataset(data)
    except (SnellenError, OSError):
        return None


def _shows_nothing(dataset: DataSet | None, image: Photograph) -> bool:
    if dataset is None or not image.number < len(dataset.items):
        return False
    if dataset.items[image.number].id != image.image_id:
        return False
    try:
        picture = without_border(decode(dataset.read(image.number)), dataset.border)
    except (OSError, UnreadableImage, SnellenError):
        return False
    low, high = np.percentile(np.asarray(picture.resize((SIDE, SIDE))).reshape(-1, 3), TAILS, axis=0)
    return bool((high - low < FLAT).all())
