"""The review log: every verdict that people gave on the images of a hard set.

`HARD/verdicts/` holds one file for each batch of verdicts, a JSON line for each. A file is created whole under a name
of its own and never changed: a batch is there or it is not, on a disk and in a store, whoever else is writing and
whenever a process is killed. The log is what all files say together, in any order.

A verdict is named by its client (a UUID) and its number there; that it is written twice changes nothing.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from snellen.atomic import create_atomic
from snellen.errors import DataError
from snellen.files import Entry, entries, make_folder, read_bytes, read_many
from snellen.store.find import reading

FOLDER = "verdicts"
KEEP, DROP, RELABEL, UNSURE = "keep", "drop", "relabel", "unsure"
WORDS = (KEEP, DROP, RELABEL, UNSURE)
# Longer names and reasons are somebody's mistake.
MOST_NAME, MOST_REASON = 100, 10_000
HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class Verdict:
    """What one reviewer said of one image.

    id: of the image (16 hex digits); sha256: of its bytes, as the reviewer saw them (64 hex digits).
    verdict: `keep`, `drop`, `relabel` or `unsure`; labels: keys of the classes that are right, of `relabel` only.
    time: RFC 3339, UTC.
    client, seq: a UUID and a whole number, which name the verdict.
    based_on: keys of the verdicts on this image that the reviewer saw, and which this one replaces.
    """

    id: str
    sha256: str
    verdict: str
    labels: tuple[str, ...]
    reviewer: str
    time: str
    reason: str
    client: str
    seq: int
    based_on: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """What other verdicts call it: client and number."""
        return f"{self.client}/{self.seq}"

    @cached_property
    def when(self) -> datetime:
        """The time."""
        return datetime.fromisoformat(self.time)

    @property
    def decision(self) -> tuple[str, tuple[str, ...]]:
        """What decides over the image: the word, and the labels in one order."""
        return self.verdict, tuple(sorted(set(self.labels)))


@dataclass(frozen=True)
class Log:
    """Every verdict once, ordered by time; `torn`: files whose last line was cut off, which does not count.

    files: what each whole file says, by name, and how it was listed.
    """

    verdicts: tuple[Verdict, ...]
    torn: tuple[str, ...] = ()
    files: Mapping[str, tuple[Entry, Sequence[Verdict]]] = field(default_factory=dict, repr=False, compare=False)


def append(hard: Path, batch: Sequence[Verdict]) -> bool:
    """Add a batch of verdicts of one client, numbered upwards, to the log; False if it was there already.

    When it returns, the batch is on the disk. It is added as a whole or, also if the process is killed, not at all.
    Raises DataError where the client has said something else under these numbers; ValueError for a batch that is none;
    OSError where it cannot be written.
    """
    clients, numbers = {verdict.client for verdict in batch}, [verdict.seq for verdict in batch]
    if len(clients) != 1 or numbers != sorted(set(numbers)):
        raise ValueError("a batch is verdicts of one client, numbered upwards")
    for verdict in batch:
        wrong = _fault(_record(verdict))
        if wrong:
            raise ValueError(f"no verdict: {wrong}")
    path = hard / FOLDER / f"{batch[0].client}.{numbers[0]}-{numbers[-1]}.jsonl"
    make_folder(path.parent)
    if create_atomic(path, encode(batch)):
        return True
    there, _ = _parse(read_bytes(path), str(path))
    if [_timeless(verdict) for verdict in there] != [_timeless(verdict) for verdict in batch]:
        raise DataError(f"{str(path)!r} holds other verdicts under the same numbers; nothing was written")
    return False


def read_log(hard: Path, before: Log | None = None) -> Log:
    """The log of a HARD folder; an empty one where nothing was said yet.

    before: the log as it was read last, which is returned where nothing has changed; only files that are not listed as
        they were then are read again.
    A last line that was cut off (a file that was copied in part) is passed over and told of. Raises DataError, with
    file and line, for any other line that is no verdict, and for two different verdicts of one name; UsageError or
    Stopped where the folder cannot be read.
    """
    folder = hard / FOLDER
    with reading(folder):
        files = [file for file in entries(folder) if file.name.endswith(".jsonl") and not file.is_folder]
        known = {file.name: before.files[file.name] for file in files if _is_read(file, before)} if before else {}
        new = [file for file in files if file.name not in known]
        contents = list(read_many(folder, new))
    if before and not new and len(known) == len(before.files) and not before.torn:
        return before
    torn: dict[str, Sequence[Verdict]] = {}
    for file, data in zip(new, contents, strict=True):
        verdicts, cut = _parse(data or b"", f"{FOLDER}/{file.name}")
        if cut:
            torn[file.name] = verdicts
        else:
            known[file.name] = file, verdicts
    said = {name: verdicts for name, (_, verdicts) in known.items()} | torn
    found = [(verdict, file.name) for file in files for verdict in said[file.name]]
    return Log(_once(found), tuple(torn), known)


def encode(verdicts: Iterable[Verdict]) -> bytes:
    """Verdicts as JSON lines."""
    return b"".join(json.dumps(_record(verdict), ensure_ascii=False).encode() + b"\n" for verdict in verdicts)


def verdict_of(record: Any) -> Verdict:
    """The verdict that a line of the log holds, parsed from JSON; ValueError, which says why, where it is none."""
    wrong = _fault(record)
    if wrong:
        raise ValueError(wrong)
    lists = {name: tuple(record[name]) for name in ("labels", "based_on")}
    return Verdict(**{name: record[name] for name in Verdict.__dataclass_fields__} | lists)


def now() -> str:
    """The time as verdicts state it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def name_fault(reviewer: str) -> str:
    """What is wrong with a reviewer's name; "" where nothing is."""
    plain = reviewer == reviewer.strip() and reviewer.isprintable() and 0 < len(reviewer) <= MOST_NAME
    return "" if plain else f"a reviewer's name is 1 to {MOST_NAME} characters on one line"


