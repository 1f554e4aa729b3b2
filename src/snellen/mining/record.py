"""mine.json: how a hard set was mined, and whether what is asked for now goes on from it."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import create_atomic, write_atomic, writing
from snellen.errors import DataError, RunMismatch
from snellen.files import make_folder
from snellen.labels import ClassSpace
from snellen.locks import Lock, Say, only_here
from snellen.mining.mined import FORMAT, read_record

Record = dict[str, Any]


def new_record(configuration: Mapping[str, Any], space: ClassSpace, created: str) -> Record:
    """A hard set of which nothing is mined yet."""
    return {
        "format": FORMAT,
        "space": space.name,
        "keys": list(space.keys),
        "configuration": dict(configuration),
        "miners": list(configuration["miners"]),
        "created": created,
        "funnel": [],
        "sessions": [],
    }


@contextlib.contextmanager
def open_hard(hard: Path, record: Record, say: Say) -> Iterator[tuple[Record, Lock]]:
    """Hold a HARD folder for mining; gives its mine.json, or the new one where there was none.

    Raises RunMismatch, and touches nothing, where it holds a hard set that was mined otherwise and that this one does
    not extend; UsageError where another process is at work there or nothing can be written.
    """
    with contextlib.ExitStack() as stack:
        with writing(hard):
            _check(hard, record)
            make_folder(hard)
            lock = stack.enter_context(only_here(hard, say=say))
            create_atomic(hard / "mine.json", _encoded(record))
        before = _check(hard, record)
        yield before or record, lock


def finish(hard: Path, lock: Lock, record: Record, table: pa.Table) -> Record:
    """Write candidates.parquet, and then mine.json, which names its hash; gives what mine.json holds."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    done = {**record, "candidates": hashlib.sha256(buffer.getvalue()).hexdigest()}
    with writing(hard, begun=True):
        lock.check()
        write_atomic(hard / "candidates.parquet", buffer.getvalue())
        write_atomic(hard / "mine.json", _encoded(done))
    return done


def _encoded(record: Record) -> bytes:
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _check(hard: Path, wanted: Record) -> Record | None:
    """The mine.json of a folder, None where there is none; RunMismatch where it is of another hard set."""
    there = read_record(hard)
    if there is None:
        return None
    before, now = there.get("configuration"), wanted["configuration"]
    if not isinstance(before, dict) or before.keys() != now.keys():
        raise DataError(f"{str(hard / 'mine.json')!r} does not say how it was mined; choose another -o")
    differs = [
        *(name for name in ("precision", "miners_required") if before[name] != now[name]),
        *(name for name in ("miners", "data") if any(one not in now[name] for one in before[name])),
        *(["limit"] if now["limit"] is not None and now["limit"] < (before["limit"] or float("inf")) else []),
        *(["classes"] if (there["space"], there["keys"]) != (wanted["space"], wanted["keys"]) else []),
    ]
    if differs:
        said = "; ".join(f"{name}: {_short(before, name)} there, {_short(now, name)} here" for name in differs)
        raise RunMismatch(
            f"{str(hard)!r} holds a hard set mined otherwise ({said}); choose another -o, or name all that was mined "
            "and what is new"
        )
    return there


def _short(configuration: Mapping[str, Any], name: str) -> str:
    value = configuration.get(name, "others")
    if isinstance(value, list):
        return ", ".join(str(one) if isinstance(one, str) else f"{one['spec']} ({one['labels']})" for one in value)
    return {"miners_required": "all", "limit": "all images"}.get(name, "none") if value is None else str(value)
