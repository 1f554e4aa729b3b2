"""The image files below a folder, on this machine or in a store: which there are, and how long each is.

A store is listed once a machine: the listing is kept in the cache, under the fingerprint that it makes, and a worker,
which is told the fingerprint of the images that were planned, takes it from there.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from snellen.atomic import write_atomic
from snellen.datasets.base import Item, fingerprint_of
from snellen.datasets.opening import current_opening
from snellen.errors import DataError, Stopped
from snellen.files import files_below
from snellen.places import cache_root, is_remote
from snellen.redact import redacted
from snellen.trouble import PASSING

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")


def image_files(root: Path) -> list[tuple[bytes, int]]:
    """Relative path and size of every image below a folder, by the bytes of the path; a size of -1 is not known.

    On this machine links to folders are followed once each, so that a loop of links ends. Hidden files and folders are
    left out. Raises DataError where a folder cannot be listed, Stopped where its store cannot be reached.
    """
    if is_remote(root):
        return _kept(root) or _listed(root)
    return sorted(_walk(root), key=lambda pair: pair[0])


def keep_listing(fingerprint: str, root: Path, files: Sequence[tuple[bytes, int]]) -> None:
    """Remember the listing of a store's folder on this machine; a cache that cannot be written only costs time."""
    target = _cache_file(fingerprint)
    if not is_remote(root) or target.exists():
        return
    pairs = [[path.decode("utf-8", "surrogateescape"), size] for path, size in files]
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, json.dumps({"root": redacted(str(root)), "files": pairs}).encode())


def kept(what: str, fetch: Callable[[], bytes]) -> bytes:
    """What was kept on this machine under a name that says which version of what it is, else what `fetch` brings."""
    target = cache_root() / "listings" / hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()
    with contextlib.suppress(OSError):
        return target.read_bytes()
    data = fetch()
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, data)
    return data


def _kept(root: Path) -> list[tuple[bytes, int]] | None:
    """The listing of a folder that is kept under the planned fingerprint, if it really makes it."""
    fingerprint = current_opening().planned
    if fingerprint is None:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads(_cache_file(fingerprint).read_bytes())
        files = [(str(path).encode("utf-8", "surrogateescape"), int(size)) for path, size in record["files"]]
        same = fingerprint_of([Item(printable(path), size) for path, size in files]) == fingerprint
        return files if record["root"] == redacted(str(root)) and same else None
    return None


def _cache_file(fingerprint: str) -> Path:
    return cache_root() / "listings" / f"{fingerprint}.json"


@contextlib.contextmanager
def reaching(root: Path) -> Iterator[None]:
    """Turn what a store says when it cannot be listed or read into what a user should read."""
    try:
        yield
    except OSError as error:
        if not is_remote(root):
            raise
        if error.errno in PASSING:
            raise Stopped(f"{str(root)!r} cannot be reached: {error.strerror}; run the same command again") from error
        raise DataError(f"{str(root)!r} cannot be read: {error.strerror}; check the URL and the credentials") from error


def _listed(root: Path) -> list[tuple[bytes, int]]:
    with reaching(root):
        found = files_below(root)
    return [
        (name.encode("utf-8", "surrogateescape"), file.size)
        for name, file in found
        if name.lower().endswith(SUFFIXES) and not any(part.startswith(".") for part in name.split("/"))
    ]


def _walk(root: Path) -> Iterator[tuple[bytes, int]]:
    """Relative path and size of every image file below `root`."""
    seen: set[tuple[int, int]] = set()

    def visit(folder: bytes, prefix: bytes) -> Iterator[tuple[bytes, int]]:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        try:
            # Folders themselves before links to them, so that a link never takes a folder's images.
            entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            raise DataError(f"cannot list {printable(folder)!r}: {error.strerror}; check its permissions") from error
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_dir(entry):
                yield from visit(entry.path, prefix + entry.name + b"/")
            elif os.fsdecode(entry.name).lower().endswith(SUFFIXES) and _is_readable(entry):
                yield prefix + entry.name, _size(entry)

    yield from visit(os.fsencode(root), b"")


def _is_dir(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that loops onto itself; reading it will say so
        return False


def _is_readable(entry: os.DirEntry[bytes]) -> bool:
    """A file, or a link to nothing, which is reported when it is read; not a pipe or a device, which may block."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(os.fsdecode(entry.path)).exists())
    except OSError:
        return True


def _size(entry: os.DirEntry[bytes]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a broken link stays in the list, and is reported when it is read
        return -1


def printable(path: bytes) -> str:
    r"""The path as text that any UTF-8 file can hold: undecodable bytes are written `\xNN`."""
    return path.decode("utf-8", "backslashreplace")
