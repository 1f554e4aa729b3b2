"""One Parquet file of a run: reading it, and where its answers belong."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from snellen.errors import UsageError


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A file's rows, of some columns or all; UsageError where it, or one of them, cannot be read."""
    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            lacking = set(columns or ()) - set(file.schema_arrow.names)
            if lacking:
                raise pa.ArrowInvalid(f"no column {min(lacking)!r}")
            return file.read(columns=list(columns) if columns else None, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error}); run the study again to redo its shard") from error


def each(work: Callable[[Path], None], paths: Sequence[Path]) -> None:
    """Do the work for every path, on as many threads as there are cores: Arrow and NumPy run beside each other."""
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        for _ in pool.map(work, paths):
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
