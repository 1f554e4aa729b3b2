"""The names of the ImageNet family: how else they are spelled, and what a group or a wildcard means."""

import difflib
import os
from fnmatch import fnmatch
from pathlib import Path

from snellen.datasets.members import CORRUPTIONS, MADE_C, MEMBERS, RELEASED_C, SEVERITIES
from snellen.errors import DataError
from snellen.labels.imagenet import BOTH, REAL

FAMILY = "imagenet-robustness"
_LABELS = {"imagenet-real": REAL, "imagenet+real": BOTH}


def _sets(member: str) -> dict[str, list[str]]:
    """The groups of a set of corruptions: all of it, and each corruption's severities."""
    groups = {f"{member}/{name}": [f"{member}/{name}/{severity}" for severity in SEVERITIES] for name in CORRUPTIONS}
    return {member: [name for group in groups.values() for name in group]} | groups


def _groups() -> dict[str, list[str]]:
    released = _sets(RELEASED_C)
    family = [name for m in MEMBERS if m.name != MADE_C for name in released.get(m.name, [m.name])]
    return released | _sets(MADE_C) | {FAMILY: [name for name in family if not name.startswith("imagenet-v2/")]}


# Names that mean several data sets, and which.
GROUPS = _groups()
# Every name that opens one data set.
NAMES = (*(member.name for member in MEMBERS if member.sets == 1), *GROUPS[RELEASED_C], *GROUPS[MADE_C])


def fold(name: str) -> str:
    """A name as it is compared: case, dashes and underscores do not count.

    >>> fold("ImageNet_V2/top-images")
    'imagenetv2/topimages'
    """
    return name.lower().replace("-", "").replace("_", "")


# What the folders of the members are called; of a set of corruptions also each of its own.
_FOLDERS = {
    fold(name.rpartition("/")[2]): member.name
    for member in MEMBERS
    for name in (member.name, *member.aliases, *member.folders)
} | {fold(name.partition("/")[2]): name for name in GROUPS[RELEASED_C]}
# What every spelling means; names of groups and of label sources mean themselves.
_SPELLINGS = {fold(alias): member.name for member in MEMBERS for alias in member.aliases} | {
    fold(name): name for name in (*NAMES, *GROUPS, *_LABELS)
}


def is_family(name: str) -> bool:
    """Whether a name is meant for the family: a spelling of one, a wildcard over them, or one that is slightly off.

    A slightly wrong name that is a file or folder here is not.
    """
    folded = fold(name)
    if folded in _SPELLINGS:
        return True
    meant = folded.startswith(("imagenet", "objectnet")) and not name.endswith("/")
    return meant and not os.path.exists(name)  # noqa: PTH110 (Path.exists raises for a name that is too long)


def spelled(name: str) -> str:
    """The canonical spelling of a name, be it of one data set, of a group or of a label source of `imagenet`.

    Raises DataError for a name that means none; it tells the nearest.

    >>> spelled("ImageNet_V2"), spelled("imagenet_c/gaussian-noise/3")
    ('imagenet-v2', 'imagenet-c/gaussian_noise/3')
    """
    try:
        return _SPELLINGS[fold(name)]
    except KeyError:
        near = difflib.get_close_matches(fold(name), list(_SPELLINGS), n=1, cutoff=0.0)[0]
        raise DataError(
            f"no data set {name!r}: the nearest name is {_SPELLINGS[near]!r}; `snellen ls datasets` lists them"
        ) from None


def canonical(name: str) -> str:
    """The canonical name of the one data set that `name` opens; `imagenet` also where it names a label source of it.

    Raises DataError for a name that means none, or several.

    >>> canonical("ImageNet-ReaL"), canonical("objectnet-1.0")
    ('imagenet', 'objectnet')
    """
    if _is_pattern(name):
        several = expand(name)
    else:
        name = spelled(name)
        several = GROUPS.get(name, [])
    if several:
        raise DataError(f"{name!r} means {len(several)} data sets; name one of them, for example {several[0]!r}")
    return "imagenet" if name in _LABELS else name


def named_after(folder: Path) -> str | None:
    """The data set that a folder is called like; None where it is called like none.

    >>> named_after(Path("/data/imagenetv2-top-images-format-val")), named_after(Path("/data/x/Fog/3"))
    ('imagenet-v2/top-images', 'imagenet-c/fog/3')
    """
    return _FOLDERS.get(fold(folder.name)) or _FOLDERS.get(fold(f"{folder.parent.name}/{folder.name}"))


def label_source(name: str) -> str | None:
    """The label source that a name of `imagenet` asks for, or None where it asks for none.

    >>> label_source("imagenet_real"), label_source("imagenet+real"), label_source("imagenet")
    ('real', 'imagenet+real', None)
    """
    return _LABELS.get(_SPELLINGS.get(fold(name), name))


def expand(name: str) -> list[str]:
    """The names that a name means: those of a group, those a wildcard matches, else itself in its canonical spelling.

    A name that is none of the family's is returned as it is. Raises DataError for a wildcard that matches none.

    >>> expand("imagenet-c/fog/*")[:2], len(expand("imagenet-c")), expand("examples")
    (['imagenet-c/fog/1', 'imagenet-c/fog/2'], 95, ['examples'])
    """
    if not is_family(name):
        return [name]
    if not _is_pattern(name):
        return list(GROUPS.get(spelled(name), [spelled(name)]))
    # What is made here is matched by its own name only: it needs clean images, and it is no second released set.
    made = fold(name).startswith(fold(MADE_C))
    names = [known for known in NAMES if known.startswith(MADE_C) == made]
    found = [known for known in names if fnmatch(known, name.lower()) or fnmatch(fold(known), fold(name))]
    if not found:
        raise DataError(f"no data set matches {name!r}; `snellen ls datasets` lists them")
    return found


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")
