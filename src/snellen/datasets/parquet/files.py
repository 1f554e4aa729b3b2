"""Parquet files, here or elsewhere: where they are, and the footer and small columns, which are read at once."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.datasets.listing import kept, reaching
from snellen.errors import DataError
from snellen.files import RangedFile, entry, exists, files_below, is_folder, read_bytes
from snellen.places import is_remote

SUFFIX = ".parquet"
MAGIC = b"PAR1"
# A footer of a few hundred row groups fits into this; a longer one costs a second read.
TAIL_BYTES = 64 * 1024
# What a request for the small columns of a file in a store brings beyond what was asked for.
SMALL_BYTES = 64 * 1024
# Bytes of rows that are held at a time.
BATCH_BYTES = 8 * 2**20
# Files whose footers are fetched at the same time.
AT_ONCE = 8


@dataclass(frozen=True)
class Footer:
    """The end of a Parquet file: `data` ends with the length of the metadata and the magic bytes."""

    size: int
    data: bytes

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(pa.BufferReader(MAGIC + self.data))

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types, with the metadata of whoever wrote them."""
        return self._file.schema_arrow

    @property
    def metadata(self) -> pq.FileMetaData:
        """Row groups and their columns."""
        return self._file.metadata

    @cached_property
    def group_rows(self) -> tuple[int, ...]:
        """How many rows each row group holds."""
        return tuple(self.metadata.row_group(k).num_rows for k in range(self.metadata.num_row_groups))

    def check(self) -> None:
        """Parse all of it; pa.ArrowException, OSError or UnicodeDecodeError where it is damaged."""
        rows = sum(self.group_rows)
        # An image takes at least a byte: a count beyond that would fill the memory with rows that there are not.
        if min(self.group_rows, default=0) < 0 or rows != self.metadata.num_rows or rows > self.size or not self.schema:
            raise pa.ArrowInvalid("its footer makes no sense")


class ParquetSource(Protocol):
    """A Parquet file that may still lie elsewhere. `name` is its path inside the data set."""

    @property
    def name(self) -> str:
        """Its path relative to the data set, with forward slashes."""
        ...

    def footer(self) -> Footer:
        """Its end; DataError where it is no whole Parquet file or cannot be had."""
        ...

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Small columns, whole; a dotted name is a field of a struct. DataError as `footer`."""
        ...

    def rows_from(self) -> Any:
        """What Arrow reads its rows from: a path on this machine, or an open file; OSError where it cannot be had."""
        ...

    def reachable(self) -> bool:
        """Whether the file is still where it was."""
        ...


@dataclass(frozen=True)
class PlacedFile:
    """A Parquet file on this machine or in a store.

    size, tag: of one in a store, as its listing had them. What is read of such a version at the opening is kept on this
    machine, so that its workers ask only for images.
    """

    name: str
    place: Path
    size: int = -1
    tag: str | None = None

    def footer(self) -> Footer:
        """Its end."""
        with damage(str(self.place)), reaching(self.place):
            if not is_remote(self.place):
                with pa.OSFile(str(self.place)) as file:
                    return read_footer(file)
            data = self._kept("footer", lambda: read_end(self._open(TAIL_BYTES))[1])
            return parse_footer(self.size, data)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Small columns, whole; from a store only their bytes, row group by row group, where they lie side by side."""
        with damage(str(self.place)), reaching(self.place):
            if not is_remote(self.place):
                with pa.OSFile(str(self.place)) as file:
                    return pq.ParquetFile(file).read(columns=list(names), use_threads=False)
            data = self._kept(f"columns {list(names)}", lambda: self._fetch(names))
            return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)

    def rows_from(self) -> Any:
        """Its path, or in a store the file, open."""
        return self._open(BATCH_BYTES) if is_remote(self.place) else self.place

    def beside(self, path: str) -> bytes:
        """The bytes of the file at a path relative to its folder."""
        return read_bytes(self.place.parent / path)

    def reachable(self) -> bool:
        """Whether it is there."""
        try:
            return not entry(self.place).is_folder
        except OSError:
            return False

    def _open(self, ahead: int) -> RangedFile:
        return RangedFile(self.place, self.size, ahead)

    def _fetch(self, names: Sequence[str]) -> bytes:
        opened = pq.ParquetFile(self._open(SMALL_BYTES), metadata=self.footer().metadata, pre_buffer=False)
        out = io.BytesIO()
        pq.write_table(opened.read(columns=list(names), use_threads=False), out)
        return out.getvalue()

    def _kept(self, what: str, fetch: Callable[[], bytes]) -> bytes:
        return kept(f"{self.place} {self.size} {self.tag} {what}", fetch) if self.tag else fetch()


