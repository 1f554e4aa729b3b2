"""What `data/site.json` says of a set and its models."""

from dataclasses import dataclass
from typing import Any

from snellen.store import Run
from snellen.web.answers import CHUNK
from snellen.web.shards import shards_of
from snellen.web.viewed import ViewModel, ViewSet


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
    }


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
        "grid": _grid(run),
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


def _grid(run: Run) -> list[dict[str, Any]]:
    """What is needed to draw the window of each zoom on a picture."""
    group = {int(zoom): name for name, zooms in run.grid.groups.items() for zoom in zooms}
    names = ("resize", "row", "col", "size", "anchor", "fit", "flip", "scale")
    return [{name: getattr(rule, name) for name in names} | {"group": group[k]} for k, rule in enumerate(run.grid)]
