"""SFTP, as keeping runs there takes it: fsspec's driver, over one connection that serves one request after the other.

Here and not in fsspec's:

- Several threads may ask. Paramiko's client drops the answer to one thread that another happens to read, and the first
  waits for ever; so each request holds a lock.
- A connection that is lost or silent is an error that passes, and the next request makes a new one. It is first made
  by the first request.
- `rename_new` renames where nothing is, which is what the protocol's own rename means: "it is an error if there already
  exists a file with the name" (draft-ietf-secsh-filexfer-02, 6.5); OpenSSH links and unlinks. `mv` replaces, by
  `posix-rename@openssh.com`; a server without it is refused.
- A host whose key is not the one in `~/.ssh/known_hosts` is refused; one that is not listed there is taken.

Nothing is synced: a power cut of the server may take the end of what was written.
"""

import errno
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem as Driver

from snellen.errors import UsageError

# As the drivers of object stores have it.
TIMEOUT_SECONDS = 60.0
# What a server says of a request that it does not know.
UNKNOWN = "Operation unsupported"
# What paramiko says where a connection ends while it logs in, as if it had been refused.
BROKEN_OFF = "transport shut down"


def _one_at_a_time(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method alone on the connection, which is made where there is none; what fails is an OSError with an errno."""

    @wraps(method)
    def called(self: "SFTP", *args: Any, **options: Any) -> Any:
        with self.one:
            try:
                if self.ftp is None:
                    self.open_connection()
                return method(self, *args, **options)
            except (paramiko.AuthenticationException, paramiko.BadHostKeyException) as error:
                lost = BROKEN_OFF in str(error)
                raise OSError(errno.ECONNRESET if lost else errno.EACCES, str(error)) from error
            except OSError as error:
                if isinstance(error, TimeoutError | ConnectionError) or not self.connected():
                    raise self.lost(error) from error
                if error.errno is None:  # "Failure": the protocol has no number for what it is about
                    raise OSError(errno.EIO, str(error)) from error
                raise
            except (EOFError, paramiko.SSHException) as error:
                raise self.lost(error) from error

    return called


class SFTP(Driver):  # type: ignore[misc]
    """The files of an SFTP server; each method raises OSError with an errno."""

    def _connect(self) -> None:
        self.one = threading.RLock()
        self.client: Any = None
        self.ftp: Any = None

    def open_connection(self) -> None:
        """Log in, and be ready for requests."""
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(self.host_key_policy)
        try:
            limits = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), TIMEOUT_SECONDS)
            self.client.connect(self.host, **limits | self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(TIMEOUT_SECONDS)
        except BaseException:
            self.close_connection()
            raise

    def close_connection(self) -> None:
        """Forget the connection."""
        if self.client is not None:
            self.client.close()
        self.client = self.ftp = None

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

    @_one_at_a_time
    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        """What is in a folder."""
        return list(super().ls(path, detail))

    @_one_at_a_time
    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes `start` … `end` - 1 of a file, or fewer where it is shorter; from its end is not known here."""
        with self.ftp.open(path, "rb") as file:
            file.seek(start or 0)
            return bytes(file.read() if end is None else file.read(max(0, end - (start or 0))))

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
            if UNKNOWN in str(error):
                raise UsageError(
                    f"the SFTP server {self.host} cannot replace a file in one step (posix-rename@openssh.com); "
                    "choose a folder (it may be mounted) or an object store (s3://…)"
                ) from error
            raise
