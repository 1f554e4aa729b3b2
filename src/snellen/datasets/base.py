"""What a data set is: images in a fixed order, with ids."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from snellen.labels import ClassSpace

# The label source of a data set that has only its own labels.
OWN_LABELS = "own"


@dataclass(frozen=True)
class Item:
    """One image of a data set: `id` names it in every file, `size` is its length in bytes (-1: not known)."""

    id: str
    size: int


class DataSet(Protocol):
    """Images in a fixed order. `spec` opens the same data set again, in this or another process.

    name: names its directory and the `dataset` column of results.
    revision: the commit of the Hub that it was read from, or "".
    classes: the keys of each of its classes, where it masks logits to them; None where every class takes part.
    label_sources: names that `label_sets` accepts; the first is what it is scored by unless told otherwise.
    border: pixels cut off each side of every image before anything else.
    breaks: images at which a shard must end, ascending (starts of row groups, say).
    in_order: whether one process should read them, one after the other: a jump costs all that is between.
    official: how many images the released set has, whatever is here; 0 where that is not stated.
    """

    spec: str
    name: str
    items: Sequence[Item]
    revision: str
    classes: Sequence[Sequence[str]] | None
    label_sources: tuple[str, ...]
    border: int
    breaks: Sequence[int]
    in_order: bool
    official: int

    @property
    def fingerprint(self) -> str:
        """sha256 over what tells these images from others."""
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

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """The accepted class ids of each image named, by one of `label_sources` (None: the first); may be empty.

        Raises DataError for a class that `space` does not have, and for a source it does not know.
        """
        ...


class ListedDataSet:
    """The part that data sets share: nothing special, and a fingerprint over the list of images."""

    items: Sequence[Item]
    revision = ""
    classes: Sequence[Sequence[str]] | None = None
    label_sources: tuple[str, ...] = (OWN_LABELS,)
    border = 0
    breaks: Sequence[int] = ()
    in_order = False
    official = 0

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every image's id and size, in order."""
        return fingerprint_of(self.items)


def fingerprint_of(items: Sequence[Item]) -> str:
    """sha256 over every image's id and size, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.id}\0{item.size}\n".encode())
    return digest.hexdigest()
