"""Parquet files whose rows are images, as the Hub lays them out: `parquet/PATH[,image=COL,label=COL,…]`."""

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from snellen.datasets.base import OWN_LABELS, Item, ListedDataSet
from snellen.datasets.hub.layout import missing_shards
from snellen.datasets.listing import reaching
from snellen.datasets.parquet.columns import Columns, choose, class_names, values
from snellen.datasets.parquet.files import (
    ParquetSource,
    PlacedFile,
    damage,
    is_hidden,
    placed_file,
    placed_files,
    read_columns,
    read_footers,
)
from snellen.datasets.parquet.labels import Word, label_set, meaning_of, words
from snellen.datasets.parquet.rows import RowStream
from snellen.datasets.spec import DataSpec, lasting
from snellen.errors import DataError
from snellen.files import files_like
from snellen.labels import ClassSpace
from snellen.places import is_remote, place

FORM = "parquet/PATH"
GLOB = frozenset("*?[")


def open_parquet(parsed: DataSpec) -> "ParquetDataSet":
    """The data set of a file, of all `*.parquet` below a folder, or of a glob.

    Raises DataError where there is none, one is damaged or missing, or a column is missing.
    """
    columns = Columns.of_options(parsed.options, FORM)
    text = parsed.name.removeprefix("parquet/")
    where = place(text)
    try:
        path, files, name = _find_in_store(where) if is_remote(where) else _find(where.expanduser().absolute())
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null byte, no such user
        raise DataError(f"no Parquet file {text!r}: {error}") from error
    if not files:
        raise DataError(f"no Parquet file {text!r}: give a file, a folder that holds *.parquet, or a glob of them")
    chosen = [file.place for file in files] == [path] or GLOB & set(str(path))
    missing = () if chosen else missing_shards(file.name for file in files)
    if missing:
        raise DataError(f"only a part of {text!r} is there: {', '.join(missing)}; fetch the others, or name those")
    spec = DataSpec(f"parquet/{path}", None, parsed.options).text
    return ParquetDataSet(files, spec, name, columns)


def _find(path: Path) -> tuple[Path, list[PlacedFile], str]:
    """The canonical path, its files (itself, those below it, or what the part that does not exist matches), a name.

    Only folders are resolved: a file may be a link to a name that says nothing, as in the Hub's cache.
    """
    if path.is_dir():
        path = lasting(path)
        return path, placed_files(path), path.name
    if path.is_file():
        path = lasting(path.parent) / path.name
        return path, placed_files(path), path.stem
    root = next(parent for parent in path.parents if parent.exists())
    pattern = path.relative_to(root)
    root = lasting(root)
    found = sorted(root.glob(str(pattern)), key=os.fsencode) if root.is_dir() else []
    shown = [place for place in found if place.is_file() and not is_hidden(place.relative_to(root))]
    return root / pattern, [placed_file(place, root) for place in shown], shown[0].parent.name if shown else ""


def _find_in_store(path: Path) -> tuple[Path, list[PlacedFile], str]:
    """The same in a store, where the part from the first wildcard on is the pattern."""
    if not GLOB & set(str(path)):
        files = placed_files(path)
        return path, files, path.stem if [file.place for file in files] == [path] else path.name
    root = next(parent for parent in path.parents if not GLOB & set(str(parent)))
    with reaching(root):
        found = files_like(path, root)
    shown = [PlacedFile(n, root / n, file.size, file.tag) for n, file in found if not is_hidden(PurePosixPath(n))]
    return path, shown, shown[0].place.parent.name if shown else ""


