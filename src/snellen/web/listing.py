"""What `data/site.json` says of a set and its models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from snellen.redact import without_folders
from snellen.web.answers import CHUNK
from snellen.web.shards import shards_of
from snellen.web.viewed import ViewModel, ViewSet, digest
from snellen.zoom.grid import Grid

# Of a row of the funnel and of a data set that was mined, what the page shows beside its name.
FUNNEL = ("shown", "read", "failed", "unanswered", "left", "unreadable", "forwards", "studied", "exhaustive")
SOURCE = ("images", "unlabelled", "unreadable", "hard")


@dataclass(frozen=True)
class Standing:
    """How far a data file is: the version that the page may ask for, whether it is there, why it could not be made.

    latest: whether it is of all that is written by now.
    """

    version: str
    ready: bool
    error: str | None
    latest: bool = True


def set_entry(one: ViewSet, images: Standing, models: dict[str, Standing]) -> dict[str, Any]:
    """What is said of a set."""
    return {
        "key": one.key,
        "name": one.name,
        "images": len(one),
        "space": one.space_key,
        "version": images.version,
        "ready": images.ready,
        "error": images.error,
        "label_sources": list(one.sources),
        "chunk": CHUNK,
        "models": [_model_entry(one, model, models[model.key]) for model in one.models],
    } | ({} if one.mined is None else {"mining": _mining_entry(one.mined.record)})


def _model_entry(one: ViewSet, model: ViewModel, standing: Standing) -> dict[str, Any]:
    run = model.run
    mined = any(shard.mined for some in model.runs.values() for shard in shards_of(some))
    return {
        "key": model.key,
        "name": model.name,
        "spec": run.model,
        "precision": run.record["model"]["precision"],
        "zooms": len(run.grid),
        "size": run.grid.size,
        "version": standing.version,
        "ready": standing.ready,
        "error": standing.error,
        # `mine` leaves some shards alone, so that its runs are as complete as they will be.
        # A page asks until it is, so that it has the last numbers too.
        "complete": standing.latest and (one.kind == "hard" or run.complete or (mined and not one.unfinished)),
        "early_exit": mined,
        "images": _shown(one, model),
        "grid": grid_entry(run.grid)[0],
    }


def _mining_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    """How a hard set was mined: the funnel, and what each data set gave."""

    def whole(found: Any) -> int | None:
        return found if isinstance(found, int) else None

    def rows(name: str, column: str, numbers: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {column: without_folders(str(one.get(column, "")))} | {number: whole(one.get(number)) for number in numbers}
            for one in record.get(name, ())
            if isinstance(one, dict)
        ]

    return {
        "required": whole(record.get("miners_required")),
        "zooms": whole(record.get("zooms")),
        "funnel": rows("funnel", "miner", FUNNEL),
        "sources": rows("sources", "name", SOURCE),
    }


def _shown(one: ViewSet, model: ViewModel) -> int:
    """How many images of the set the model was shown; the runs of a hard set are of many more."""
    found = [(source, shard) for source, run in model.runs.items() for shard in shards_of(run)]
    if one.kind != "hard":
        return sum(commit.get("images", 0) for _, shard in found for _, commit in shard.commits[:1])
    index = one.index
    if index is None:
        return len(one)
    return sum(len(index.within(source, shard.start, shard.stop)) for source, shard in found)


@lru_cache(maxsize=64)
def grid_entry(grid: Grid) -> tuple[str, list[dict[str, Any]]]:
    """The key of a grid, and what is needed to draw the window of each zoom on a picture."""
    group = {int(zoom): name for name, zooms in grid.groups.items() for zoom in zooms}
    names = ("resize", "row", "col", "size", "anchor", "fit", "flip", "scale")
    rules = [{name: getattr(rule, name) for name in names} | {"group": group[k]} for k, rule in enumerate(grid)]
    return digest(rules), rules
