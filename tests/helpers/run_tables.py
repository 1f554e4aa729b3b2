"""Random tables of every kind that a run holds, and what stands in its folders."""

import json

import numpy as np
import pyarrow as pa

from snellen.store.commits import commit_path
from snellen.store.schema import KINDS
from snellen.zoom import paper_grid

NINE = paper_grid(224, (256,))
TOP = range(5)
# Of every kind, as docs/formats.md lists them.
COLUMNS = {
    "samples": ["image", "image_id", "width", "height", "sha256", "origin", "error"],
    "predictions": ["image", "zoom", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP), "raw_id0", "raw_p0"],
    "merged": ["image", "group", "merge", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP)],
    "logprobs": ["image", "zoom", "sqrt_minus_log_7000ths"],
    "answers": ["image", "answer", "matched"],
    "methods": ["image", "method", *(f"id{k}" for k in TOP), *(f"p{k}" for k in TOP), "forwards", "ms", "views_ms"],
}


def table_of(kind, rows=7, seed=0):
    """Random rows of a kind, a third of what may be null being null."""
    rng = np.random.default_rng(seed)

    def value(field):
        if field.nullable and rng.random() < 1 / 3:
            return None
        if pa.types.is_list(field.type):
            return rng.integers(0, 2**16, 4).tolist()
        if pa.types.is_floating(field.type):
            return float(np.float32(rng.random()))
        if pa.types.is_integer(field.type):
            return int(rng.integers(-1, 300))
        return rng.choice(["", "a", "new\nline", "é雪", "x" * 300]).item()

    return pa.Table.from_pylist([{f.name: value(f) for f in KINDS[kind]} for _ in range(rows)], schema=KINDS[kind])


def names(folder):
    """What stands in a folder, by name."""
    return sorted(path.name for path in folder.iterdir())


def edit_record(path, shard, change):
    """Let `change` change the commit record of a shard in place."""
    record = json.loads(commit_path(path, shard).read_text())
    change(record)
    commit_path(path, shard).write_text(json.dumps(record))
