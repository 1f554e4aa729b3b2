"""What a data set is, and how `DATA` on the command line becomes one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from snellen.errors import DataError
from snellen.labels import ClassSpace


@dataclass(frozen=True)
class Item:
    """One image of a data set: `id` names it in every file, `size` is its length in bytes."""

    id: str
    size: int


class DataSet(Protocol):
    """Images in a fixed order. `spec` opens the same data set again, in this or another process."""

    spec: str
    name: str
    items: Sequence[Item]

    @property
    def fingerprint(self) -> str:
        """sha256 over every image's id and size, in order."""
        ...

    def reachable(self) -> bool:
        """Whether the place that holds the images is still there."""
        ...

    def read(self, index: int) -> bytes:
        """The encoded bytes of image `index`; OSError where they cannot be had."""
        ...

    def origin(self, index: int) -> str:
        """Where image `index` comes from (the data set's name, or the part of a collection)."""
        ...

    def label_sets(self, ids: Sequence[str], space: ClassSpace) -> list[list[int]]:
        """The accepted class ids of each image named, by the data set's own labels.

        Raises DataError for a class that `space` does not have.
        """
        ...


class ListedDataSet:
    """The part that data sets share: a fingerprint over the list of images."""

    items: Sequence[Item]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every image's id and size, in order."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(f"{item.id}\0{item.size}\n".encode())
        return digest.hexdigest()


def open_dataset(spec: str | Path) -> "DataSet":
    """The data set that `spec` names: `examples`, or a folder of class folders.

    Raises DataError where there is no such data set, or it holds no image.
    """
    from snellen.datasets.examples import ExamplesDataSet
    from snellen.datasets.folder import FolderDataSet

    if str(spec) == "examples":
        return ExamplesDataSet()
    try:
        path = Path(spec).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (RuntimeError, OSError, ValueError) as error:  # no such user, a name too long, a null byte
        raise DataError(f"no data set {str(spec)!r}: {error}") from error
    if is_folder:
        return FolderDataSet(path)
    if exists:
        raise DataError(f"{str(spec)!r} is a file; give a folder DIR/<class>/<image>, or `examples`")
    raise DataError(f"no data set {str(spec)!r}: give `examples` or a folder DIR/<class>/<image> that exists")
