"""What a run was made of and how to make it again, for the page."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snellen.store import Run


@dataclass(frozen=True)
class Provenance:
    """Facts about a run: name, text, and whether it is a code that is read letter by letter.

    command: makes the run again; "" where no command can, since the model was handed over in Python.
    sessions: a line for each time that someone worked on it.
    """

    facts: tuple[tuple[str, str, bool], ...]
    command: str
    sessions: tuple[str, ...]


def provenance(run: Run) -> Provenance:
    """All that `run.json` says of where a run comes from; what an older one lacks is left out."""
    record, model, data = run.record, run.record["model"], run.record["data"]
    card, parts = model["card"], run.record["fingerprint_parts"]
    parameters = card.get("parameters")
    facts = [
        ("model", run.model, False),
        ("parameters", f"{parameters:,}" if isinstance(parameters, int) and parameters > 0 else "", False),
        ("views", f"{run.grid.name} grid, {len(run.grid)} zooms of {run.grid.size} × {run.grid.size} pixels", False),
        ("normalisation", _normalisation(card), False),
        ("computed by", _spaced(model.get("backend"), "on", model.get("device"), "in", model.get("precision")), False),
        ("class space", _spaced(card.get("space"), _masked(run)), False),
        ("weights, sha256", str(card.get("weights", "")), True),
        ("data", run.data, False),
        ("data revision", str(data.get("revision", "")), True),
        ("list of images, sha256", str(parts.get("images", "")), True),
        ("fingerprint", str(record["fingerprint"]), True),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items()), False),
        ("directory", str(run.path), False),
    ]
    return Provenance(
        tuple((name, _text(value), mono) for name, value, mono in facts if value),
        _text(_command(run)),
        tuple(_text(_session(session)) for session in record["sessions"] if isinstance(session, Mapping)),
    )


def _command(run: Run) -> str:
    """The call of `snellen study` that makes this run; "" for a module that was handed over in Python."""
    if run.model.startswith("module/"):
        return ""
    parts, planned = run.record["fingerprint_parts"], run.record["shards"][-1]
    call = ["snellen", "study", run.data, "-m", run.model, "--precision", str(run.record["model"]["precision"])]
    call += ["--backend", str(run.record["model"]["backend"])] if run.record["model"].get("backend") else []
    call += ["--limit", str(planned)] if planned < run.record["data"].get("images", planned) else []
    call += ["--keep-probs"] if parts.get("all probabilities") else []
    return shlex.join(call)


def _session(session: Mapping[str, Any]) -> str:
    views, seconds = session.get("views"), session.get("seconds")
    line = [str(session.get("started", "at an unknown time"))]
    if isinstance(views, int) and isinstance(seconds, int | float):
        rate = f" ({views / seconds:,.0f} a second)" if seconds > 0 else ""
        line.append(f"{views:,} views in {seconds:,.0f} s{rate}")
    if session.get("workers"):
        line.append(f"{session['workers']} {'worker' if session['workers'] == 1 else 'workers'}")
    line += [str(session[key]) for key in ("machine", "command") if session.get(key)]
    return "; ".join(line)


def _normalisation(card: Mapping[str, Any]) -> str:
    if not ("mean" in card and "std" in card):
        return ""
    mean, std = (", ".join(f"{value:.4g}" for value in card[key]) for key in ("mean", "std"))
    return f"mean {mean}; std {std}"


def _masked(run: Run) -> str:
    return f"masked to the {len(run.class_map.ids)} classes of {run.class_map.name}" if run.class_map else ""


def _spaced(*words: Any) -> str:
    """Words joined, without prepositions that lack their word."""
    text = " ".join(str(word) for word in words if word)
    return re.sub(r"\b(on|in)(?= (on|in)\b| ?$)", "", text).strip()


def _text(value: str) -> str:
    """Text that UTF-8 can hold: what stands for undecodable bytes in a path is written as an escape."""
    return value.encode("utf-8", "backslashreplace").decode()
