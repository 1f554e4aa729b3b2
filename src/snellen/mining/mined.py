"""What `mine` left in a folder: the images, and the evidence beside them."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.errors import DataError, UsageError
from snellen.files import read_bytes
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.store.find import reading

FORMAT = 1

# `answers`, `failed_zooms` and `answered` have an entry for each of `miners`: its most frequent wrong class with its
# share of the views, how many zooms it was shown that failed, and all its wrong classes, the most frequent first.
CANDIDATES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),
        pa.field("miners", pa.list_(pa.string()), nullable=False),
        pa.field("answers", pa.list_(pa.struct([("class", pa.int32()), ("share", pa.float32())])), nullable=False),
        pa.field("failed_zooms", pa.list_(pa.int32()), nullable=False),
        pa.field("answered", pa.list_(pa.list_(pa.int32()))),
    ]
)
# Without these there is no hard set, or no evidence; other columns are shown where they are.
NEEDED = {
    "candidates": ("id", "origin", "image_id", "sha256", "labels"),
    "duplicates": ("id", "image_id", "cluster", "kind", "kept", "score"),
    "suspects": ("id", "kind", "score", "proposed"),
}


@dataclass(frozen=True)
class MinedImage:
    """One mined image.

    labels: ids of its classes, ascending. miners, answers, failed_zooms, answered: see `CANDIDATES`; an answer is a
    class and its share, and what is answered are classes.
    """

    id: str
    origin: str
    image_id: str
    sha256: str
    width: int
    height: int
    labels: tuple[int, ...]
    miners: tuple[str, ...] = ()
    answers: tuple[tuple[int, float], ...] = ()
    failed_zooms: tuple[int, ...] = ()
    answered: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Mined:
    """The images of a HARD folder in the order of candidates.parquet, and its mine.json."""

    folder: Path
    record: Mapping[str, Any]
    images: tuple[MinedImage, ...]

    @cached_property
    def space(self) -> ClassSpace:
        """The classes that labels and answers index."""
        return class_space(self.record)


def image_key(origin: str, image_id: str) -> str:
    """The id of an image in every hard set: the first 16 hex digits of sha256 over origin, NUL and image id.

    >>> image_key("imagenet", "n01440764/ILSVRC2012_val_00000293.JPEG")
    'c5d316644ef1ab95'
    """
    return hashlib.sha256(f"{origin}\0{image_id}".encode()).hexdigest()[:16]


def class_space(record: Mapping[str, Any]) -> ClassSpace:
    """The class space that a mine.json names by `space` and `keys`."""
    return IMAGENET_1K if record["space"] == IMAGENET_1K.name else ClassSpace.of_names(record["keys"], record["space"])


def read_mined(folder: Path) -> Mined:
    """The images of a HARD folder.

    Raises UsageError where it is none, DataError where it is damaged, Stopped where its store cannot be reached.
    """
    record = read_record(folder)
    if record is None:
        raise UsageError(f"{str(folder)!r} is no hard set: it has no mine.json; `snellen mine … -o {folder}` makes one")
    if not is_finished(record):
        if reason := record.get("refused"):
            raise UsageError(f"{str(folder)!r} holds no hard set: {reason}")
        raise UsageError(f"mining has not finished in {str(folder)!r}; let `snellen mine … -o {folder}` finish")
    rows = read_rows(folder, "candidates")
    if rows is None:
        raise UsageError(f"{str(folder)!r} has no candidates.parquet; let `snellen mine … -o {folder}` finish")
    path = str(folder / "candidates.parquet")
    if (named := record.get("candidates")) and hashlib.sha256(
        _read(folder / "candidates.parquet") or b""
    ).hexdigest() != named:
        raise UsageError(
            f"{path!r} is not what mine.json names, since mining was stopped; run the same `snellen mine` again"
        )
    images = []
    classes, seen = len(class_space(record)), set()
    for row in rows:
        image = _image(row)
        if image.id != image_key(image.origin, image.image_id) or image.id in seen:
            raise DataError(
                f"{path!r}: {image.id!r} is not the id of {image.image_id!r}, or is there twice; mine again"
            )
        told = (*(k for k, _ in image.answers), *(k for answered in image.answered for k in answered))
        if not all(0 <= k < classes for k in (*image.labels, *told)):
            raise DataError(f"{path!r}: {image.image_id!r} has a class outside 0 … {classes - 1}; mine again")
        seen.add(image.id)
        images.append(image)
    return Mined(folder, record, tuple(images))


def is_finished(record: Mapping[str, Any]) -> bool:
    """Whether a mine.json is of a hard set that was mined to its end, once at least."""
    return "candidates" in record


def read_record(folder: Path) -> dict[str, Any] | None:
    """The mine.json of a HARD folder, None where there is none; DataError where it is damaged."""
    text = _read(folder / "mine.json")
    if text is None:
        return None
    try:
        record = json.loads(text)
        whole = record["format"] == FORMAT and len(class_space(record)) > 0
    except (ValueError, KeyError, TypeError, RecursionError, DataError):
        whole = False
    if not whole:
        raise DataError(f"{str(folder / 'mine.json')!r} is damaged, or of another format than {FORMAT}; mine again")
    return dict(record)


def read_rows(folder: Path, name: str) -> list[dict[str, Any]] | None:
    """The rows of one of a HARD folder's Parquet files, see `NEEDED`; None where it is not there.

    Raises DataError where it cannot be read or lacks a column.
    """
    path = folder / f"{name}.parquet"
    data = _read(path)
    if data is None:
        return None
    try:
        with pq.ParquetFile(io.BytesIO(data), pre_buffer=False) as file:
            table = file.read(use_threads=False)
        lacking = next((column for column in NEEDED[name] if column not in table.column_names), None)
        if lacking:
            raise pa.ArrowInvalid(f"no column {lacking!r}")
        known = [field for field in CANDIDATES if field.name in table.column_names and name == "candidates"]
        if known:
            table = table.select([field.name for field in known]).cast(pa.schema(known))
        return list(table.to_pylist())
    except (pa.ArrowException, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{str(path)!r} cannot be read: {reason}; mine again") from error


def _image(row: Mapping[str, Any]) -> MinedImage:
    answers = tuple((one["class"], one["share"]) for one in row.get("answers") or ())
    return MinedImage(
        row["id"],
        row["origin"],
        row["image_id"],
        row["sha256"],
        row.get("width") or 0,
        row.get("height") or 0,
        tuple(sorted(row["labels"])),
        tuple(row.get("miners") or ()),
        answers,
        tuple(row.get("failed_zooms") or ()),
        tuple(tuple(classes) for classes in row.get("answered") or ()),
    )


def _read(path: Path) -> bytes | None:
    """A file's bytes; None where it is not there."""
    with reading(path):
        try:
            return read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
