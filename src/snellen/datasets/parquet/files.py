"""Parquet files as they are read here: the footer and the small columns at once, the images as a forward stream."""

import bisect
import contextlib
import errno
import io
import itertools
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
# Images that are held at a time: as many as make about this many bytes, within these bounds.
BATCH_BYTES = 8 * 2**20
BATCH_ROWS = 256
# What is read from the file at a time; without it a whole column of a row group is loaded before its first row.
BUFFER_BYTES = 2**20
# What a row says that cannot be decoded though its file is whole: it has no image at its place. Nothing that opens or
# reads a regular file says so, hence it is never a disk that fails, and `engine/samples.py` blames the image.
DAMAGED = errno.ENXIO
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


class RowStream:
    """One column of many Parquet files, read forward: only a batch of rows is held.

    Reading rows in order reads every byte once; a jump back starts that row group again. Where a file's rows
    cannot be decoded, that row group is read again row by row, and lost from the first such row on.
    """

    def __init__(self, files: Sequence[ParquetSource], footers: Sequence[Footer], column: str) -> None:
        self._files, self._footers, self._column = files, footers, column
        self._groups = [(f, g) for f, footer in enumerate(footers) for g in range(len(footer.group_rows))]
        rows = itertools.chain.from_iterable(footer.group_rows for footer in footers)
        self.starts: list[int] = list(itertools.accumulate(rows, initial=0))[:-1]
        self._open_file: tuple[int, pq.ParquetFile] | None = None
        self._lost: dict[int, tuple[int, str]] = {}  # by row group: the first row that is lost, and why
        self._by_row: set[int] = set()  # row groups that are read row by row
        self._forget()

    def _forget(self) -> None:
        """As if nothing had been read yet."""
        if self._open_file:
            self._open_file[1].close()
        self._open_file = None
        self._group = -1
        self._start, self._batch = 0, pa.array([])
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def where(self, row: int) -> tuple[int, int]:
        """The file that holds a row, and the row group in it."""
        return self._groups[bisect.bisect_right(self.starts, row) - 1]

    def value(self, row: int) -> Any:
        """The value of a row as Python has it.

        Raises OSError where there is none: with the system's errno; DAMAGED where the file is as it was opened, and
        yet cannot be decoded there; else EIO.
        """
        number = bisect.bisect_right(self.starts, row) - 1
        first, why = self._lost.get(number, (row + 1, ""))
        if first <= row:
            raise OSError(DAMAGED, why)
        try:
            self._seek(number, row)
            return self._batch[row - self._start].as_py()
        except (OSError, pa.ArrowException, UnicodeDecodeError, StopIteration) as error:
            file, failed = self._groups[number][0], self._start
            only_this = isinstance(error, UnicodeDecodeError)  # its bytes are here, and are no text
            if not only_this:
                self._forget()
            if isinstance(error, OSError) and error.errno is not None:
                raise
            why = "it ends too early" if isinstance(error, StopIteration) else first_line(error)
            why = f"{self._files[file].name}, row group {self._groups[number][1]}: {why}"
            if isinstance(error, pa.ArrowMemoryError) or not self._is_as_opened(file):
                raise OSError(errno.EIO, why) from error
            if not only_this and number not in self._by_row:
                self._by_row.add(number)
                return self.value(row)
            if not only_this:
                self._lost[number] = failed, why
            raise OSError(DAMAGED, why) from error

    def _is_as_opened(self, file: int) -> bool:
        """Whether a file is where it was put and still is what it was: then the damage is its own."""
        source = self._files[file]
        with contextlib.suppress(DataError):
            return isinstance(source, PlacedFile) and source.footer() == self._footers[file]
        return False

    def _seek(self, group: int, row: int) -> None:
        """Read on, or from the start of the row group, until the batch at hand holds the row."""
        if group != self._group or row < self._start:
            self._batches = self._read_group(group)
            self._group, self._start, self._batch = group, self.starts[group], pa.array([])
        while row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._batches).column(0)

    def _read_group(self, number: int) -> Iterator[pa.RecordBatch]:
        file, group = self._groups[number]
        if self._open_file is None or self._open_file[0] != file:
            source = self._files[file].rows_from()
            metadata = None if isinstance(source, Path) else self._footers[file].metadata
            self._forget()
            opened = pq.ParquetFile(source, metadata=metadata, buffer_size=BUFFER_BYTES, pre_buffer=False)
            self._open_file = file, opened
        opened = self._open_file[1]
        size = 1 if number in self._by_row else _batch_rows(self._footers[file].metadata.row_group(group))
        batches: Iterator[pa.RecordBatch] = opened.iter_batches(size, [group], [self._column], use_threads=False)
        return batches


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    """Rows of a batch, by the size of the whole row, which is its image's."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES * int(group.num_rows) // max(1, int(group.total_byte_size))))
