"""Made-up zoom studies of ImageNet's size: no model made them, the store's own writer wrote them.

Which answers are right is made as in `synthetic.py`, with an ease of each image that all models share in part; its
spread is fitted so that 1-crop and upper bound are those of the study's Table 1. A wrong answer is one of a few classes
that the image is taken for.
"""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from snellen.engine.answers import MERGES
from snellen.labels import IMAGENET_1K
from snellen.labels.imagenet import validation_labels
from snellen.store.labels import encode_labels, labels_file
from snellen.store.schema import FORMAT, MERGED, PREDICTIONS, SAMPLES, TOP
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID
from synthetic import chance, qualities

CLASSES = len(IMAGENET_1K)
ZOOMS = len(PAPER_GRID)
SOURCES = ("imagenet", "real", "imagenet+real")
# As many as a worker on a CPU shows in a minute, which is what one shard holds.
SHARD = 200
# How much of an image's difficulty is its own, and how much is the model's.
SHARED = 0.8
# Classes that an image is taken for, the first most often.
TAKEN_FOR = 60


def spread(one_crop: float, upper: float, rng: np.random.Generator, sample: int = 2000) -> tuple[float, float]:
    """Mean and spread of the images' ease that give this 1-crop accuracy and this upper bound."""
    best = (qualities() + chance(sample, rng)).max(axis=1)
    low, high = 0.1, 20.0
    ease = ndtri((np.arange(sample) + 0.5) / sample)
    for _ in range(40):
        width = (low + high) / 2
        mean = ndtri(one_crop) * np.sqrt(1 + width**2)
        if (mean + width * ease + best > 0).mean() > upper:
            low = width
        else:
            high = width
    return float(mean), width


def write_study(
    path: Path, model: str, images: int, one_crop: float, upper: float, seed: int, shard: int = SHARD
) -> None:
    """A whole run of `images` validation images; `one_crop` and `upper` are shares in 0 … 1."""
    shared, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    mean, width = spread(one_crop, upper, rng)
    difficulty = shared.standard_normal(images)
    ease = mean + width * (SHARED * difficulty + np.sqrt(1 - SHARED**2) * rng.standard_normal(images))
    sizes = np.stack([np.full(images, 500), shared.integers(300, 500, images)], axis=1)
    sizes = np.where(shared.random((images, 1)) < 0.25, sizes[:, ::-1], sizes).tolist()  # width, height: some upright
    names, labels = validation_labels()
    bounds = [*range(0, images, shard), images]
    (path / "parts").mkdir(parents=True)
    (path / "commits").mkdir()
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        own = np.array([row[0] for row in labels[start:stop]], np.int32)
        tables = answer_tables(range(start, stop), own, ease[start:stop], rng)
        samples = [
            {
                "image": k,
                "image_id": names[k],
                "width": width,
                "height": height,
                "sha256": f"{k:064x}",
                "origin": "imagenet",
            }
            for k, (width, height) in zip(range(start, stop), sizes[start:stop], strict=True)
        ]
        tables["samples"] = pa.Table.from_pylist(samples, schema=SAMPLES)
        work = {"fingerprint": f"{seed:064x}", "images": stop - start, "started": 60.0 * number, "seconds": 60.0}
        commit(path, number, tables, {"start": start, "stop": stop, **work})
    record = {
        "format": FORMAT,
        "fingerprint": f"{seed:064x}",
        "fingerprint_parts": {},
        "batch_size": 64,
        "sessions": [],
        "data": {"spec": "imagenet", "name": "imagenet", "images": images, "label_sources": list(SOURCES)},
        "model": {
            "spec": model,
            "precision": "fp32",
            "card": {"space": IMAGENET_1K.name, "keys": list(IMAGENET_1K.keys)},
        },
        "grid": PAPER_GRID.to_json(),
        "shards": bounds,
    }
    (path / "run.json").write_text(json.dumps(record))
    for source in SOURCES:
        sets = validation_labels(source)[1][:images]
        text = encode_labels(names[:images], sets, IMAGENET_1K)
        (path / labels_file(None if source == SOURCES[0] else source)).write_bytes(text)


def answer_tables(
    images: range, labels: NDArray[np.int32], ease: NDArray[np.float64], rng: np.random.Generator
) -> dict[str, pa.Table]:
    """Predictions and merged answers of one shard; `labels` and `ease` are of its images."""
    n = len(images)
    margin = ease.astype(np.float32)[:, None] + qualities() + chance(n, rng)
    taken_for = rng.integers(0, CLASSES, (n, TAKEN_FOR), np.int32)
    slot = np.minimum(rng.geometric(0.06, (n, ZOOMS)) - 1, TAKEN_FOR - 1)
    wrong = np.take_along_axis(taken_for, slot, axis=1)
    ids = np.where(margin > 0, labels[:, None], wrong).astype(np.int32)
    best = 1 / (1 + np.exp(-np.abs(margin) - rng.random((n, ZOOMS), np.float32) + 1))
    predictions = {
        "image": np.repeat(np.arange(images.start, images.stop, dtype=np.int32), ZOOMS),
        "zoom": np.tile(np.arange(ZOOMS, dtype=np.int16), n),
        **answers(ids.ravel(), best.ravel()),
        "raw_id0": ids.ravel(),
        "raw_p0": best.ravel(),
    }
    groups = [*PAPER_GRID.groups, "all"]
    rows = len(groups) * len(MERGES)
    right = ease[:, None] + rng.standard_normal((n, rows)) > -0.3
    merged = {
        "image": np.repeat(np.arange(images.start, images.stop, dtype=np.int32), rows),
        "group": coded(np.tile(np.repeat(np.arange(len(groups), dtype=np.int8), len(MERGES)), n), groups),
        "merge": coded(np.tile(np.arange(len(MERGES), dtype=np.int8), n * len(groups)), MERGES),
        **answers(np.where(right, labels[:, None], taken_for[:, :1]).ravel(), rng.random(n * rows, np.float32)),
    }
    return {"predictions": pa.table(predictions, schema=PREDICTIONS), "merged": pa.table(merged, schema=MERGED)}


def coded(codes: NDArray[np.int8], names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names))


def answers(ids: NDArray[np.int32], best: NDArray[np.float32]) -> dict[str, NDArray]:
    """The five best classes: beside the best, four that nothing reads."""
    others = {f"id{k}": ((ids + 37 * k) % CLASSES).astype(np.int32) for k in range(1, TOP)}
    shares = {f"p{k}": ((1 - best) / 2**k).astype(np.float32) for k in range(1, TOP)}
    return {"id0": ids.astype(np.int32), **others, "p0": best.astype(np.float32), **shares}
