"""The ImageNet family: each member from a folder in its released layout, or from its Parquet copy on the Hub."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from snellen.datasets.base import DataSet
from snellen.datasets.folder import KeyedFolder
from snellen.datasets.hub.layout import NoSplit, says_split
from snellen.datasets.listing import reaching
from snellen.datasets.members import CORRUPTION_GROUPS, MADE_C, RELEASED_C, HubCopy, Member, member_of
from snellen.datasets.names import canonical, fold, named_after
from snellen.datasets.objectnet import is_objectnet, open_objectnet
from snellen.datasets.parquet.columns import Columns
from snellen.datasets.parquet.dataset import ParquetDataSet
from snellen.datasets.parquet.files import SUFFIX, ParquetSource
from snellen.datasets.parquet.labels import in_file_order
from snellen.datasets.spec import DataSpec
from snellen.errors import DataError
from snellen.files import entries, is_folder
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.labels.imagenet import (
    IMAGENET,
    REAL,
    SOURCES,
    check_source,
    ids_of_keys,
    subset_keys,
    validation_keys,
    validation_number,
)
from snellen.places import is_remote

# Where the validation images lie inside ImageNet's folder; the second is how Kaggle unpacks it.
VALIDATION = ("val", "Data/CLS-LOC/val", "ILSVRC2012_img_val", "")
# The members that hold validation images: those that are them or made from them, and those that chose from them.
WITH_VALIDATION = (IMAGENET, RELEASED_C, "imagenet-hard", "imagenet-hard-4k")
# The members whose logits are masked to classes of their own, as `subset_keys` calls them.
SUBSETS = {"imagenet-a": "a", "imagenet-r": "r"}

_CLASS_FOLDER = re.compile(r"n\d{8}")
_V2_FOLDER = re.compile(r"\d{1,3}")
_WNIDS = frozenset(IMAGENET_1K.keys)


def open_family(parsed: DataSpec) -> DataSet:
    """The member of the family that a spec names: from its root if it has one, else from the Hub.

    Raises DataError where the name means none or several, where the root does not hold it, and where the Hub has no
    copy that can be read; it says how to get it.
    """
    name = canonical(parsed.name)
    if name.startswith(f"{MADE_C}/"):
        from snellen.datasets.corrupt import open_made

        return open_made(name, parsed)
    member = member_of(name)
    known = ("revision",) if member.hub and parsed.root is None else ()
    unknown = [f"{key}={value}" for key, value in parsed.options.items() if key not in known]
    if unknown:
        raise DataError(f"{name} has no option {unknown[0]!r} here: expected {' '.join(known) or 'none'}")
    if parsed.root is not None:
        dataset = _open_root(name, member, parsed.root)
    elif member.hub is not None:
        dataset = _open_hub(name, member.hub, parsed.options.get("revision"))
    else:
        raise DataError(
            f"{name} has no known Parquet copy on the Hub: get it from {member.source} ({member.download}) "
            "and give its folder as --root"
        )
    odd = next((item.id for item in dataset.items if validation_number(item.id) is not None), None)
    if odd is not None and member.name not in WITH_VALIDATION:
        raise DataError(f"{odd!r} is a validation image of ImageNet, not one of {name}: give the folder of {name}")
    dataset.official = member.images
    return dataset


def find_released(name: str, root: Path) -> Path | None:
    """The folder of a member's images in their released layout: in its folder in `root`, or in `root` itself.

    For ObjectNet it is the folder that holds images and mappings. A root that is called like another member is not
    taken for this one: many have the same layout.
    """
    inside, looks_right = _layout(name)
    for holder in _holders(root, member_of(name).folders):
        for place in inside:
            folder = holder / place
            if is_folder(folder) and looks_right(folder) and not (folder == root and _other(name, root)):
                return folder
    return None


def _open_root(name: str, member: Member, root: Path) -> DataSet:
    spec = DataSpec(name, root).text
    folder = find_released(name, root)
    if folder is not None and name == "objectnet":
        return open_objectnet(folder, spec)
    if folder is not None:
        return _open_folder(name, folder, spec)
    copy = _copy_in(root, member, member.hub) if member.hub is not None else None
    if copy is not None and member.hub is not None:
        return _as_parquet(name, member.hub, copy, spec, "")
    if member.name == RELEASED_C and find_released(IMAGENET, root) is not None:
        from snellen.datasets.corrupt import open_made

        made = open_made(name.replace(RELEASED_C, MADE_C), DataSpec(name, root))
        if REAL in made.label_sources:  # else these are no validation images, but those of some other set
            return made
    other = _other(name, root)
    where = f"by its name it is {other}; expected" if other else "expected there, or"
    raise DataError(f"no {name} in {str(root)!r}: {where} in {member.folders[0]}/, {member.download}")


def _open_folder(name: str, folder: Path, spec: str) -> DataSet:
    if name in SUBSETS:
        keys = subset_keys(SUBSETS[name])
        return KeyedFolder(folder, name, spec, _class_folder(name, frozenset(keys)), classes=[[key] for key in keys])
    if name.startswith("imagenet-v2"):
        return KeyedFolder(folder, name, spec, _class_number)
    if name == "imagenet-sketch":
        return KeyedFolder(folder, name, spec, _class_folder(name, _WNIDS))
    dataset = KeyedFolder(folder, name, spec, _of_validation_image)
    dataset.label_sources = _sources_for(item.id for item in dataset.items)
    return dataset


def _layout(name: str) -> tuple[Sequence[str], Callable[[Path], bool]]:
    """Where a member's images lie inside its folder, and what tells that they are there."""
    if name == "objectnet":
        return ("",), is_objectnet
    if name.startswith("imagenet-v2"):
        return ("",), lambda folder: _holds(folder, _V2_FOLDER)
    if name.startswith(f"{RELEASED_C}/"):
        _, corruption, severity = name.split("/")
        group = next(group for group, names in CORRUPTION_GROUPS.items() if corruption in names)
        places = (f"{corruption}/{severity}", f"{group}/{corruption}/{severity}")
        return places, lambda folder: _holds(folder, _CLASS_FOLDER)
    if name == IMAGENET:
        return VALIDATION, lambda folder: _holds(folder, _CLASS_FOLDER) or _is_flat(folder)
    return ("",), lambda folder: _holds(folder, _CLASS_FOLDER)


