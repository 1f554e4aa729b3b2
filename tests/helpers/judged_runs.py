"""Runs that no model made, of images that were never drawn: what views say of them is chosen, label by label."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.engine.answers import prediction_table
from snellen.labels import ClassSpace
from snellen.store import Run, load_run
from snellen.store.labels import encode_labels, labels_file
from snellen.store.mined import pass_folder
from snellen.store.schema import MERGED, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import Grid, paper_grid

CLASSES = 40
SPACE = ClassSpace.of_names([f"class-{k:02d}" for k in range(CLASSES)], "made-up")
GRID = paper_grid(scales=(64, 224, 256, 512, 1024))


@dataclass(frozen=True)
class World:
    """Images, what is in them, and what some models say.

    truth: the class of each: int `[images]`. logits: of each model: float32 `[models, images, zooms, classes]`.
    """

    truth: NDArray[np.int64]
    logits: NDArray[np.float32]


def world(images: int, models: int = 2, *, seed: int = 0, hard: float = 0.05) -> World:
    """Images of evenly drawn classes; a share `hard` is taken for a neighbour of their class, whatever the zoom."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(CLASSES, size=images)
    neighbour = truth ^ 1
    ease = rng.normal(3.5, 1.2, (1, images, 1)) + rng.normal(0, 0.7, (models, images, 1))
    ease = np.where(rng.random((1, images, 1)) < hard, rng.normal(-2, 1, (1, images, 1)), ease)
    logits = rng.normal(0, 1, (models, images, len(GRID), CLASSES)).astype(np.float32)
    place = np.arange(images)
    noise = rng.normal(0, 1.5, (models, images, len(GRID)))
    for model in range(models):
        logits[model, place, :, truth] += 2.5 + ease[model] / 2 + noise[model] / 2
        logits[model, place, :, neighbour] += 2.5 - ease[model] / 2 - noise[model] / 2
    return World(truth, logits)


def judged_run(
    path: Path,
    logits: NDArray[np.float32],
    labels: Sequence[Sequence[int]],
    *,
    model: str = "timm/made_up",
    data: str = "made-up",
    sizes: Sequence[tuple[int, int]] | None = None,
    bad: Sequence[int] = (),
    shown: NDArray[np.bool_] | None = None,
    space: ClassSpace = SPACE,
    grid: Grid = GRID,
    ids: Sequence[str] | None = None,
) -> Run:
    """A run whose views have these logits, `[images, zooms, classes]`.

    bad: images that could not be read. shown: which zooms mining has shown, bool `[images, zooms]`; a study where None.
    """
    images = len(logits)
    names = list(ids or (f"{k:04d}.jpg" for k in range(images)))
    probs = np.exp(logits - logits.max(axis=2, keepdims=True))
    probs /= probs.sum(axis=2, keepdims=True)
    samples = [
        {
            "image": k,
            "image_id": names[k],
            "origin": data,
            **({"error": "not an image"} if k in bad else _seen(names[k], sizes[k] if sizes else (500, 375))),
        }
        for k in range(images)
    ]
    kept = [k for k in range(images) if k not in bad]
    rows = prediction_table(kept, logits[kept], probs[kept], None)
    if shown is not None:
        rows = rows.filter(pa.array(shown[kept].ravel()))
    folder = path if shown is None else pass_folder(path, 0)
    (folder / "parts").mkdir(parents=True)
    (folder / "commits").mkdir()
    fingerprint = hashlib.sha256(f"{model} {data}".encode()).hexdigest()
    record = {"start": 0, "stop": images, "fingerprint": fingerprint, "images": images, "started": 0.0, "seconds": 1.0}
    tables = {
        "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
        "predictions": rows,
        "merged": MERGED.empty_table(),
    }
    commit(folder, 0, tables, record)
    (path / labels_file()).write_bytes(encode_labels(names, labels, space))
    card = {"space": space.name, "keys": list(space.keys)}
    run = {
        "format": 1,
        "fingerprint": fingerprint,
        "fingerprint_parts": {},
        "batch_size": 4,
        "sessions": [],
        "data": {"spec": data, "name": data, "images": images, "label_sources": ["own"]},
        "model": {"spec": model, "precision": "fp32", "card": card},
        "grid": grid.to_json(),
        "shards": [0, images],
    }
    (path / "run.json").write_text(json.dumps(run))
    return load_run(path)


def _seen(name: str, size: tuple[int, int]) -> dict[str, object]:
    return {"width": size[0], "height": size[1], "sha256": hashlib.sha256(name.encode()).hexdigest()}
