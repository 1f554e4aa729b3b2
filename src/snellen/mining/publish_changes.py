"""What a version of a data set has that an earlier one had not, image by image."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snellen.datasets import DataSet, open_dataset
from snellen.datasets.names import is_family
from snellen.datasets.spec import parse_name
from snellen.errors import DataError
from snellen.labels import ClassSpace
from snellen.mining.csv_cells import write_sheet
from snellen.mining.hardset import HardSet
from snellen.mining.publish_rows import Selection

Kind = Literal["added", "dropped", "relabelled"]
KINDS: tuple[Kind, ...] = ("added", "dropped", "relabelled")
NOT_MINED = "not mined any more"
ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Change:
    """One image that only one version has, or that has other labels; labels are keys of classes."""

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
        """How many images were added, dropped and relabelled."""
        found = Counter(row.kind for row in self.rows)
        return {kind: found[kind] for kind in KINDS}

    def to_json(self) -> dict[str, Any]:
        """A plain form without the single images."""
        return {"against": self.against, "images": self.images, **{str(kind): n for kind, n in self.counts.items()}}


def open_previous(text: str) -> DataSet:
    """An earlier version: a folder of Parquet files or its URL, hub/ORG/NAME, or a name of `snellen ls datasets`."""
    known = text.startswith(("hub/", "parquet/")) or is_family(parse_name(text))
    return open_dataset(text if known else f"parquet/{text}")


def changes(against: str, previous: DataSet, hard_set: HardSet, selection: Selection) -> Changes:
    """How what is selected of a hard set differs from an earlier version.

    An image is the same where its id is or, where that version has no ids of this form, where its bytes are. Raises
    DataError where the version holds a class that the hard set does not have, or an image that cannot be read.
    """
    space, ids = hard_set.space, [item.id for item in previous.items]
    sets = previous.label_sets(ids, space)
    by_hash = {image.mined.sha256: image.mined.id for image in hard_set.images}
    with_ids = all(ID.fullmatch(one) for one in ids)
    before: dict[str, tuple[str, str, tuple[int, ...]]] = {}
    for k, (image_id, labels) in enumerate(zip(ids, sets, strict=True)):
        key = image_id if with_ids else by_hash.get(_hash(previous, k), image_id)
        before[key] = previous.origin(k), "" if with_ids else image_id, tuple(labels)
    return Changes(against, len(before), tuple(_differences(before, selection, space)))


def _differences(
    before: Mapping[str, tuple[str, str, tuple[int, ...]]], selection: Selection, space: ClassSpace
) -> Sequence[Change]:
    def keys(labels: Sequence[int]) -> tuple[str, ...]:
        return tuple(space.keys[label] for label in labels)

    found = []
    for key, image in selection.by_id.items():
        mined, now = image.mined, keys(image.labels)
        if key not in before:
            found.append(Change("added", key, mined.origin, mined.image_id, (), now, ""))
        elif set(before[key][2]) != set(image.labels):
            why = "; ".join(one.reason for one in image.standing if one.reason)
            found.append(Change("relabelled", key, mined.origin, mined.image_id, keys(before[key][2]), now, why))
    for key, (origin, image_id, labels) in before.items():
        if key not in selection.by_id:
            why = selection.left_out.get(key, NOT_MINED)
            found.append(Change("dropped", key, origin, image_id, keys(labels), (), why))
    return sorted(found, key=lambda change: KINDS.index(change.kind))


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
