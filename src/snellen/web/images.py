"""Thumbnails, pictures and views of the images of a set, made on demand; the originals are only ever read.

Which image it is comes from the set's own listing, by its position: no name that a browser sends is ever part of a
path. Only pixels leave the machine, encoded anew. What was made is kept under a hash of the original's bytes.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snellen.atomic import write_atomic
from snellen.errors import DataError
from snellen.locks import only_here
from snellen.web.drawing import Drawers
from snellen.web.pixels import PICTURE, THUMB
from snellen.web.references import References
from snellen.web.room import LOCK, used
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage

NO_LONGER = "its file is not the one that the run or the hard set was made from"
LEADS_OUT = "it is a link to a file outside the data set's folder, which is shown on this machine alone"


class ImageSet(Protocol):
    """The images of a set by position, 0 … len - 1."""

    def __len__(self) -> int: ...

    def border_at(self, position: int) -> int:
        """Pixels that are cut off each side of an image before anything else."""
        ...

    def image(self, position: int) -> bytes:
        """The original's bytes; OSError where they cannot be had."""
        ...

    def sha256(self, position: int) -> str | None:
        """The hash of the bytes that a run or a hard set was made from; None where nothing says so."""
        ...

    def leads_out(self, position: int) -> bool:
        """Whether it is a link to a file outside the folder of the data set."""
        ...

    def grid(self, model: str) -> Grid | None:
        """The grid of one of its models; None for a model that it has not. "" is the study's grid."""
        ...


@dataclass(frozen=True)
class Content:
    """An image to send: its bytes, its type, and a tag that changes with them."""

    data: bytes
    kind: str
    tag: str


class NoSuchImage(LookupError):
    """There is no image, zoom or model of that name; or one that cannot be shown, and the message says why."""


class Images:
    """The images of all sets. Safe to use from several threads.

    folder: of the cache; what is made is kept in `images/` there. references: examples of classes. outside: whether
    links may lead to files outside the folder of a data set, see `docs/view.md`.
    """

    def __init__(
        self,
        sets: Mapping[str, ImageSet],
        folder: Path,
        drawers: Drawers,
        references: References | None = None,
        outside: bool = True,
    ) -> None:
        self._sets, self._folder, self._drawers = sets, folder / "images", drawers
        self.references, self._outside = references, outside
        self._known: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def thumb(self, key: str, position: int) -> Content:
        """A thumbnail. Raises NoSuchImage."""
        return self._smaller(key, position, THUMB)

    def picture(self, key: str, position: int) -> Content:
        """A picture to look at, by which one moves over its views next. Raises NoSuchImage."""
        self._drawers.warm()
        return self._smaller(key, position, PICTURE)

    def view(self, key: str, position: int, zoom: int, model: str = "") -> Content:
        """A view as PNG, with the pixels that the model got. Raises NoSuchImage."""
        of = self._set(key, position)
        grid = of.grid(model)
        if grid is None or not 0 <= zoom < len(grid):
            raise NoSuchImage("there is no such view")
        data, digest = self._original(of, key, position)
        png = _shown(lambda: self._drawers.view(data, digest, of.border_at(position), grid, zoom))
        return Content(png, "image/png", hashlib.sha256(png).hexdigest()[:32])

    def reference(self, key: str, k: int) -> Content:
        """The k-th example of a class, as a thumbnail. Raises NoSuchImage."""
        found = self.references.read(key, k) if self.references else None
        if found is None:
            raise NoSuchImage("there is no such example")
        data, digest = found
        return self._kept(digest, THUMB, 0, lambda: data)

    def _smaller(self, key: str, position: int, side: int) -> Content:
        of = self._set(key, position)
        digest = of.sha256(position) or self._known.get((key, position))
        if digest is not None:
            return self._kept(digest, side, of.border_at(position), lambda: self._original(of, key, position)[0])
        data, digest = self._original(of, key, position)
        return self._kept(digest, side, of.border_at(position), lambda: data)

    def _kept(self, digest: str, side: int, border: int, read: Callable[[], bytes]) -> Content:
        """A smaller image from the cache, or made from its original, whose sha256 is `digest`, and kept."""
        name = f"{digest}-{side}-{border}"
        path = self._folder / digest[:2] / f"{name}.jpg"
        if (found := _there(path)) is None:
            data = read()
            path.parent.mkdir(parents=True, exist_ok=True)
            with only_here(path.parent, LOCK, wait=True):  # another request, or another server, may be making it
                if (found := _there(path)) is None:
                    found = _shown(lambda: self._drawers.smaller(data, side, border))
                    write_atomic(path, found)
        return Content(found, "image/jpeg", name)

    def _set(self, key: str, position: int) -> ImageSet:
        of = self._sets.get(key)
        if of is None or not 0 <= position < len(of):
            raise NoSuchImage("there is no such image")
        return of

    def _original(self, of: ImageSet, key: str, position: int) -> tuple[bytes, str]:
        """An image's bytes and their sha256. Raises NoSuchImage where they are others than the run's."""
        try:
            with self._lock:  # a data set of Parquet files reads one image at a time
                data = of.image(position)
        except (OSError, DataError) as error:
            raise NoSuchImage(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
        digest, expected = hashlib.sha256(data).hexdigest(), of.sha256(position)
        if expected is not None and digest != expected:
            raise NoSuchImage(NO_LONGER)
        if expected is None and not self._outside and of.leads_out(position):
            raise NoSuchImage(LEADS_OUT)
        self._known[key, position] = digest
        return data, digest


def _there(path: Path) -> bytes | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    used(path)
    return found


def _shown(make: Callable[[], bytes]) -> bytes:
    try:
        return make()
    except UnreadableImage as error:
        raise NoSuchImage(f"it cannot be shown: {error}") from error
