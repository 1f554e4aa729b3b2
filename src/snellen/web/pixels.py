"""What a drawing process makes of an image's bytes: a smaller JPEG to look at, or a view exactly as a model got it.

The server decodes nothing itself. A decoder that fails, or takes much memory, is a process's own affair.
"""

import io
import json
import os
import signal
import sys
import warnings
from collections import OrderedDict
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.zoom.grid import Grid
from snellen.zoom.render import FORMATS, UnreadableImage, ViewCutter, checked_resample, decode, without_border

# Longer sides in pixels, at most: of a thumbnail, and of a picture beside the map of its zooms.
THUMB, PICTURE = 160, 1280
QUALITY = {THUMB: 82, PICTURE: 90}
# Images whose cutters are held: the one that somebody looks at, and the one before.
HELD = 2
# An image of more pixels takes hundreds of MB, of which there may be one at a time: see `Drawers`.
LARGE = 50_000_000


def smaller(data: bytes, side: int, border: int = 0) -> bytes:
    """A JPEG of an image whose longer side is `side` pixels or its own, oriented as the models see it.

    border: pixels that are cut off each side first. Nothing else of the file is taken over (no place, no comment).
    Raises UnreadableImage.
    """
    image = without_border(decode(data, None if border else side), border)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    image.info.clear()
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY[side], optimize=side == THUMB)
    return file.getvalue()


class Views:
    """Cuts views as the engine does; the images that were asked for last stay decoded."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, int, str], ViewCutter] = OrderedDict()

    def png(self, data: bytes, digest: str, border: int, grid: dict[str, Any], zoom: int) -> bytes:
        """One view as PNG, whose pixels are those that the model got.

        digest: sha256 of `data`. grid: a grid's JSON. Raises UnreadableImage.
        """
        key = digest, border, json.dumps(grid)
        cutter = self._held.pop(key, None)
        if cutter is None:
            if is_large(data):
                self._held.clear()
            cutter = ViewCutter(without_border(decode(data), border), Grid.from_json(grid).rules)
        self._held[key] = cutter
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        return as_png(cutter.cut([zoom])[0])


def is_large(data: bytes) -> bool:
    """Whether an image's header states more than `LARGE` pixels; whether it can be decoded is found out later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return image.width * image.height > LARGE
        except Exception:  # as many kinds as Pillow has decoders; `decode` says what is wrong
            return False


def as_png(view: NDArray[np.uint8]) -> bytes:
    """A view, uint8 `[size, size, 3]`, as PNG."""
    file = io.BytesIO()
    Image.fromarray(view).save(file, "PNG", compress_level=1)
    return file.getvalue()


def serve() -> None:
    """Do the jobs that standard input brings until it ends: see `snellen.web.drawing`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    views = Views()
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        job, data = frame
        head: dict[str, Any] = {"error": ""}
        made = b""
        try:
            if not job["alone"] and is_large(data):
                head["large"] = True
            else:
                made = _done(views, job, data)
        except UnreadableImage as error:
            head["error"] = str(error)
        write_frame(answers, head, made)


def _done(views: Views, job: dict[str, Any], data: bytes) -> bytes:
    if job["kind"] == "warm":
        checked_resample()
        return b""
    if job["kind"] == "smaller":
        return smaller(data, job["side"], job["border"])
    return views.png(data, job["digest"], job["border"], job["grid"], job["zoom"])


def write_frame(file: IO[bytes], head: dict[str, Any], data: bytes) -> None:
    """A line of JSON and, behind it, bytes."""
    file.write(json.dumps(head | {"bytes": len(data)}).encode() + b"\n")
    file.write(data)
    file.flush()


def read_frame(file: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """What `write_frame` wrote; None at the end of the file, or where it ends within a frame."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    data = file.read(head["bytes"])
    return (head, data) if len(data) == head["bytes"] else None