@contextlib.contextmanager
def damage(where: str) -> Iterator[None]:
    """Turn what a broken or missing Parquet file raises into a DataError of one line that names it."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"{where!r} cannot be read as a Parquet file: {first_line(error)}; fetch it again, or leave it out"
        ) from error


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.strip().split("\n")[0].strip() or type(error).__name__


def read_footer(file: BinaryIO | pa.NativeFile) -> Footer:
    """The footer of an open Parquet file; pa.ArrowException or OSError where it has none."""
    return parse_footer(*read_end(file))


def read_end(file: BinaryIO | pa.NativeFile) -> tuple[int, bytes]:
    """The size of an open Parquet file and the bytes of its footer: one read of its end, two where that is long.

    Raises pa.ArrowInvalid where it does not end as such a file does.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    end = _last(file, size, TAIL_BYTES)
    length = int.from_bytes(end[-8:-4], "little") + 8
    if size < 12 or end[-4:] != MAGIC or length > size:
        raise pa.ArrowInvalid("it does not end as a Parquet file does")
    return size, (end if length <= len(end) else _last(file, size, length))[-length:]


def parse_footer(size: int, data: bytes) -> Footer:
    """The footer of a file of `size` bytes, parsed at once, so that damage shows where the file is named."""
    footer = Footer(size, data)
    footer.check()
    return footer


def _last(file: BinaryIO | pa.NativeFile, size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return bytes(file.read(count))


def placed_files(place: Path) -> list[PlacedFile]:
    """The Parquet file at `place`, or all below it in byte order of their relative paths; hidden ones are left out.

    Raises DataError for a name that is no text, which a Parquet reader cannot open, and where a store cannot be read.
    """
    if is_remote(place):
        return _in_store(place)
    if place.is_file():
        return [placed_file(place, place.parent)]
    found = sorted(place.rglob(f"*{SUFFIX}"), key=os.fsencode)
    return [placed_file(path, place) for path in found if path.is_file() and not is_hidden(path.relative_to(place))]


def placed_file(path: Path, root: Path) -> PlacedFile:
    """The Parquet file at `path`, named by its place below `root`."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{str(path)!r}: this name is not UTF-8; rename it or link to it") from error
    return PlacedFile(path.relative_to(root).as_posix(), path)


def _in_store(place: Path) -> list[PlacedFile]:
    with reaching(place):
        if place.name.endswith(SUFFIX) and exists(place) and not is_folder(place):
            file = entry(place)
            return [PlacedFile(place.name, place, file.size, file.tag)]
        found = files_below(place)
    shown = (pair for pair in found if pair[0].endswith(SUFFIX) and not is_hidden(PurePosixPath(pair[0])))
    return [PlacedFile(name, place / name, file.size, file.tag) for name, file in shown]


def is_hidden(relative: PurePath) -> bool:
    """Whether a file or a folder on its way has a name that starts with a dot."""
    return any(part.startswith(".") for part in relative.parts)


def read_footers(files: Sequence[ParquetSource]) -> list[Footer]:
    """Every file's footer, several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda file: file.footer(), files))


def read_columns(files: Sequence[ParquetSource], names: Sequence[str]) -> list[pa.Table]:
    """Small columns of every file, several files at a time; nothing where no column is named."""
    if not names:
        return []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda file: file.columns(names), files))