def _holders(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """The folders in `root` that are called like one of the names, then `root` itself."""
    wanted = {fold(name) for name in names}
    yield from (root / entry for entry in _entries(root) if fold(entry) in wanted)
    yield root


def _other(name: str, root: Path) -> str | None:
    """The data set that a root is called like, if it is of another member than `name` is."""
    called = named_after(root)
    return called if called and member_of(called) is not member_of(name) else None


def _entries(folder: Path) -> list[str]:
    try:
        if is_remote(folder):
            with reaching(folder):
                return [entry.name for entry in entries(folder)]
        return sorted(os.listdir(folder))  # noqa: PTH208 (names only: a flat folder holds 50,000 files)
    except OSError as error:
        raise DataError(f"cannot list {str(folder)!r}: {error.strerror}; check its permissions") from error


def _holds(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Whether a folder holds folders whose names match."""
    return any(pattern.fullmatch(entry) and is_folder(folder / entry) for entry in _entries(folder))


def _is_flat(folder: Path) -> bool:
    """Whether a folder holds validation images themselves."""
    return any(validation_number(entry) is not None for entry in _entries(folder))


def _class_folder(name: str, classes: frozenset[str]) -> Callable[[str, str], Sequence[str]]:
    """The rule of class folders that are WordNet ids: `<wnid>/<image>`."""

    def keys_of(image_id: str, source: str) -> Sequence[str]:
        wnid = image_id.partition("/")[0]
        if wnid not in classes:
            raise DataError(
                f"{image_id!r} lies in none of the {len(classes)} class folders of {name}: is this another data set?"
            )
        return [wnid]

    return keys_of


def _class_number(image_id: str, source: str) -> Sequence[str]:
    """The rule of ImageNet-V2, whose folders are class numbers: in string order they would permute the classes."""
    folder = image_id.partition("/")[0]
    if not _V2_FOLDER.fullmatch(folder):
        raise DataError(f"{image_id!r} lies in no folder 0 … 999, as the classes of imagenet-v2 are named")
    return [IMAGENET_1K.keys[int(folder)]]


def _of_validation_image(image_id: str, source: str) -> Sequence[str]:
    """The rule of validation images, flat or in class folders; ReaL goes by the number in the file's name."""
    number = validation_number(image_id)
    keys: dict[str, None] = {}
    if source != REAL:
        folder, _, _ = image_id.rpartition("/")
        if folder:
            keys |= dict.fromkeys(_class_folder(IMAGENET, _WNIDS)(image_id, source))
        elif number is None:
            raise DataError(f"{image_id!r} has no known label: expected <wnid>/{image_id} or ILSVRC2012_val_<number>")
        else:
            keys |= dict.fromkeys(validation_keys(number))
    if source != IMAGENET and number is not None:
        keys |= dict.fromkeys(validation_keys(number, REAL))
    return list(keys)


def _sources_for(ids: Iterator[str]) -> tuple[str, ...]:
    """The label sources of validation images: ReaL's need the number in their names."""
    return SOURCES if any(validation_number(image_id) is not None for image_id in ids) else (IMAGENET,)


def _copy_in(root: Path, member: Member, hub: HubCopy) -> Sequence[ParquetSource] | None:
    """The files of a local copy of a member's repository: in its folder in `root`, or in `root` itself.

    A folder that is called like the member may name its only split anything; another must name the split that the
    repository has, and not only hold files that could be it.
    """
    from snellen.datasets.hub.dataset import hub_split

    for holder in _holders(root, member.folders):
        places = [place for place in (holder, holder / "data") if is_folder(place)]
        if _other(member.name, holder) or not any(e.endswith(SUFFIX) for place in places for e in _entries(place)):
            continue
        own = fold(holder.name) in map(fold, member.folders)
        try:
            files = hub_split(hub.repository, hub.split, root=holder).files
        except NoSplit as error:
            if own and len(error.splits) != 1:
                raise
            if own:
                return hub_split(hub.repository, error.splits[0], root=holder).files
        else:
            if own or all(says_split(file.name, hub.split) for file in files):
                return files
    return None


def _open_hub(name: str, hub: HubCopy, revision: str | None) -> DataSet:
    from snellen.datasets.hub.dataset import hub_split

    part = hub_split(hub.repository, hub.split, revision=revision)
    options = {"revision": part.revision} if part.revision else {}
    return _as_parquet(name, hub, part.files, DataSpec(name, None, options).text, part.revision)


def _as_parquet(name: str, hub: HubCopy, files: Sequence[ParquetSource], spec: str, revision: str) -> DataSet:
    """A member from Parquet files in the layout of its copy on the Hub.

    They number the classes as their own names of them say, else in the order of wnids.
    """
    subset = SUBSETS.get(name)
    keys = subset_keys(subset) if subset else IMAGENET_1K.keys
    names = [[key] for key in keys]
    kind = ValidationParquet if name == IMAGENET else ParquetDataSet
    classes = names if subset else None
    dataset = kind(files, spec, name, Columns(label=hub.label), names=names, classes=classes, revision=revision)
    if dataset.class_names:
        try:
            dataset.names = [[key] for key in in_file_order(dataset.class_names, keys, IMAGENET_1K)]
        except DataError as error:
            raise DataError(f"the Parquet files of {spec!r} are not {name}: {error}") from error
    if name == IMAGENET:
        dataset.label_sources = _sources_for(item.id for item in dataset.items)
    return dataset


class ValidationParquet(ParquetDataSet):
    """ImageNet's validation images in Parquet, with ReaL's labels where the paths of the images have their numbers."""

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """The label column, ReaL's labels, or both."""
        source = source or IMAGENET
        check_source(source, self.label_sources, self.name)
        own = super().label_sets(ids, space) if source != REAL else [[] for _ in ids]
        if source == IMAGENET:
            return own
        numbers = [validation_number(image_id) for image_id in ids]
        real = ids_of_keys((validation_keys(n, REAL) if n is not None else [] for n in numbers), space)
        return [sorted({*a, *b}) for a, b in zip(own, real, strict=True)]
