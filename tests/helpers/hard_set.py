"""Small HARD folders, as `mine` leaves them, and verdicts on their images."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import write_atomic
from snellen.files import make_folder
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.duplicates.duplicates import DUPLICATES
from snellen.mining.log import Verdict
from snellen.mining.mined import CANDIDATES, image_key

MINERS = ("embedded/efficientnet_lite0", "embedded/efficientnet_lite1")
SUSPECTS = pa.schema(
    [
        ("id", pa.string()),
        ("score", pa.float32()),
        ("kind", pa.string()),
        ("proposed", pa.list_(pa.int32())),
        ("share", pa.float32()),
    ]
)


@dataclass(frozen=True)
class MadeUpImage:
    """One image of a made-up hard set: where it is from, its bytes' hash and its labels."""

    image_id: str
    labels: tuple[int, ...] = (0,)
    origin: str = "made-up"
    sha256: str = "a" * 64
    answers: tuple[tuple[int, float], ...] = ((7, 0.5), (8, 0.25))

    @property
    def id(self) -> str:
        """Its id in every hard set."""
        return image_key(self.origin, self.image_id)


def images_of(count: int) -> list[MadeUpImage]:
    """Images of different classes and bytes."""
    return [MadeUpImage(f"kind/{k:03d}.jpg", (k % 5,), sha256=hash_of(k)) for k in range(count)]


def hash_of(number: int) -> str:
    """The sha256 of a made-up image's bytes."""
    return hashlib.sha256(bytes([number])).hexdigest()


def write_hard_set(
    folder: Path,
    images: Sequence[MadeUpImage],
    *,
    space: ClassSpace = IMAGENET_1K,
    duplicates: Sequence[dict] = (),
    suspects: Sequence[dict] = (),
) -> Path:
    """A HARD folder with these images, on this machine or in a store; evidence only where some is given."""
    make_folder(folder)
    keys = [] if space is IMAGENET_1K else list(space.keys)
    record = {"format": 1, "miners": list(MINERS), "space": space.name, "keys": keys, "funnel": [], "sessions": []}
    record["candidates"] = None  # tests write it otherwise
    write_atomic(folder / "mine.json", json.dumps(record).encode())
    rows = [
        {
            "id": image.id,
            "origin": image.origin,
            "image_id": image.image_id,
            "sha256": image.sha256,
            "width": 40,
            "height": 30,
            "labels": list(image.labels),
            "miners": list(MINERS),
            "answers": [{"class": k, "share": share} for k, share in image.answers],
            "failed_zooms": [324, 324],
        }
        for image in images
    ]
    names = {image.id: {"image_id": image.image_id, "origin": image.origin, "reference": False} for image in images}
    found = [names.get(row["id"], {}) | row for row in duplicates]
    tables = {
        "candidates": (rows, CANDIDATES),
        "duplicates": (found, DUPLICATES),
        "suspects": (suspects, SUSPECTS),
    }
    for name, (content, schema) in tables.items():
        if content or name == "candidates":
            buffer = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(list(content), schema), buffer)
            write_atomic(folder / f"{name}.parquet", buffer.getvalue().to_pybytes())
    return folder


def client_of(number: int) -> str:
    """The UUID of a made-up client."""
    return str(uuid.UUID(int=number))


def verdict_on(
    image: MadeUpImage,
    verdict: str = "keep",
    *labels: str,
    reviewer: str = "ada",
    client: int = 1,
    seq: int = 0,
    time: str = "2025-01-01T00:00:00Z",
    reason: str = "",
    based_on: Sequence[Verdict] = (),
) -> Verdict:
    """What a reviewer says of an image."""
    seen = tuple(one.key for one in based_on)
    return Verdict(
        image.id, image.sha256, verdict, labels, reviewer, time, reason, client_of(client), seq, based_on=seen
    )
