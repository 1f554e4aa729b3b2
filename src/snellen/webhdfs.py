"""HDFS by its REST API (WebHDFS), as keeping runs there takes it: fsspec's driver, with each answer taken at its word.

Here and not in fsspec's:

- `rename_new` renames where nothing is and says whether it did: the boolean that RENAME answers, which `mv` of fsspec
  does not read. `mv` replaces what is there, by RENAME with `renameoptions=OVERWRITE`: one entry in the log of the
  NameNode, so that a crash or a reader finds the old file or the new. HttpFS passes over that option, and is refused.
- A file is written by one CREATE with its bytes, and read by one OPEN: one that is replaced meanwhile is old or new.
  fsspec appends to an empty file, and asks for the length first.
- What a DataNode answers is looked at; fsspec's reading gives the text of an error for the file's bytes. Exceptions
  have an errno, and a request is given up after a while. A folder that cannot be listed is an error also in the middle
  of a tree.

The operations are described at https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html;
`renameoptions` is not, but Hadoop's own client sends it (`RenameOptionSetParam`), and the NameNode then does `rename2`
(`NamenodeWebHdfsMethods`, case RENAME).
"""

import contextlib
import errno
from functools import partial
from typing import Any

import requests
from fsspec.implementations.webhdfs import WebHDFS as Driver

from snellen.errors import UsageError
from snellen.server_path import WholeWalk

# As the drivers of object stores have it.
TIMEOUT_SECONDS = 60.0
# Java's exceptions that do not pass; others (a NameNode that starts or stands by, too few DataNodes) may.
MEANING = {
    "FileNotFoundException": errno.ENOENT,
    "FileAlreadyExistsException": errno.EEXIST,
    "ParentNotDirectoryException": errno.ENOTDIR,
    "AccessControlException": errno.EACCES,
    "AuthorizationException": errno.EACCES,
    "SecurityException": errno.EACCES,
    "InvalidToken": errno.EACCES,
    "NSQuotaExceededException": errno.EDQUOT,
    "DSQuotaExceededException": errno.EDQUOT,
    "QuotaByStorageTypeExceededException": errno.EDQUOT,
    "IllegalArgumentException": errno.EINVAL,
    "UnsupportedOperationException": errno.EINVAL,
    "InvalidPathException": errno.EINVAL,
}
STATUS = {400: errno.EINVAL, 401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT}


class WebHDFS(WholeWalk, Driver):  # type: ignore[misc]
    """The files of an HDFS; each method raises OSError with an errno."""

    def _connect(self) -> None:
        super()._connect()
        self.session.request = partial(self.session.request, timeout=TIMEOUT_SECONDS)
        self.session.hooks["response"].append(_check)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes `start` … `end` - 1 of a file, or fewer where it is shorter; from its end is not known here."""
        start = start or 0
        if end is not None and end <= start:
            return b""
        asked = {"offset": start} if end is None else {"offset": start, "length": end - start}
        answer = self._call("OPEN", path=path, redirect=False, **asked)
        if "Location" in answer.headers:
            answer = self.session.get(self._apply_proxy(answer.headers["Location"]))
        return bytes(answer.content)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file, in a folder that is there; a crash may leave a part of it."""
        options = {"overwrite": "true" if mode == "overwrite" else "false", "createparent": "false"}
        answer = self._call("CREATE", "put", path, redirect=False, **options)
        location = self._apply_proxy(answer.headers["Location"])
        self.session.put(location, data=value, headers={"content-type": "application/octet-stream"})

    def rename_new(self, path1: str, path2: str) -> bool:
        """Rename a file to a name that nothing has; False where it has not been done."""
        return self._call("RENAME", "put", path1, destination=path2).json()["boolean"] is True

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        """Rename a file, in place of one that has the other name; UsageError where the server cannot do that."""
        answer = self._call("RENAME", "put", path1, destination=path2, renameoptions="OVERWRITE")
        with contextlib.suppress(ValueError):  # of a server that can, there is no text
            if answer.json().get("boolean") is False:
                raise UsageError(
                    f"the server at {self.url} does not replace files, as HttpFS does not: give the NameNode's own "
                    "address, webhdfs://NAMENODE:9870/FOLDER"
                )

    @staticmethod
    def _process_info(info: dict[str, Any]) -> dict[str, Any]:
        if "modificationTime" in info:
            info["mtime"] = info["modificationTime"] / 1000  # it counts milliseconds
        return dict(Driver._process_info(info))


def _check(answer: requests.Response, **_: Any) -> None:
    """Raise what an answer says that is none of success or redirection."""
    if answer.status_code < 400:
        return
    try:
        said = answer.json()["RemoteException"]
        kind, text = str(said["exception"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        raise OSError(STATUS.get(answer.status_code, errno.EIO), f"HTTP {answer.status_code} {answer.reason}") from None
    raise OSError(MEANING.get(kind, errno.EIO), f"{kind}: {text}")
