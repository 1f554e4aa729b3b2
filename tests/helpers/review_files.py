"""CSVs of a review: the sheet, filled in and imported."""

import csv
import io

from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.review import verdicts_of
from snellen.mining.sheet import sheet

FISH, SHARK = "n01443537", "n01484850"  # goldfish (1), great white shark (2)


def rows_of(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def filled(hard, path, said, *, reviewer=None, only_conflicts=False, change=None):
    """The sheet, filled in: by image id, verdict and labels and reason. `change` gets the rows last."""
    rows = rows_of(sheet(read(hard), reviewer, only_conflicts))
    for row in rows:
        words = said.get(row["image_id"], ())
        row |= dict(zip(("verdict", "labels", "reason"), words, strict=False))
    if change:
        change(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def taken(hard, path, reviewer="ada"):
    """Import a file: how many verdicts are new."""
    found = verdicts_of(path, read(hard), reviewer)
    assert not found or append(hard, found)
    return len(found)


def set_cells(row, **cells):
    def change(rows):
        rows[row - 2] |= cells

    return change
