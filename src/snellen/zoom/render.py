"""Pixels of views, bit-identical to Pillow's full resize followed by the crop."""

import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.zoom.grid import ViewRule

# Twice Pillow's own warning level, where Pillow itself begins to refuse: about 179 million pixels.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
# A resized RGB image takes 4 bytes a pixel inside Pillow.
MAX_RESIZED_BYTES = 512 * 2**20

# What is decoded. Others stay out on purpose: Pillow hands PostScript to Ghostscript, for one.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class UnreadableImage(Exception):
    """An image that is listed in the run as an error; the message is what the run shows."""


def decode(source: bytes | Path) -> Image.Image:
    """Decode an image file to RGB as `PIL.Image.open(...).convert("RGB")` does: first frame, EXIF rotation ignored.

    Raises UnreadableImage for anything Pillow cannot decode whole, and for more than `MAX_PIXELS` pixels.
    """
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise UnreadableImage("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise UnreadableImage(f"{width} x {height} pixels, more than the limit of {MAX_PIXELS:,}")
                return image.convert("RGB")
        except UnreadableImage:
            raise
        except Image.DecompressionBombError as error:
            raise UnreadableImage(f"too many pixels: {error}") from error
        except MemoryError:
            raise  # the machine's fault, not the image's
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error and others.
        except Exception as error:
            reason = str(error).replace(repr(error), "").strip() or type(error).__name__
            if "cannot identify image file" in reason:
                reason = f"not an image in a format that is read ({', '.join(FORMATS)})"
            raise UnreadableImage(reason) from error


def without_border(image: Image.Image, border: int) -> Image.Image:
    """The image less `border` pixels on each side; UnreadableImage where nothing would be left."""
    if not border:
        return image
    width, height = image.size
    if min(width, height) <= 2 * border:
        raise UnreadableImage(f"{width} x {height} pixels are all border ({border} on each side)")
    return image.crop((border, border, width - border, height - border))


def render(image: Image.Image, rules: Sequence[ViewRule]) -> NDArray[np.uint8]:
    """Cut every view of an RGB image: uint8 `[len(rules), size, size, 3]`, resizing once for each distinct scale.

    Raises UnreadableImage where the largest full resize would take more than `MAX_RESIZED_BYTES`.
    """
    size = rules[0].size
    by_resize: dict[tuple[int, int, str], list[int]] = defaultdict(list)
    for i, rule in enumerate(rules):
        by_resize[(*rule.resized(*image.size), rule.filter)].append(i)
    width, height, _ = max(by_resize, key=lambda key: key[0] * key[1])
    if width * height * 4 > MAX_RESIZED_BYTES:
        raise UnreadableImage(
            f"{image.width} x {image.height} pixels would be resized to {width} x {height}, "
            f"more than the limit of {MAX_RESIZED_BYTES // 2**20} MB"
        )
    views = np.empty((len(rules), size, size, 3), np.uint8)
    for (width, height, name), places in by_resize.items():
        resized = image.resize((width, height), FILTERS[name])
        # Copying out of Pillow costs by the pixel: the whole image once where that is less than its windows.
        whole = np.asarray(resized) if width * height <= len(places) * size * size else None
        for i in places:
            rule = rules[i]
            left, top = rule.window(width, height)
            if whole is None:
                view = np.asarray(resized.crop((left, top, left + size, top + size)))
                views[i] = view[:, ::-1] if rule.flip else view
            else:
                _cut(whole, left, top, views[i])
                if rule.flip:
                    views[i] = views[i, :, ::-1].copy()
    return views


def _cut(image: NDArray[np.uint8], left: int, top: int, view: NDArray[np.uint8]) -> None:
    """Copy the window at (left, top) of `image` [height, width, 3] into `view` [size, size, 3], black outside."""
    size, (height, width) = view.shape[0], image.shape[:2]
    x0, x1, y0, y1 = max(left, 0), min(left + size, width), max(top, 0), min(top + size, height)
    if (x0, x1, y0, y1) != (left, left + size, top, top + size):
        view[:] = 0
    if x0 < x1 and y0 < y1:
        view[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
