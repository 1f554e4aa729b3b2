"""Commit records: which shards there are, by which files, and whether these still are what was committed."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from snellen.files import Entry, entries, read_bytes, read_many
from snellen.places import is_remote

# Files of a store whose content is compared at the same time.
READ_AT_ONCE = 16


def commit_path(run: Path, shard: int) -> Path:
    """Where the commit record of a shard stands."""
    return run / "commits" / f"{shard:05d}.json"


def read_commits(run: Path, listed: Sequence[Entry] | None = None) -> dict[int, dict[str, Any]]:
    """Every commit record of a run, by shard, in order; one that is not whole counts as absent.

    listed: what lies in `commits`, where it is known. The records of a store are read at the same time.
    """
    found = entries(run / "commits") if listed is None else listed
    named = [(int(file.name[:-5]), file) for file in found if is_record(file)]
    commits = {}
    for (shard, _), data in zip(named, read_many(run / "commits", [file for _, file in named]), strict=True):
        try:
            commit = json.loads(data or b"")
        except (ValueError, RecursionError):  # the second: brackets in brackets without end
            continue
        if _is_commit(commit) and commit.get("shard") == shard:
            commits[shard] = commit
    return dict(sorted(commits.items()))


def own_commits(commits: Mapping[int, dict[str, Any]], record: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Those commit records that belong to the run of a run.json; one that was copied there from elsewhere does not.

    A record says which images it is of, and of a run of which fingerprint.
    """
    bounds, whole = record.get("shards"), record.get("fingerprint")

    def is_own(shard: int, commit: Mapping[str, Any]) -> bool:
        if bounds is None:
            return True
        place = [commit.get("start"), commit.get("stop")]
        return place == list(bounds[shard : shard + 2]) and commit.get("fingerprint") == whole

    return {shard: commit for shard, commit in commits.items() if is_own(shard, commit)}


def is_record(file: Entry) -> bool:
    """Whether a file of `commits` is called as the record of a shard.

    >>> is_record(Entry("00012.json", 9, False)), is_record(Entry(".00012.json.a1b2c3d4.tmp", 9, False))
    (True, False)
    """
    return not file.is_folder and re.fullmatch(r"([0-9]{5}|[1-9][0-9]{5,})\.json", file.name) is not None


def is_part(name: str) -> bool:
    """Whether a file of `parts` is called as a writer calls it, or as what it is written to before it has that name.

    >>> is_part("00012.a1b2c3d4.samples.parquet"), is_part(".00012.a1b2c3d4.samples.parquet.0a1b2c3d.tmp")
    (True, True)
    >>> is_part("notes.txt")
    False
    """
    return re.fullmatch(r"\.?[0-9]{5,}\.[0-9a-f]{8}\.[a-z]+\.parquet(\.[0-9a-f]{8}\.tmp)?", name) is not None


def _is_commit(commit: Any) -> bool:
    """Whether a commit record has the form Snellen writes; a file it names must lie in the run's own folder."""
    try:
        return all(map(_is_file, commit["files"].values()))
    except (TypeError, KeyError, AttributeError):
        return False


def _is_file(file: Any) -> bool:
    """Whether a commit record names a file as it should: by a name without folders, its length and its sha256."""
    name, size, digest = file["name"], file["bytes"], file["sha256"]
    plain = Path(name).name == name and name not in {"", ".", ".."} and "\0" not in name
    return plain and type(size) is int and size >= 0 and re.fullmatch(r"[0-9a-f]{64}", digest) is not None


def damaged_shards(run: Path, commits: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """The shards of some commit records whose files are gone, or are not what was committed.

    On this machine the bytes are compared. In a store the one listing of `parts` tells lengths and tags, which change
    with the content; the bytes are only read where the store gives no tag, or another one than when it was committed.
    """
    listed = {file.name: file for file in entries(run / "parts")} if is_remote(run) else None
    with ThreadPoolExecutor(pa.cpu_count() if listed is None else READ_AT_ONCE) as pool:
        damaged = pool.map(lambda commit: bool(damaged_files(run, commit, listed)), commits.values())
        return {shard for shard, is_damaged in zip(commits, damaged, strict=True) if is_damaged}


def damaged_files(run: Path, commit: Mapping[str, Any], listed: Mapping[str, Entry] | None = None) -> list[str]:
    """Names of a commit's files that are gone, or whose bytes are not those it names.

    All probabilities are gigabytes: of their files only the length is compared.
    listed: what lies in `parts` of a store, where it is known.
    """
    if is_remote(run) and listed is None:
        listed = {file.name: file for file in entries(run / "parts")}
    same = _is_same_here if listed is None else partial(_is_same_there, listed)
    return [file["name"] for kind, file in commit["files"].items() if not same(run / "parts", kind, file)]


def _is_same_here(parts: Path, kind: str, file: Mapping[str, Any]) -> bool:
    path = parts / file["name"]
    try:
        if kind == "logprobs":
            return bool(path.stat().st_size == file["bytes"])
        with path.open("rb") as handle:
            return bool(hashlib.file_digest(handle, "sha256").hexdigest() == file["sha256"])
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):  # any other trouble says nothing about the file
        return False


def _is_same_there(listed: Mapping[str, Entry], parts: Path, kind: str, file: Mapping[str, Any]) -> bool:
    found = listed.get(file["name"])
    if found is None or found.size != file["bytes"]:
        return False
    if kind == "logprobs" or (found.tag is not None and found.tag == file.get("tag")):
        return True
    try:
        data = read_bytes(parts / file["name"], found.size)
        return bool(hashlib.sha256(data).hexdigest() == file["sha256"])
    except FileNotFoundError:  # any other trouble is the store's, and says nothing about the file
        return False
