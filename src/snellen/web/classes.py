"""`classes-<space>.json`: keys, names and synonyms of the classes of a set. No two classes have one name."""

from collections import Counter
from typing import Any

from snellen.labels import ClassSpace


def classes_record(key: str, space: ClassSpace) -> dict[str, Any]:
    """What the page reads of a class space that it calls `key`."""
    return {"space": key, "keys": space.keys, "names": shown_names(space), "synonyms": space.synonyms}


def shown_names(space: ClassSpace) -> tuple[str, ...]:
    """The name of each class: its first word; with a synonym, else with its key, where others go by that word too.

    Capitals tell nobody apart.

    >>> from snellen.labels import IMAGENET_1K
    >>> names = shown_names(IMAGENET_1K)
    >>> [name for name in names if name.lower().startswith(("crane", "cardigan", "maillot"))]
    ['crane (n02012849)', 'Cardigan (Cardigan Welsh corgi)', 'cardigan (n02963159)', 'crane (n03126707)', \
'maillot (n03710637)', 'maillot (tank suit)']
    """
    firsts = Counter(words[0].casefold() for words in space.synonyms)
    users = Counter(word for words in space.synonyms for word in {one.casefold() for one in words})
    names = []
    for key, words in zip(space.keys, space.synonyms, strict=True):
        name = words[0]
        if firsts[name.casefold()] > 1 and name != key:
            own = next((word for word in words[1:] if users[word.casefold()] == 1), key)
            name = f"{name} ({own})"
        names.append(name)
    return tuple(names)
