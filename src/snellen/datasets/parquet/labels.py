"""What the values of a label column mean: from integers and words to label sets."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from snellen.errors import DataError
from snellen.labels import ClassSpace

Word = int | str
# The class ids that one value of a label column stands for.
Meaning = Callable[[Word], Sequence[int]]


def words(value: Any) -> list[Word]:
    """The labels that one row gives: none where it is null, empty, -1 or not a number.

    >>> words([3, 7]), words("tench"), words(-1), words(None), words([]), words(2.0)
    ([3, 7], ['tench'], [], [], [], [2])
    """
    if isinstance(value, list):
        return [word for part in value for word in words(part)]
    if isinstance(value, str):
        value = value.strip()
    if value is None or value in (-1, "", "-1") or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(f"label {value}: expected a whole number")
        return [int(value)]
    return [value if isinstance(value, str) else int(value)]


def label_set(labels: Sequence[Word], meaning: Meaning) -> list[int]:
    """The class ids of a row's labels, ascending, each once."""
    return sorted({i for word in labels for i in meaning(word)})


def meaning_of(
    space: ClassSpace,
    *,
    names: Sequence[Sequence[str]] | None = None,
    classes: Sequence[str] | None = None,
) -> Meaning:
    """What a label means in a class space; DataError, when it is asked, for one that means nothing.

    A word is a key, an index or a name of the class space. An integer k stands for all of `names[k]` where the data
    set brings them, else for the file's own class `classes[k]`, else for the id k.
    """
    ids = None if classes is None else _ids_of_classes(classes, space)
    known: dict[Word, list[int]] = {}

    def find(word: str) -> int:
        found = space.find(word)
        if found is None:
            raise space.unknown(word)
        return found

    def look_up(word: Word) -> list[int]:
        if isinstance(word, str):
            return [find(word)]
        count = len(space) if names is None and classes is None else len(names or classes or ())
        if not 0 <= word < count:
            whose = space.name if names is None and classes is None else "the data set"
            raise DataError(f"label {word}: expected 0 … {count - 1}, the {count} classes of {whose}")
        if names is not None:
            return [find(key) for key in names[word]]
        if classes is None or ids is None:
            return [word]
        own = ids[word]
        return [find(classes[word]) if own is None else own]

    def meaning(word: Word) -> list[int]:
        if word not in known:
            known[word] = look_up(word)
        return known[word]

    return meaning


def _ids_of_classes(classes: Sequence[str], space: ClassSpace) -> list[int | None]:
    """The id of each of a file's own class names; None where it is not known.

    A name that is not found stands for the id in its place where as many classes are given as the class space has, and
    most others lie in their places: ImageNet's own `crane` is two classes.
    """
    found = [_find(name, space) for name in classes]
    placed = sum(found[k] == k for k in range(len(found)))
    known = sum(i is not None for i in found)
    if len(classes) == len(space) and placed == known and 2 * placed > len(space):
        return list(range(len(space)))
    return found


def in_file_order(classes: Sequence[str], keys: Sequence[str], space: ClassSpace) -> list[str]:
    """The keys that the numbers 0, 1, … of a file stand for, which names its classes itself.

    classes: the file's names. keys: the classes there should be, in the order that holds where the names tell none:
        where they are plain numbers, or where most mean the class in their place and the others none or several.
    space: where the names and the keys are looked up.

    Raises DataError where a name means a class that is not among the keys, or none, or two names mean the same.

    >>> from snellen.labels import IMAGENET_1K
    >>> in_file_order(["goldfish", "tench, Tinca tinca"], ["n01440764", "n01443537"], IMAGENET_1K)
    ['n01443537', 'n01440764']
    """
    if list(classes) == [str(k) for k in range(len(keys))]:
        return list(keys)
    ids = [_find(name, space) for name in classes]
    counts = Counter(ids)
    found = [None if i is None or counts[i] > 1 else space.keys[i] for i in ids]
    placed = sum(key == own for key, own in zip(found, keys, strict=False))
    if len(classes) == len(keys) and 2 * placed > len(keys) and placed + found.count(None) == len(keys):
        return list(keys)
    for k, (name, key) in enumerate(zip(classes, found, strict=True)):
        if key is None or key not in keys:
            raise DataError(f"the file's class {k} is {name!r}: expected the {len(keys)} classes, each by its name")
    return [key for key in found if key is not None]


def _find(name: str, space: ClassSpace) -> int | None:
    """The id that a class name means, or that all of its synonyms do which mean one: `tench, Tinca tinca`."""
    found = set()
    for word in (name, *name.split(",")):
        try:
            i = space.find(word)
        except DataError:  # ambiguous
            continue
        if i is not None and word == name:
            return i
        found.add(i)
    found.discard(None)
    return found.pop() if len(found) == 1 else None
