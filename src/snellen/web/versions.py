"""What decides the content of a data file: commit records and label files, of which only the names are looked at."""

from pathlib import Path
from typing import Any

from snellen.files import entries
from snellen.places import is_remote, place
from snellen.web.shards import shards_of
from snellen.web.viewed import ViewModel, ViewSet, digest

# Of the data files; a change of what they hold is a new number.
FORMAT = 1


def images_version(one: ViewSet) -> str:
    """Changes with the columns of a set's images."""
    return digest(FORMAT, _state(one))


def model_version(one: ViewSet, model: ViewModel) -> str:
    """Changes with the columns of a model."""
    done = [(run.record["fingerprint"], [shard.names for shard in shards_of(run)]) for run in model.runs.values()]
    return digest(FORMAT, _labels(one), len(one), done)


def _state(one: ViewSet) -> tuple[Any, ...]:
    """What decides the columns of a set's images."""
    runs = [run for model in one.models for run in model.runs.values()]
    names = [[path.name for shard in shards_of(run) for path, _ in shard.files("samples")] for run in runs]
    found = one.kind, one.name, len(one), _labels(one), names
    if one.kind == "data":
        return *found, one.dataset.fingerprint, one.dataset.spec
    return *found, [_stamp(place(one.place) / f"{name}.parquet") for name in ("suspects", "duplicates")]


def _labels(one: ViewSet) -> tuple[Any, ...]:
    """What decides the labels of a set."""
    if one.mined is not None:
        return ("mined", one.mined_digest)
    asked = [_stamp(Path(one.labels))] if one.labels else []
    beside = (_label_files(model.run.path) for model in one.models)
    # The columns take those of the first run that has any.
    return one.labels, asked, one.space.fingerprint, next((files for files in beside if files), [])


def _label_files(run: Path) -> list[tuple[Any, ...]]:
    return [(file.name, file.size, file.modified) for file in entries(run) if file.name.startswith("labels")]


def _stamp(path: Path) -> tuple[Any, ...] | None:
    """Size and time of a file; None where there is none."""
    if is_remote(path):
        return next(((e.size, e.modified) for e in entries(path.parent) if e.name == path.name), None)
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
