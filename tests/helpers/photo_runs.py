"""Runs that no model made of pictures that are there: a page has something to show."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from snellen.datasets import open_dataset
from snellen.labels import ClassSpace
from snellen.store import Run, load_run
from snellen.store.labels import encode_labels, labels_file
from snellen.store.schema import MERGED, PREDICTIONS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID, Grid

CLASSES = tuple(f"kind-{k}" for k in range(12))


def paint(folder: Path, names: Sequence[str | bytes], *, noise: bool = False, seed: int = 0) -> Path:
    """Pictures of various shapes under these names; `noise`: such as no compression makes small."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        height, width = rng.integers(60, 240, 2).tolist() if not noise else (280, 320)
        small = rng.integers(0, 256, (height, width, 3) if noise else (4, 5, 3), np.uint8)
        path = folder / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=92)
    return folder


def photo_run(
    path: Path,
    pictures: Path,
    *,
    classes: Sequence[str] = CLASSES,
    model: str = "timm/made_up",
    ease: float | Sequence[float] = 0.4,
    bad: Sequence[int] = (),
    done: int | None = None,
    sources: Sequence[str] = ("own",),
    grid: Grid = PAPER_GRID,
    confidence: bool = True,
    seed: int = 0,
    **record: object,
) -> Run:
    """A run of all pictures of a folder, scored by labels of its own.

    ease: the share of zooms that are right, of all images or of each; 0 and 1 are exact.
    bad: images that could not be read; done: only so many are committed.
    sources: label sources; by each but the first every label is the class after it.
    confidence: False for a model that states none.
    """
    dataset = open_dataset(pictures)
    images, zooms = len(dataset.items), len(grid)
    rng = np.random.default_rng(seed)
    space = ClassSpace.of_names(list(classes), "made-up")
    labels = np.random.default_rng(99).integers(0, len(classes), images)  # the same for every run
    right = rng.random((images, zooms)) < np.broadcast_to(ease, images)[:, None]
    other = (labels[:, None] + rng.integers(1, len(classes), (images, zooms))) % len(classes)
    best = np.where(right, labels[:, None], other).astype(np.int32)
    (path / "parts").mkdir(parents=True)
    (path / "commits").mkdir()
    stop = images if done is None else done
    samples = [_sample(dataset, k, k in bad) for k in range(stop)]
    kept = np.array([k for k in range(stop) if k not in bad], np.int32)
    tables = {
        "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
        "predictions": _predictions(kept, best, len(classes), confidence, rng),
        "merged": _merged(kept, best, grid),
    }
    fingerprint = hashlib.sha256(f"{model} {seed}".encode()).hexdigest()
    work = {"fingerprint": fingerprint, "images": stop, "started": 0.0, "seconds": 1.0}
    commit(path, 0, tables, {"start": 0, "stop": stop, **work})
    ids = [item.id for item in dataset.items]
    for number, source in enumerate(sources):
        text = encode_labels(ids, [[int(label + number) % len(classes)] for label in labels], space)
        (path / labels_file(source if number else None)).write_bytes(text)
    card = {"space": space.name, "keys": list(space.keys), "parameters": 1234567, "weights": "0" * 64}
    full = {
        "format": 1,
        "fingerprint": fingerprint,
        "fingerprint_parts": {"images": dataset.fingerprint},
        "batch_size": 4,
        "sessions": [{"started": "2026-01-01T00:00:00Z", "seconds": 10.0, "views": stop * zooms, "workers": 2}],
        "data": {"spec": dataset.spec, "name": dataset.name, "images": images, "label_sources": list(sources)},
        "model": {"spec": model, "precision": "fp32", "backend": "openvino", "device": "cpu", "card": card},
        "versions": {"python": "3.11", "snellen": "0.1.0"},
        "grid": grid.to_json(),
        "shards": [0, images] if stop == images else [0, stop, images],
    }
    (path / "run.json").write_text(json.dumps(full | record))
    return load_run(path)


def _sample(dataset, image: int, bad: bool) -> dict[str, object]:
    item = dataset.items[image]
    content = {"width": None, "height": None, "sha256": None, "error": "not an image <b>at all</b>"}
    if not bad:
        digest = hashlib.sha256(dataset.read(image)).hexdigest()
        content = {"width": 10, "height": 10, "sha256": digest, "error": None}
    return {"image": image, "image_id": item.id, "origin": "made-up", **content}


def _predictions(kept: NDArray[np.int32], best: NDArray[np.int32], classes: int, sure: bool, rng) -> pa.Table:
    zooms = best.shape[1]
    flat = best[kept].reshape(-1)
    p = rng.uniform(0.2, 1.0, len(flat)).astype(np.float32)
    columns = {"image": np.repeat(kept, zooms), "zoom": np.tile(np.arange(zooms, dtype=np.int16), len(kept))}
    for k in range(5):
        columns[f"id{k}"] = (flat + k) % classes
        columns[f"p{k}"] = pa.array(p / (k + 1) if sure else [None] * len(flat), pa.float32())
    columns |= {"raw_id0": flat, "raw_p0": columns["p0"]}
    return pa.table({name: columns[name] for name in PREDICTIONS.names}).cast(PREDICTIONS)


def _merged(kept: NDArray[np.int32], best: NDArray[np.int32], grid: Grid) -> pa.Table:
    rows = [
        {"image": int(image), "group": group, "merge": merge}
        | {f"id{k}": int(best[image, zooms[k % len(zooms)]]) for k in range(5)}
        | {f"p{k}": 0.5 / (k + 1) for k in range(5)}
        for image in kept
        for group, zooms in [*grid.groups.items(), ("all", np.arange(len(grid)))]
        for merge in ("mean", "max")
    ]
    return pa.Table.from_pylist(rows, schema=MERGED)
