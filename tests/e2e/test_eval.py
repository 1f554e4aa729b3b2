"""The benchmark as a user runs it: its numbers against each library's own pipeline, its files, its errors."""

import csv
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from commands import one_line, run_cli
from looking import tree
from PIL import Image

import snellen
from snellen.labels import IMAGENET_1K

TIMM = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation"
LITE = "embedded/efficientnet_lite0"


def rows_of(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_shipped_network_scores_as_timms_own_pipeline(examples_dir, tmp_path):
    """Every shipped photograph through timm's own transform and the eager network, scored by a loop."""
    from snellen.classifiers.sources import load
    from snellen.classifiers.spec import parse_spec

    done = run_cli("eval", "examples", "-m", LITE, "-o", tmp_path, "--json", "-q")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    module = load(parse_spec(LITE)).module
    config = timm.data.resolve_data_config({}, model=timm.create_model("tf_efficientnet_lite0"))
    transform = timm.data.create_transform(**config, is_training=False)
    with (examples_dir / "labels.csv").open(newline="") as file:
        labels = {
            row["image_id"]: [IMAGENET_1K.find(word) for word in row["labels"].split()] for row in csv.DictReader(file)
        }
    first = five = 0
    answers = []
    with torch.inference_mode():
        for name in sorted(labels):
            view = transform(Image.open(examples_dir / name).convert("RGB"))
            best = module(view[None]).softmax(1)[0].topk(5)
            answers.append((best.indices.tolist(), best.values.tolist()))
            first += best.indices[0].item() in labels[name]
            five += bool(set(best.indices.tolist()) & set(labels[name]))
    assert (result["top1"]["hits"], result["top5"]["hits"], result["top1"]["n"]) == (first, five, len(labels))
    run = snellen.load_run(result["run"])
    assert [run.answers(f"id{k}")[:, 0].tolist() for k in range(5)] == [[a[0][k] for a in answers] for k in range(5)]
    assert np.abs(run.answers("p0")[:, 0] - [a[1][0] for a in answers]).max() < 1e-4
    (row,) = rows_of(tmp_path)
    assert list(row)[:9] == [
        "model",
        "img_size",
        "top1",
        "top1_err",
        "top5",
        "top5_err",
        "param_count",
        "crop_pct",
        "interpolation",
    ]
    assert (row["img_size"], row["crop_pct"], row["interpolation"]) == ("224", "0.875", "bicubic")
    assert float(row["top1"]) == pytest.approx(100 * first / len(labels), abs=1e-3)
    assert float(row["top1"]) + float(row["top1_err"]) == pytest.approx(100)
    assert row["param_count"] == f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f}"


def test_again_recomputes_nothing_and_another_model_adds_its_row(pictures, tiny, tmp_path):
    first = run_cli("eval", pictures, "-m", tiny, "-o", tmp_path, "-q")
    assert first.returncode == 0, first.stderr
    before = tree(tmp_path)
    again = run_cli("eval", pictures, "-m", tiny, "-o", tmp_path, "-q")
    assert (again.stdout, tree(tmp_path)) == (first.stdout, before)
    two = run_cli("eval", pictures, "-m", tiny, "-m", LITE, "-o", tmp_path, "-q")
    assert two.returncode == 0, two.stderr
    assert [row["model"] for row in rows_of(tmp_path)].count(tiny) == 1
    assert {row["model"] for row in rows_of(tmp_path)} == {tiny, LITE}
    assert "group" in two.stdout
    runs = {run.model: run for run in snellen.store.find.find_runs(tmp_path)}
    assert runs.keys() == {tiny, LITE}
    for row in rows_of(tmp_path):
        share = runs[row["model"]].accuracy()
        assert (int(row["n"]), float(row["top1"])) == (24, pytest.approx(100 * share.value, abs=1e-3))
        assert float(row["ci_low"]) == pytest.approx(100 * share.low, abs=1e-3)


