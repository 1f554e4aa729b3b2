"""Small pictures of a run's images for the page: thumbnails, and views cut exactly as the model saw them."""

import base64
import hashlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image

from snellen.datasets import DataSet, open_dataset
from snellen.errors import SnellenError
from snellen.zoom.grid import ViewRule
from snellen.zoom.render import UnreadableImage, decode, render, render_plain, without_border

# Longest sides in pixels: up to twice what the page shows, for fine screens.
THUMBNAIL, VIEW = 288, 192
# Most characters that a picture takes in the page; a larger one is compressed harder, then made smaller.
MOST_CHARACTERS = 12_000
QUALITIES = (72, 50, 35)

GONE = "the image is no longer there"
CHANGED = "another image is in its place now"
REFUSED = "the image cannot be read any more"


class ImageKey(NamedTuple):
    """An image as a run saw it: the data set's spec, the image's id, and the sha256 of its bytes."""

    data: str
    image_id: str
    sha256: str


@dataclass(frozen=True)
class Picture:
    """A WebP image as base64, and its size in pixels."""

    data: str = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True)
class Pictures:
    """What the page shows of one image.

    thumbnail: the whole image without its border, or None, and `why` says why not.
    size: width and height of that whole image; None without it.
    views: the views asked for, by their rule; none without a thumbnail.
    """

    thumbnail: Picture | None = None
    why: str = ""
    size: tuple[int, int] | None = None
    views: Mapping[ViewRule, Picture] = field(default_factory=dict, repr=False)


def take_pictures(wanted: Mapping[ImageKey, Collection[ViewRule]]) -> dict[ImageKey, Pictures]:
    """A thumbnail of each image and the views asked for; every image is read once, whatever else is here.

    An image that is gone, or is another one than the run saw, has no picture, and a reason.
    """
    datasets = {data: _open(data) for data in {key.data for key in wanted}}
    return {key: _pictures(*datasets[key.data], key, rules) for key, rules in wanted.items()}


def _open(data: str) -> tuple[DataSet | None, dict[str, int]]:
    """A data set and the places of its images by id; None where it is no longer there."""
    try:
        dataset = open_dataset(data)
        return dataset, {item.id: place for place, item in enumerate(dataset.items)}
    except (SnellenError, OSError):
        return None, {}


def _pictures(
    dataset: DataSet | None, places: Mapping[str, int], key: ImageKey, rules: Collection[ViewRule]
) -> Pictures:
    if dataset is None or key.image_id not in places:
        return Pictures(why=GONE)
    try:
        content = dataset.read(places[key.image_id])
        if hashlib.sha256(content).hexdigest() != key.sha256:
            return Pictures(why=CHANGED)
        image = without_border(decode(content), dataset.border)
        views = {rule: encode(_view(image, rule), VIEW) for rule in rules}
        return Pictures(encode(image, THUMBNAIL), "", image.size, views)
    except FileNotFoundError:
        return Pictures(why=GONE)
    except (OSError, UnreadableImage, SnellenError):
        return Pictures(why=REFUSED)


def _view(image: Image.Image, rule: ViewRule) -> Image.Image:
    try:  # one resize takes less time than to import numba
        view = render_plain(image, [rule])
    except UnreadableImage:  # a panorama that only `render` can cut
        view = render(image, [rule])
    return Image.fromarray(view[0])


def encode(image: Image.Image, side: int) -> Picture:
    """The image as WebP of at most `side` pixels and `MOST_CHARACTERS` characters; never larger than it is."""
    while True:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            out = io.BytesIO()
            small.save(out, "WEBP", quality=quality)
            data = base64.b64encode(out.getvalue()).decode()
            if len(data) <= MOST_CHARACTERS:
                return Picture(data, *small.size)
        side = side * 3 // 4
