"""Files and folders of places, whether on this machine or in a store: what is there, reading it, taking it away.

On a store each function is patient with what passes, asks for names only once, and raises OSError with an errno, as a
disk would (see `trouble.py`). Writing is in `atomic.py`.
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from snellen.places import driver_of, has_folders, is_remote, key_of
from snellen.trouble import PASSING, as_os_error, patiently

# What a file system says of syncing a folder, and a store of a condition, where it has no such thing.
LACKING = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# Small files that are asked for at the same time.
READ_TOGETHER = 1000


@dataclass(frozen=True)
class Entry:
    """What a folder holds.

    size: in bytes. modified: seconds since 1970 by the clock of where it lies, None where that keeps no time. tag: what
    a store says of its content, which changes with it; None where it says nothing.
    """

    name: str
    size: int
    is_folder: bool
    modified: float | None = None
    tag: str | None = None


def exists(path: Path) -> bool:
    """Whether there is a file or a folder."""
    if not is_remote(path):
        return path.exists()
    try:
        patiently(lambda: driver_of(path).info(key_of(path)))
    except FileNotFoundError:
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether there is a folder; on a store, whether a name begins so."""
    if not is_remote(path):
        return path.is_dir()
    try:
        return bool(patiently(lambda: driver_of(path).info(key_of(path)))["type"] == "directory")
    except FileNotFoundError:
        return False


def entry(path: Path) -> Entry:
    """A file or folder; FileNotFoundError where there is none."""
    if is_remote(path):
        return _entry(patiently(lambda: driver_of(path).info(key_of(path))))
    status = path.stat()
    return Entry(path.name, status.st_size, stat.S_ISDIR(status.st_mode), status.st_mtime)


def entries(folder: Path) -> list[Entry]:
    """What lies in a folder, by name; nothing where there is none. A store is asked anew each time, for names only."""
    if is_remote(folder):
        fs, key = driver_of(folder), key_of(folder)

        def ask() -> list[dict[str, Any]]:
            fs.invalidate_cache(key)
            return list(fs.ls(key, detail=True))

        try:
            found = [_entry(info) for info in patiently(ask) if info["name"].strip("/") != key.strip("/")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((one for one in found if one.name), key=lambda one: one.name)
    try:
        with os.scandir(folder) as inside:
            found = [_local_entry(one) for one in inside]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda one: one.name)


def _local_entry(one: "os.DirEntry[str]") -> Entry:
    try:
        status = one.stat()
    except OSError:  # a link to nothing; reading it says so
        return Entry(one.name, 0, is_folder=False)
    return Entry(one.name, status.st_size, stat.S_ISDIR(status.st_mode), status.st_mtime)


def files_below(folder: Path) -> list[tuple[str, Entry]]:
    """Every file below a folder of a store, in one listing: its path relative to the folder, in byte order.

    FileNotFoundError where the bucket is none; nothing where the folder is none.
    """
    fs, key = driver_of(folder), key_of(folder)

    def ask() -> dict[str, dict[str, Any]]:
        fs.invalidate_cache()
        found: dict[str, dict[str, Any]] = fs.find(key, detail=True)
        return found

    start = key.strip("/")
    start = f"{start}/" if start else ""
    infos = ((name.lstrip("/"), info) for name, info in patiently(ask).items() if not name.endswith("/"))
    below = [(name.removeprefix(start), _entry(info)) for name, info in infos if name.startswith(start)]
    return sorted(below, key=lambda pair: pair[0].encode("utf-8", "surrogateescape"))


def files_like(pattern: Path, root: Path) -> list[tuple[str, Entry]]:
    """Every file of a store that a path with wildcards matches: its path relative to `root`, in byte order."""
    fs, start = driver_of(root), key_of(root).strip("/") + "/"
    found: dict[str, dict[str, Any]] = patiently(lambda: fs.glob(key_of(pattern), detail=True))
    below = [(name.strip("/").removeprefix(start), _entry(info)) for name, info in found.items()]
    return sorted((pair for pair in below if not pair[1].is_folder), key=lambda pair: pair[0].encode())


def read_bytes(path: Path, size: int | None = None) -> bytes:
    """A file's bytes; `size`, where it is known, saves a store a question."""
    if not is_remote(path):
        return path.read_bytes()
    if size is None:
        return patiently(lambda: bytes(driver_of(path).cat_file(key_of(path))))
    return read_range(path, 0, size) if size else b""


