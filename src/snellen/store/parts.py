"""One Parquet file of a run: reading it, and where its answers belong."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from snellen.errors import Stopped, UsageError
from snellen.files import RangedFile, entry, read_bytes
from snellen.places import is_remote
from snellen.trouble import PASSING

# Files of a store that are fetched at the same time, as long as they are no more than these bytes.
FETCHED_AT_ONCE = 16
AHEAD_BYTES = 256 * 2**20
# A file of a store that is no longer is fetched whole: two requests for parts of it would take longer.
WHOLE_BYTES = 512 * 2**10
# What a request for a part of it brings beyond what was asked for: the small columns that lie side by side.
RANGE_BYTES = 256 * 2**10


def read_part(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, size: int | None = None) -> pa.Table:
    """A file's rows, of some columns or all; of a large one in a store only these columns' bytes are fetched.

    schema: what the file holds, as in `store/schema.py`.
    size: its length in bytes, where it is known, which saves a store a question.
    Raises UsageError where it cannot be read or has other columns; Stopped where its store cannot be reached.
    """
    wanted = list(columns or schema.names)
    try:
        with pq.ParquetFile(_opened(path, size), memory_map=False, pre_buffer=False) as file:
            there = file.schema_arrow
            for name in wanted:
                if name not in there.names or not there.field(name).equals(schema.field(name)):
                    raise pa.ArrowInvalid(f"no column {name!r} of type {schema.field(name).type}")
            part = file.read(columns=wanted, use_threads=False)
            part.validate(full=True)
            return part
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:  # what Arrow raises of damaged bytes
        if is_remote(path) and isinstance(error, OSError) and error.errno in PASSING:
            raise Stopped(f"{str(path)!r} cannot be reached: {error}; run the same command again") from error
        raise UsageError(f"{str(path)!r} cannot be read ({error}); run the study again to redo its shard") from error


def read_parts(
    files: Sequence[tuple[Path, int | None]], schema: pa.Schema, columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    """The rows of each file in turn; those of a store are fetched some ahead."""
    if not files or not is_remote(files[0][0]):
        yield from (read_part(path, schema, columns, size) for path, size in files)
        return
    ahead = max(1, min(FETCHED_AT_ONCE, AHEAD_BYTES // max(1, *(size or 0 for _, size in files))))
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        for path, size in files:
            waiting.append(pool.submit(read_part, path, schema, columns, size))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _opened(path: Path, size: int | None) -> Any:
    """What Arrow reads a file from."""
    if not is_remote(path):
        return path
    size = entry(path).size if size is None else size
    return pa.BufferReader(read_bytes(path, size)) if size <= WHOLE_BYTES else RangedFile(path, size, RANGE_BYTES)


def each(work: Callable[[Path, int | None], None], files: Sequence[tuple[Path, int | None]]) -> None:
    """Do the work for every file: on as many threads as there are cores, since Arrow and NumPy run beside each other.

    Files of a store are waited for, by more threads.
    """
    waited_for = bool(files) and is_remote(files[0][0])
    with ThreadPoolExecutor(FETCHED_AT_ONCE if waited_for else pa.cpu_count()) as pool:
        for _ in pool.map(lambda file: work(*file), files):
            pass


def block(images: NDArray[np.int32], width: int, image: NDArray[np.int32], column: NDArray[np.int16]) -> slice | None:
    """The rows that a part fills where it holds whole rows of neighbouring images in order, as a rule; else None.

    images: of each row; width: columns of a row; image, column: of each answer of the part.

    >>> block(np.array([3, 5, 6]), 2, np.array([5, 5, 6, 6]), np.array([0, 1, 0, 1]))
    slice(1, 3, None)
    """
    if not len(image) or len(image) % width:
        return None
    table = image.reshape(-1, width)
    start = int(np.searchsorted(images, table[0, 0]))
    rows = slice(start, start + len(table))
    whole = np.array_equal(images[rows], table[:, 0]) and (table == table[:, :1]).all()
    return rows if whole and (column.reshape(-1, width) == np.arange(width, dtype=column.dtype)).all() else None


def cells(
    images: NDArray[np.int32], width: int, image: NDArray[np.int32], column: NDArray[np.int16]
) -> tuple[NDArray[np.intp], NDArray[np.int16]] | None:
    """Row and column of each answer of a part; None where there are no such images or columns."""
    rows = np.minimum(np.searchsorted(images, image), len(images) - 1)
    known = len(images) > 0 and (images[rows] == image).all()
    return (rows, column) if not len(image) or (known and column.min() >= 0 and column.max() < width) else None
