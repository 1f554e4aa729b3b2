"""Where a run lies below OUT: a folder name for its data set, its model, its grid and precision."""

import hashlib
import re
from pathlib import Path

from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.datasets.spec import parse_name
from snellen.places import cache_root, is_remote
from snellen.redact import redacted
from snellen.zoom.grid import Grid


def run_directory(out: Path, dataset: DataSet, prepared: Prepared, grid: Grid) -> Path:
    """OUT/<data>/<model>/<grid>-<precision>; a set with a name of its own is found again wherever its files lie."""
    shown = dataset.name.replace("/", "-")
    # A URL that is signed anew each time is the same place.
    full = shown if parse_name(dataset.spec) == dataset.name else redacted(dataset.spec)
    return out / safe_name(shown, full) / model_name(prepared.text) / f"{grid.name}-{prepared.precision}"


def safe_name(shown: str, full: str) -> str:
    """A file name for `shown`: its safe characters, plus six hex digits of `full` where anything was dropped.

    >>> safe_name("examples", "examples"), safe_name("my images", "my images")
    ('examples', 'myimages-0999b2')
    """
    safe = re.sub(r"[^A-Za-z0-9._+=@,-]", "", shown).lstrip(".")[:80]
    return (
        safe
        if safe and safe == full
        else f"{safe}-{hashlib.sha256(full.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
    )


def model_name(text: str) -> str:
    """A file name for a model: the slash after its kind becomes a dash, a checkpoint keeps its file name only.

    >>> model_name("embedded/efficientnet_lite0")
    'embedded-efficientnet_lite0'
    """
    dashed = text.replace("/", "-", 1) if not text.startswith("/") else text
    shown = re.sub(r"(?<=@)[^,]*/|^/[^,]*/", "", dashed)
    return safe_name(shown, dashed)


def log_file(run: Path) -> Path:
    """Where workers of this machine write what is no answer: beside the run, or in the cache for one in a store."""
    if not is_remote(run):
        return run / "workers.log"
    folder = cache_root() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(str(run).encode()).hexdigest()[:16]}.log"
