"""A CSV that a reviewer filled in becomes verdicts: every row is checked before any is taken."""

import difflib
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.atomic import writing
from snellen.errors import DataError, UsageError
from snellen.labels import ClassSpace
from snellen.mining.csv_cells import is_number, read_sheet, same
from snellen.mining.hardset import HardImage, HardSet
from snellen.mining.log import MOST_REASON, RELABEL, WORDS, Verdict, append, name_fault, now
from snellen.mining.sheet import NEEDED, OWN, TO_FILL, in_words, keys_shown, said_before

# The verdicts of a file are named by what they say: the same file gives the same verdicts.
NAMESPACE = uuid.UUID("5e1d77e0-4a1f-4d1c-9c0e-7a6d0c1b8f52")
# As many wrong rows are named.
NAMED = 10

Row = Mapping[str, str]


@dataclass(frozen=True)
class _Said:
    """What a reviewer said before: every verdict of the log by its key, and the content of the reviewer's own."""

    reviewer: str
    known: Mapping[str, Verdict]
    contents: Set[tuple[Any, ...]]


def take(path: Path, hard_set: HardSet, reviewer: str) -> int:
    """Add the verdicts of a CSV to the log of a hard set: all or, where any row is wrong, none; how many are new.

    Raises what `verdicts_of` does, and Stopped where the log cannot be written.
    """
    folder = hard_set.mined.folder
    found = verdicts_of(path, hard_set, reviewer)
    with writing(folder, begun=True):
        return len(found) if found and append(folder, found) else 0


def verdicts_of(path: Path, hard_set: HardSet, reviewer: str) -> list[Verdict]:
    """The verdicts of a CSV, numbered as one batch, that the log does not hold yet.

    Raises DataError where any row is wrong: it says what the first one should be, and which others are wrong too.
    UsageError for a reviewer's name that is none, or is another's in another spelling.
    """
    check_reviewer(reviewer, hard_set.reviewers)
    contents = {_content(vars(verdict)) for verdict in hard_set.verdicts if verdict.reviewer == reviewer}
    before = _Said(reviewer, {verdict.key: verdict for verdict in hard_set.verdicts}, contents)
    by_hash: dict[str, list[HardImage]] = defaultdict(list)
    for image in hard_set.images:
        by_hash[image.mined.sha256].append(image)
    found: list[dict[str, Any]] = []
    faults: list[tuple[int, DataError]] = []
    first: dict[str, int] = {}
    for number, row in read_sheet(path, NEEDED):
        try:
            of = _image(row, hard_set, by_hash)
            if of is None:
                continue
            if first.setdefault(of.mined.id, number) != number:
                raise DataError(f"{of.mined.image_id!r} is in row {first[of.mined.id]} too; leave one of them")
            new = _new(row, of, hard_set.space, before)
            found += [new] if new else []
        except DataError as error:
            faults.append((number, error))
    if faults:
        raise DataError(_told(path, faults))
    client = str(uuid.uuid5(NAMESPACE, json.dumps(found, ensure_ascii=False)))
    time = now()
    return [Verdict(**given, time=time, client=client, seq=number) for number, given in enumerate(found)]


def check_reviewer(name: str, there: Iterable[str]) -> None:
    """UsageError for a reviewer's name that is none, or differs from one that is there in case or spaces alone."""
    fault = name_fault(name)
    if fault:
        raise UsageError(f"--reviewer {name!r}: {fault}")
    near = next((one for one in there if one != name and _plain(one) == _plain(name)), None)
    if near is not None:
        raise UsageError(f"--reviewer {name!r}: there is a reviewer {near!r}; write it so, or take another name")


def _plain(name: str) -> str:
    return "".join(name.casefold().split())


def _image(row: Row, hard_set: HardSet, by_hash: Mapping[str, Sequence[HardImage]]) -> HardImage | None:
    """The image that a row is of; None where it is not mined any more, and the row says nothing.

    Where a spreadsheet took the id for a number, the image is the one of these bytes whose id and name it may be.
    """
    key = row["id"].strip()
    image = hard_set.by_id.get(key)
    if image is None and is_number(key):
        alike = [
            one for one in by_hash.get(row["sha256"].strip(), ()) if _named_as(row, one) and same(key, one.mined.id)
        ]
        image = alike[0] if len(alike) == 1 else None
    if image is None:
        if not any(row[name].strip() for name in TO_FILL):
            return None
        raise DataError(f"there is no image {key!r} in the hard set; export again, and leave the ids as they are")
    if not _named_as(row, image):
        raise DataError(
            f"{key!r} is the id of {image.mined.image_id!r}, not of {row['image_id']!r}; export again, and sort rows "
            "as a whole"
        )
    if row["sha256"].strip() != image.mined.sha256:
        raise DataError(f"{image.mined.image_id!r} has changed since this was exported; export again and look at it")
    return image


def _named_as(row: Row, image: HardImage) -> bool:
    return same(row["image_id"], image.mined.image_id) and same(row["origin"], image.mined.origin)


