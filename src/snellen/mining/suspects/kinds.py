"""What is wrong with an image other than its label: several objects in it, or nothing that can be read."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from snellen.datasets import DataSet, open_dataset
from snellen.errors import SnellenError
from snellen.mining.suspects.evidence import Gathered, Photograph
from snellen.mining.suspects.features import Opinion
from snellen.mining.suspects.pairs import ANCHORS
from snellen.zoom.render import UnreadableImage, decode, without_border

UNREADABLE, TOO_SMALL, BLANK = "unreadable", "too small", "blank"
LABEL, SEVERAL = "label", "several objects"

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
# Views at an anchor are as many as were shown there, but no fewer than this, so that one alone is no object.
FEWEST = 5


def objects(gathered: Gathered, opinion: Opinion) -> dict[int, tuple[int, ...]]:
    """Of each image in which several objects are seen their classes, the one most seen first.

    What an image is taken for by turns, at the same places, is not several objects.
    """
    shown = np.sum([judge.views > 0 for judge in gathered.judges], axis=0)
    sure: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(ANCHORS))
    for judge in gathered.judges:
        keys, anchor = np.divmod(judge.pairs.spots, ANCHORS)
        image = keys // gathered.classes
        share = judge.pairs.sure / np.maximum(judge.zoomed[image, anchor], FEWEST) / shown[image]
        for key, at, there in zip(keys.tolist(), anchor.tolist(), share.tolist(), strict=True):
            sure[key][at] += there
    seen = np.array(sorted(key for key, at in sure.items() if at.max() >= THERE), np.int64)
    found: dict[int, list[int]] = defaultdict(list)
    likely = seen[opinion.mean_of(*np.divmod(seen, gathered.classes)) >= LIKELY].tolist()
    for key in sorted(likely, key=lambda key: (-sure[key].max(), key)):
        number, k = divmod(key, gathered.classes)
        before = (sure[number * gathered.classes + other] for other in found[number])
        like = opinion.likeness(np.full(len(found[number]), k), np.array(found[number], np.int64), number)
        if (like < ALIKE).all() and all(_elsewhere(sure[key], at) for at in before):
            found[number].append(k)
    return {number: tuple(classes) for number, classes in found.items() if len(classes) > 1}


def _elsewhere(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether each of two classes is there at an anchor where the other is less than half as sure; both `[9]`."""
    return bool(((a >= THERE) & (b < a / 2)).any() and ((b >= THERE) & (a < b / 2)).any())


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
