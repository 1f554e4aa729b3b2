"""The images of many Parquet files as a forward stream: a row group is read at a time, and only a batch of it held."""

import bisect
import contextlib
import errno
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.datasets.parquet.files import BATCH_BYTES, Footer, ParquetSource, PlacedFile, first_line
from snellen.errors import DataError

# Images that are held at a time: as many as make about BATCH_BYTES, within these bounds.
BATCH_ROWS = 256
# What is read from the file at a time; without it a whole column of a row group is loaded before its first row.
BUFFER_BYTES = 2**20
# What a row says that cannot be decoded though its file is whole: it has no image at its place. Nothing that opens or
# reads a regular file says so, hence it is never a disk that fails, and `engine/samples.py` blames the image.
DAMAGED = errno.ENXIO


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
