"""A hard set that people judged, and what lies where it was published."""

from pathlib import Path

import pyarrow.parquet as pq
from hard_pictures import hard_pictures
from hard_set import MadeUpImage, verdict_on

from snellen.mining.log import append

SHARK = "n01484850"


def judged_pictures(folder: Path, pictures: Path) -> list[MadeUpImage]:
    """Write a hard set of 24 pictures: one was dropped, one relabelled, one kept; the images."""
    images = hard_pictures(folder, pictures)
    said = [verdict_on(images[1], "drop"), verdict_on(images[2], "relabel", SHARK, "n01440764", seq=1, reason="both")]
    append(folder, [*said, verdict_on(images[3], seq=2)])
    return images


def rows_of(out: Path) -> list[dict]:
    files = sorted((out / "data").iterdir())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
