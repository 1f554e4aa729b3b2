"""What the drivers of stores raise, as the OSError that a disk would have raised, and patience with what passes.

s3fs, gcsfs, adlfs and the libraries below them have errors of their own, which are known here by their names: none of
these libraries is imported. An error carries the system's errno, so that whoever handles a disk handles a store.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

Result = TypeVar("Result")

# How long a request is tried again while it fails in a way that passes. Drivers repeat a request some seconds by
# themselves; a store that throttles or restarts is back within this, a network that is gone is not.
PATIENCE_SECONDS = 60.0
_hurried: ContextVar[bool] = ContextVar("_hurried", default=False)

# What passes: a store that is busy, a connection that broke, an answer that did not come.
PASSING = frozenset(
    {
        *(errno.EBUSY, errno.EREMOTEIO, errno.EIO, errno.EAGAIN),
        *(errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE),
        *(errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH),
    }
)
# HTTP: too early or too many requests, a conflict with another's request at the same time, trouble of the server.
PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MEANING = {400: errno.EINVAL, 401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 405: errno.EPERM}
MEANING |= {412: errno.EEXIST, 416: errno.EINVAL, 501: errno.ENOSYS, 507: errno.ENOSPC}

# Drivers list every place that they looked in.
MOST_TEXT = 300

# Words in the names of error types, those of their bases included; the first that fits says what it means.
NAMES = (
    ("StorageFull", errno.ENOSPC),
    ("Credential", errno.EACCES),
    ("ProfileNotFound", errno.EACCES),
    ("ClientAuthentication", errno.EACCES),
    ("Token", errno.EACCES),
    ("GoogleAuthError", errno.EACCES),
    ("ResourceNotFound", errno.ENOENT),
    ("ResourceExists", errno.EEXIST),
    ("ParamValidation", errno.EINVAL),
    ("Timeout", errno.ETIMEDOUT),
    ("Connect", errno.ENETUNREACH),
    ("HTTPClientError", errno.ENETUNREACH),
    ("ServiceRequestError", errno.ENETUNREACH),
    ("ClientError", errno.EIO),
    ("BotoCoreError", errno.EIO),
    ("HttpError", errno.EIO),
    ("IncompleteRead", errno.EIO),
)
# What a driver raises without a number where a disk would give one.
KINDS = (
    (FileNotFoundError, errno.ENOENT),
    (FileExistsError, errno.EEXIST),
    (PermissionError, errno.EACCES),
    (IsADirectoryError, errno.EISDIR),
    (NotADirectoryError, errno.ENOTDIR),
    (TimeoutError, errno.ETIMEDOUT),
    (ConnectionError, errno.ECONNRESET),
)


def as_os_error(error: Exception) -> OSError | None:
    """An error of a store's driver as an OSError with an errno and one line of text; None where it is a defect."""
    code = error.errno if isinstance(error, OSError) else None
    if not isinstance(code, int):
        code = _meaning(error)
    elif code in (errno.EIO, errno.EINVAL):  # what s3fs says of codes that it does not know
        code = _by_status(error) or code
    return None if code is None else OSError(code, _line(error))


def patiently(call: Callable[[], Result]) -> Result:
    """What `call` returns, which asks a store for something; what passes is tried again for PATIENCE_SECONDS.

    Raises OSError, with an errno, whatever the driver raised.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

    def ask() -> Result:
        try:
            return call()
        except Exception as error:
            told = as_os_error(error)
            if told is None:
                raise
            raise told from error

    tries = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, OSError) and error.errno in PASSING),
        stop=stop_after_delay(0.0 if _hurried.get() else PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    return tries(ask)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Have no patience while the block runs, in this thread: what fails is not tried again."""
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


def _meaning(error: Exception) -> int | None:
    """The errno that an error without one stands for."""
    known = next((code for kind, code in KINDS if isinstance(error, kind)), None)
    if known is not None:
        return known
    by_status = _by_status(error)
    if by_status is not None:
        return by_status
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    named = next((code for word, code in NAMES if word in names), None)
    return errno.EIO if named is None and isinstance(error, OSError) else named


def _by_status(error: BaseException) -> int | None:
    """The errno that the HTTP status of an error, or of what caused it, stands for."""
    while True:
        status = _status(error)
        if status is not None:
            return errno.EBUSY if status in PASSING_STATUS else MEANING.get(status)
        if error.__cause__ is None:
            return None
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error carries, as botocore, httpx, aiohttp, azure and gcsfs keep it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(response, "status_code", None)
    held = (status, *(getattr(error, name, None) for name in ("status_code", "status", "code")))
    return next((value for value in held if isinstance(value, int) and 400 <= value < 600), None)


def _line(error: Exception) -> str:
    """What an error says, on one line of some length."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    code = error.errno if isinstance(error, OSError) else None
    return " ".join(text.split())[:MOST_TEXT] or (os.strerror(code) if isinstance(code, int) else type(error).__name__)