def test_one_run_serves_every_label_source(pictures, tiny, tmp_path):
    """A validation folder of ImageNet: three label sources, one forward pass an image."""
    flat = tmp_path / "ILSVRC2012_img_val"
    flat.mkdir()
    for number, path in enumerate(sorted(pictures.rglob("*.png"))[:12], 1):
        Image.open(path).convert("RGB").save(flat / f"ILSVRC2012_val_{number:08d}.JPEG")
    out = tmp_path / "out"
    sources = "imagenet,real,imagenet+real"
    done = run_cli("eval", "imagenet", "--root", flat, "-m", tiny, "-o", out, "--labels", sources, "-q", "--json")
    assert done.returncode == 0, done.stderr
    results = {result["labels"]: result for result in json.loads(done.stdout)}
    assert list(results) == sources.split(",")
    assert len({result["run"] for result in results.values()}) == 1
    before = tree(out / "imagenet")
    alias = run_cli("eval", "imagenet-real", "--root", flat, "-m", tiny, "-o", out, "-q", "--json")
    assert tree(out / "imagenet") == before
    assert json.loads(alias.stdout)[0]["top1"] == results["real"]["top1"]
    run = snellen.load_run(results["real"]["run"])
    right = {}
    for source in results:
        labels = run.labels(source)
        scored = [(set(ids), answer) for ids, answer in zip(labels, run.answers()[:, 0], strict=True) if ids]
        right[source] = (sum(answer in ids for ids, answer in scored), len(scored))
        assert (results[source]["top1"]["hits"], results[source]["top1"]["n"]) == right[source]
    assert right["imagenet"][1] == right["imagenet+real"][1] == 12


def hub_copy(examples_dir, folder):
    """The Hub's schema of imagenet-hard, two labels an image, the second wrong; and how many labels fit by hand."""
    rng = np.random.default_rng(0)
    names = sorted(path.name for path in examples_dir.glob("*.*") if path.suffix in (".jpg", ".jpeg", ".png"))
    with (examples_dir / "labels.csv").open(newline="") as file:
        known = {row["image_id"]: row["labels"].split() for row in csv.DictReader(file)}
    labels = [[IMAGENET_1K.find(known[name][0]), int(rng.integers(1000))] for name in names]
    table = pa.table(
        {
            "image": pa.array([{"bytes": (examples_dir / n).read_bytes(), "path": n} for n in names]),
            "label": pa.array(labels, pa.list_(pa.int64())),
            "origin": pa.array(["one" if k % 2 else "other" for k in range(len(names))]),
            "english_label": pa.array([["a", "b"]] * len(names)),
        }
    )
    folder.mkdir()
    pq.write_table(table, folder / "validation-00000-of-00001.parquet", row_group_size=5)
    return names, labels


def test_parquet_and_imagenet_hard_give_the_same_number(examples_dir, tmp_path):
    names, labels = hub_copy(examples_dir, tmp_path / "data")
    results = []
    for data, root in ((f"parquet/{tmp_path / 'data'}", []), ("imagenet-hard", ["--root", tmp_path / "data"])):
        done = run_cli("eval", data, *root, "-m", LITE, "-o", tmp_path / "out", "--json", "-q")
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout)[0])
    assert results[0]["top1"] == results[1]["top1"]
    reference = snellen.evaluate(LITE, "examples", out=tmp_path / "out").results[0].run
    best = dict(zip(reference.image_ids, reference.answers()[:, 0].tolist(), strict=True))
    expected = [best[name] in row for name, row in zip(names, labels, strict=True)]
    assert (results[0]["top1"]["hits"], results[0]["top1"]["n"]) == (sum(expected), len(names))
    for origin in ("one", "other"):
        wanted = [right for k, right in enumerate(expected) if (k % 2 == 1) == (origin == "one")]
        share = results[1]["by_origin"][origin]
        assert (share["hits"], share["n"]) == (sum(wanted), len(wanted))


