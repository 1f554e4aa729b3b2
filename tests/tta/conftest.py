"""A study whose answers are made up but whose probabilities are whole, as `study --keep-probs` writes them."""

import hashlib
import json

import numpy as np
import pytest

from snellen.engine.answers import logprobs_table, merged_table, prediction_table, softmax
from snellen.engine.samples import SAMPLES
from snellen.labels import ClassSpace
from snellen.store import load_run
from snellen.store.labels import encode_labels
from snellen.store.schema import KINDS
from snellen.store.writer import commit
from snellen.zoom import Grid, ViewRule


def small_grid(views=12, size=224):
    """Views of one row each: a scale, three anchors."""
    rules = [ViewRule(256 + 32 * (k // 3), 1, k % 3, size, scale=256 + 32 * (k // 3)) for k in range(views)]
    return Grid("small", tuple(rules))


@pytest.fixture
def make_study(tmp_path):
    """`make_study(images, …)`: a run on disk and its logits `[images, views, classes]`.

    Every view shows the truth with a noise of its own; the first views are the best.

    data: tells the data set from others. first: image k is the photograph `first` + k of all that there are.
    peaks: each view shows one of three classes, another of them weakly, and all others that much below.
    """
    import pyarrow as pa

    def make(
        images=200,
        *,
        grid=None,
        classes=8,
        keep_probs=True,
        seed=0,
        noise=1.2,
        name="study",
        bad=(),
        data="made-up",
        first=0,
        peaks=0,
    ):
        grid = grid or small_grid()
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, classes, images)
        quality = np.linspace(2.2, 0.3, len(grid))[None, :, None]
        difficulty = rng.uniform(0, 1.5, (images, 1, 1))
        logits = noise * rng.standard_normal((images, len(grid), classes))
        logits += quality * difficulty * (np.arange(classes) == truth[:, None])[:, None, :] * 2
        if peaks:
            best, rival, _ = np.moveaxis(
                rng.permuted(np.broadcast_to(np.arange(3), (*logits.shape[:2], 3)), axis=2), 2, 0
            )
            logits -= peaks
            np.put_along_axis(logits, best[..., None], 0, 2)
            np.put_along_axis(logits, rival[..., None], rng.uniform(-12, -0.5, (*best.shape, 1)), 2)
        logits = logits.astype(np.float32)
        path = tmp_path / name
        for folder in ("parts", "commits"):
            (path / folder).mkdir(parents=True)
        space = ClassSpace.of_names([f"kind-{k}" for k in range(classes)], "made-up")
        names = [f"{k:04d}.png" for k in range(images)]
        samples = [
            dict.fromkeys(SAMPLES.names)
            | {"image": k, "image_id": names[k], "origin": "x", "error": "bad" if k in bad else None}
            | {"sha256": hashlib.sha256(f"photograph {first + k}".encode()).hexdigest()}
            for k in range(images)
        ]
        bounds = [0, images // 2, images]
        for shard in range(2):
            inside = [k for k in range(bounds[shard], bounds[shard + 1]) if k not in bad]
            part = logits[inside]
            probs = softmax(part)
            tables = {
                "samples": pa.Table.from_pylist(samples[bounds[shard] : bounds[shard + 1]], schema=SAMPLES),
                "predictions": prediction_table(inside, part, probs, None),
                "merged": pa.concat_tables(
                    merged_table(k, p, grid.groups, None) for k, p in zip(inside, probs, strict=True)
                ),
            }
            if keep_probs:
                tables["logprobs"] = pa.concat_tables(logprobs_table(k, logits[k]) for k in inside)
            assert tables.keys() <= KINDS.keys()
            place = {"start": bounds[shard], "stop": bounds[shard + 1], "fingerprint": f"{seed:064x}"}
            assert commit(path, shard, tables, {**place, "images": len(inside)})
        record = {
            "format": 1,
            "fingerprint": f"{seed:064x}",
            "fingerprint_parts": {"images": f"{data} {first}", "weights": "b" * 64},
            "batch_size": 4,
            "sessions": [],
            "data": {"spec": f"{data}-data", "name": data, "images": images},
            "model": {
                "spec": "made-up-model",
                "precision": "fp32",
                "card": {"space": space.name, "keys": list(space.keys)},
            },
            "grid": grid.to_json(),
            "shards": bounds,
        }
        (path / "run.json").write_text(json.dumps(record))
        (path / "labels.csv").write_bytes(encode_labels(names, [[int(k)] for k in truth], space))
        return load_run(path), logits

    return make
