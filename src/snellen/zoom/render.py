"""Pixels of views, bit-identical to Pillow's full resize followed by the crop."""

import io
import itertools
import warnings
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from snellen.errors import Stopped
from snellen.zoom.grid import Filter, Fit, ViewRule
from snellen.zoom.resample import Resample, compile_resample
from snellen.zoom.weights import KERNELS
from snellen.zoom.windows import WindowCutter

# Twice Pillow's own warning level, where Pillow itself begins to refuse: about 179 million pixels.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
# What a whole resized RGB image may take; it has 4 bytes a pixel inside Pillow.
MAX_RESIZED_BYTES = 512 * 2**20
# A window's weights grow with the image where it becomes smaller. At this limit, and with lanczos, two copies of them
# take 6 x 2**14 x 2 x 4 bytes for each column that is shown: half a GB for three windows of 224. An image of
# `MAX_PIXELS` whose shorter side is resized never becomes so much smaller.
MAX_SHRINK = 2**14

# What is decoded. Others stay out on purpose: Pillow hands PostScript to Ghostscript, for one.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

FILTERS: dict[Filter, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class UnreadableImage(Exception):
    """An image that is listed in the run as an error; the message is what the run shows."""


def decode(source: bytes | Path, side: int | None = None) -> Image.Image:
    """Decode an image file to RGB as `PIL.Image.open(...).convert("RGB")` does: first frame, EXIF rotation ignored.

    side: where it is only to be looked at, both sides need no more pixels; a JPEG may then be decoded at a half, a
        quarter or an eighth of its size, which is faster.
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
                if side is not None:
                    image.draft(None, (side, side))
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
    """Cut every view of an RGB image: uint8 `[len(rules), size, size, 3]`, with the pixels of `render_plain`.

    Of each resized image only the columns and rows are computed that some view shows; where `checked_resample` has no
    passes for that, whole images are resized.

    Raises UnreadableImage where an image would become more than `MAX_SHRINK` times smaller along an axis; Stopped where
    it cannot be shown only because there are no passes, which says nothing against the image.
    """
    return ViewCutter(image, rules).cut(range(len(rules)))


class ViewCutter:
    """Cuts views of an RGB image as they are asked for, with the pixels of `render`; the image is laid out once.

    Raises as `render` does of all the rules, whichever of them are asked for.
    """

    def __init__(self, image: Image.Image, rules: Sequence[ViewRule]) -> None:
        resample, why = checked_resample()
        self._image, self._rules = image, rules
        self._cutter = WindowCutter(image, resample) if resample else None
        try:
            _check_sizes(image.size, rules, windowed=resample is not None)
        except UnreadableImage as error:
            fits = (_fits(image.size, rule.resized(*image.size), rule.filter in KERNELS) for rule in rules)
            if resample or not all(fits):
                raise
            raise Stopped(f"{error}, and {why}; the same command resumes when that is mended") from error

    def cut(self, zooms: Sequence[int]) -> NDArray[np.uint8]:
        """The views of some rules, by their numbers: uint8 `[len(zooms), size, size, 3]`."""
        return _cut_views(self._image, [self._rules[zoom] for zoom in zooms], self._cutter)


def render_plain(image: Image.Image, rules: Sequence[ViewRule]) -> NDArray[np.uint8]:
    """What a view is: Pillow's resize of the whole image, once for each distinct scale, then the crop.

    Raises UnreadableImage where the largest resized image would take more than `MAX_RESIZED_BYTES`.
    """
    _check_sizes(image.size, rules, windowed=False)
    return _cut_views(image, rules, None)


@cache
def checked_resample() -> tuple[Resample | None, str]:
    """The passes of `render`, if they make of small images what the installed Pillow makes; else None, and why.

    Warns of the second, which takes more time and memory.
    """
    resample, why = _tried_resample()
    if why:
        warnings.warn(why, RuntimeWarning, stacklevel=2)
    return resample, why


def _tried_resample() -> tuple[Resample | None, str]:
    try:
        resample = compile_resample()
    except MemoryError:
        raise  # the machine's fault, not numba's
    # ImportError: numba refuses a NumPy that is newer than it. OSError, SystemError: its libraries cannot be loaded.
    # Its own errors: it cannot compile.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"whole images are resized, which is slower, since numba does not work ({reason})"
    rng = np.random.default_rng(0)
    fits: tuple[Fit, ...] = ("shorter", "squash")
    kinds = itertools.product((10, 30), FILTERS, fits)
    rules = [ViewRule(resize, 1, 1, 40, kernel, fit=fit) for resize, kernel, fit in kinds if kernel in KERNELS]
    # The last four are where the order of the passes changes, or once did.
    for width, height in ((37, 23), (20, 30), (20, 31), (21, 31), (2, 201)):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        if not np.array_equal(_cut_views(image, rules, WindowCutter(image, resample)), render_plain(image, rules)):
            why = f"Pillow {PIL.__version__} does not resize as expected"
            return None, f"whole images are resized, which is slower, since {why}"
    return resample, ""


def _cut_views(image: Image.Image, rules: Sequence[ViewRule], cutter: WindowCutter | None) -> NDArray[np.uint8]:
    """All views: the windowed way where a cutter is given and has the filter, from whole resized images else."""
    scales: dict[tuple[tuple[int, int], Filter], list[int]] = defaultdict(list)
    for i, rule in enumerate(rules):
        scales[rule.resized(*image.size), rule.filter].append(i)
    # By the order of the axes, since each is laid out anew.
    in_order = sorted(scales, key=lambda scale: cutter.columns_first(scale[0])) if cutter else scales
    size = rules[0].size
    views = np.zeros((len(rules), size, size, 3), np.uint8)
    for resized, kernel in in_order:
        places = scales[resized, kernel]
        corners = [rules[i].window(*resized) for i in places]
        if cutter and kernel in KERNELS:
            cutter.cut(resized, kernel, corners, places, views)
        else:
            _cut_whole(image.resize(resized, FILTERS[kernel]), corners, places, views)
    for view, rule in zip(views, rules, strict=True):
        if rule.flip:
            view[:] = view[:, ::-1].copy()
    return views


def _check_sizes(size: tuple[int, int], rules: Sequence[ViewRule], windowed: bool) -> None:
    for rule in rules:
        resized, by_windows = rule.resized(*size), windowed and rule.filter in KERNELS
        if not _fits(size, resized, by_windows):
            limit = f"{MAX_SHRINK:,} times smaller" if by_windows else f"{MAX_RESIZED_BYTES // 2**20} MB"
            what = f"{size[0]} x {size[1]} pixels would be resized to {resized[0]} x {resized[1]}"
            raise UnreadableImage(f"{what}, more than the limit of {limit}")


def _fits(size: tuple[int, int], resized: tuple[int, int], windowed: bool) -> bool:
    """Whether an image can be resized so, windows of it or the whole."""
    if windowed:
        return size[0] <= MAX_SHRINK * resized[0] and size[1] <= MAX_SHRINK * resized[1]
    return resized[0] * resized[1] * 4 <= MAX_RESIZED_BYTES


def _cut_whole(
    resized: Image.Image, corners: Sequence[tuple[int, int]], places: Sequence[int], views: NDArray[np.uint8]
) -> None:
    """Copy the windows at `corners` (left, top) of a resized image into `views[places]`, which are black before."""
    size = views.shape[1]
    # Copying out of Pillow costs by the pixel: the whole image once where that is less than its windows.
    whole = np.asarray(resized) if resized.width * resized.height <= len(places) * size * size else None
    for place, (left, top) in zip(places, corners, strict=True):
        if whole is None:
            views[place] = np.asarray(resized.crop((left, top, left + size, top + size)))
            continue
        x0, x1 = max(left, 0), min(left + size, resized.width)
        y0, y1 = max(top, 0), min(top + size, resized.height)
        if x0 < x1 and y0 < y1:
            views[place, y0 - top : y1 - top, x0 - left : x1 - left] = whole[y0:y1, x0:x1]
