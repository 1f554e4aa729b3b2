"""Where files lie: a path on this machine, or a URL that fsspec knows (`s3://…`, `gs://…`, `webhdfs://…`, `memory://…`).

`place` makes either from text. A place has the methods of `pathlib.Path`, and is typed as one: a URL's is a
`upath.UPath`. Nothing of fsspec is imported for a path on this machine. What the two need done
differently is in `files.py` and `atomic.py`. Options of a store come from fsspec's configuration and from the
environment variables that its driver reads; they never enter a run.
"""

import errno
import os
import re
import warnings
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from snellen.errors import Stopped, UsageError
from snellen.redact import has_password
from snellen.trouble import PASSING, as_os_error

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+)(?:::.*)?://")
# The extra of this package that installs a driver.
EXTRAS = {"s3fs": "s3", "requests": "hdfs", "paramiko": "sftp"}
# Stores of objects: a put is whole or absent, and folders are only slashes in names.
OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "obs", "oci", "tos", "memory"}
)
# File servers whose driver replaces a file by one rename, and can also rename where nothing is and say whether it did:
# `webhdfs.py` and `sftp.py`. The driver of hdfs:// removes the old file first, that of SMB renames onto no file, others
# copy: there a crash, or a reader in between, would find no file or a part of one.
REPLACING_SERVERS = frozenset({"sftp", "ssh", "webhdfs"})
CREATING_SERVERS = REPLACING_SERVERS
# Protocols whose URLs name a host that is no part of the path.
WITH_HOST = frozenset({"sftp", "ssh", "ftp", "hdfs", "webhdfs"})
# What to give in place of a URL that cannot serve.
INSTEAD = {
    "hdfs": "webhdfs://NAMENODE:9870/FOLDER",
    "webhdfs": "webhdfs://NAMENODE:9870/FOLDER",
    "sftp": "sftp://USER@HOST/FOLDER",
    "ssh": "ssh://USER@HOST/FOLDER",
}


def is_url(text: str) -> bool:
    """Whether a text is a URL, and no path.

    >>> is_url("s3://bucket/x"), is_url("C:/x"), is_url("a/b")
    (True, False, False)
    """
    return _URL.match(text) is not None


def is_remote(path: Path) -> bool:
    """Whether a place is none of this machine's file systems."""
    return not isinstance(path, Path)


def place(text: str | Path) -> Path:
    """The place that a text names; one that is a place already stays as it is.

    Raises UsageError for a protocol that there is not, a driver that is not installed, a URL without a bucket or with
    a password in it; an object store is not asked for anything yet. Stopped where a file server cannot be reached.
    """
    if not isinstance(text, str):
        return text
    found = _URL.match(text)
    if found is None:
        return Path(text)
    if found["protocol"] in ("file", "local"):
        return Path(text.split("://", 1)[1])
    return _remote(text, found["protocol"])


def _remote(text: str, protocol: str) -> Path:
    from fsspec.asyn import AsyncFileSystem
    from fsspec.registry import get_filesystem_class, known_implementations

    if "::" in text:
        raise UsageError(f"{text!r}: a URL of one store is expected, without ::")
    try:
        bucket = urlsplit(text).netloc
    except ValueError as error:
        raise UsageError(f"{text!r} is no URL: {error}") from error
    if not bucket and protocol in OBJECT_STORES:
        raise UsageError(f"{text!r} names no bucket: give {protocol}://BUCKET/FOLDER")
    if not bucket and protocol in CREATING_SERVERS:
        raise UsageError(f"{text!r} names no host: give {INSTEAD[protocol]}")
    if has_password(text):
        raise UsageError(f"{text!r}: no passwords in a URL; give it to the store's driver")
    try:
        driver = get_filesystem_class(protocol)
    except ValueError:
        raise UsageError(f"no protocol {protocol!r} in {text!r}: give a folder, or a URL as s3://BUCKET/…") from None
    except ImportError as error:
        known = known_implementations[protocol]
        package, why = known["class"].partition(".")[0], known.get("err", str(error))
        if package == "fsspec":  # the driver is there, and says which package it needs
            package = next((name for name in EXTRAS if f'"{name}"' in why), package)
        extra = f"'snellen[{EXTRAS[package]}]'" if package in EXTRAS else package
        need = f"pip install {extra}" if package != "fsspec" else why
        raise UsageError(f"{text!r} needs a package that is not installed: {need}") from error
    # Cloud drivers remember listings for ever, and another process may be writing.
    options: dict[str, Any] = {"use_listings_cache": False} if issubclass(driver, AsyncFileSystem) else {}
    try:
        path = _upath(text, protocol, options)
        path.fs  # noqa: B018 (some drivers connect here)
    except Exception as error:
        told = as_os_error(error)
        if told is None and not isinstance(error, ValueError | TypeError | KeyError | ImportError):
            raise
        why = told.strerror if told else error
        if told and told.errno in PASSING and told.errno != errno.EIO:
            raise Stopped(f"{text!r} cannot be reached: {why}; run the same command again to resume") from error
        form = INSTEAD.get(protocol, f"{protocol}://BUCKET/FOLDER")
        raise UsageError(f"{text!r} cannot be used: {why}; give it as {form}") from error
    return cast(Path, path)


def _upath(text: str, protocol: str, options: dict[str, Any]) -> Any:
    from upath import UPath

    if protocol in WITH_HOST:
        from upath.registry import register_implementation

        from snellen.server_path import ServerPath

        register_implementation(protocol, ServerPath, clobber=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of protocols that it has no class of its own for
        return UPath(text, **options)


def driver_of(path: Path) -> Any:
    """The fsspec file system of a place in a store."""
    return cast(Any, path).fs


def key_of(path: Path) -> str:
    """What the driver of a place in a store calls it."""
    return str(cast(Any, path).path)


def protocol_of(path: Path) -> str:
    """The protocol of a place in a store."""
    return str(cast(Any, path).protocol)


def replaces(path: Path) -> bool:
    """Whether a file at a place can be replaced in one step, which is what keeping runs there takes."""
    return not is_remote(path) or protocol_of(path) in OBJECT_STORES | REPLACING_SERVERS


def creates_by_rename(path: Path) -> bool:
    """Whether a place is on a server that renames a file only where nothing is, and says so."""
    return protocol_of(path) in CREATING_SERVERS


def has_folders(path: Path) -> bool:
    """Whether a place in a store lies in folders that are made before their files; also, whether files are renamed."""
    return protocol_of(path) not in OBJECT_STORES


def cache_root() -> Path:
    """Where converted models, hashes and listings are kept: `$SNELLEN_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("SNELLEN_CACHE")
    return Path(chosen) if chosen else user_cache_path("snellen")
