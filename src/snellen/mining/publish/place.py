"""Where a data set is published: it is there whole, or not at all.

On this machine all of it is written into a hidden folder beside OUT, synced, and given its name in one step, which
fails where something has come there. What took long is kept in a second hidden folder until then. In a store, which
renames nothing, it is written on this machine first and then copied file by file, README.md last: without that the
data set is not finished, and the same command goes on.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snellen.atomic import check_replaces, create_atomic, write_atomic, writing
from snellen.errors import UsageError
from snellen.files import entries, exists, files_below, is_folder, make_folder, read_bytes, remove, sync_folder
from snellen.locks import only_here
from snellen.places import cache_root, driver_of, has_folders, is_remote, key_of
from snellen.store.find import reading
from snellen.trouble import patiently

CARD, RECORD = "README.md", "publish.json"
# What a card may show, as files beside it.
FIGURE, CHANGES = "origins.png", "changes.csv"
SHOWN = (FIGURE, CHANGES)
FORMAT = 1
LOCK = ".lock"
# In the folder of work: what it is of.
KEY = "key"
# In a store: what is being copied there.
MARK = ".publishing.json"


@dataclass(frozen=True)
class Place:
    """A folder that becomes OUT, and one for what takes long: a later call with the same key finds it there."""

    folder: Path
    work: Path


def published(out: Path) -> dict[str, Any] | None:
    """The record of the data set that lies at OUT; None where nothing does. Its card may be lacking.

    Raises UsageError where something else does, or a file of it is lacking or cut: nothing is ever written over.
    """
    with reading(out):
        found = exists(out)
        if found and not is_folder(out):
            raise UsageError(f"there is a file {str(out)!r}; choose another -o")
        inside = {one.name for one in entries(out)} if found else set()
        if not inside or (is_remote(out) and CARD not in inside and MARK in inside):
            return None
        record = _record(out / RECORD)
        if record is None or not isinstance(record.get("files"), dict):
            raise UsageError(
                f"{str(out)!r} is there and holds something else than this; nothing was written: choose another -o"
            )
        sizes = _sizes(out)
    for name, listed in record["files"].items():
        if sizes.get(name) != listed["bytes"]:
            there = "is not there" if name not in sizes else f"has {sizes[name]:,} of {listed['bytes']:,} bytes"
            raise UsageError(
                f"{str(out)!r} is damaged: {name!r} {there}; nothing was written: remove it, or choose another -o"
            )
    return record


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """The bytes and sha256 of each file of a folder of this machine that is of the data, by its path in it."""
    found = {}
    for name, size in sorted(_sizes(folder).items()):
        if not _is_lock(name):
            with (folder / name).open("rb") as file:
                found[name] = {"bytes": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return found


def _sizes(folder: Path) -> dict[str, int]:
    """The bytes of each file below a folder, by its path in it."""
    if is_remote(folder):
        return {name: one.size for name, one in files_below(folder)}
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _record(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
        record = json.loads(read_bytes(path))
        if isinstance(record, dict) and record.get("format") == FORMAT:
            return record
    return None


@contextlib.contextmanager
def making(out: Path, work: str, content: str) -> Iterator[Place]:
    """A folder to write into, which becomes OUT when the block ends well.

    work: what makes the files of `Place.work` worth keeping; those of another are removed. content: what tells this
    data set from others: in a store only the copy of the same one goes on. Raises what `writing` does.
    """
    place = _place(out)
    if is_remote(out):
        check_replaces(out)
    with writing(place.folder):
        make_folder(place.folder)
        with only_here(place.folder, LOCK):
            _cleared(place, work)
            yield place
            _sync(place.folder)
            if is_remote(out):
                with writing(out, begun=True):
                    _copy(place.folder, out, content)
                shutil.rmtree(place.folder, ignore_errors=True)  # or the next command does it, see `tidy`
            else:
                _name(place.folder, out.absolute())
            shutil.rmtree(place.work, ignore_errors=True)


def tidy(out: Path) -> None:
    """Remove what a command left that ended when all but this was done."""
    place = _place(out)
    shutil.rmtree(place.work, ignore_errors=True)
    if is_remote(out):
        shutil.rmtree(place.folder, ignore_errors=True)
        remove(out / MARK)
    else:
        _unlock(out)


def _place(out: Path) -> Place:
    if is_remote(out):
        below = cache_root() / "publishing" / hashlib.sha256(str(out).encode()).hexdigest()[:16]
        return Place(below / "data", below / "work")
    out = out.absolute()
    return Place(out.with_name(f".{out.name}.snellen-publishing"), out.with_name(f".{out.name}.snellen-work"))


def renew(out: Path, files: dict[str, bytes], record: dict[str, Any]) -> None:
    """Write the card of a data set that is there anew, with the files it shows.

    Raises UsageError where somebody has changed it since.
    """
    with reading(out):
        before = _record(out / RECORD) or {}
        known = before.get("cards") or []
        edited = has_card(out) and hashlib.sha256(read_bytes(out / CARD)).hexdigest() not in known
    if edited:
        raise UsageError(f"{str(out / CARD)!r} was edited since it was published; move it away, or choose another -o")
    cards = [*known, hashlib.sha256(files[CARD]).hexdigest()]
    with writing(out, begun=True):
        # Wherever this ends, the card that is there is known; and it is new when the record says so.
        write_atomic(out / RECORD, encoded({**before, "cards": cards}))
        for name, data in files.items():
            write_atomic(out / name, data)
        write_atomic(out / RECORD, encoded({**record, "cards": cards}))
        for name in set(SHOWN) - set(files):
            remove(out / name)


def has_card(out: Path) -> bool:
    """Whether the card is there."""
    with reading(out):
        return exists(out / CARD)


def encoded(record: dict[str, Any]) -> bytes:
    """A record as it is written."""
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _cleared(place: Place, key: str) -> None:
    """Remove what an earlier call left, but for work of the same key."""
    for one in place.folder.iterdir():
        if not _is_lock(one.name):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    mine = place.work / KEY
    if not (mine.is_file() and mine.read_text() == key):
        shutil.rmtree(place.work, ignore_errors=True)
        make_folder(place.work)
        write_atomic(mine, key.encode())


def _sync(folder: Path) -> None:
    """Make all that was written survive a crash."""
    folders = [folder]
    for path in folder.rglob("*"):
        if path.is_dir():
            folders.append(path)
        elif not _is_lock(path.name):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    for one in folders:
        sync_folder(one)


def _name(folder: Path, out: Path) -> None:
    try:
        folder.rename(out)
    except OSError as error:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(
                f"{str(out)!r} has come there meanwhile; nothing was written over: choose another -o"
            ) from error
        raise
    sync_folder(out.parent)
    _unlock(out)


def _is_lock(name: str) -> bool:
    """Whether a file is the lock, or a lease where there are no locks."""
    return name == LOCK or name.startswith(f"{LOCK}.")


def _unlock(out: Path) -> None:
    """Take away the lock that came along with its folder."""
    for path in out.glob(f"{LOCK}*"):
        path.unlink(missing_ok=True)


def _copy(folder: Path, out: Path, key: str) -> None:
    """Copy a folder into a store, the card last; only where nothing is, or a part of the same."""
    if _record(out / MARK) is None:
        if entries(out):
            raise UsageError(f"{str(out)!r} is there and holds something else; nothing was written: choose another -o")
        make_folder(out)
        create_atomic(out / MARK, encoded({"format": FORMAT, "key": key}))
    names = [name for name in sorted(_sizes(folder)) if not _is_lock(name)]
    strange = {name for name in _sizes(out) if not name.endswith(".tmp")} - {*names, MARK}
    if strange or (_record(out / MARK) or {}).get("key") != key:
        raise UsageError(f"{str(out)!r} holds a part of another data set; remove it, or choose another -o")
    last = (RECORD, CARD)
    for name in (*(name for name in names if name not in last), *last):
        target = out / name
        make_folder(target.parent)
        if has_folders(out):  # a file server has no whole puts
            write_atomic(target, (folder / name).read_bytes())
        else:
            patiently(partial(driver_of(target).put_file, str(folder / name), key_of(target)))
    remove(out / MARK)
