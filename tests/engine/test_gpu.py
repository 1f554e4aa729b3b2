"""The worker of a GPU, on the CPU where there is none: the same rows as the plain worker's, whatever happens."""

import subprocess
import sys

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from snellen.classifiers.backend_torch import TorchClassifier
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets import open_dataset
from snellen.engine import gpu, local
from snellen.engine.gpu import GpuWorker, load_gpu_worker
from snellen.engine.schedule import KILLER
from snellen.engine.worker import NOT_NUMBERS, Task, Worker, load_worker
from snellen.errors import EngineError, Stopped
from snellen.labels import ClassMap
from snellen.store.commits import read_commits
from snellen.zoom import ViewRule, paper_grid
from snellen.zoom.grid import Grid

GRID = paper_grid(scales=(16, 48, 224))
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]
OUTPUTS = 7
CARD = ModelCard(
    *("made up", "0" * 64, 224, OwnTransform(224, 256, "bicubic")),
    *((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "kinds", tuple(f"kind-{k}" for k in range(OUTPUTS)), 1, 0),
)


def classifier_on(device):
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 12, 9, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(3), torch.nn.Flatten())
    return TorchClassifier(torch.nn.Sequential(*layers, torch.nn.Linear(108, OUTPUTS)), CARD, device, "fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven images: one broken, one too long for the device, one that is cut columns first."""
    root = tmp_path_factory.mktemp("data") / "n01440764"
    root.mkdir()
    shapes = [(40, 30), (31, 45), (20, 8200), (1, 1), (50, 37), (100, 500), (33, 60)]
    for k, (width, height) in enumerate(shapes):
        pixels = np.random.default_rng(k).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    (root / "3.png").write_bytes(b"broken")
    return root.parent


@pytest.fixture(scope="module", params=DEVICES)
def pair(request, folder, tmp_path_factory):
    """A plain worker and a GPU's, with a network on the same device."""
    made = []
    for kind, more in ((Worker, {}), (GpuWorker, {"device": request.param, "decoders": 2})):
        worker = kind(
            tmp_path_factory.mktemp("run"), open_dataset(folder), classifier_on(request.param), GRID, 10, **more
        )
        made.append(worker)
    return made


def committed(worker, folder, task, progress=lambda views: None):
    """The tables of a shard, after the worker has done it in an empty folder."""
    for name in ("parts", "commits"):
        (folder / name).mkdir(parents=True)
    worker.run_path = folder
    assert worker.run(task, progress)
    record = read_commits(folder)[task.shard]
    tables = {kind: pq.read_table(folder / "parts" / file["name"]) for kind, file in record["files"].items()}
    return tables, {key: record[key] for key in ("start", "stop", "images", "errors", "views")}


def both(pair, tmp_path, task):
    """What both workers commit, asserted to be equal."""
    plain, gpus = (committed(worker, tmp_path / str(k), task) for k, worker in enumerate(pair))
    assert gpus[1] == plain[1]
    assert gpus[0].keys() == plain[0].keys()
    for kind, table in plain[0].items():
        assert gpus[0][kind].equals(table), kind
    return gpus[0]


@pytest.mark.parametrize("batch_size", [1, 10, 27, 28, 500])
def test_the_rows_are_the_plain_workers(pair, batch_size, tmp_path):
    for worker in pair:
        worker.batch_size = batch_size
    rows = both(pair, tmp_path, Task(2, 0, 7))
    errors = rows["samples"]["error"].to_pylist()
    assert [error is None for error in errors] == [True, True, True, False, True, True, True]
    assert len(rows["predictions"]) == 6 * len(GRID)
    assert len(set(rows["predictions"]["id0"].to_pylist())) > 1


def test_class_spaces_and_all_probabilities(pair, tmp_path, monkeypatch):
    for worker in pair:
        monkeypatch.setattr(worker, "classes", ClassMap("three", ((1, 4), (0,), (6,)), OUTPUTS))
        monkeypatch.setattr(worker, "keep_probs", True)
    rows = both(pair, tmp_path, Task(0, 1, 5))
    assert set(rows["predictions"]["id0"].to_pylist()) <= {0, 1, 4, 6}
    assert len(rows["logprobs"]) == 3 * len(GRID)


def test_skipped_images_and_tries(pair, tmp_path):
    rows = both(pair, tmp_path, Task(0, 0, 3, skip={1: "it kills"}))
    assert rows["samples"]["error"].to_pylist() == [None, "it kills", None]
    assert not pair[1].run(Task(1, 0, 2, commit=False), lambda views: None)
    assert 1 not in read_commits(pair[1].run_path)


def test_progress_hears_of_every_view(pair, tmp_path):
    heard = []
    committed(pair[1], tmp_path, Task(0, 0, 7), heard.append)
    assert sum(heard) == 6 * len(GRID)


def test_logits_that_are_no_numbers(pair, tmp_path, monkeypatch):
    sound = pair[1].classifier

    class Overflowing:
        def logits_on_device(self, views):
            logits = sound.logits_on_device(views).clone()
            logits[views.float().mean((1, 2, 3)) == views.float().mean((1, 2, 3)).max()] = torch.nan
            return logits

    monkeypatch.setattr(pair[1], "classifier", Overflowing())
    monkeypatch.setattr(pair[1], "batch_size", len(GRID))
    rows, record = committed(pair[1], tmp_path, Task(0, 0, 2))
    assert rows["samples"]["error"].to_pylist() == [NOT_NUMBERS] * 2
    assert record["views"] == 0


def test_a_device_out_of_memory_is_one_line(pair, monkeypatch):
    class Full:
        def logits_on_device(self, views):
            raise torch.OutOfMemoryError("tried to allocate 80 GB\nand much more")

    monkeypatch.setattr(pair[1], "classifier", Full())
    with pytest.raises(EngineError, match=r"^.*too little memory for batches of \d+ views.*--batch-size$"):
        pair[1].run(Task(0, 0, 2), lambda views: None)


@pytest.mark.parametrize("device", DEVICES)
def test_a_grid_of_few_views_is_cut_where_it_is_decoded(folder, device, tmp_path):
    rules = [ViewRule(r, 1, 1, 96, name, "spread") for r, name in ((110, "nearest"), (128, "lanczos"))]
    grid = Grid("own", tuple(rules))
    classifier = classifier_on(device)
    made = [Worker(tmp_path, open_dataset(folder), classifier, grid, 5)]
    made.append(GpuWorker(tmp_path, open_dataset(folder), classifier, grid, 5, device=device))
    rows = both(made, tmp_path, Task(0, 0, 7))
    assert len(rows["predictions"]) == 12
    made[1]._pool.close()


KILLS = """
import os, signal
from PIL import Image

opened = Image.open

def watched(*arguments, **options):
    image = opened(*arguments, **options)
    if image.size in ((31, 45), (33, 60)):
        os.kill(os.getpid(), signal.SIGKILL)
    return image

Image.open = watched
"""


def test_images_that_end_their_decode_process(folder, tmp_path, monkeypatch):
    """Two of seven kill whatever opens them: they are listed, the others are answered as ever."""
    (tmp_path / "sitecustomize.py").write_text(KILLS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    classifier = classifier_on("cpu")
    plain = Worker(tmp_path, open_dataset(folder), classifier, GRID, 50)
    fragile = GpuWorker(tmp_path, open_dataset(folder), classifier, GRID, 50, device="cpu", decoders=2)
    found, _ = committed(fragile, tmp_path / "fragile", Task(0, 0, 7))
    wanted, _ = committed(plain, tmp_path / "plain", Task(0, 0, 7, skip={1: KILLER, 6: KILLER}))
    assert all(found[kind].equals(table) for kind, table in wanted.items())
    fragile._pool.close()


def test_a_decode_process_killed_by_chance_costs_nothing(pair, tmp_path):
    committed(pair[1], tmp_path / "before", Task(0, 0, 1))
    killed = [child._process for child in pair[1]._pool._children if child._process]
    for process in killed:
        process.kill()
    assert killed
    both(pair, tmp_path, Task(0, 0, 7))


def test_a_lost_data_set_stops_the_run(folder, tmp_path):
    root = tmp_path / "data"
    (root / "n01440764").mkdir(parents=True)
    for k in range(3):
        Image.new("RGB", (9, 9)).save(root / "n01440764" / f"{k}.png")
    worker = GpuWorker(tmp_path, open_dataset(root), classifier_on("cpu"), GRID, 50, device="cpu")
    committed(worker, tmp_path / "out", Task(0, 0, 1))
    root.rename(tmp_path / "unmounted")
    with pytest.raises(Stopped, match="the same command resumes"):
        worker.run(Task(1, 1, 3), lambda views: None)
    worker._pool.close()


def test_a_job_on_a_gpu_gets_this_worker(folder, tmp_path):
    class Ready:
        device, batch_size = "cuda:1", 324

        def classifier(self):
            return classifier_on("cpu")

    dataset = open_dataset(folder)
    job = {"data": dataset.spec, "images": dataset.fingerprint, "grid": GRID.to_json(), "classes": None}
    worker = load_worker(job | {"run": str(tmp_path), "keep_probs": True}, Ready())
    assert isinstance(worker, GpuWorker)
    assert (worker.device, worker.run_path, worker.keep_probs, worker.batch_size) == ("cuda:1", tmp_path, True, 324)
    assert worker.decoders >= 1


@pytest.mark.parametrize(("device", "workers"), [("cuda:1", 1), ("cuda", 1), ("cuda", 3), ("cuda", 6)])
def test_a_worker_has_the_cores_of_as_many_as_there_are(folder, tmp_path, monkeypatch, device, workers):
    """On three GPUs: all cores for one worker, a third for each of three, a sixth for each of two on each GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr(local, "cores", lambda: list(range(12)))
    monkeypatch.setattr(gpu, "cores", lambda: list(range(12)))
    script = "import sys; print(sys.stdin.readline(), end='')"
    monkeypatch.setattr(local, "child_command", lambda _: [sys.executable, "-c", script])

    class Ready:
        batch_size = 9

        def __init__(self, device):
            self.device = device

        def to_json(self):
            return {"device": self.device}

        def classifier(self):
            return classifier_on("cpu")

    crew = local.LocalCrew({"run": str(tmp_path), "keep_probs": False, "sharing": workers}, Ready(device))
    crew.start()
    while "run" not in (job := (crew.next_event() or (0, {}))[1]):
        pass
    crew.end()
    worker = load_gpu_worker(job, Ready(job["model"]["device"]), open_dataset(folder), GRID, None)
    assert worker.decoders == 12 // workers


@pytest.mark.parametrize("kind", ["bytes", "paths"])
def test_rows_of_parquet_files_are_read_once_and_in_order(folder, kind, tmp_path, monkeypatch):
    """By this process where the rows hold the images; and the rows committed are the plain worker's."""
    names = sorted(path.name for path in (folder / "n01440764").iterdir())
    data = [(folder / "n01440764" / name).read_bytes() for name in names]
    if kind == "paths":
        for name, image in zip(names, data, strict=True):
            (tmp_path / name).write_bytes(image)
    cells = [image if kind == "bytes" else name for name, image in zip(names, data, strict=True)]
    cells[4] = None  # a row without an image
    pq.write_table(pa.table({"image": cells, "label": [0] * 7}), tmp_path / "a.parquet", row_group_size=4)
    dataset, read = open_dataset(f"parquet/{tmp_path}/a.parquet"), []
    assert dataset.in_order == (kind == "bytes")
    classifier = classifier_on("cpu")
    made = [Worker(tmp_path, open_dataset(f"parquet/{tmp_path}/a.parquet"), classifier, GRID, 50)]
    made.append(GpuWorker(tmp_path, dataset, classifier, GRID, 50, device="cpu", decoders=3))
    right = dataset.read
    monkeypatch.setattr(dataset, "read", lambda k: read.append(k) or right(k))
    rows = both(made, tmp_path, Task(0, 0, 7))
    assert read == (list(range(7)) if kind == "bytes" else [])
    assert [error is None for error in rows["samples"]["error"].to_pylist()] == [k not in (3, 4) for k in range(7)]
    made[1]._pool.close()


def test_decode_processes_are_told_to_read_by_ranges_where_the_job_says_so(folder, tmp_path):
    class Ready:
        device, batch_size = "cuda", 9

        def classifier(self):
            return classifier_on("cpu")

    for more, told in (({}, False), ({"stream": True}, True)):
        job = {"run": str(tmp_path), "keep_probs": False, **more}
        pool = load_gpu_worker(job, Ready(), open_dataset(folder), GRID, None)._pool
        assert [child._job["stream"] for child in pool._children] == [told] * len(pool._children)
        pool.close()


SCRIPT = """
import sys
from pathlib import Path
import torch
from snellen.datasets import open_dataset
from snellen.engine.gpu import GpuWorker
from snellen.engine.worker import Task
from snellen.zoom import paper_grid

class Means:
    def logits_on_device(self, views):
        return views.float().mean((1, 2))

print("once")
data, out = map(Path, sys.argv[1:])
worker = GpuWorker(out, open_dataset(data), Means(), paper_grid(scales=(192, 224)), 20, device="cpu", decoders=2)
for name in ("parts", "commits"):
    (out / name).mkdir()
print(worker.run(Task(0, 0, 3), lambda views: None))
print(*[child._process.pid for child in worker._pool._children if child._process])
"""


def test_a_script_needs_no_guard_and_leaves_no_process(folder, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(tmp_path / "script.py"), str(folder), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    once, committed, children = done.stdout.splitlines()
    assert (once, committed) == ("once", "True")
    assert children
    assert not any(psutil.pid_exists(int(pid)) for pid in children.split())
