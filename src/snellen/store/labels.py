"""Label sources as files beside a run: CSVs with columns `image_id` and `labels`."""

import csv
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from snellen.errors import DataError
from snellen.files import entries, exists, read_bytes
from snellen.labels import IMAGENET_1K, ClassSpace


def labels_file(source: str | None = None) -> str:
    """The file that holds a label source of a run; the source it was made with where None.

    >>> labels_file(), labels_file("imagenet+real")
    ('labels.csv', 'labels.imagenet+real.csv')
    """
    return "labels.csv" if source is None else f"labels.{source}.csv"


def find_labels(run: Path, source: str | Path | None) -> Path:
    """The CSV of a label source: one that is kept beside the run, or the user's own file.

    Raises DataError where it is neither; it says what the run has.
    """
    if source is None:
        return run / labels_file()
    kept = run / labels_file(str(source))
    if Path(source).name == str(source) and exists(kept):
        return kept
    if Path(source).is_file():
        return Path(source)
    names = [file.name[7:-4] for file in entries(run) if re.fullmatch(r"labels\..+\.csv", file.name)]
    there = f"the run has {', '.join(names)}" if names else "the run has no other than its own"
    raise DataError(f"no labels {str(source)!r}: {there}; or give a CSV with columns image_id and labels")


def encode_labels(ids: Sequence[str], labels: Sequence[Sequence[int]], space: ClassSpace) -> bytes:
    """A label source as CSV bytes: `image_id` and `labels` (keys joined by `|`)."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    rows.writerow(["image_id", "labels"])
    rows.writerows([i, "|".join(space.keys[k] for k in row)] for i, row in zip(ids, labels, strict=True))
    return text.getvalue().encode()


def read_ids(path: Path, count: int) -> list[str]:
    """The first `count` image ids of a label source, in its order: that of the data set where a run wrote it.

    Raises DataError where it is none.
    """
    header, rows = _read_table(path)
    image = header.index("image_id")
    return [row[image] for row in rows[:count] if image < len(row)]


def read_labels(path: Path, ids: Sequence[str], space: ClassSpace) -> list[list[int]]:
    """The label sets of the images named, from a CSV with columns `image_id` and `labels`; a blank one is empty.

    Raises DataError where an image has no row, and for a class that `space` does not have.
    """
    header, rows = _read_table(path)
    places = {name: place for place, name in enumerate(header)}
    image, labels = places["image_id"], places["labels"]
    by_id = {row[image]: row[labels] if labels < len(row) else "" for row in rows if image < len(row)}
    split = "|" if any("|" in words for words in by_id.values()) else None
    missing = next((i for i in ids if i not in by_id), None)
    if missing is not None:
        raise DataError(f"{str(path)!r} has no row for image {missing!r}")
    find = space.finder()

    @cache  # most images share their labels with others
    def classes(words: str) -> list[int]:
        each = words.split(split) if split or space is IMAGENET_1K else [words]
        return [find(word) for word in each if word.strip()]

    return [list(classes(by_id[i])) for i in ids]


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header of a label source and its rows; DataError where it is none."""
    try:
        text = io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")
        header, *rows = [row for row in csv.reader(text) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"labels cannot be read from {str(path)!r}: {error}") from error
    if not rows or not {"image_id", "labels"} <= set(header):
        raise DataError(f"{str(path)!r} is no label source: expected a CSV with columns image_id and labels")
    return header, rows
