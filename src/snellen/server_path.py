"""Paths on file servers, whose text names the server, and what the drivers of these share."""

from collections.abc import Iterator, Mapping
from typing import Any

from upath import UPath


class ServerPath(UPath):
    """A path on a host, of any protocol; the text of a `UPath` leaves the host out, and no other process finds it."""

    __slots__ = ()

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> Any:
        if protocol == "webhdfs":
            from snellen.webhdfs import WebHDFS

            return WebHDFS(**storage_options)
        if protocol in ("sftp", "ssh"):
            from snellen.sftp import SFTP

            return SFTP(**storage_options)
        return super()._fs_factory(urlpath, protocol, storage_options)

    @property
    def path(self) -> str:
        """What the driver calls it: from the root, without a slash at the end."""
        return "/" + super().path.strip("/")

    def __str__(self) -> str:
        text = super().__str__()
        start = f"{self.protocol}://"
        if not text.startswith(start):  # relative to another
            return text
        options = self.storage_options
        user = options.get("username") or options.get("user")
        host = f"{user}@{options['host']}" if user else str(options["host"])
        if "port" in options:
            host += f":{options['port']}"
        return f"{start}{host}/{text.removeprefix(start).lstrip('/')}"


class WholeWalk:
    """A driver's walk that leaves nothing out: fsspec's passes over a folder that cannot be listed just then."""

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = None, **options: Any
    ) -> Iterator[Any]:
        """As fsspec's, but raises OSError; a folder that is not there is an empty one."""
        yield from super().walk(path, maxdepth, topdown, _unless_gone, **options)  # type: ignore[misc]


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