def test_logits_are_masked_to_the_data_sets_classes(pictures, tiny, tmp_path):
    """ImageNet-R's 200 classes: the answers of the masked run are those of the plain one, masked by hand."""
    from snellen.labels.imagenet import subset_keys

    classes = subset_keys("r")
    root = tmp_path / "imagenet-r"
    for k, path in enumerate(sorted(pictures.rglob("*.png"))[:8]):
        (root / classes[k % 5]).mkdir(parents=True, exist_ok=True)
        (root / classes[k % 5] / path.name).write_bytes(path.read_bytes())
    done = run_cli("eval", "imagenet-r", "--root", root, "-m", tiny, "-o", tmp_path / "out", "-q", "--json")
    assert done.returncode == 0, done.stderr
    run = snellen.load_run(json.loads(done.stdout)[0]["run"])
    kept = snellen.study(tiny, root, out=tmp_path / "plain", keep_probs=True, limit=None)
    part = sorted(IMAGENET_1K.find(word) for word in classes)
    assert len(part) == 200
    assert set(run.answers("id0").ravel()) <= set(part)
    masked = snellen.study(tiny, "imagenet-r", root=root, out=tmp_path / "out")
    probs = np.concatenate([probs for _, probs in kept.probabilities()])
    assert probs.shape == (8, 324, 1000)
    for zoom in (0, 112, 323):
        for k in range(8):
            best = part[int(np.argmax(probs[k, zoom, part]))]
            found = masked.answers()[k, zoom]
            assert found == best or abs(probs[k, zoom, best] - probs[k, zoom, found]) < 2e-3 * probs[k, zoom, best]
    assert np.array_equal(masked.answers("raw_id0"), kept.answers("id0"))


WRONG = [
    (["examples", "-m", "timm/resnet5O"], "did you mean"),
    (["examples", "-m", "resnet50"], "is not understood"),
    (["imagenet-x", "-m", LITE], "nearest"),
    (["imagenet-a", "-m", LITE, "--root", "/nowhere"], "'/nowhere' is no folder"),
    (["parquet/{parquet},label=klass", "-m", LITE], "klass"),
    (["examples", "-m", LITE, "--labels", "nowhere.csv"], "no file of labels"),
    (["examples", "-m", LITE, "--labels", "real"], "no labels 'real'"),
    (["imagenet-a", "--root", "{a}", "-m", "{ten}"], "classes that this model's head lacks"),
    (["examples", "-m", "{nan}"], "not numbers"),
    (["hub/someone/photos", "-m", LITE], "hub|Hub"),
    (["examples", "-m", LITE, "--expect", "nowhere.yaml"], "nowhere.yaml"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_call_costs_one_line(arguments, message, examples_dir, tmp_path):
    hub_copy(examples_dir, tmp_path / "parquet")
    folder = tmp_path / "imagenet-a" / "n01498041"
    folder.mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(folder / "1.png")
    (tmp_path / "own.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, n, scale):\n        super().__init__()\n"
        "        self.head, self.scale = torch.nn.Linear(3, n), scale\n"
        "        if n == 10: self.classes = [f'c{k}' for k in range(10)]\n"
        "    def forward(self, x):\n        return self.scale * self.head(x.mean((2, 3)))\n"
        "def ten():\n    return Net(10, 1.0)\ndef nan():\n    return Net(1000, float('nan'))\n"
    )
    places = {"parquet": tmp_path / "parquet", "a": tmp_path / "imagenet-a"}
    places |= {name: f"{tmp_path / 'own.py'}:{name}" for name in ("ten", "nan")}
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    call = [text.format(**places) for text in arguments]
    line = one_line(run_cli("eval", *call, "-o", tmp_path / "out", "-q", env=environment))
    assert re.search(message, line), line


def test_what_cannot_be_had_does_not_stop_the_others(pictures, tiny, tmp_path):
    done = run_cli("eval", pictures, "nowhere", "-m", "timm/resnet5O", "-m", tiny, "-o", tmp_path, "-q")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["left out timm/resnet5O", "left out nowhere"]
    assert len(rows_of(tmp_path)) == 1
