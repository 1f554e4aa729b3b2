"""The photographs that ship with Snellen; LICENSES.md beside them says whose they are and under what licence."""

import csv
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from snellen.datasets.base import Item, ListedDataSet
from snellen.labels import ClassSpace


class ExamplesDataSet(ListedDataSet):
    """A handful of openly licensed photographs, each with every ImageNet class a fair annotator would accept."""

    spec = "examples"
    name = "examples"

    def __init__(self) -> None:
        self.root = Path(str(files(__package__)))
        with (self.root / "labels.csv").open(newline="", encoding="utf-8") as file:
            self._labels = {row["image_id"]: row["labels"].split() for row in csv.DictReader(file)}
        names = sorted(self._labels)
        self.items: Sequence[Item] = [Item(name, (self.root / name).stat().st_size) for name in names]

    def reachable(self) -> bool:
        """Whether the package is still installed."""
        return self.root.is_dir()

    def read(self, index: int) -> bytes:
        """The file's bytes."""
        return (self.root / self.items[index].id).read_bytes()

    def origin(self, index: int) -> str:
        """The data set's name."""
        return self.name

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """The classes of `labels.csv`."""
        find = space.finder()
        return [sorted(find(word) for word in self._labels[image_id]) for image_id in ids]