class ParquetDataSet(ListedDataSet):
    """The rows of Parquet files, in order of file and row; opening it reads no image.

    files: where they are; `placed_files(place)` for those of a folder.
    spec, name: see `DataSet`.
    columns: those that are not to be guessed.
    names: for each integer that a label may be, the keys of the classes it stands for, all of which are accepted. None:
        the class names in the files' own metadata, else the ids of the model.
    classes, revision, border, label_sources: see `DataSet`.

    An image's id is its id column's value, else the path inside its struct where that is unique, else FILE:ROW. Labels:
    see `labels.meaning_of`. The fingerprint covers the names, sizes and footers of the files and the columns of
    images and ids; it does not depend on where the files lie.

    Raises DataError where a file is damaged or lacks a column, or there is no image.
    """

    def __init__(
        self,
        files: Sequence[ParquetSource],
        spec: str,
        name: str,
        columns: Columns | None = None,
        *,
        names: Sequence[Sequence[str]] | None = None,
        classes: Sequence[Sequence[str]] | None = None,
        revision: str = "",
        border: int = 0,
        label_sources: tuple[str, ...] = (OWN_LABELS,),
    ) -> None:
        if not files:
            raise DataError(f"no Parquet file in {spec!r}")
        self.spec, self.name, self.revision, self.border = spec, name, revision, border
        self.classes, self.label_sources, self.names = classes, label_sources, names
        self._files, self._footers = files, read_footers(files)
        self._columns = choose(columns or Columns(), self._footers[0].schema, repr(files[0].name))
        for file, footer in zip(files, self._footers, strict=True):
            if choose(columns or Columns(), footer.schema, repr(file.name)) != self._columns:
                raise DataError(f"{file.name!r} and {files[0].name!r} have other columns; open them one by one")
        if self._columns.paths and not all(isinstance(file, PlacedFile) for file in files):
            raise DataError(f"{spec!r}: column {self._columns.image!r} holds paths; give a local copy with --root")
        self._tables = read_columns(files, self._columns.small)
        self._stream = RowStream(files, self._footers, self._columns.image)
        self.in_order = not self._columns.paths
        self.breaks = sorted(set(self._stream.starts) - {0, sum(self._rows)})
        self.items: Sequence[Item] = [Item(image_id, -1) for image_id in self._ids()]
        if not self.items:
            raise DataError(f"no images in {spec!r}: its files have no rows")

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the files' names, sizes and footers, and the columns of images and ids."""
        digest = hashlib.sha256(f"{self._columns.image}\0{self._columns.ids}\n".encode())
        for file, footer in zip(self._files, self._footers, strict=True):
            digest.update(f"{file.name}\0{footer.size}\0{hashlib.sha256(footer.data).hexdigest()}\n".encode())
        return digest.hexdigest()

    def reachable(self) -> bool:
        """Whether every file is where it was."""
        return all(file.reachable() for file in self._files)

    def read(self, index: int) -> bytes:
        """The encoded bytes of image `index`; cheapest in order.

        Raises FileNotFoundError where the row holds none, PermissionError where its path leaves the data set, and
        OSError as `RowStream.value`.
        """
        if not 0 <= index < len(self.items):
            raise IndexError(f"image {index} of {len(self.items)}")
        value = self._stream.value(index)
        data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if isinstance(data, str):
            data, path = None, data
        if data is not None:
            return bytes(data)
        file = self._files[self._stream.where(index)[0]]
        if path is None or not isinstance(file, PlacedFile):
            raise FileNotFoundError(errno.ENOENT, "the row holds no image")
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            raise PermissionError(errno.EPERM, f"the path {path!r} leaves the folder of the data set")
        return file.beside(str(path))

    def origin(self, index: int) -> str:
        """The value of the origin column, else the data set's name."""
        return self._origins[index] or self.name if self._origins else self.name

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """What the label column says; an empty set where it is null, empty or -1."""
        if source not in (None, self.label_sources[0]):
            raise DataError(f"{self.name} has no labels {source!r}: expected {' or '.join(self.label_sources)}")
        if self._columns.label is None:
            names = ", ".join(self._footers[0].schema.names)
            raise DataError(f"no label column found in {self.spec!r}: its columns are {names}; give label=COLUMN")
        meaning = meaning_of(space, names=self.names, classes=self.class_names)
        labels, rows = self._labels, self._row_of
        try:
            return [label_set(labels[rows[image_id]], meaning) for image_id in ids]
        except KeyError as error:
            raise DataError(f"{self.name} has no image {error.args[0]!r}") from error

    @property
    def _rows(self) -> list[int]:
        return [sum(footer.group_rows) for footer in self._footers]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {item.id: row for row, item in enumerate(self.items)}

    @cached_property
    def _labels(self) -> list[list[Word]]:
        assert self._columns.label is not None
        return [words(value) for value in self._column(self._columns.label)]

    @cached_property
    def class_names(self) -> list[str] | None:
        """The files' own class names; DataError where two files disagree, for their numbers mean different classes."""
        if self._columns.label is None:
            return None
        found = {tuple(class_names(footer.schema, self._columns.label) or ()) for footer in self._footers}
        if len(found) > 1:
            raise DataError(f"the files of {self.spec!r} name different classes; open them one by one")
        return list(found.pop()) or None

    @cached_property
    def _origins(self) -> list[str | None]:
        return self._column(self._columns.origin) if self._columns.origin else []

    def _column(self, name: str) -> list[Any]:
        with damage(self.spec):  # text that is none
            return [value for table in self._tables for value in values(table, name)]

    def _ids(self) -> list[str]:
        """A unique id for every row."""
        stems = [file.name.rsplit("/", 1)[-1] for file in self._files]
        shown = stems if len(set(stems)) == len(stems) else [file.name for file in self._files]
        places = [
            f"{file.removesuffix('.parquet')}:{row}"
            for file, rows in zip(shown, self._rows, strict=True)
            for row in range(rows)
        ]
        for name in self._columns.ids:
            found = [None if value in (None, "") else str(value) for value in self._column(name)]
            counts = Counter(found)
            if None not in counts and len(counts) == len(found):
                return [image_id for image_id in found if image_id is not None]
            if self._columns.told:  # the ids that are missing or not unique get their row's place
                own = [
                    place if image_id is None else image_id if counts[image_id] == 1 else f"{image_id}@{place}"
                    for image_id, place in zip(found, places, strict=True)
                ]
                return own if len(set(own)) == len(own) else places
        return places
