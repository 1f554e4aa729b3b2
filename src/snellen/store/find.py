"""Finding runs: below a folder or a store's prefix, and whether what lies there is one."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from snellen.errors import Stopped, UsageError
from snellen.files import entries, exists, is_folder, read_bytes
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace
from snellen.places import is_remote, place
from snellen.store.reader import Run
from snellen.store.schema import FORMAT
from snellen.trouble import PASSING
from snellen.zoom.grid import Anchor, Filter, Fit, Grid, ViewRule


def load_run(path: str | Path) -> Run:
    """The run in a directory: the one that holds run.json, or a folder above exactly one such.

    Raises UsageError where there is none, or more than one.
    """
    runs = find_runs(path)
    if len(runs) != 1:
        names = ", ".join(str(run.path) for run in runs)
        raise UsageError(f"{str(path)!r} holds {len(runs)} runs; name one of them: {names}")
    return runs[0]


def find_runs(path: str | Path, methods: bool = False) -> list[Run]:
    """Every run at or below a place, by directory name; UsageError where there is none.

    methods: those of `tta`, which hold answers of methods, in place of those that hold answers of views.
    """
    path = place(path)
    with reading(path):
        if not is_folder(path):
            if exists(path):
                raise UsageError(f"{str(path)!r} is a file; give the OUT of a study, or a run below it")
            raise UsageError(f"no directory {str(path)!r}; give the OUT of a study, or a run below it")
        runs = [Run(folder, read_run_json(folder)) for folder in _run_folders(path)]
    wanted = [run for run in runs if ("methods" in run.record) == methods]
    if not wanted and runs and not methods:
        raise UsageError(
            f"{str(path)!r} holds answers of methods, which `snellen tta` made, and none of views, which this reads; "
            "snellen.load_tta and `snellen compare` read the former"
        )
    if not wanted:
        what, how = ("answers of methods", "tta") if methods else ("run", "study")
        raise UsageError(
            f"no {what} in {str(path)!r}: no run.json of any in it or below; `snellen {how} … -o {path}` makes one"
        )
    return wanted


def of_methods_alone(path: str | Path) -> bool:
    """Whether a folder holds runs, and all of them are those of `tta`."""
    path = place(path)
    with reading(path):
        folders = _run_folders(path) if is_folder(path) else []
    return bool(folders) and all("methods" in read_run_json(folder) for folder in folders)


def _run_folders(path: Path) -> list[Path]:
    """The folders at or below a place that hold a run.json, sorted; a store's are not searched below a run."""
    if not is_remote(path):
        return [path] if (path / "run.json").is_file() else sorted(file.parent for file in path.glob("**/run.json"))
    inside = entries(path)
    if any(one.name == "run.json" for one in inside):
        return [path]
    return [found for one in inside if one.is_folder for found in _run_folders(path / one.name)]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a disk or a store says when it cannot be read into what a user should read."""
    try:
        yield
    except OSError as error:
        if is_remote(path) and error.errno in PASSING:
            raise Stopped(f"{str(path)!r} cannot be reached: {error.strerror}; run the same command again") from error
        check = "the URL and credentials" if is_remote(path) else "the path and its permissions"
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}; check {check}") from error


def read_run_json(path: Path) -> dict[str, Any]:
    """The run.json of a run directory; UsageError where it is none, or of another format."""
    try:
        record: dict[str, Any] = json.loads(read_bytes(path / "run.json"))
    except FileNotFoundError:
        raise UsageError(f"{str(path)!r} is not a run: it has no run.json") from None
    except (ValueError, RecursionError) as error:  # the second: brackets in brackets without end
        raise UsageError(f"{str(path / 'run.json')!r} is damaged ({error}); move the directory away") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UsageError(f"{str(path)!r} was written in another format than {FORMAT}; use another -o")
    try:
        whole = _is_whole(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, UsageError):
        whole = False
    if not whole:
        raise UsageError(f"{str(path / 'run.json')!r} is damaged (fields are missing); move the directory away")
    return record


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether a run.json has what readers ask it for; one that lacks a field may raise as well."""
    model, data, bounds = record["model"], record["data"], record["shards"]
    card, sources = model["card"], data.get("label_sources", ["own"])
    grid = Grid.from_json(record["grid"])
    whole = {"fingerprint", "fingerprint_parts", "batch_size", "sessions"} <= record.keys()
    whole &= all(isinstance(text, str) for text in (grid.name, model["spec"], model["precision"], card["space"]))
    whole &= all(isinstance(text, str) for text in (data["spec"], data["name"], *card["keys"], *sources))
    whole &= all(isinstance(name, str) for name in dict(card.get("inputs", ())))
    whole &= isinstance(record["fingerprint_parts"], dict) and isinstance(record["sessions"], list)
    whole &= len(sources) > 0 and len(grid) > 0 and all(map(_is_rule, grid))
    whole &= bounds[0] == 0 and all(type(bound) is int for bound in bounds) and bounds == sorted(set(bounds))
    space = IMAGENET_1K if card["space"] == IMAGENET_1K.name else ClassSpace.of_names(card["keys"], card["space"])
    if record.get("classes"):
        whole &= record["classes"]["outputs"] == len(space)
        whole &= ClassMap.from_json(record["classes"]).outputs == len(space)
    return whole and len(space) > 0


def _is_rule(rule: ViewRule) -> bool:
    """Whether a view rule that was read is one that can be cut."""
    numbers = (rule.resize, rule.size, rule.scale, rule.row, rule.col)
    words = ((rule.filter, Filter), (rule.anchor, Anchor), (rule.fit, Fit))
    return (
        all(type(number) is int for number in numbers)
        and min(rule.resize, rule.size) > 0
        and {rule.row, rule.col} <= {0, 1, 2}
        and type(rule.flip) is bool
        and all(word in get_args(known) for word, known in words)
    )