def _new(row: Row, image: HardImage, space: ClassSpace, before: _Said) -> dict[str, Any] | None:
    """What a row says of its image; None where that is nothing, or nothing new."""
    own = [verdict for verdict in image.standing if verdict.reviewer == before.reviewer]
    seen = row["based_on"].split()
    _check_shown(row, image, own, seen, space, before)
    given = _given(row, image, space)
    if given is None:
        return None
    given |= {"id": image.mined.id, "sha256": image.mined.sha256, "reviewer": before.reviewer, "based_on": tuple(seen)}
    if _content(given) in before.contents:
        return None
    _check_seen(seen, image, own, before.known)
    alone = own[0] if [one.key for one in own] == seen and len(own) == 1 else None
    return None if alone and _content(vars(alone) | {"based_on": seen}) == _content(given) else given


def _check_shown(
    row: Row, image: HardImage, own: Sequence[Verdict], seen: Sequence[str], space: ClassSpace, before: _Said
) -> None:
    """DataError where the file is somebody else's, or something was written over what it shows."""
    if row["exported_for"] not in ("", before.reviewer):
        raise DataError(f"it was exported for {row['exported_for']!r}; export again, for {before.reviewer!r}")
    current = keys_shown(image.mined.labels, space)
    if not same(row["current_labels"], current):
        raise DataError(
            f"current_labels says {row['current_labels']!r}, the image has {current!r}; write other labels into the "
            "column labels, with the verdict relabel"
        )
    # Unless the reviewer said something since, the file shows what they said last.
    own_seen = {key for key in seen if key in before.known and before.known[key].reviewer == before.reviewer}
    if row["exported_for"] and own_seen == {verdict.key for verdict in own}:
        shown = said_before(own)
        changed = next((name for name in OWN if not same(row[name], shown[name])), None)
        if changed:
            raise DataError(f"{changed} says {row[changed]!r}, but only shows what was said; write into {TO_FILL[0]}")


def _given(row: Row, image: HardImage, space: ClassSpace) -> dict[str, Any] | None:
    """Verdict, labels and reason of a row; None where it says nothing."""
    verdict, words, reason = (row[name].strip() for name in TO_FILL)
    verdict = verdict.lower()
    if not verdict:
        if words or reason:
            raise DataError(f"{'labels' if words else 'a reason'}, but no verdict; write one of {', '.join(WORDS)}")
        return None
    if verdict not in WORDS:
        near = difflib.get_close_matches(verdict, WORDS, n=1)
        hint = f"; perhaps {near[0]} is meant" if near else ""
        raise DataError(f"the verdict {verdict!r} is none of {', '.join(WORDS)}{hint}")
    if verdict != RELABEL and words:
        raise DataError(f"labels, but the verdict {verdict}; labels go with relabel")
    labels = tuple(sorted({_key(word.strip(), space) for word in words.split("|") if word.strip()}))
    if verdict == RELABEL and not labels:
        raise DataError("relabel, but no labels; write keys, indices or names of classes, | between them")
    if {space.find(key) for key in labels} == set(image.mined.labels) and labels:
        raise DataError(f"relabel, but {words!r} is what the image has; write keep, or other labels")
    if len(reason) > MOST_REASON:
        raise DataError(f"a reason of {len(reason)} characters; {MOST_REASON} are the most")
    return {"verdict": verdict, "labels": labels, "reason": reason}


def _key(word: str, space: ClassSpace) -> str:
    """The key of the class that a word means; it may also be a name as it is shown."""
    if word in space.names:
        return space.keys[space.names.index(word)]
    found = space.find(word)
    # Where keys are numbers, an index may be a key that lost its zeros.
    if found is None or (word.isdecimal() and word != space.keys[found] and any(map(str.isdecimal, space.keys))):
        raise space.unknown(word)
    return space.keys[found]


def _check_seen(seen: Sequence[str], image: HardImage, own: Sequence[Verdict], known: Mapping[str, Verdict]) -> None:
    """DataError where a row replaces other verdicts than those that stand, or leaves one of the reviewer's standing."""
    strange = next((key for key in seen if key not in known), None)
    if strange:
        raise DataError(f"based_on names {strange!r}, which is no verdict here; export again, and leave it as it is")
    newer = [verdict for verdict in own if verdict.key not in seen]
    stand = {verdict.key for verdict in image.standing}
    gone = [known[key] for key in seen if key not in stand]
    if newer or gone:
        last = (newer or [one for one in image.standing if set(one.based_on) & set(seen)] or gone)[-1]
        raise DataError(
            f"the file is older than what was said at {last.time} ({in_words(last)}); export again, with --reviewer"
        )


def _content(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a verdict says and what it replaces, whenever and by whichever file it was said."""
    plain = (record[name] for name in ("id", "sha256", "verdict", "reason", "reviewer"))
    return *plain, frozenset(record["labels"]), frozenset(record["based_on"])


def _told(path: Path, faults: Sequence[tuple[int, DataError]]) -> str:
    (number, fault), *others = faults
    also = ""
    if others:
        rows = ", ".join(str(other) for other, _ in others[:NAMED]) + (", …" if len(others) > NAMED else "")
        also = f"; also wrong: row{'s' if len(others) > 1 else ''} {rows}"
    return f"{str(path)!r}, row {number}: {fault}; nothing was written{also}"
