"""SFTP, as keeping runs there takes it: fsspec's driver, over one connection that serves one request after the other.

Here and not in fsspec's:

- Several threads may ask. Paramiko's client drops the answer to one thread that another happens to read, and the first
  waits for ever; so each request holds a lock.
- A connection that is lost or silent is an error that passes, and the next request makes a new one. It is first made
  by the first request. A login that is refused is none that passes.
- `rename_new` renames where nothing is, which is what the protocol's own rename means: "it is an error if there already
  exists a file with the name" (draft-ietf-secsh-filexfer-02, 6.5); OpenSSH links and unlinks. `mv` replaces, by
  `posix-rename@openssh.com`; a server without it is refused.
- A host whose key is not the one in `~/.ssh/known_hosts` is refused; one that is not listed there is taken, and has to
  keep its key for as long as the driver lives.
- A folder that cannot be listed is an error also in the middle of a tree. Links to files are listed as the files.

Nothing is synced: a power cut of the server may take the end of what was written.
"""

import contextlib
import errno
import logging
import re
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem as Driver

from snellen.errors import UsageError
from snellen.server_path import WholeWalk

# As the drivers of object stores have it.
TIMEOUT_SECONDS = 60.0
# The bytes of one request.
PIECE = 32768
# What servers say of a request that they do not know; paramiko keeps the text alone, and not the protocol's number.
UNKNOWN = re.compile(r"unsupported|not supported|not implemented", re.IGNORECASE)

# Else the thread that reads a connection prints the traceback of each that is lost.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def _one_at_a_time(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method alone on the connection, which is made where there is none; what fails is an OSError with an errno."""

    @wraps(method)
    def called(self: "SFTP", *args: Any, **options: Any) -> Any:
        with self.one:
            try:
                if self.ftp is None:
                    self.open_connection()
                return method(self, *args, **options)
            except PermissionError:
                raise
            except OSError as error:
                if isinstance(error, TimeoutError | ConnectionError) or not self.connected():
                    raise self.lost(error) from error
                if error.errno is None:  # "Failure": the protocol has no number for what it is about
                    raise OSError(errno.EIO, str(error)) from error
                raise
            except (EOFError, paramiko.SSHException) as error:
                raise self.lost(error) from error

    return called


class SFTP(WholeWalk, Driver):  # type: ignore[misc]
    """The files of an SFTP server; each method raises OSError with an errno."""

    def _connect(self) -> None:
        self.one = threading.RLock()
        self.client = paramiko.SSHClient()  # one for all connections, since it knows the host's key again
        self.client.set_missing_host_key_policy(self.host_key_policy)
        self.ftp: Any = None

    def open_connection(self) -> None:
        """Log in, and be ready for requests; PermissionError where that is refused."""
        try:
            self.log_in()
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(TIMEOUT_SECONDS)
        except BaseException:
            self.close_connection()
            raise

    def log_in(self) -> None:
        """Connect; PermissionError where the host is there, and it or this side refuses."""
        limits = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), TIMEOUT_SECONDS)
        try:
            self.client.load_system_host_keys()
            self.client.connect(self.host, **limits | self.ssh_kwargs)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"no connection to {self.host} can be made with what its URL and fsspec's configuration say: {error}"
            ) from error
        except paramiko.hostkeys.InvalidHostKey as error:
            raise PermissionError(errno.EACCES, f"~/.ssh/known_hosts cannot be read: {error.line[:80]!r}") from error
        except (paramiko.BadHostKeyException, paramiko.ssh_exception.IncompatiblePeer) as error:
            raise PermissionError(errno.EACCES, str(error)) from error
        except (paramiko.SSHException, OSError) as error:
            # No keys, a key that cannot be read, one that is not taken: the last is what paramiko raises.
            transport = self.client.get_transport()
            talking = transport is not None and transport.initial_kex_done and transport.is_active()
            if talking and "timeout" not in str(error).lower():
                raise PermissionError(errno.EACCES, str(error)) from error
            raise

    def close_connection(self) -> None:
        """Forget the connection."""
        self.client.close()
        self.ftp = None

    def lost(self, error: Exception) -> OSError:
        """Forget the connection, which an error has ended: the error that says so."""
        self.close_connection()
        return OSError(errno.ECONNRESET, str(error) or "the connection was lost")

    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self.ftp is not None and not self.ftp.get_channel().closed

    @_one_at_a_time
    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a file."""
        return dict(super().info(path))

    def exists(self, path: str, **_: Any) -> bool:
        """Whether something is there; what says nothing of that is an error."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    @_one_at_a_time
    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        """What is in a folder; a link to a file is as the file, one to a folder is none that is walked into."""
        found = [self._followed(one) if one["type"] == "link" else one for one in super().ls(path, detail=True)]
        return found if detail else sorted(one["name"] for one in found)

    def _followed(self, link: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            there: dict[str, Any] = self.info(link["name"])
            if there["type"] == "file":
                return there
        return link

    @_one_at_a_time
    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes `start` … `end` - 1 of a file, or fewer where it is shorter; from its end is not known here."""
        pieces: list[bytes] = []
        left = sys.maxsize if end is None else end - (start or 0)
        with self.ftp.open(path, "rb") as file:
            file.seek(start or 0)
            while left > 0:
                # Not all at once: paramiko asks for 8 KiB at a time then, or copies what it has for each piece.
                pieces.append(bytes(file.read(min(left, PIECE))))
                left = left - len(pieces[-1]) if len(pieces[-1]) == min(left, PIECE) else 0
        return b"".join(pieces)

    @_one_at_a_time
    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        """Write a file, in a folder that is there; a crash may leave a part of it."""
        with self.ftp.open(path, "wb") as file:
            file.write(value)
            file.flush()

    @_one_at_a_time
    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Write a file of this machine, in a folder that is there."""
        self.ftp.put(lpath, rpath)

    @_one_at_a_time
    def makedirs(self, path: str, exist_ok: bool = False, mode: int = 511) -> None:
        """Make a folder and those above it."""
        super().makedirs(path, exist_ok, mode)

    @_one_at_a_time
    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self.ftp.remove(path)

    @_one_at_a_time
    def rename_new(self, path1: str, path2: str) -> bool:
        """Rename a file to a name that nothing has; False where something has it."""
        try:
            self.ftp.rename(path1, path2)
        except OSError as error:
            if error.errno is None and self.connected() and self.exists(path2):
                return False
            raise
        return True

    @_one_at_a_time
    def mv(self, path1: str, path2: str, **_: Any) -> None:
        """Rename a file, in place of one that has the other name; UsageError where the server cannot do that."""
        try:
            self.ftp.posix_rename(path1, path2)
        except OSError as error:
            if error.errno is None and UNKNOWN.search(str(error)):
                raise UsageError(
                    f"the SFTP server {self.host} cannot replace a file in one step (posix-rename@openssh.com); "
                    "choose a folder (it may be mounted) or an object store (s3://…)"
                ) from error
            raise
