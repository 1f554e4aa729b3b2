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
from snellen.mining.mined import FORMAT, is_finished, read_record

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

    One that was begun and not finished is replaced, unless it was mined alike. Raises RunMismatch, and touches nothing,
    where it holds a hard set that was mined otherwise and that this one does not extend; UsageError where another
    process is at work there or nothing can be written.
    """
    with contextlib.ExitStack() as stack:
        with writing(hard):
            _check(hard, record)
            make_folder(hard)
            lock = stack.enter_context(only_here(hard, say=say))
            create_atomic(hard / "mine.json", _encoded(record))
            before = _check(hard, record)
            if before is None:
                lock.check()
                write_atomic(hard / "mine.json", _encoded(record))
        yield before or record, lock


def refuse(hard: Path, lock: Lock, before: Record, reason: str) -> None:
    """Note why there is no hard set, where there was none before."""
    if not is_finished(before):
        with writing(hard, begun=True):
            lock.check()
            write_atomic(hard / "mine.json", _encoded({**before, "refused": reason}))


def finish(
    hard: Path, lock: Lock, before: Record, record: Record, table: pa.Table, session: Mapping[str, Any]
) -> Record:
    """Write candidates.parquet, and then mine.json, which names its hash; gives what mine.json holds.

    before: what it held. session: is added to its sessions where anything else has changed.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    done = {**record, "candidates": hashlib.sha256(buffer.getvalue()).hexdigest()}
    if session["views"] or {**done, "sessions": before["sessions"]} != before:
        done["sessions"] = [*before["sessions"], dict(session)]
    with writing(hard, begun=True):
        lock.check()
        write_atomic(hard / "candidates.parquet", buffer.getvalue())
        write_atomic(hard / "mine.json", _encoded(done))
    return done


def _encoded(record: Record) -> bytes:
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _check(hard: Path, wanted: Record) -> Record | None:
    """The mine.json of a folder; RunMismatch where it is of another hard set.

    None where there is none, or one of a mining that found nothing or did not end: its runs are kept apart from it.
    """
    there = read_record(hard)
    if there is None:
        return None
    before, now = there.get("configuration"), wanted["configuration"]
    if not is_finished(there):
        alike = all(there.get(name) == wanted[name] for name in ("configuration", "space", "keys"))
        return there if alike else None
    if not isinstance(before, dict) or before.keys() != now.keys():
        raise DataError(f"{str(hard / 'mine.json')!r} does not say how it was mined; choose another -o")
    differs = [
        *(["precision"] if before["precision"] != now["precision"] else []),
        *(["miners_required"] if _required(before).isdisjoint(_required(now)) else []),
        *(["miners"] if any(one not in now["miners"] for one in before["miners"]) else []),
        *(["data"] if any(one not in map(_source, now["data"]) for one in map(_source, before["data"])) else []),
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


def _required(configuration: Mapping[str, Any]) -> set[int | None]:
    """The ways to say how many miners must fail: all are None, and as many as there are."""
    required, miners = configuration["miners_required"], len(configuration["miners"])
    return {required, miners if required is None else required, None if required == miners else required}


def _source(one: Mapping[str, Any]) -> tuple[str, str | None]:
    """A data set and its labels; a file is the same by whatever path it is named."""
    spec, labels = one["spec"], one["labels"]
    return spec, str(Path(labels).resolve()) if labels and Path(labels).is_file() else labels


def _short(configuration: Mapping[str, Any], name: str) -> str:
    value = configuration.get(name, "others")
    if isinstance(value, list):
        return ", ".join(str(one) if isinstance(one, str) else f"{one['spec']} ({one['labels']})" for one in value)
    return {"miners_required": "all", "limit": "all images"}.get(name, "none") if value is None else str(value)
