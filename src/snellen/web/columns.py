"""`images.json`: what is known of every image of a set, as columns; and its index, see `index.py`."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.atomic import write_atomic
from snellen.datasets import DataSet
from snellen.errors import DataError
from snellen.files import exists
from snellen.mining.mined import Mined, image_key, read_rows
from snellen.places import place
from snellen.redact import without_folders
from snellen.store import Run
from snellen.store.labels import find_labels, read_ids, read_labels
from snellen.store.parts import read_part
from snellen.store.schema import SAMPLES
from snellen.web.index import Index
from snellen.web.shards import shards_of
from snellen.web.viewed import ViewSet

Columns = dict[str, Any]
SAMPLE_COLUMNS = ("image", "image_id", "width", "height", "sha256", "origin", "error")


def write_images(of: ViewSet, path: Path, index_path: Path) -> None:
    """Put the columns of a set at `path` and its index at `index_path`, each whole or not at all.

    Raises UsageError or DataError where a file is damaged, Stopped where a store cannot be reached.
    """
    columns, index = images_of(of)
    index.write(index_path)
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    write_atomic(path, text.encode("utf-8", "replace"))


def images_of(of: ViewSet) -> tuple[Columns, Index]:
    """The columns of a set and its index."""
    if of.mined is not None:
        return _of_hard(of, of.mined)
    columns, hashes, names = _of_runs(of) if of.kind == "runs" else _of_data(of, of.dataset)
    columns["row"] = list(range(columns["n"]))
    keys = dict(enumerate(names))
    if of.kind == "runs":
        _add_suspects(columns, place(of.place), keys)
    return columns, Index.of([(0, k) for k in range(columns["n"])], hashes, columns["labels"])


def _of_runs(of: ViewSet) -> tuple[Columns, Sequence[str | None], list[str]]:
    """Columns, hashes and ids in hard sets of the images of runs; the list of images is that of their labels."""
    runs = [model.run for model in of.models]
    wanted = of.labels if of.labels is not None and of.labels != runs[0].label_sources[0] else None
    count = of.count
    listed = next((run for run in runs if exists(find_labels(run.path, None))), None)
    if listed is not None:
        ids: list[str | None] = [*read_ids(find_labels(listed.path, None), count)]
    else:
        ids = [item.id for item in of.dataset.items[:count]]
    ids += [None] * (count - len(ids))
    columns: Columns = {name: [None] * count for name in ("width", "height")}
    hashes: list[str | None] = [None] * count
    origins: dict[str, int] = {}
    origin = [0] * count
    errors: dict[str, str] = {}
    for number, row in _samples(runs):
        if number >= count:
            continue
        if ids[number] is not None and ids[number] != row["image_id"]:
            raise DataError(f"{of.place!r}: runs of {of.name!r} name image {number} differently; run the study again")
        ids[number] = row["image_id"]
        origin[number] = origins.setdefault(row["origin"], len(origins))
        hashes[number] = hashes[number] or row["sha256"]
        columns["width"][number] = columns["width"][number] or row["width"]
        columns["height"][number] = columns["height"][number] or row["height"]
        if row["error"]:
            errors[str(number)] = row["error"]
    if not origins:
        origins[of.name] = 0
    names = [name or f"image {k}" for k, name in enumerate(ids)]
    labels: list[list[int]] = [[] for _ in range(count)]
    if listed is not None:
        labels = read_labels(find_labels(listed.path, wanted), names, of.space)
    of_origin = list(origins)
    columns |= {"n": count, "id": names, "labels": labels, "origin": origin, "origins": of_origin, "error": errors}
    keys = [image_key(of_origin[k], name) for k, name in zip(origin, names, strict=True)]
    return columns, hashes, keys


def _samples(runs: Sequence[Run]) -> Any:
    """Number and row of every image that was looked at; one that two runs name is there twice."""
    for run in runs:
        for shard in shards_of(run):
            for path, size in shard.files("samples"):
                part = read_part(path, SAMPLES, SAMPLE_COLUMNS, size)
                names = part.column_names
                for values in zip(*(part[name].to_pylist() for name in names), strict=True):
                    row = dict(zip(names, values, strict=True))
                    yield row["image"], row


def _of_data(of: ViewSet, dataset: DataSet) -> tuple[Columns, Sequence[str | None], list[str]]:
    names = [item.id for item in dataset.items]
    columns: Columns = {"n": len(names), "id": names, "labels": [[] for _ in names]}
    try:
        columns["labels"] = dataset.label_sets(names, of.space, of.labels)
    except DataError:
        columns["unlabelled"] = True  # it can be looked at all the same
    origins: dict[str, int] = {}
    columns["origin"] = [origins.setdefault(dataset.origin(k), len(origins)) for k in range(len(names))]
    columns |= {"origins": list(origins), "error": {}}
    return columns, [None] * len(names), []


def _of_hard(of: ViewSet, mined: Mined) -> tuple[Columns, Index]:
    images = mined.images
    origins: dict[str, int] = {}
    columns: Columns = {
        "n": len(images),
        "id": [image.image_id for image in images],
        "key": [image.id for image in images],
        "sha256": [image.sha256 for image in images],
        "width": [image.width or None for image in images],
        "height": [image.height or None for image in images],
        "labels": [list(image.labels) for image in images],
        "origin": [origins.setdefault(image.origin, len(origins)) for image in images],
        "error": {},
    }
    columns["origins"] = list(origins)
    columns["evidence"] = {
        "miners": [[without_folders(miner) for miner in image.miners] for image in images],
        "answers": [[[k, round(share, 4)] for k, share in image.answers] for image in images],
        "failed_zooms": [list(image.failed_zooms) for image in images],
    }
    columns["candidates"] = [[k for k, _ in image.answers] for image in images]
    _add_suspects(columns, mined.folder, dict(enumerate(columns["key"])))
    own = zip(columns["labels"], columns["candidates"], strict=True)
    columns["candidates"] = [[k for k in dict.fromkeys(some) if k not in labels] for labels, some in own]
    places = _places(of, mined)
    columns["row"] = [number for _, number in places]
    return columns, Index.of(places, columns["sha256"], columns["labels"])


def _places(of: ViewSet, mined: Mined) -> list[tuple[int, int]]:
    """Data set and number there of each mined image, as the miners' runs list them; -1 where none does."""
    positions = {image.id: position for position, image in enumerate(mined.images)}
    places = [(-1, -1)] * len(mined.images)
    for model in of.models:
        for source, run in model.runs.items():
            for number, row in _samples([run]):
                position = positions.get(image_key(row["origin"], row["image_id"]))
                if position is not None:
                    places[position] = (source, number)
    return places


def _add_suspects(columns: Columns, folder: Path, keys: dict[int, str]) -> None:
    """Columns of suspects.parquet and duplicates.parquet, where they lie beside what is viewed.

    keys: the id of each position in a hard set.
    """
    positions = {key: position for position, key in keys.items()}
    suspects = read_rows(folder, "suspects")
    if suspects is not None:
        n = columns["n"]
        columns["suspect"], columns["kind"] = [None] * n, [None] * n
        candidates = columns.setdefault("candidates", [[] for _ in range(n)])
        for row in suspects:
            position = positions.get(row["id"])
            if position is None:
                continue
            score = row["score"]
            columns["suspect"][position] = None if score is None or np.isnan(score) else round(score, 5)
            columns["kind"][position] = row["kind"]
            candidates[position] = [*row["proposed"], *candidates[position]]
    duplicates = read_rows(folder, "duplicates")
    if duplicates is not None:
        clusters: dict[int, list[int]] = defaultdict(list)
        for row in duplicates:
            if row["id"] in positions:
                clusters[row["cluster"]].append(positions[row["id"]])
        columns["duplicates"] = {
            str(one): sorted(other for other in cluster if other != one)
            for cluster in clusters.values()
            for one in cluster
            if len(cluster) > 1
        }
