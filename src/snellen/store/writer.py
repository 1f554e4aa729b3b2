"""Committing a shard: its Parquet files first, then the one record that makes them exist."""

import contextlib
import hashlib
import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import create_atomic, write_new
from snellen.files import entry, exists, remove, sync_folder
from snellen.places import is_remote
from snellen.store.commits import commit_path
from snellen.store.schema import KINDS


def commit(run: Path, shard: int, tables: Mapping[str, pa.Table], record: dict[str, Any]) -> bool:
    """Write a shard's tables and then its commit record; False if a record was there already, which stays.

    True: the shard is committed, by these files, or by those of another writer that came at the very same moment, where
    the place knows no condition (see `atomic.py`). False says nothing of the record that is there, which may be another
    run's or not whole: whoever relies on the shard looks at it. `record` has the shard's `start` and `stop` and the
    run's `fingerprint`, without which no reader takes it for the run's own.

    Each writer's files carry a token of its own, so that two writers of one shard never touch each other's files;
    the record, created only if absent, decides which exist. The loser removes its own. Of a file in a store the record
    also says which tag the store gave its content, where it gives any: one listing then tells whether it is the same.
    """
    token = uuid.uuid4().hex[:8]
    files: dict[str, dict[str, Any]] = {}
    paths = []
    try:
        for kind, table in tables.items():
            data = encode(kind, table)
            path = run / "parts" / f"{shard:05d}.{token}.{kind}.parquet"
            paths.append(path)
            write_new(path, data)
            files[kind] = {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            tag = entry(path).tag if is_remote(path) else None
            files[kind] |= {"tag": tag} if tag else {}
        sync_folder(run / "parts")
        text = json.dumps({"shard": shard, **record, "files": files}, indent=1)
        if create_atomic(commit_path(run, shard), text.encode()):
            return True
    except BaseException:
        with contextlib.suppress(OSError):  # then they are removed when the run is opened again, some time later
            if not exists(commit_path(run, shard)):  # the failure may have come just after the record was in place
                _remove(paths)
        raise
    _remove(paths)
    return False


def encode(kind: str, table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file: zstd, integers by dictionary, probabilities byte-stream-split."""
    schema = KINDS[kind]
    # Of a code of two bytes Parquet stores four: split into planes, the upper two are nothing.
    split = [f.name for f in schema if f.type == pa.float32()]
    split += [f"{f.name}.list.element" for f in schema if pa.types.is_list(f.type)]
    buffer = io.BytesIO()
    pq.write_table(
        table.cast(schema),
        buffer,
        compression="zstd",
        use_dictionary=[f.name for f in schema if f.type != pa.float32() and not pa.types.is_list(f.type)],
        use_byte_stream_split=split,
    )
    return buffer.getvalue()


def _remove(paths: list[Path]) -> None:
    for path in paths:
        remove(path)
