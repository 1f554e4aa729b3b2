"""What all tests share: the photographs, one model cache a session, a study of seconds, a made-up run."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from small_study import write_pictures, write_weights

from snellen.labels import ClassSpace
from snellen.store.labels import encode_labels
from snellen.store.schema import PREDICTIONS, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID, Grid

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples on every machine; a busy one may be slow.
settings.register_profile("snellen", deadline=None, derandomize=True, database=None)
settings.load_profile("snellen")


@pytest.fixture(scope="session", autouse=True)
def snellen_cache(tmp_path_factory):
    """$SNELLEN_CACHE for the whole session, also for child processes and for pytest-xdist's workers beside this one.

    One that is set already is kept.
    """
    if "SNELLEN_CACHE" in os.environ:
        yield Path(os.environ["SNELLEN_CACHE"])
        return
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # a folder of this worker's own in that of the session
        folder = folder.parent
    os.environ["SNELLEN_CACHE"] = str(folder / "cache")
    yield Path(os.environ["SNELLEN_CACHE"])
    del os.environ["SNELLEN_CACHE"]


@pytest.fixture(scope="session")
def examples_dir() -> Path:
    """The folder of the photographs that ship with the package."""
    return Path(str(files("snellen.datasets.examples")))


@pytest.fixture(scope="session")
def sample_images() -> Path:
    """300 labelled photographs in class folders: $SNELLEN_SAMPLES, or shared/assets/images beside the repository."""
    folder = Path(os.environ.get("SNELLEN_SAMPLES", REPOSITORY.parent / "shared" / "assets" / "images"))
    if not folder.is_dir():
        pytest.skip(f"no sample photographs at {folder}; set SNELLEN_SAMPLES to a folder DIR/<class>/<image>")
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """The checkpoint of a tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_weights):
    """The spec of that network."""
    return f"timm/lcnet_035@{tiny_weights},mean=0.5,std=0.5"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """24 small pictures in five class folders."""
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root)
    return root


@pytest.fixture
def own_pictures(pictures, tmp_path):
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(pictures, tmp_path / "pictures"))


@dataclass(frozen=True)
class MadeUpRun:
    """A run that no model made, and the truth it was made from.

    ids: best class of every readable image at every zoom, int32 `[images, zooms]`.
    labels: the label set of each row of `ids`.
    errors: what `Run.errors` should list.
    """

    path: Path
    space: ClassSpace
    grid: Grid
    image_ids: list[str]
    images: list[int]
    ids: NDArray[np.int32]
    labels: list[list[int]]
    errors: list[tuple[str, str]]


@pytest.fixture
def make_run(tmp_path):
    """`make_run(images, …)`: a run on disk of random answers, through the store's writer.

    bad: images that could not be read; shards: their bounds; left_out: shards not committed yet;
    best: the best class of every image at every zoom, where it should not be random.
    """

    def make(
        images: int = 12,
        *,
        path: Path | None = None,
        grid: Grid = PAPER_GRID,
        classes: int = 7,
        bad: Sequence[int] = (),
        shards: Sequence[int] | None = None,
        left_out: Sequence[int] = (),
        best: NDArray[np.int32] | None = None,
        seed: int = 0,
    ) -> MadeUpRun:
        rng = np.random.default_rng(seed)
        path = path or tmp_path / "made-up"
        bounds = [0, images] if shards is None else list(shards)
        space = ClassSpace.of_names([f"kind-{k}" for k in range(classes)], "made-up")
        (path / "parts").mkdir(parents=True)
        (path / "commits").mkdir()
        ids = rng.integers(0, classes, (images, len(grid), 5)).astype(np.int32)
        names = [f"folder/{k:03d}.jpg" for k in range(images)]
        labels = [sorted(rng.choice(classes, rng.integers(1, 3), replace=False).tolist()) for _ in range(images)]
        # Some images are easy, some cannot be read at any zoom: right answers must not be spread evenly.
        for k in range(images):
            ids[k, rng.random(len(grid)) > k / images, 0] = (labels[k][0] + 1) % classes
        if best is not None:
            ids[:, :, 0] = best
        # Written last to first: the order of commits is not the order of images.
        for shard in reversed([s for s in range(len(bounds) - 1) if s not in left_out]):
            inside = range(bounds[shard], bounds[shard + 1])
            samples = [
                {
                    "image": k,
                    "image_id": names[k],
                    "origin": "made-up",
                    "width": None if k in bad else 10 + k,
                    "height": None if k in bad else 20,
                    "sha256": None if k in bad else f"{k:064x}",
                    "error": f"broken {k}" if k in bad else None,
                }
                for k in inside
            ]
            rows = [
                {
                    "image": k,
                    "zoom": zoom,
                    **{f"id{j}": ids[k, zoom, j] for j in range(5)},
                    **{f"p{j}": 0.5 / (j + 1) for j in range(5)},
                    "raw_id0": ids[k, zoom, 0],
                    "raw_p0": 0.5,
                }
                for k in inside
                if k not in bad
                for zoom in range(len(grid))
            ]
            tables = {
                "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
                "predictions": pa.Table.from_pylist(rows, schema=PREDICTIONS),
            }
            work = {"fingerprint": "f" * 64, "images": len(inside), "started": 100.0 * shard, "seconds": 2.0}
            assert commit(path, shard, tables, {"start": inside.start, "stop": inside.stop, **work})
        record = {
            "format": 1,
            "fingerprint": "f" * 64,
            "fingerprint_parts": {},
            "batch_size": 4,
            "sessions": [],
            "data": {"spec": "made-up-data", "name": "made-up", "images": bounds[-1]},
            "model": {
                "spec": "made-up-model",
                "precision": "fp32",
                "card": {"space": space.name, "keys": list(space.keys)},
            },
            "grid": grid.to_json(),
            "shards": bounds,
        }
        (path / "run.json").write_text(json.dumps(record))
        (path / "labels.csv").write_bytes(encode_labels(names, labels, space))
        there = [k for s in range(len(bounds) - 1) if s not in left_out for k in range(bounds[s], bounds[s + 1])]
        read = [k for k in there if k not in bad]
        return MadeUpRun(
            path,
            space,
            grid,
            [names[k] for k in read],
            read,
            ids[read, :, 0],
            [labels[k] for k in read],
            [(names[k], f"broken {k}") for k in there if k in bad],
        )

    return make