def _is_read(file: Entry, before: Log) -> bool:
    there = before.files.get(file.name)
    return there is not None and there[0] == file


def _once(found: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, ...]:
    """Each verdict once; of one that was sent again the earliest time counts."""
    known: dict[str, tuple[Verdict, str]] = {}
    for verdict, file in found:
        before, where = known.setdefault(verdict.key, (verdict, file))
        if before is not verdict and _timeless(before) != _timeless(verdict):
            raise DataError(
                f"two verdicts are called {verdict.key}, and differ: in {FOLDER}/{where} and in {FOLDER}/{file}; "
                "one of the files was changed: move it away"
            )
        if verdict.when < before.when:
            known[verdict.key] = verdict, file
    return tuple(sorted((verdict for verdict, _ in known.values()), key=lambda one: (one.when, one.client, one.seq)))


def _parse(data: bytes, where: str) -> tuple[list[Verdict], bool]:
    """The verdicts of a file, and whether its last line was cut off."""
    verdicts: list[Verdict] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # nothing ends it; a line that was cut off is never whole JSON
                return verdicts, True
            raise DataError(f"{where}, line {number} is no verdict: {error}; mend it or move the file away") from error
        try:
            verdicts.append(verdict_of(record))
        except ValueError as error:
            raise DataError(f"{where}, line {number} is no verdict: {error}; mend it or move the file away") from error
    return verdicts, False


def _fault(record: Any) -> str:
    """What keeps a line from being a verdict; "" where nothing does."""
    if not isinstance(record, dict):
        return "it is no JSON object"
    lacking = next((name for name in Verdict.__dataclass_fields__ if name not in record), None)
    if lacking:
        return f"it has no {lacking!r}"
    texts = ("id", "sha256", "verdict", "reviewer", "time", "reason", "client")
    wrong = next((name for name in texts if not isinstance(record[name], str)), None)
    if wrong:
        return f"its {wrong!r} is no text"
    for name in ("labels", "based_on"):
        if not isinstance(record[name], list) or not all(isinstance(one, str) and one for one in record[name]):
            return f"its {name!r} is no list of texts"
    for name, digits in (("id", 16), ("sha256", 64)):
        if len(record[name]) != digits or not HEX.issuperset(record[name]):
            return f"its {name!r} is not {digits} hex digits"
    if any(
        "\ud800" <= sign <= "\udfff"
        for one in (record["reason"], *record["labels"], *record["based_on"])
        for sign in one
    ):
        return "it holds half a surrogate pair"
    if record["verdict"] not in WORDS:
        return f"{record['verdict']!r} is none of {', '.join(WORDS)}"
    if bool(record["labels"]) != (record["verdict"] == RELABEL):
        return "labels belong to relabel, and only to it"
    if len(record["reason"]) > MOST_REASON:
        return f"its reason is longer than {MOST_REASON} characters"
    if type(record["seq"]) is not int or record["seq"] < 0:
        return "its 'seq' is no whole number from 0"
    return name_fault(record["reviewer"]) or _name_or_time_fault(record["client"], record["time"])


def _name_or_time_fault(client: str, time: str) -> str:
    try:
        if str(uuid.UUID(client)) != client:
            return "its 'client' is no UUID in lower case"
    except ValueError:
        return "its 'client' is no UUID"
    try:
        if datetime.fromisoformat(time).utcoffset() != timedelta(0):
            return "its 'time' is not in UTC"
    except ValueError:
        return "its 'time' is none by RFC 3339"
    return ""


def _record(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {"labels": list(verdict.labels), "based_on": list(verdict.based_on)}


def _timeless(verdict: Verdict) -> Verdict:
    return replace(verdict, time="")