def read_range(path: Path, start: int, stop: int) -> bytes:
    """The bytes `start` … `stop` - 1 of a file in a store; OSError (ENODATA) where it is shorter."""
    fs, key = driver_of(path), key_of(path)
    return patiently(lambda: whole_range(fs.cat_file(key, start=start, end=stop), start, stop))


def whole_range(data: bytes, start: int, stop: int) -> bytes:
    """The bytes that came for a range; OSError (ENODATA) where they are not as many."""
    if len(data) != stop - start:
        raise OSError(errno.ENODATA, f"{len(data)} bytes came in place of {stop - start}")
    return bytes(data)


def read_many(folder: Path, files: Sequence[Entry]) -> Iterator[bytes | None]:
    """The bytes of many small files of one folder, in order, read at the same time; None for one that is gone."""
    if not is_remote(folder):
        for file in files:
            try:
                yield (folder / file.name).read_bytes()
            except FileNotFoundError:
                yield None
        return
    fs, key = driver_of(folder), key_of(folder).rstrip("/")
    for first in range(0, len(files), READ_TOGETHER):
        part = files[first : first + READ_TOGETHER]
        names, sizes = [f"{key}/{file.name}" for file in part], [file.size for file in part]
        whole = [(name, size) for name, size in zip(names, sizes, strict=True) if size]
        found = fs.cat_ranges([n for n, _ in whole], [0] * len(whole), [s for _, s in whole], on_error="return")
        read = dict(zip((name for name, _ in whole), found, strict=True))
        for file, name in zip(part, names, strict=True):
            data = read.get(name, b"")
            if not isinstance(data, Exception):
                yield bytes(data)
                continue
            told = as_os_error(data)
            if told is None:
                raise data
            if isinstance(told, FileNotFoundError):
                yield None
            elif told.errno in PASSING:
                yield read_bytes(folder / file.name)  # patiently
            else:
                raise told from data


def remove(path: Path) -> None:
    """Take a file away, if it is there."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: driver_of(path).rm_file(key_of(path)))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where there are such: most stores have only names with slashes in them."""
    if not is_remote(path):
        lacking = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in lacking:
            sync_folder(folder.parent)
    elif has_folders(path):
        patiently(lambda: driver_of(path).makedirs(key_of(path), exist_ok=True))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash, where that takes anything."""
    if is_remote(folder):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in LACKING:
            raise
    finally:
        os.close(handle)


class RangedFile(io.RawIOBase):
    """A file that is elsewhere, open for reading: each request brings what was asked for and the next `ahead` bytes.

    fetch: gives the bytes from a place up to another; or the place of the file in a store.
    """

    def __init__(self, fetch: Path | Callable[[int, int], bytes], size: int, ahead: int) -> None:
        super().__init__()
        self._fetch = fetch if callable(fetch) else partial(read_range, fetch)
        self._size, self._ahead = size, ahead
        self._at, self._start, self._held = 0, 0, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; no request is made."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, count: int | None = -1) -> bytes:
        """The next `count` bytes, or all that are left."""
        stop = self._size if count is None or count < 0 else min(self._size, self._at + count)
        if stop <= self._at:
            return b""
        if not self._start <= self._at <= stop <= self._start + len(self._held):
            end = min(self._size, max(stop, self._at + self._ahead))
            self._start, self._held = self._at, self._fetch(self._at, end)
        data = self._held[self._at - self._start : stop - self._start]
        self._at = stop
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there is something."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _entry(info: dict[str, Any]) -> Entry:
    """What a driver says of a file; each calls it otherwise."""
    tag = next((str(info[key]) for key in ("ETag", "etag", "md5Hash") if info.get(key)), None)
    name = info["name"].rsplit("/", 1)[-1]
    return Entry(name, int(info.get("size") or 0), info["type"] == "directory", _modified(info), tag)


def _modified(info: dict[str, Any]) -> float | None:
    value = next(
        (info[key] for key in ("LastModified", "last_modified", "updated", "mtime", "created") if key in info), ""
    )
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return (
        value.timestamp() if isinstance(value, datetime) else float(value) if isinstance(value, int | float) else None
    )
