"""Writing files that are either whole or absent.

`write_atomic` replaces, `create_atomic` only creates. Both write a temporary file in the same folder, fsync it,
put it in place in one step and fsync the folder: after a crash at any moment the name holds the old content or the
new, never a part. Cost: two fsyncs a call, about 1 to 10 ms on a local disk.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from snellen.errors import SnellenError, Stopped, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there."""
    temporary = _write_temporary(path, data)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_atomic(path: Path, data: bytes) -> bool:
    """Put `data` at `path` unless something is there: True if this call created it, False if it was there."""
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    sync_folder(path.parent)
    return True


def explain_os_error(error: OSError, path: Path, option: str = "-o") -> SnellenError:
    """What a user should read when writing below `path`, which `option` chooses, failed."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return Stopped(f"the disk is full ({path}); free some space and run the same command again to resume")
    if error.errno in REFUSED:
        return UsageError(f"cannot write below {str(path)!r}: {reason}; choose another place with {option}")
    return Stopped(f"writing below {str(path)!r} failed: {reason}; run the same command again to resume")


@contextlib.contextmanager
def writing(path: Path, option: str = "-o") -> Iterator[None]:
    """Turn an OSError of what is written below `path`, which `option` chooses, into what a user should read."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, path, option) from error


def _write_temporary(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write_new(temporary, data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data`, synced; FileExistsError where it is there. A crash may leave a part of it."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
