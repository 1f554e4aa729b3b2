"""What run.json says of a run besides its shards: what it was made of and by, and each command's part in it.

No secret gets in: URLs stand there without what signs them, command lines without tokens (`redact.py`).
"""

import contextlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sized
from pathlib import Path
from typing import Any

from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.engine.fingerprint import whole_fingerprint
from snellen.files import exists
from snellen.labels import ClassMap
from snellen.redact import redacted, redacted_command
from snellen.store.find import read_run_json
from snellen.store.schema import FORMAT
from snellen.zoom.grid import Grid

# What every run goes through, and what it goes through where its model is of that kind, backend or precision.
LIBRARIES = ("snellen", "numpy", "pillow", "pyarrow", "openvino", "torch", "torchvision", "timm")
USED = {"onnxruntime": "onnxruntime", "int8": "nncf", "open_clip": "open_clip_torch", "hf": "transformers"}


def new_record(
    dataset: DataSet, prepared: Prepared, grid: Grid, classes: ClassMap | None, parts: dict[str, Any]
) -> dict[str, Any]:
    """A run that has just been planned; `parts` is its fingerprint."""
    return {
        "format": FORMAT,
        "fingerprint": whole_fingerprint(parts),
        "fingerprint_parts": parts,
        "data": {
            "spec": redacted(dataset.spec),
            "name": dataset.name,
            "images": len(dataset.items),
            "official": dataset.official,
            "revision": dataset.revision,
            "label_sources": list(dataset.label_sources),
        },
        "classes": classes.to_json() if classes else None,
        "model": {
            "spec": redacted(prepared.text),
            "card": prepared.card.to_json(),
            "backend": prepared.backend,
            "device": prepared.device,
            "precision": prepared.precision,
        },
        "batch_size": prepared.batch_size,
        "grid": grid.to_json(),
        "versions": _versions(prepared),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sessions": [],
    }


def on_recorded_backend(prepared: Prepared, path: Path) -> Prepared:
    """The model on the backend that the run at `path` was started on, where none was asked for.

    What `auto` means may change, by `snellen bench` or with the machine: a run goes on as it began.
    """
    if not exists(path / "run.json"):
        return prepared
    return prepared.as_recorded(str(read_run_json(path)["model"].get("backend", prepared.backend)))


def session_record(started: float, seconds: float, shards: Sized, views: int, workers: int) -> dict[str, Any]:
    """One command's part in a run: when it began (seconds since 1970), how long it took, where, how much."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(seconds, 2),
        "shards": len(shards),
        "views": views,
        "views_per_s": round(views / seconds, 1) if seconds else None,
        "workers": workers,
        "host": platform.node(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "command": redacted_command(sys.argv),
    }


def _versions(prepared: Prepared) -> dict[str, str]:
    kinds = (prepared.backend, prepared.precision, prepared.text.partition("/")[0])
    names = [*LIBRARIES, *(USED[kind] for kind in kinds if kind in USED)]
    versions = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # its work may come from the cache
            versions[name] = importlib.metadata.version(name)
    return versions
