"""Verdicts of the page: what stands, and new ones, which are on the disk before they are answered."""

import hashlib
import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snellen.mining.hardset import Conflict, HardImage, HardSet, resolve
from snellen.mining.log import Log, Verdict, append, read_log, verdict_of
from snellen.mining.mined import MinedImage, read_mined
from snellen.mining.sheet import sheet
from snellen.redact import without_folders

# A batch is one file of the log; the page sends what was typed since the last answer.
MOST_VERDICTS = 1000
# The largest whole number that a browser counts to.
MOST_SEQ = 2**53 - 1


class Refused(ValueError):
    """Verdicts that can never be stored; the message says what is wrong, and `key` with which of them."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class Taken(Refused):
    """A verdict of this name says something else."""


class Reviews:
    """The verdicts on a hard set. Safe to use from several threads, and beside others who write into the same log."""

    def __init__(self, hard: Path) -> None:
        """A HARD folder. Raises as `snellen.mining.hardset.read`."""
        self._hard, self._mined = hard, read_mined(hard)
        # A browser keeps what is not sent yet under it: two hard sets at one address are not mixed.
        where = str(hard) if "://" in str(hard) else os.path.realpath(hard)
        self.name = hashlib.sha256(where.encode()).hexdigest()[:16]
        self._images = {image.id: image for image in self._mined.images}
        self._keys = frozenset(self._mined.space.keys)
        self._lock = threading.Lock()
        self._log = Log(())
        self._by_key: dict[str, Verdict] = {}
        self._by_image: dict[str, list[Verdict]] = {}
        self._told: tuple[str, bytes] | None = None
        self._refresh(read_log(hard))

    def state(self) -> tuple[str, bytes]:
        """What stands, as JSON, and its version, which changes with it.

        Also what others wrote since. Raises DataError for a damaged log, UsageError or Stopped where it cannot be read.
        """
        with self._lock:
            self._refresh(read_log(self._hard, self._log))
            log, told = self._log, self._told
        if told is None:  # nobody who adds a verdict waits for this
            told = self._state(log)
            with self._lock:
                self._told = told if log is self._log else None
        return told

    def add(self, given: Any) -> dict[str, Any]:
        """Store verdicts, as parsed from JSON, that one client gave: all or none; what then stands of their images.

        Those that are stored already are left alone. When it returns, all are on the disk. Raises Refused; Taken where
        a verdict of the same client and number says something else; DataError where a file of the log was changed,
        OSError where none can be written.
        """
        batch = _parsed(given)
        for verdict in batch:
            if verdict.id not in self._images:
                raise Refused(f"there is no image {verdict.id!r} in the hard set", verdict.key)
            strange = next((key for key in verdict.labels if key not in self._keys), None)
            if strange is not None:
                raise Refused(f"{strange!r} is the key of no class", verdict.key)
        with self._lock:
            new = [verdict for verdict in batch if not self._is_there(verdict)]
            if new:
                append(self._hard, new)
                self._insert(new)
            return {"stored": [verdict.key for verdict in batch]} | self._of({verdict.id for verdict in batch})

    def csv(self, reviewer: str | None, only_conflicts: bool) -> bytes:
        """The file that `snellen review --export` writes, but that it names no folders. Raises as `state`."""
        with self._lock:
            self._refresh(read_log(self._hard, self._log))
            log = self._log
        return sheet(_without_places(self._resolved(log)), reviewer, only_conflicts)

    def _refresh(self, log: Log) -> None:
        if log is self._log:
            return
        self._log, self._told = log, None
        self._by_key = {verdict.key: verdict for verdict in log.verdicts}
        said: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in log.verdicts:
            said[verdict.id].append(verdict)
        self._by_image = dict(said)

    def _is_there(self, verdict: Verdict) -> bool:
        there = self._by_key.get(verdict.key)
        if there is None:
            return False
        if replace(there, time="") != replace(verdict, time=""):
            raise Taken(f"a verdict {verdict.key} is stored that says something else", verdict.key)
        return True

    def _insert(self, new: Sequence[Verdict]) -> None:
        """Remember what was just written; the next `state` finds its file."""
        self._told = None
        for verdict in new:
            self._by_key[verdict.key] = verdict
            said = self._by_image.setdefault(verdict.id, [])
            said.append(verdict)
            said.sort(key=lambda one: (one.when, one.client, one.seq))

    def _resolved(self, log: Log) -> HardSet:
        return resolve(self._mined, log.verdicts, log.torn)

    def _of(self, ids: Iterable[str]) -> dict[str, Any]:
        """What stands of some images."""
        mined = replace(self._mined, images=tuple(self._images[one] for one in sorted(ids)))
        part = resolve(mined, [verdict for one in ids for verdict in self._by_image.get(one, ())])
        return {"images": self._plain(part.images), "conflicts": _conflicts(part.conflicts)}

    def _plain(self, images: Iterable[HardImage]) -> dict[str, Any]:
        return {
            image.mined.id: {
                "status": image.status,
                "labels": list(image.labels),
                "standing": [
                    {"key": one.key, "reviewer": one.reviewer, "verdict": one.verdict, "labels": list(one.labels)}
                    | {"time": one.time, "reason": one.reason}
                    for one in image.standing
                ],
            }
            for image in images
        }

    def _state(self, log: Log) -> tuple[str, bytes]:
        found = self._resolved(log)
        record = {
            "counts": found.counts,
            # The others are undecided, and have the labels that they were mined with.
            "images": self._plain(image for image in found.images if image.standing),
            "conflicts": _conflicts(found.conflicts),
            "reviewers": list(found.reviewers),
            **found.agreement.to_json(),
            "elsewhere": len(found.elsewhere),
            "torn": list(found.torn),
        }
        record["agreement"] = record.pop("pairs")
        version = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
        return version, json.dumps({"version": version} | record, ensure_ascii=False).encode()


def _without_places(hard: HardSet) -> HardSet:
    """A hard set whose miners are named as the page names them: where their weights lie is this machine's affair."""
    return replace(hard, images=tuple(replace(image, mined=_named(image.mined)) for image in hard.images))


def _named(image: MinedImage) -> MinedImage:
    return replace(image, miners=tuple(map(without_folders, image.miners)))


def _conflicts(conflicts: Iterable[Conflict]) -> list[dict[str, Any]]:
    return [{"id": one.image.id, "why": one.why, "keys": [said.key for said in one.verdicts]} for one in conflicts]


def _parsed(given: Any) -> list[Verdict]:
    """The verdicts of a request, of one client and numbered upwards. Raises Refused."""
    records = given.get("verdicts") if isinstance(given, Mapping) else None
    if not isinstance(records, list) or not 0 < len(records) <= MOST_VERDICTS:
        raise Refused(f'expected {{"verdicts": […]}} with 1 to {MOST_VERDICTS} verdicts')
    batch = []
    for record in records:
        try:
            batch.append(verdict_of(record))
        except ValueError as error:
            name = f"{record.get('client')}/{record.get('seq')}" if isinstance(record, Mapping) else None
            raise Refused(f"no verdict: {error}", name) from error
        if batch[-1].seq > MOST_SEQ:
            raise Refused(f"no verdict: its 'seq' is more than {MOST_SEQ}", batch[-1].key)
    numbers = [verdict.seq for verdict in batch]
    if len({verdict.client for verdict in batch}) > 1 or numbers != sorted(set(numbers)):
        raise Refused("a batch is verdicts of one client, numbered upwards")
    return batch
