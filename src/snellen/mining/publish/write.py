"""The layouts that a hard set is published in. Each writes its files into a folder, one image at a time."""

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.labels import ClassSpace
from snellen.mining.publish.features import described
from snellen.mining.publish.rows import SCHEMA
from snellen.store.labels import encode_labels

SPLIT = "validation"
# Bytes of images in a file: as `datasets` cuts what it pushes to the Hub, 500 MB, less what is said of them.
SHARD_BYTES = 490 * 10**6
# Rows and bytes of images in a row group: what is held in memory, and what a reader of one image reads.
GROUP_ROWS, GROUP_BYTES = 100, 32 * 2**20
# A class's key that can be the name of a folder anywhere, but for those that end in a dot or a space on Windows.
PLAIN = re.compile(r"[^\W_]([\w.+ -]{0,98}[\w+-])?")
# What `datasets` takes for a split where a folder is called so (`datasets.data_files`), and what stands for a key.
RESERVED = re.compile(
    r"(?i)(.*[-._ 0-9])?(train|training|validation|valid|dev|val|test|testing|eval|evaluation)([-._ 0-9].*)?|class-.*"
)


@dataclass(frozen=True)
class Sample:
    """An image to be written: its bytes, the name of its file, its row by the columns of `SCHEMA`, its licence."""

    data: bytes
    name: str
    row: dict[str, Any]
    licence: str = ""


Writer = Callable[[Path, Iterable[Sample], ClassSpace], None]


def parquet(folder: Path, samples: Iterable[Sample], space: ClassSpace) -> None:
    """Parquet files as the Hub's libraries write them, images inside: `data/validation-00000-of-00002.parquet`."""
    schema = described(space)
    small = [field.name for field in SCHEMA if field.type == pa.string()]
    files: list[Path] = []
    (folder / "data").mkdir()
    for samples_of_file in _cut(samples, SHARD_BYTES):
        files.append(folder / "data" / f"{len(files):05d}")
        with (
            files[-1].open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=small) as writer,
        ):
            for group in _cut(samples_of_file, GROUP_BYTES, GROUP_ROWS):
                rows = [{"image": {"bytes": one.data, "path": one.name}} | one.row for one in group]
                writer.write_table(pa.Table.from_pylist(rows, schema))
    for number, path in enumerate(files):
        path.rename(path.with_name(f"{SPLIT}-{number:05d}-of-{len(files):05d}.parquet"))


def webdataset(folder: Path, samples: Iterable[Sample], space: ClassSpace) -> None:
    """Tar files in which an image and a JSON of its row stand side by side under one key: `validation-000000.tar`."""
    for number, part in enumerate(_cut(samples, SHARD_BYTES)):
        with tarfile.open(folder / f"{SPLIT}-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for one in part:
                for name, data in ((one.name, one.data), (f"{one.row['id']}.json", _json(one.row))):
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = len(data), 0o644
                    tar.addfile(member, io.BytesIO(data))


def image_folder(folder: Path, samples: Iterable[Sample], space: ClassSpace) -> None:
    """A folder for each class, by the first label of an image; all labels in labels.csv, all else in metadata.jsonl."""
    folders = class_folders(space)
    ids: list[str] = []
    labels: list[list[int]] = []

    def named(one: Sample) -> str:
        ids.append(f"{folders[one.row['label'][0]]}/{one.name}")
        labels.append(one.row["label"])
        return ids[-1]

    _write_files(folder, samples, named)
    (folder / "labels.csv").write_bytes(encode_labels(ids, labels, space))


def class_folders(space: ClassSpace) -> list[str]:
    """The folder of each class: its key, or `class-7` where that is no name of a folder anywhere, or means something.

    >>> class_folders(ClassSpace.of_names(["cat", "a/b", "test", "Dog", "dog"], "pets"))
    ['cat', 'class-1', 'class-2', 'class-3', 'class-4']
    """
    alike = Counter(key.casefold() for key in space.keys)  # one folder where names are told apart without case
    plain = [PLAIN.fullmatch(key) and not RESERVED.fullmatch(key) and alike[key.casefold()] == 1 for key in space.keys]
    return [key if fits else f"class-{k}" for k, (key, fits) in enumerate(zip(space.keys, plain, strict=True))]


def coco(folder: Path, samples: Iterable[Sample], space: ClassSpace) -> None:
    """Files below `images/`, and annotations.json in COCO's form: a category for each class, a box of the whole image.

    The box makes readers of detections take it; ids of categories are those of classes.
    """
    licences: dict[str, int] = {}

    def named(one: Sample) -> str:
        known.append(licences.setdefault(one.licence, len(licences) + 1))
        return f"images/{one.name}"

    known: list[int] = []
    rows = _write_files(folder, samples, named)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, row) in enumerate(rows, 1):
        width, height = row["width"], row["height"]
        images.append({"id": number, "file_name": name.removeprefix("images/"), "width": width, "height": height})
        images[-1] |= {"key": row["id"], "origin": row["origin"], "license": known[number - 1]}
        for label in row["label"]:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label, "iscrowd": 0}
                | {"bbox": [0, 0, width, height], "area": width * height}
            )
    categories = [
        {"id": k, "name": name, "supercategory": key}
        for k, (key, name) in enumerate(zip(space.keys, space.names, strict=True))
    ]
    texts = [{"id": number, "name": text, "url": ""} for text, number in licences.items()]
    found = {"info": {}, "licenses": texts, "images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_bytes(_json(found))


def fiftyone(folder: Path, samples: Iterable[Sample], space: ClassSpace) -> None:
    """What FiftyOne calls FiftyOneImageClassificationDataset: `data/`, and labels.json with a class for each image.

    It has room for one label an image, which is the first; all are in metadata.jsonl.
    """
    rows = _write_files(folder, samples, lambda one: f"data/{one.name}")
    labels = {row["id"]: row["label"][0] for _, row in rows}
    (folder / "labels.json").write_bytes(_json({"classes": list(space.names), "labels": labels}))


WRITERS: dict[str, Writer] = {
    "parquet": parquet,
    "folder": image_folder,
    "webdataset": webdataset,
    "coco": coco,
    "fiftyone": fiftyone,
}


def _write_files(
    folder: Path, samples: Iterable[Sample], named: Callable[[Sample], str]
) -> list[tuple[str, dict[str, Any]]]:
    """Write each image to a file, and a line of JSON for each into metadata.jsonl; their names and rows."""
    rows = []
    with (folder / "metadata.jsonl").open("wb") as lines:
        for one in samples:
            name = named(one)
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(one.data)
            lines.write(_json({"file_name": name} | one.row) + b"\n")
            rows.append((name, one.row))
    return rows


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _cut(samples: Iterable[Sample], most_bytes: int, most: int | None = None) -> Iterator[Iterator[Sample]]:
    """Runs of samples of at most so many bytes, or one sample, and at most so many samples; each is to be used up."""
    left = iter(samples)
    waiting = next(left, None)

    def run() -> Iterator[Sample]:
        nonlocal waiting
        size, count = 0, 0
        while waiting is not None and (not count or (size + len(waiting.data) <= most_bytes and count != most)):
            size, count = size + len(waiting.data), count + 1
            yield waiting
            waiting = next(left, None)

    while waiting is not None:
        yield run()
