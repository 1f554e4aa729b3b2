"""What a version of a data set has that an earlier one had not, image by image."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from snellen.datasets import DataSet, open_dataset
from snellen.datasets.names import is_family
from snellen.datasets.spec import parse_name
from snellen.errors import DataError
from snellen.mining.csv_cells import write_sheet
from snellen.mining.hardset import HardImage, HardSet
from snellen.mining.log import Verdict
from snellen.mining.publish.rows import DROPPED, Selection

Kind = Literal["added", "dropped", "relabelled", "replaced"]
KINDS: tuple[Kind, ...] = ("added", "dropped", "relabelled", "replaced")
NOT_MINED, OTHER_BYTES = "not mined any more", "its file is another"
ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Change:
    """One image that only one version has, or that has other labels or else other bytes; labels are keys of classes."""

    kind: Kind
    id: str
    origin: str
    image_id: str
    before: tuple[str, ...]
    now: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Changes:
    """Every change against an earlier version; `images`: how many that has."""

    against: str
    images: int
    rows: tuple[Change, ...]

    @property
    def counts(self) -> dict[Kind, int]:
        """How many images were added, dropped, relabelled and replaced."""
        found = Counter(row.kind for row in self.rows)
        return {kind: found[kind] for kind in KINDS}

    def to_json(self) -> dict[str, Any]:
        """A plain form without the single images."""
        return {"against": self.against, "images": self.images, **{str(kind): n for kind, n in self.counts.items()}}


def open_previous(text: str) -> DataSet:
    """An earlier version: a folder of Parquet files or its URL, hub/ORG/NAME, or a name of `snellen ls datasets`."""
    known = text.startswith(("hub/", "parquet/")) or is_family(parse_name(text))
    return open_dataset(text if known else f"parquet/{text}")


def changes(
    against: str,
    previous: DataSet,
    hard_set: HardSet,
    selection: Selection,
    hashes: Mapping[str, Collection[str]] | None = None,
) -> Changes:
    """How what is selected of a hard set differs from an earlier version.

    An image is the same where its id is or, where that version has no ids of this form, where its bytes are. hashes:
    the sha256 that the bytes of an image that is published may have, by id; None: those that were mined. Raises
    DataError where the version holds a class that the hard set does not have, or an image that cannot be read.
    """
    space, ids = hard_set.space, [item.id for item in previous.items]
    sets = previous.label_sets(ids, space)
    by_hash: dict[str, list[str]] = defaultdict(list)  # images may have the same bytes
    for image in hard_set.images:
        by_hash[image.mined.sha256].append(image.mined.id)
    with_ids = all(ID.fullmatch(one) for one in ids)
    if hashes is None:
        hashes = {image.mined.id: {image.mined.sha256} for image in selection.images}
    before: dict[str, _Before] = {}
    for k, (image_id, labels) in enumerate(zip(ids, sets, strict=True)):
        sha256 = _hash(previous, k)
        alike = by_hash.get(sha256)
        key = image_id if with_ids or not alike else alike.pop(0)
        same = not with_ids or sha256 in hashes.get(key, ())
        before[key] = _Before(previous.origin(k), "" if with_ids else image_id, tuple(labels), same)
    return Changes(against, len(before), tuple(_differences(before, selection, hard_set)))


class _Before(NamedTuple):
    """An image of the earlier version; `same`: whether its bytes are those that it has now."""

    origin: str
    image_id: str
    labels: tuple[int, ...]
    same: bool


def _differences(before: Mapping[str, _Before], selection: Selection, hard_set: HardSet) -> Sequence[Change]:
    space, known = hard_set.space, hard_set.by_id
    said: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in hard_set.verdicts:
        said[verdict.id].append(verdict)

    def keys(labels: Sequence[int]) -> tuple[str, ...]:
        return tuple(space.keys[label] for label in labels)

    found, by_id = [], selection.by_id
    for key, image in by_id.items():
        mined, now = image.mined, keys(image.labels)
        if key not in before:
            found.append(Change("added", key, mined.origin, mined.image_id, (), now, _reasons(image, said[key])))
        elif (relabelled := set(before[key].labels) != set(image.labels)) or not before[key].same:
            kind: Kind = "relabelled" if relabelled else "replaced"
            why = _reasons(image, said[key]) if relabelled else OTHER_BYTES
            found.append(Change(kind, key, mined.origin, mined.image_id, keys(before[key].labels), now, why))
    for key, (origin, image_id, labels, _) in before.items():
        if key not in by_id:
            why = selection.left_out.get(key, NOT_MINED)
            if why == DROPPED and (reasons := _reasons(known[key], said[key])):
                why = f"{why}: {reasons}"
            found.append(Change("dropped", key, origin, image_id, keys(labels), (), why))
    return sorted(found, key=lambda change: KINDS.index(change.kind))


def _reasons(image: HardImage, said: Sequence[Verdict]) -> str:
    """Why people decided so; where those who settled it gave no reason, what the others gave who had said the same."""
    decisions = {one.decision for one in image.standing}
    found = [one.reason for one in image.standing if one.reason]
    found = found or [one.reason for one in said if one.reason and one.decision in decisions]
    return "; ".join(dict.fromkeys(found))


def changes_csv(found: Changes) -> bytes:
    """Every change as a line of a CSV; keys of classes are joined by `|`."""
    header = ("change", "id", "origin", "image_id", "labels_before", "labels_now", "why")
    rows = (
        (row.kind, row.id, row.origin, row.image_id, "|".join(row.before), "|".join(row.now), row.why)
        for row in found.rows
    )
    return write_sheet(header, (dict(zip(header, row, strict=True)) for row in rows))


def _hash(dataset: DataSet, image: int) -> str:
    try:
        return hashlib.sha256(dataset.read(image)).hexdigest()
    except OSError as error:
        raise DataError(
            f"{dataset.items[image].id!r} of {dataset.spec!r} cannot be read: {error.strerror or error}; fetch it again"
        ) from error
