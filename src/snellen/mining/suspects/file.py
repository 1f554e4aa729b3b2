"""The table of suspects as a file."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import write_atomic, writing
from snellen.errors import UsageError
from snellen.files import is_folder, read_bytes
from snellen.store.find import reading

# `models` has an entry for each model that was shown the image: how many views, how many of them are right, which share
# of them answers the first of `proposed`, and where `kind` is not null at which zooms they do.
SUSPECTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("kind", pa.string()),
        pa.field("proposed", pa.list_(pa.int32()), nullable=False),
        pa.field("share", pa.float32()),
        pa.field("labels", pa.list_(pa.int32()), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field(
            "models",
            pa.list_(
                pa.struct(
                    [
                        ("model", pa.string()),
                        ("views", pa.int32()),
                        ("right", pa.int32()),
                        ("share", pa.float32()),
                        ("zooms", pa.list_(pa.int16())),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)


def check_place(path: Path) -> None:
    """Raise UsageError where there is something else than a table of suspects: nothing else is replaced by one."""
    with reading(path):
        if is_folder(path):
            raise UsageError(f"{str(path)!r} is a folder; give a file with -o")
        try:
            data = read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            own = file.schema_arrow.names == SUSPECTS.names
    except (pa.ArrowException, ValueError):
        own = False
    if not own:
        raise UsageError(
            f"{str(path)!r} is there and no table of suspects; move it away, or choose another file with -o"
        )


def write_suspects(table: pa.Table, path: Path) -> None:
    """Put a table of `SUSPECTS` at `path`, whole or not at all; an older one that is there is replaced.

    Raises UsageError where something else is.
    """
    check_place(path)
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    with writing(path, "--out"):
        write_atomic(path, buffer.getvalue().to_pybytes())
