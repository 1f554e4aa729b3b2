"""The room that the cache takes: files that were not used for longest go first, when it is more than it may be.

When a file was used last is its access time, which is set here, whatever the file system does by itself; the time of
its last change, which tags are made of, stays. Whoever asks for a file that has gone makes it again.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# The cache folder's parts; anything else that lies in the folder is somebody else's.
PARTS = ("data", "images")
# What was used so many seconds ago stays: a process may be about to read it.
IN_USE_SECONDS = 600.0
# How far below its limit the cache is shrunk, so that it is not at every look.
SPARED = 0.9
# Seconds from the start to the first look, when the page is open and quiet, and between two.
FIRST, AGAIN = 60.0, 600.0
LOCK = ".lock"


def used(path: Path) -> None:
    """Note that a file is used now. Costs two calls of the system; one that has just gone is nothing to tell of."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def shrink(folder: Path, limit: int, now: float | None = None) -> int:
    """Remove files of a cache folder, those not used for longest first, if all together have more than `limit` bytes.

    Bytes that are left. now: seconds since 1970. Locks stay, since another process may hold or ask for them.
    """
    before = (time.time() if now is None else now) - IN_USE_SECONDS
    files = sorted(_files(folder))
    left = sum(size for _, size, _ in files)
    if left <= limit:
        return left
    for last, size, path in files:
        if left <= SPARED * limit or last > before:
            break
        with contextlib.suppress(OSError):  # another server may, and we may not
            if _last_used(path) <= before:  # used since the list was made?
                Path(path).unlink(missing_ok=True)
                left -= size
    return left


def _last_used(path: str) -> float:
    """When a file was used last; one that another server has removed, never."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return float("-inf")
    return max(status.st_atime, status.st_mtime)


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """When each file was used last, its bytes and its path."""
    for part in PARTS:
        for where, _, names in os.walk(folder / part):
            for name in names:
                path = os.path.join(where, name)
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    if not name.startswith(LOCK):
                        yield max(status.st_atime, status.st_mtime), status.st_size, path


class Room:
    """Keeps a cache folder within `limit` bytes from a thread of its own; close it at the end."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit, self._closed = folder, limit, threading.Event()
        self._thread = threading.Thread(target=self._work, name="room", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        wait = FIRST
        while not self._closed.wait(wait):
            shrink(self._folder, self._limit)
            wait = AGAIN
