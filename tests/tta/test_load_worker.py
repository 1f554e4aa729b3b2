"""A worker as a job loads it: the network, normalisation, precision and classes reach what answers."""

import pyarrow.parquet as pq
import pytest
import torch
from plain_memo import plain_memo

from snellen.classifiers import prepare
from snellen.datasets import open_dataset
from snellen.engine.answers import masked, softmax
from snellen.engine.worker import Task
from snellen.labels import ClassMap
from snellen.store.commits import read_commits
from snellen.tta.memo_options import parse_memo
from snellen.tta.methods import parse_methods
from snellen.tta.worker import load_worker
from snellen.zoom import Grid
from snellen.zoom.render import decode, render

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
NAMES = [f"kind-{k}" for k in range(9)]
CLASSES = ClassMap("some", ((0, 3), (4,), (8,)), len(NAMES))
TAKING_PART = (0, 3, 4, 8)
# A step large enough to change the answers of so small a network.
MEMO = "memo-rrc,k=2,lr=2,seed=3"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    layers = (torch.nn.Conv2d(3, 16, 7, stride=8), torch.nn.BatchNorm2d(16), torch.nn.ReLU())
    head = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, len(NAMES)))
    return torch.nn.Sequential(*layers, *head).eval()


@pytest.fixture(scope="module")
def dataset(pictures):
    return open_dataset(pictures)


def answered(network, dataset, path, names, precision="fp32"):
    """The worker of a job, and for each method its rows of the first six images."""
    prepared = prepare(
        network, mean=MEAN, std=STD, classes=NAMES, name="small", backend="torch", precision=precision, batch_size=5
    )
    methods = parse_methods(names)
    job = {"run": str(path), "methods": [method.to_json() for method in methods], "cost": 11}
    for folder in ("parts", "commits"):
        (path / folder).mkdir()
    worker = load_worker(job, prepared, dataset, Grid("none", ()), CLASSES)
    assert worker.run(Task(0, 0, 6), lambda cost: None)
    (record,) = read_commits(path).values()
    rows = pq.read_table(path / "parts" / record["files"]["methods"]["name"]).to_pylist()
    return worker, {method.name: [row for row in rows if row["method"] == method.name] for method in methods}


def check(rows, expected, tolerance):
    """`expected`: probabilities `[images, classes]`."""
    assert len(rows) == len(expected)
    for row, probs in zip(rows, expected, strict=True):
        assert row["p0"] == pytest.approx(probs.max(), abs=tolerance)
        assert row["id0"] in TAKING_PART
        assert probs[row["id0"]] == pytest.approx(probs.max(), abs=2 * tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.02)])
def test_answers_are_those_of_a_plain_loop(network, dataset, tmp_path, monkeypatch, precision, tolerance):
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)  # what compiling changes is for test_memo.py
    worker, rows = answered(network, dataset, tmp_path, ["5crop", MEMO], precision)
    assert (worker.run_path, worker.batch_size, worker.cost, list(worker.adapted)) == (tmp_path, 5, 11, [MEMO])
    images = [decode(dataset.read(k)) for k in range(6)]
    crops, adapted = [], []
    for k, image in enumerate(images):
        views = torch.from_numpy(render(image, parse_methods(["5crop"])[0].rules)).float() / 255
        with torch.no_grad():
            logits = network(((views - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)).numpy()
        crops.append(softmax(masked(logits, CLASSES)).mean(0))
        options, key = parse_memo(MEMO), dataset.items[k].id
        logits = plain_memo(network, image, options, key, 224, MEAN, STD, classes=TAKING_PART)
        adapted.append(softmax(masked(logits[None], CLASSES))[0])
    check(rows["5crop"], crops, tolerance)
    check(rows[MEMO], adapted, tolerance)
    assert max(abs(a[4] - b[4]) for a, b in zip(crops, adapted, strict=True)) > 5 * tolerance, "the step changes little"
    exact = [abs(row["p0"] - probs.max()) < 1e-6 for row, probs in zip(rows[MEMO], adapted, strict=True)]
    assert all(exact) == (precision == "fp32")


def test_nothing_is_loaded_that_no_method_needs(network, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)
    worker, rows = answered(network, dataset, tmp_path, [MEMO])
    assert worker.classifier is None
    assert len(rows[MEMO]) == 6
