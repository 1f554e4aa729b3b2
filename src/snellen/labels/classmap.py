"""Class maps: which ids of a model's head take part in a data set, and which of its classes each one is."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.errors import DataError
from snellen.labels.space import ClassSpace


@dataclass(frozen=True)
class ClassMap:
    """The class space of a data set inside a model's head.

    name: the data set's, for messages and files.
    ids: for each of the data set's classes, the ids of the head that stand for it; at least one each.
    outputs: how many ids the head has. Ids of no class are masked before arg-max and softmax.

    >>> from snellen.labels import IMAGENET_1K
    >>> ClassMap.of("two kinds", [["n01440764", "n01443537"], ["n01484850"]], IMAGENET_1K).ids
    ((0, 1), (2,))
    """

    name: str
    ids: tuple[tuple[int, ...], ...]
    outputs: int

    def __post_init__(self) -> None:
        flat = [i for row in self.ids for i in row]
        if not all(self.ids) or len(set(flat)) != len(flat) or not all(0 <= i < self.outputs for i in flat):
            raise ValueError(f"{self.name}: every class needs ids in 0 … {self.outputs - 1}, and no id two classes")

    @staticmethod
    def of(name: str, classes: Sequence[Sequence[str]], space: ClassSpace) -> "ClassMap":
        """The map of classes given by their keys (WordNet ids, indices or names of `space`).

        Raises DataError where the model's classes lack one of them, and where two are the same class of the model.
        """
        found = [[space.find(word) for word in words] for words in classes]
        pairs = [(w, i) for words, ids in zip(classes, found, strict=True) for w, i in zip(words, ids, strict=True)]
        lacking = [word for word, i in pairs if i is None]
        if lacking:
            raise DataError(
                f"{name} has classes that this model's head lacks ({len(lacking)}, for example {lacking[0]!r}): "
                f"its {len(space)} classes are {space.name}; use a model of the classes of {name}"
            )
        counts = Counter(i for _, i in pairs)
        twice = next((word for word, i in pairs if counts[i] > 1), None)
        if twice is not None:
            raise DataError(
                f"{name} gives the model's class {twice!r} {counts[space.find(twice)]} times: expected once, in one of "
                "its classes; fetch what lists its classes again"
            )
        return ClassMap(name, tuple(tuple(i for i in ids if i is not None) for ids in found), len(space))

    @cached_property
    def of_id(self) -> NDArray[np.int32]:
        """The class of each id of the head, -1 where it takes no part: int32 `[outputs]`."""
        classes = np.full(self.outputs, -1, np.int32)
        for number, ids in enumerate(self.ids):
            classes[list(ids)] = number
        return classes

    @cached_property
    def taking_part(self) -> NDArray[np.intp]:
        """The ids that take part, ascending."""
        return np.flatnonzero(self.of_id >= 0)

    @cached_property
    def members(self) -> NDArray[np.int32]:
        """The ids of each class, ascending, -1 after its last: int32 `[classes, most ids of one class]`."""
        table = np.full((len(self.ids), max(len(row) for row in self.ids)), -1, np.int32)
        for number, row in enumerate(self.ids):
            table[number, : len(row)] = sorted(row)
        return table

    @property
    def many_to_one(self) -> bool:
        """Whether several ids stand for one class."""
        return any(len(row) > 1 for row in self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the ids of every class."""
        return hashlib.sha256(repr((self.outputs, self.ids)).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """A plain form for run.json."""
        return {"name": self.name, "ids": [list(row) for row in self.ids], "outputs": self.outputs}

    @staticmethod
    def from_json(record: dict[str, Any]) -> "ClassMap":
        """The map that `to_json` wrote."""
        return ClassMap(record["name"], tuple(tuple(row) for row in record["ids"]), record["outputs"])
