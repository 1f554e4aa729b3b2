"""What is compared with what in a report, and what its files are called."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from snellen.analysis.summary import Summary
from snellen.datasets.base import OWN_LABELS
from snellen.zoom.grid import ViewRule

# The nine anchors, and the nine thirds of an image, in reading order.
PLACES = (
    *("top left", "top", "top right"),
    *("left", "centre", "right"),
    *("bottom left", "bottom", "bottom right"),
)
# Of a file name's parts; the whole stays below the 255 bytes of a file system.
LONGEST = 70


def place_of(rule: ViewRule) -> str:
    """What a reader calls the anchor of a view.

    >>> place_of(ViewRule(256, row=1, col=1)), place_of(ViewRule(256, row=2, col=0))
    ('centre', 'bottom left')
    """
    return PLACES[3 * rule.row + rule.col]


@dataclass(frozen=True)
class DataGroup:
    """The summaries of one data set by one label source, which may be compared.

    title: as a reader sees it; stem: the beginning of its files' names; members: places in the list of summaries.
    """

    data: str
    labels: str
    title: str
    stem: str
    members: tuple[int, ...]


def data_groups(summaries: Sequence[Summary]) -> list[DataGroup]:
    """The summaries by data set and label source, in the order of their first."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, summary in enumerate(summaries):
        members.setdefault((summary.data_name, summary.labels), []).append(place)
    sources = Counter(data for data, _ in members)
    stems = distinct(
        "_".join([data_stem(data), *([file_part(labels)] if sources[data] > 1 else [])]) for data, labels in members
    )
    return [
        DataGroup(data, labels, data_title(data, labels), stem, tuple(places))
        for ((data, labels), places), stem in zip(members.items(), stems, strict=True)
    ]


def data_title(data: str, labels: str) -> str:
    """A data set and its label source in a line; of paths the last part.

    >>> data_title("imagenet", "real"), data_title("/home/me/photographs", "own")
    ('imagenet, labels real', 'photographs')
    """
    name = last_part(data)
    source = PurePath(labels).name if "/" in labels else labels
    return readable(name if labels == OWN_LABELS else f"{name}, labels {source}")


def last_part(text: str) -> str:
    """A path by its last part, anything else as it is.

    >>> last_part("/home/me/photographs"), last_part("imagenet-c/fog/3")
    ('photographs', 'imagenet-c/fog/3')
    """
    return PurePath(text).name if text.startswith(("/", "./", "../", "~")) else text


def readable(text: str) -> str:
    r"""A text in which everything can be seen: what has no shape, or is no text, stands as an escape.

    >>> print(readable("a\tb\udcff"))
    a\tb\udcff
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def data_stem(data: str) -> str:
    """The beginning of the file names of what is about a data set; of a path the last part.

    >>> data_stem("imagenet-c/fog/3"), data_stem("/home/me/photographs")
    ('imagenet-c-fog-3', 'photographs')
    """
    return file_part(data_title(data, OWN_LABELS))


def file_part(text: str) -> str:
    """A text as part of a file name: safe characters, the end of what is too long, since paths differ there."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.")[-LONGEST:].lstrip("-.") or "x"


def distinct(names: Iterable[str]) -> list[str]:
    """The names in their order, with a number where one is there already."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for name in names:
        lower = name.lower()  # file systems may not tell capitals apart
        seen[lower] += 1
        found.append(name if seen[lower] == 1 else f"{name}-{seen[lower]}")
    return found


def run_stems(summaries: Sequence[Summary], names: Sequence[str]) -> list[str]:
    """The beginning of the file names of what is about one summary: its data set, its labels, its run's short name."""
    stem = {place: group.stem for group in data_groups(summaries) for place in group.members}
    return distinct(f"{stem[place]}_{file_part(name)}" for place, name in enumerate(names))
