"""The row of `samples` that every image gets, and reading its bytes."""

import errno
import hashlib
from typing import Any

from PIL import Image

from snellen.datasets import DataSet
from snellen.errors import Stopped
from snellen.store.schema import SAMPLES
from snellen.zoom.render import UnreadableImage, decode, without_border

# Failures that are one file's own; others (a lost disk, a lost network) stop the run, which can be resumed.
OF_ONE_FILE = (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENXIO, errno.EISDIR)


def sample_row(dataset: DataSet, image: int) -> dict[str, Any]:
    """The row of image `image`, as far as it is known without reading it."""
    row: dict[str, Any] = dict.fromkeys(SAMPLES.names)
    return row | {"image": image, "image_id": dataset.items[image].id, "origin": dataset.origin(image)}


def read_image(dataset: DataSet, image: int, row: dict[str, Any]) -> bytes | None:
    """The bytes of an image, their sha256 noted in its row; None, and the reason in its row, where they cannot be had.

    Raises Stopped where it is not this image's own fault.
    """
    try:
        data = dataset.read(image)
    except OSError as error:
        if error.errno not in OF_ONE_FILE or not dataset.reachable():
            raise Stopped(
                f"reading {dataset.spec!r} failed at {row['image_id']!r}: {error.strerror or error}; "
                "when it can be read again, the same command resumes"
            ) from error
        row["error"] = f"cannot be read: {error.strerror or error}"
        return None
    row["sha256"] = hashlib.sha256(data).hexdigest()
    return data


def read_picture(dataset: DataSet, image: int, row: dict[str, Any]) -> Image.Image | None:
    """An image, decoded and without its border, what is learned on the way noted in its row; None as `read_image`."""
    data = read_image(dataset, image, row)
    return None if data is None else picture_of(dataset, data, row)


def picture_of(dataset: DataSet, data: bytes, row: dict[str, Any]) -> Image.Image | None:
    """The bytes of an image, decoded and without its border, as `read_picture`."""
    try:
        picture = decode(data)
        row["width"], row["height"] = picture.size
        return without_border(picture, dataset.border)
    except UnreadableImage as error:
        row["error"] = str(error)
        return None
