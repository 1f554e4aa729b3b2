"""The bytes of the images that are published: as they were mined, or made into what was asked for."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from snellen.datasets import DataSet, open_dataset
from snellen.errors import DataError
from snellen.mining.mined import MinedImage, image_key
from snellen.zoom.render import FORMATS, UnreadableImage, decode, without_border

# Formats that every browser shows, and so the Hub's viewer, by their usual suffix.
SHOWN = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
OTHERS = {"TIFF": "tif", "PPM": "ppm"}


@dataclass(frozen=True)
class Bytes:
    """The encoded bytes of an image, the suffix of its format, and its size in pixels as they are stored.

    turned: whether its Exif data tell programs to turn or mirror it, which the miners were shown it without.
    """

    data: bytes
    suffix: str
    width: int
    height: int
    turned: bool

    def is_as_mined(self, border: int) -> bool:
        """Whether browsers and `datasets` show what the miners saw; `border`: pixels that those were not shown."""
        return self.suffix in SHOWN.values() and not border and not self.turned


class Originals:
    """The images of a hard set in the data sets that they were mined from.

    Raises DataError where a data set cannot be opened, or an image is in none of them.
    """

    def __init__(self, sources: Sequence[DataSet], images: Iterable[MinedImage]) -> None:
        wanted = {image.id: image for image in images}
        self._places: dict[str, tuple[DataSet, int]] = {}
        for dataset in sources:
            for k, item in enumerate(dataset.items):
                key = image_key(dataset.origin(k), item.id)
                if key in wanted:
                    self._places.setdefault(key, (dataset, k))
        lost = [image for key, image in wanted.items() if key not in self._places]
        if lost:
            specs = ", ".join(dataset.spec for dataset in sources) or "none"
            raise DataError(
                f"{len(lost)} of {len(wanted)} images are in none of the data sets ({specs}), first "
                f"{lost[0].image_id!r} of {lost[0].origin!r}; give those that were mined with --data"
            )

    def place(self, image: MinedImage) -> tuple[DataSet, int]:
        """The data set that an image is in, and its number there."""
        return self._places[image.id]

    def border(self, image: MinedImage) -> int:
        """Pixels on each side that no classifier was shown."""
        return self._places[image.id][0].border

    def read(self, image: MinedImage) -> bytes:
        """The bytes of an image; DataError where they cannot be had, or are not those that were mined."""
        dataset, k = self._places[image.id]
        try:
            data = dataset.read(k)
        except OSError as error:
            raise DataError(
                f"{image.image_id!r} of {dataset.spec!r} cannot be read: {error.strerror or error}; "
                "mend it, or mine again"
            ) from error
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise DataError(f"{image.image_id!r} of {dataset.spec!r} has changed since it was mined; mine again")
        return data


def source_specs(record: Mapping[str, Any], given: Sequence[str]) -> list[str]:
    """The specs of the data sets that a mine.json names, or those given in their place."""
    sources = record.get("sources")
    named = [
        one if isinstance(one, str) else one.get("spec")
        for one in (sources if isinstance(sources, list) else ())
        if isinstance(one, str | Mapping)
    ]
    return list(given) or [str(spec) for spec in named if spec]


def mined_sources(record: Mapping[str, Any], given: Sequence[str], root: str | Path | None = None) -> list[DataSet]:
    """The data sets that a mine.json names, or those given in their place; `root` as `open_dataset` takes it.

    Raises DataError where one cannot be opened, or none is named.
    """
    specs = source_specs(record, given)
    if not specs:
        raise DataError("mine.json names no data set; give those that were mined with --data")
    found = []
    for spec in specs:
        try:
            found.append(open_dataset(spec, root))
        except DataError as error:
            raise DataError(f"{error}; where it lies elsewhere now, give --data") from error
    return found


def as_mined(data: bytes) -> Bytes:
    """The bytes themselves."""
    return _described(data)


def shown_everywhere(data: bytes, border: int) -> Bytes:
    """The bytes themselves where a browser shows what the classifiers saw; else those pixels as a PNG."""
    found = _described(data)
    if found.is_as_mined(border):
        return found
    out = io.BytesIO()
    pixels(data, border).save(out, "PNG")
    return _described(out.getvalue())


def pixels(data: bytes, border: int) -> Image.Image:
    """An image as the classifiers saw it, RGB; DataError where it cannot be decoded."""
    try:
        return without_border(decode(data), border)
    except UnreadableImage as error:
        raise DataError(f"an image that was mined cannot be decoded: {error}") from error


def _described(data: bytes) -> Bytes:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            form = image.format or ""
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
            return Bytes(data, {**SHOWN, **OTHERS}.get(form, form.lower()), *image.size, turned)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"an image that was mined cannot be decoded: {error}") from error
