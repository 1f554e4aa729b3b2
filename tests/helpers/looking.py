"""Looking at a run's directory from outside."""

import hashlib
import json
from pathlib import Path


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def only_run(out: Path) -> Path:
    """The one run directory below `out`."""
    (found,) = out.glob("*/*/*/run.json")
    return found.parent


def commits(out: Path) -> dict[str, bytes]:
    """The commit records below `out`, by file name."""
    return {path.name: path.read_bytes() for path in out.glob("*/*/*/commits/*.json")}


def record(out: Path) -> dict:
    """The run.json below `out`."""
    return json.loads((only_run(out) / "run.json").read_text())
