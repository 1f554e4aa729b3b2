"""A miniature of the Hub's ImageNet-Hard: its columns, the shipped photographs, label lists of several entries."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.labels import IMAGENET_1K

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.list_(pa.int64())),
        ("origin", pa.string()),
        ("english_label", pa.list_(pa.string())),
    ]
)
ORIGINS = ("imagenet_sketch", "objectnet", "imagenet")


@dataclass(frozen=True)
class Row:
    """One photograph, and all that the data set says of it."""

    name: str
    data: bytes
    labels: list[int]
    origin: str


def hard_rows(examples: Path) -> list[Row]:
    """The shipped photographs; those with one label get a second, so that every list has at least two."""
    with (examples / "labels.csv").open(newline="") as file:
        given = {
            row["image_id"]: [IMAGENET_1K.keys.index(key) for key in row["labels"].split()]
            for row in csv.DictReader(file)
        }
    rows = []
    for k, name in enumerate(sorted(given)):
        labels = given[name] if len(given[name]) > 1 else [*given[name], (given[name][0] + 500) % 1000]
        rows.append(Row(name, (examples / name).read_bytes(), labels, ORIGINS[k % len(ORIGINS)]))
    return rows


def write_rows(rows: list[Row], path: Path, group: int, *, paths: bool = False) -> None:
    """Write the rows in row groups of `group`; `paths`: with the photograph's name beside its bytes."""
    columns = {
        "image": [{"bytes": row.data, "path": row.name if paths else None} for row in rows],
        "label": [row.labels for row in rows],
        "origin": [row.origin for row in rows],
        "english_label": [[IMAGENET_1K.names[i] for i in row.labels] for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=SCHEMA), path, row_group_size=group)
