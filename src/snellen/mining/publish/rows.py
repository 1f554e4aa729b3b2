"""Which images of a hard set are published, and what the data set says of each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from snellen.errors import DataError, UsageError
from snellen.labels import ClassSpace
from snellen.mining.hardset import HardImage, HardSet
from snellen.redact import without_folders

Choice = Literal["keep", "drop"]
# Why an image is left out.
DROPPED, DUPLICATE, UNDECIDED = "dropped in the review", "a duplicate of another", "undecided"
CONTAMINATED = "in the reference that duplicates were looked for in"

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# What ImageNet-Hard has on the Hub, in its order, and what is added to it.
SCHEMA = pa.schema(
    [
        ("image", IMAGE),
        ("label", pa.list_(pa.int64())),
        ("origin", pa.string()),
        ("english_label", pa.list_(pa.string())),
        ("id", pa.string()),
        ("image_id", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("status", pa.string()),
        ("mined_label", pa.list_(pa.int64())),
        ("miners", pa.list_(pa.string())),
        ("failed_zooms", pa.list_(pa.int32())),
        ("answer", pa.list_(pa.int64())),
        ("english_answer", pa.list_(pa.string())),
        ("answer_share", pa.list_(pa.float32())),
        ("reviewers", pa.list_(pa.string())),
        ("reasons", pa.list_(pa.string())),
        ("suspect", pa.string()),
        ("suspect_score", pa.float32()),
        ("suspect_label", pa.list_(pa.int64())),
    ]
)
ABOUT = {
    "image": "the image; its `path` is a name made of the id",
    "label": "numbers of the classes that are right, all of them accepted",
    "origin": "the data set that it comes from",
    "english_label": "what these classes are called",
    "id": "of the image in every version: the first 16 hex digits of sha256 over origin, a NUL and image_id",
    "image_id": "its name in that data set",
    "sha256": "of the bytes that are here",
    "width": "pixels",
    "height": "pixels",
    "status": "`kept` or `relabelled` in the review, or `undecided`",
    "mined_label": "the label that it was mined with",
    "miners": "the classifiers that were wrong about it at some zoom; the next four have an entry for each",
    "failed_zooms": "at how many zooms",
    "answer": "the class that it answered most often",
    "english_answer": "what that class is called",
    "answer_share": "for which share of the views",
    "reviewers": "who decided",
    "reasons": "why, where they said so",
    "suspect": "why the label it has here is doubted; null where it is not, or was mended",
    "suspect_score": "how much",
    "suspect_label": "classes that it may be instead",
}


@dataclass(frozen=True)
class Selection:
    """What is published of a hard set.

    images: in the order of candidates.parquet; left_out: by id, why each of the others is not.
    at_odds: ids of images that are published and of which a duplicate has other labels, both by what people decided.
    """

    images: tuple[HardImage, ...]
    left_out: Mapping[str, str]
    at_odds: tuple[str, ...] = ()

    @property
    def by_id(self) -> dict[str, HardImage]:
        """Each image by its id."""
        return {image.mined.id: image for image in self.images}


def select(
    hard_set: HardSet, duplicates: Sequence[Mapping[str, Any]], undecided: Choice | None, copies: Choice = "drop"
) -> Selection:
    """The images to publish.

    duplicates: the rows of duplicates.parquet. undecided: what to do with images that nobody decided on; None: there
    must be none. copies: what to do with duplicates: of each cluster that the reference has no part in one stays, which
    is one that people decided on if there is such.
    Raises UsageError where a choice is missing, and where no image is left.
    """
    dropped = {image.mined.id: DROPPED for image in hard_set.images if image.status == "dropped"}
    twins = _copies(hard_set, duplicates, dropped) if copies == "drop" else {}
    open_images = [image for image in hard_set.images if image.status == "undecided" and image.mined.id not in twins]
    if open_images and undecided is None:
        raise UsageError(_open(hard_set, open_images, len(twins)))
    left_out = {**dropped, **twins}
    if undecided == "drop":
        left_out |= {image.mined.id: UNDECIDED for image in open_images}
    kept = tuple(image for image in hard_set.images if image.mined.id not in left_out)
    if not kept:
        folder = str(hard_set.mined.folder)
        if not hard_set.images:
            raise UsageError(f"{folder!r} holds no image: its miners read all of them; there is nothing to publish")
        raise UsageError(
            f"no image of {folder!r} is left to publish: {told(left_out)}; change --undecided or --duplicates, or "
            "review it again"
        )
    return Selection(kept, left_out, _at_odds(kept, hard_set, duplicates))


def told(left_out: Mapping[str, str]) -> str:
    """How many images are left out, by reason.

    >>> told({"a": DROPPED, "b": UNDECIDED, "c": DROPPED})
    '2 dropped in the review, 1 undecided'
    """
    reasons = list(left_out.values())
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons))


def _open(hard_set: HardSet, open_images: Sequence[HardImage], twins: int) -> str:
    in_conflict = {conflict.image.id for conflict in hard_set.conflicts}
    conflicts = sum(image.mined.id in in_conflict for image in open_images)
    return (
        f"{len(open_images)} of {len(hard_set.images)} images are undecided, {conflicts} of them in conflict"
        f"{f'; {twins} are duplicates of others and are left out' if twins else ''}: give --undecided keep or "
        f"--undecided drop, or decide with `snellen review {hard_set.mined.folder} --export FILE`"
    )


def _copies(hard_set: HardSet, duplicates: Sequence[Mapping[str, Any]], dropped: Mapping[str, str]) -> dict[str, str]:
    """Images of which another is published, or which the reference has, and which of the two."""
    found: dict[str, str] = {}
    for rows in _clusters(duplicates):
        ours = [row for row in rows if row["id"] in hard_set.by_id and not row.get("reference")]
        ours = [row for row in ours if row["id"] not in dropped]
        if any(row.get("reference") for row in rows):
            found |= dict.fromkeys((row["id"] for row in ours), CONTAMINATED)
            continue
        ours.sort(key=lambda row: (hard_set.by_id[row["id"]].status == "undecided", not row["kept"]))
        found |= dict.fromkeys((row["id"] for row in ours[1:]), DUPLICATE)
    return found


def _at_odds(kept: Sequence[HardImage], hard_set: HardSet, duplicates: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    there, found = {image.mined.id for image in kept}, []
    for rows in _clusters(duplicates):
        ours = [hard_set.by_id[row["id"]] for row in rows if row["id"] in hard_set.by_id and not row.get("reference")]
        labels = {image.labels for image in ours if image.status in ("kept", "relabelled")}
        if len(labels) > 1:
            found += [image.mined.id for image in ours if image.mined.id in there]
    return tuple(found)


def _clusters(duplicates: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    clusters: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in duplicates:
        clusters[row["cluster"]].append(row)
    return list(clusters.values())


def row_of(image: HardImage, space: ClassSpace, suspect: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is said of an image, by the columns of `SCHEMA` that do not depend on its bytes.

    suspect: its row of suspects.parquet; what that says of other labels than those that are published is left out.
    Raises DataError where it is of other classes.
    """
    mined, suspect = image.mined, suspect or {}
    told = (*(suspect.get("proposed") or ()), *(suspect.get("labels") or ()))
    if not all(0 <= label < len(space) for label in told):
        raise DataError(
            f"suspects.parquet: {mined.image_id!r} has a class outside 0 … {len(space) - 1}; "
            "run `snellen suspects` again"
        )
    if set(suspect.get("labels") or mined.labels) != set(image.labels):
        suspect = {}
    deciding = [one for one in image.standing if image.status != "undecided" and one.verdict != "unsure"]
    return {
        "label": list(image.labels),
        "origin": mined.origin,
        "english_label": [space.names[k] for k in image.labels],
        "id": mined.id,
        "image_id": mined.image_id,
        "status": image.status,
        "mined_label": list(mined.labels),
        "miners": [without_folders(miner) for miner in mined.miners],
        "failed_zooms": list(mined.failed_zooms),
        "answer": [answer for answer, _ in mined.answers],
        "english_answer": [space.names[answer] for answer, _ in mined.answers],
        "answer_share": [share for _, share in mined.answers],
        "reviewers": sorted({one.reviewer for one in deciding}),
        "reasons": [one.reason for one in deciding if one.reason],
        "suspect": suspect.get("kind"),
        "suspect_score": suspect.get("score"),
        "suspect_label": list(suspect.get("proposed") or ()),
    }
