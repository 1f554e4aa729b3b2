"""How a hard set was mined, by its mine.json, as tables of text for the card; what that does not say is named."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.redact import command_without_folders, without_folders
from snellen.report.tables import percent

# Of a hash.
HEX = re.compile(r"[0-9a-f]{32,}")
SHOWN_HEX = 16
# A place below a folder.
BELOW = re.compile(r"(?!\.\.)[\w.+-]+(/(?!\.\.)[\w.+-]+)*")

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Lines:
    """A table: its columns, and the text of each row; no row where nothing is recorded."""

    columns: tuple[str, ...] = ()
    rows: Rows = ()


@dataclass(frozen=True)
class Made:
    """What a mine.json says.

    miners, sources, funnel, leave_one_out: as tables; in the first column what a row is about.
    required: how many miners had to fail on an image; None where that is not recorded.
    commands: as they were typed, without folders. facts: names and texts of what else there is.
    unknown: what is not recorded.
    """

    miners: Lines
    sources: Lines
    funnel: Lines
    leave_one_out: Lines
    required: int | None
    commands: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def how_made(record: Mapping[str, Any]) -> Made:
    """Read a mine.json, also one that lacks fields or has others."""
    miners, sources = _lines(record.get("miners"), "classifier"), _lines(record.get("sources"), "data")
    funnel, left_out = _lines(record.get("funnel"), "classifier"), record.get("leave_one_out")
    without = _lines(left_out.get("miners") if isinstance(left_out, Mapping) else left_out, "classifier")
    sessions = [one for one in record.get("sessions") or () if isinstance(one, Mapping)]
    commands = dict.fromkeys(_command(one["command"]) for one in sessions if one.get("command"))
    dates = sorted(str(one[name])[:10] for one in sessions for name in ("started", "ended", "time") if one.get(name))
    required = _first(record, "miners_required", "required")
    facts = {
        "Mined": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        "Fingerprint": _cell(record.get("fingerprint")),
        "Fingerprints": _pairs(record.get("fingerprints")),
        "Versions": _pairs(record.get("versions")),
    }
    recorded = {
        "the classifiers": miners.rows,
        "the data": sources.rows,
        "the funnel": funnel.rows,
        "the command": commands,
        "when it was mined": dates,
        "fingerprints": facts["Fingerprint"] or facts["Fingerprints"],
    }
    return Made(
        miners=miners,
        sources=sources,
        funnel=funnel,
        leave_one_out=without,
        required=required if isinstance(required, int) else None,
        commands=tuple(commands),
        facts=tuple((name, text) for name, text in facts.items() if text),
        unknown=tuple(name for name, found in recorded.items() if not found),
    )


def _first(record: Mapping[str, Any], *names: str) -> Any:
    places = [record, *(one for one in (record.get("configuration"), record.get("config")) if isinstance(one, Mapping))]
    return next((place[name] for place in places for name in names if name in place), None)


def _lines(found: Any, about: str) -> Lines:
    """A list of texts or of records as a table; nothing of what is neither."""
    if isinstance(found, Mapping):
        found = [{about: name, **(one if isinstance(one, Mapping) else {"": one})} for name, one in found.items()]
    if not isinstance(found, list) or not found:
        return Lines()
    records = [one if isinstance(one, Mapping) else {about: one} for one in found]
    names = list(dict.fromkeys(name for one in records for name in one))
    cells = [[_cell(one.get(name)) for name in names] for one in records]
    shown = [k for k in range(len(names)) if any(row[k] for row in cells)]
    return Lines(tuple(names[k].replace("_", " ") for k in shown), tuple(tuple(row[k] for k in shown) for row in cells))


def _cell(value: Any) -> str:
    """A value in a table; a share with its interval; hashes shortened; nothing for what is no single value."""
    if value is None or isinstance(value, bool):
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return HEX.sub(lambda found: found[0][:SHOWN_HEX], without_folders(value))
    if isinstance(value, Mapping) and {"value", "low", "high", "n"} <= value.keys():
        if value["value"] is None:
            return "–"
        low, high = (percent(float(value[name])) for name in ("low", "high"))
        return f"{percent(float(value['value']))} % [{low}, {high}] (n = {value['n']:,})"
    if isinstance(value, Sequence) and value and all(isinstance(one, str) for one in value):
        return ", ".join(map(_cell, value))
    return ""


def _pairs(found: Any) -> str:
    if not isinstance(found, Mapping):
        return _cell(found)
    cells = {str(name): _cell(value) for name, value in found.items()}
    # Runs are named by their place below HARD.
    return ", ".join(
        f"{name if BELOW.fullmatch(name) else without_folders(name)} {text}" for name, text in cells.items() if text
    )


def _command(found: Any) -> str:
    words = found if isinstance(found, list) else [found]
    text = shlex.join(map(str, words)) if isinstance(found, list) else str(found)
    # `python -m snellen.cli mine` is the same command.
    return re.sub(r"^.*?(?= mine\b)", "snellen", command_without_folders(" ".join(text.split())))


def listed(names: Iterable[str]) -> str:
    """Names in a line.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
