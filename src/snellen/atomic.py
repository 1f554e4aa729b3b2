"""Writing files that are either whole or absent, on this machine and in stores.

`write_atomic` replaces, `create_atomic` only creates. After a crash at any moment the name holds the old content or the
new, never a part.

On this machine: a temporary file in the same folder, fsync, put in place in one step, fsync of the folder. Cost: two
fsyncs a call, about 1 to 10 ms on a local disk. Creating links the file to its name, which fails where one is.

On an object store: one put, which is whole or absent by itself; creating sends the condition that nothing is there
(S3: `If-None-Match: *`). On a file server that renames in one step (SFTP, WebHDFS): a temporary file, renamed; it is
created by a rename that is not done where a file is, and that says so. Other servers (`hdfs://`, SMB, FTP) are refused.

Where there is none of these (exFAT, some FUSE and SMB mounts, older S3 servers), creating looks first
and then puts the file in place in one step. Of two that create at the very same time both may then be told that they
did, and the later file stays, whole. The lock of a run keeps them apart in time; if they meet all the same, exactly
one commit record stands and names its own writer's files, so no row is doubled or mixed.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from snellen.errors import SnellenError, Stopped, UsageError
from snellen.files import LACKING, exists, read_bytes, remove, sync_folder
from snellen.places import INSTEAD, creates_by_rename, driver_of, has_folders, is_remote, key_of, protocol_of, replaces
from snellen.trouble import patiently

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
# What a file system says of hard links, where it has none.
NO_LINKS = (*LACKING, errno.EPERM, errno.EMLINK, errno.EXDEV)


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there."""
    if is_remote(path):
        _put(path, data)
        return
    temporary = _write_temporary(path, data)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_atomic(path: Path, data: bytes) -> bool:
    """Put `data` at `path` unless something is there: True if this call created it, False if it was there."""
    if is_remote(path):
        return _create_remote(path, data)
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        # On NFS, a request that is repeated, since its answer was lost, finds the link that it had made itself.
        if not os.path.samestat(temporary.lstat(), path.lstat()):
            return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):
            return False
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def write_new(path: Path, data: bytes) -> None:
    """Write `data` to `path`, a name that nobody else uses; a crash on this machine may leave a part of it there.

    On this machine FileExistsError where it is there after all. Synced; the folder's names are not, see `sync_folder`.
    """
    if is_remote(path):
        _put(path, data)
        return
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def check_replaces(path: Path) -> None:
    """Raise UsageError where no file can be replaced in one step: what is kept there could be lost in a crash."""
    if not replaces(path):
        protocol = protocol_of(path)
        instead = f"{INSTEAD[protocol]}, " if protocol in INSTEAD else ""
        raise UsageError(
            f"nothing can be kept at {str(path)!r}: files of {protocol}:// cannot be replaced in one step; "
            f"choose {instead}a folder (it may be mounted), an object store (s3://…) or an SFTP server"
        )


def explain_os_error(error: OSError, path: Path, option: str = "-o", begun: bool = False) -> SnellenError:
    """What a user should read when writing below `path`, which `option` chooses, failed.

    begun: whether something was written there before; then the place is right, and what has changed can be mended.
    """
    reason = error.strerror or str(error)
    if error.errno in FULL:
        what = "store" if is_remote(path) else "disk"
        return Stopped(f"the {what} is full ({path}); free some space and run the same command again to resume")
    if begun:
        return Stopped(f"writing below {str(path)!r} failed: {reason}; mend it and run the same command to resume")
    if error.errno in (errno.EACCES, errno.EPERM) and is_remote(path):
        return UsageError(
            f"{str(path)!r} refuses: {reason}; check the credentials and what they allow, then run the same command"
        )
    if error.errno in REFUSED:
        return UsageError(f"cannot write below {str(path)!r}: {reason}; choose another place with {option}")
    return Stopped(f"writing below {str(path)!r} failed: {reason}; run the same command again to resume")


@contextlib.contextmanager
def writing(path: Path, option: str = "-o", begun: bool = False) -> Iterator[None]:
    """Turn an OSError of what is written below `path` into what a user should read, see `explain_os_error`."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, path, option, begun) from error


def _write_temporary(path: Path, data: bytes) -> Path:
    temporary = _temporary_name(path)
    try:
        write_new(temporary, data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _put(path: Path, data: bytes) -> None:
    """Put a file into a store, whole or not at all."""
    check_replaces(path)
    fs = driver_of(path)
    if not has_folders(path):
        patiently(lambda: fs.pipe_file(key_of(path), data))
        return
    temporary = _temporary_name(path)
    try:
        patiently(lambda: fs.pipe_file(key_of(temporary), data))
        try:
            patiently(lambda: fs.mv(key_of(temporary), key_of(path)))
        except OSError:
            # It may have been renamed, and only the answer was lost.
            if exists(temporary) or not exists(path) or read_bytes(path) != data:
                raise
    except BaseException:
        with contextlib.suppress(OSError):
            remove(temporary)
        raise


def _rename_new(path: Path, data: bytes) -> bool:
    """Create a file by a rename that is only done where nothing is: True if this call's was."""
    fs, temporary, renamed = driver_of(path), _temporary_name(path), False
    try:
        patiently(lambda: fs.pipe_file(key_of(temporary), data))
        try:
            renamed = patiently(lambda: fs.rename_new(key_of(temporary), key_of(path)))
            failure = OSError(errno.ENOENT, "its folder is not there")
        except OSError as error:
            failure = error
        # A request that is repeated, since its answer was lost, finds what it had put there itself. Its first name may
        # be there too: OpenSSH links a file to the second, then takes the first away, and may be killed in between.
        if renamed or (exists(path) and read_bytes(path) == data):
            return True
        if not exists(path):
            raise failure
        return False
    finally:
        if not renamed:  # also so that a rename that is still under way finds nothing
            with contextlib.suppress(OSError):
                remove(temporary)


def _create_remote(path: Path, data: bytes) -> bool:
    """`create_atomic` in a store. It looks first, for those that pass over the condition."""
    if exists(path):
        return False
    if creates_by_rename(path):
        return _rename_new(path, data)
    if has_folders(path):
        _put(path, data)
        return True
    try:
        patiently(lambda: driver_of(path).pipe_file(key_of(path), data, mode="create"))
    except FileExistsError:
        # A request that is repeated, since its answer was lost, finds what it had put there itself.
        return read_bytes(path) == data
    except (NotImplementedError, TypeError, ValueError):  # a driver that knows no such mode
        _put(path, data)
    except OSError as error:
        if error.errno not in LACKING:
            raise
        _put(path, data)  # a server that knows no such condition
    return True
