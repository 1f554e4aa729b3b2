"""Scoring predictions from elsewhere against plain recounts: masks, label sets, missing images, ImageNet's labels."""

import io
import json
import math
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from guesses import WNIDS, five, hits, make_folder, recount, some_right, write_csv
from rich.console import Console
from scipy.special import softmax

import snellen
from snellen.datasets import open_dataset
from snellen.errors import DataError, UsageError
from snellen.report.scores import print_scores, score_rows


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


@pytest.fixture
def truth(folder):
    return make_folder(folder)


@pytest.fixture
def imagenet_a(tmp_path):
    """ImageNet-A in small: two images of each of four of its 200 classes."""
    with open(Path(find_spec("timm").origin).parent / "data/_info/imagenet_a_synsets.txt") as file:
        wnids = sorted(file.read().split())
    for wnid in (wnids[0], wnids[7], wnids[100], wnids[199]):
        (tmp_path / "imagenet-a" / wnid).mkdir(parents=True)
        for j in range(2):
            (tmp_path / "imagenet-a" / wnid / f"{wnid}_{j}.jpg").touch()
    return tmp_path / "imagenet-a", [WNIDS.index(wnid) for wnid in wnids]


def test_a_mask_applies_to_logits(imagenet_a, tmp_path):
    root, taking_part = imagenet_a
    names = sorted(p.relative_to(root).as_posix() for p in root.glob("*/*"))
    truth = {name: WNIDS.index(name.split("/")[0]) for name in names}
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(8, 1000)).astype(np.float32)
    outside = next(i for i in range(1000) if i not in taking_part)
    logits[:, outside] = 50
    for row, k in enumerate(truth.values()):
        logits[row, k] = [9, 2.2, 0, 8][row % 4]
    np.save(tmp_path / "p.npy", logits)
    (score,) = snellen.score(tmp_path / "p.npy", "imagenet-a", root=root).scores
    right1, right5, error = recount(truth, logits, taking_part)
    assert (score.top1.hits, score.top5.hits) == (right1, right5)
    assert right1 >= 4
    assert score.calibration.ece == pytest.approx(error, abs=1e-5)
    # Probabilities over all 1,000 classes, masked, are shares of what is left.
    np.save(tmp_path / "q.npy", softmax(logits.astype(np.float64), axis=1))
    (same,) = snellen.score(tmp_path / "q.npy", "imagenet-a", root=root).scores
    assert (same.top1, same.top5) == (score.top1, score.top5)
    assert same.calibration.ece == pytest.approx(error, abs=1e-5)


def test_a_class_outside_the_mask_counts_as_wrong_and_is_said(imagenet_a, tmp_path):
    root, taking_part = imagenet_a
    outside = next(i for i in range(1000) if i not in taking_part)
    names = sorted(p.name for p in root.glob("*/*"))
    rows = [(name, outside if place < 3 else WNIDS.index(name[:9])) for place, name in enumerate(names)]
    path = write_csv(tmp_path / "p.csv", ["image", "class"], rows)
    scores = snellen.score(path, "imagenet-a", root=root)
    assert hits(scores) == (5, 8)
    assert any(note.startswith("3 rows name a class that takes no part in imagenet-a") for note in scores.notes)


@pytest.fixture
def objectnet(tmp_path):
    """ObjectNet in small: two classes, of which one is two of ImageNet's (n04120489 and n03680355)."""
    root = tmp_path / "objectnet-1.0"
    ids = {"teapot": ("n04398044",), "shoe": ("n04120489", "n03680355")}
    lines = sorted({wnid for keys in ids.values() for wnid in keys})
    mappings = {
        "folder_to_objectnet_label.json": {name: name.title() for name in ids},
        "objectnet_to_imagenet_1k.json": {name.title(): "; ".join(keys) for name, keys in ids.items()},
        "pytorch_to_imagenet_2012_id.json": {str(WNIDS.index(wnid)): lines.index(wnid) for wnid in lines},
    }
    (root / "mappings").mkdir(parents=True)
    for name, mapping in mappings.items():
        (root / "mappings" / name).write_text(json.dumps(mapping))
    (root / "mappings" / "imagenet_to_label_2012_v2").write_text("\n".join(lines) + "\n")
    for name in ids:
        (root / "images" / name).mkdir(parents=True)
        for j in range(2):
            (root / "images" / name / f"{name}{j}.png").touch()
    return root, [WNIDS.index(wnid) for wnid in ("n04398044", "n04120489", "n03680355")]


def test_any_id_of_a_class_is_the_class(objectnet, tmp_path):
    root, (teapot, running, loafer) = objectnet
    rows = [("shoe0.png", running), ("shoe1.png", loafer), ("teapot0.png", teapot), ("teapot1.png", loafer)]
    path = write_csv(tmp_path / "p.csv", ["image", "class"], rows)
    (score,) = snellen.score(path, "objectnet", root=root).scores
    assert (score.top1.hits, score.top1.n) == (3, 4)
    assert (score.per_class.value, score.per_class.classes) == (0.75, 2)
    logits = np.full((4, 1000), 10, np.float32)  # all outside are best; of the three, the arg-max over ids decides
    logits[:, [teapot, running, loafer]] = [[1, 0, 2], [1, 2, 0], [2, 1.5, 1.5], [1, 0.9, 0.9]]
    np.save(tmp_path / "p.npy", logits)
    (score,) = snellen.score(tmp_path / "p.npy", "objectnet", root=root).scores
    assert score.top1.hits == 4


def test_any_label_of_an_image_is_right_and_origins_are_told_apart(tmp_path):
    rows = [("a", [3, 7], "x", 7), ("b", [3], "x", 7), ("c", [9], "y", 9), ("d", [1, 2, 3], "y", 3), ("e", [], "y", 3)]
    table = pa.table(
        {
            "image": pa.array([{"bytes": b"", "path": f"{name}.jpg"} for name, *_ in rows]),
            "id": [name for name, *_ in rows],
            "label": pa.array([labels for _, labels, *_ in rows], pa.list_(pa.int64())),
            "origin": [origin for *_, origin, _ in rows],
        }
    )
    pq.write_table(table, tmp_path / "data.parquet")
    data = open_dataset(f"parquet/{tmp_path / 'data.parquet'}")
    guesses = {"a": 7, "b": 7, "c": 9, "d": 3, "e": 3}
    names = [item.id for item in data.items]
    path = write_csv(
        tmp_path / "p.csv", ["image", "pred"], [(n, guesses[row[0]]) for n, row in zip(names, rows, strict=True)]
    )
    (score,) = snellen.score(path, f"parquet/{tmp_path / 'data.parquet'}").scores
    assert (score.top1.hits, score.top1.n) == (3, 4)
    assert {origin: (one.hits, one.n) for origin, one in score.origins.items()} == {"x": (1, 2), "y": (2, 2)}
    # 1: 1/1, 2: 1/1, 3: 2/3 (a, d of a, b, d), 7: 1/1, 9: 1/1
    assert score.per_class.value == pytest.approx((4 + 2 / 3) / 5)


def test_the_predictions_of_snellens_own_runs(folder, truth, tmp_path):
    schema = {"image": pa.int32(), "zoom": pa.int16(), "id0": pa.int32(), "raw_id0": pa.int32(), "p0": pa.float32()}
    rows = [(place, 0, k, 5, 0.5) for place, k in enumerate(some_right(truth).values())][::-1]
    table = pa.table({n: pa.array([r[j] for r in rows], t) for j, (n, t) in enumerate(schema.items())})
    pq.write_table(table, tmp_path / "own.parquet")
    (score,) = snellen.score(tmp_path / "own.parquet", folder).scores
    assert (score.top1.hits, score.top1.n, score.calibration.n) == (7, 12, 12)
    views = table.set_column(1, "zoom", pa.array(range(12), pa.int16()))
    pq.write_table(views, tmp_path / "own.parquet")
    with pytest.raises(DataError, match="several views"):
        snellen.score(tmp_path / "own.parquet", folder)


def test_other_classes_than_imagenets(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for j in range(2):
            (tmp_path / "pets" / name / f"{name}{j}.jpg").touch()
    np.save(tmp_path / "p.npy", np.array([[2, 1], [1, 2], [0, 3], [1, 4.0]]))
    scores = snellen.score(tmp_path / "p.npy", tmp_path / "pets", classes=["cat", "dog"])
    assert hits(scores) == (3, 4)
    assert scores.scores[0].top5.hits == 4  # both classes are among the five


def test_missing_images_are_an_error_unless_said_otherwise(folder, truth, tmp_path):
    rows = list(some_right(truth).items())[2:]
    path = write_csv(tmp_path / "p.csv", ["image", "class"], rows)
    with pytest.raises(
        DataError,
        match=r"2 of 12 images of photos have no prediction, for example 'n\d+/img_1_0.JPEG'; --missing wrong \(",
    ):
        snellen.score(path, folder)
    assert hits(snellen.score(path, folder, missing="wrong")) == (5, 12)
    assert hits(snellen.score(path, folder, missing="skip")) == (5, 10)
    assert (
        "2 images without a prediction are left out (labels own)" in snellen.score(path, folder, missing="skip").notes
    )
    with pytest.raises(UsageError, match="expected error, wrong or skip"):
        snellen.score(path, folder, missing="guess")


def test_strangers_and_repeats_are_counted_and_said(folder, truth, tmp_path):
    rows = list(some_right(truth).items())
    extra = [rows[0], (rows[1][0], 77), ("stranger.jpg", 3), ("another.jpg", 3)]
    scores = snellen.score(write_csv(tmp_path / "p.csv", ["image", "class"], rows + extra), folder)
    assert hits(scores) == (7, 12)
    assert "2 rows are of no image of the data set" in scores.notes
    assert "2 rows repeat an image, 1 with another class; the first of each counts" in scores.notes


def test_no_answer_is_wrong(folder, truth, tmp_path):
    rows = [(name, "" if place in (0, 11) else k, 0.5) for place, (name, k) in enumerate(some_right(truth).items())]
    rows[1] = (rows[1][0], -1, "")
    scores = snellen.score(write_csv(tmp_path / "p.csv", ["image", "class", "prob"], rows), folder)
    assert hits(scores) == (5, 12)
    assert "3 rows name no class, which counts as wrong" in scores.notes
    assert (scores.scores[0].calibration.n, scores.scores[0].calibration.left_out) == (11, 1)


@pytest.fixture(scope="module")
def validation():
    """The labels of the 50,000 images by each source, read without Snellen."""
    with files("snellen.labels").joinpath("imagenet_val.npy").open("rb") as file:
        own = np.load(file).tolist()
    real = json.loads((Path(find_spec("timm").origin).parent / "data/_info/imagenet_real_labels.json").read_text())
    return {
        "imagenet": [[k] for k in own],
        "real": real,
        "imagenet+real": [[k, *r] for k, r in zip(own, real, strict=True)],
    }


@pytest.fixture(scope="module")
def predictions(validation, tmp_path_factory):
    """A seeded guess for each image, in a mixed order: file and {name: (class, probability)}."""
    rng = np.random.default_rng(7)
    guesses = {}
    for number in rng.permutation(50_000):
        accepted = validation["imagenet+real"][number]
        guess = int(rng.choice(accepted)) if rng.random() < 0.8 else int(rng.integers(1000))
        guesses[f"ILSVRC2012_val_{number + 1:08d}.JPEG"] = guess, round(float(rng.random()), 3)
    rows = [(name, *guess) for name, guess in guesses.items()]
    path = tmp_path_factory.mktemp("imagenet") / "predictions.csv"
    return write_csv(path, ["file_name", "predicted_class", "predicted_probability"], rows), guesses


SOURCES = {
    "imagenet": ("imagenet", 50_000),
    "imagenet-real": ("real", 46_837),
    "imagenet+real": ("imagenet+real", 50_000),
    "ImageNet_ReaL": ("real", 46_837),
}


@pytest.mark.parametrize(("data", "source", "n"), [(data, *pair) for data, pair in SOURCES.items()])
def test_imagenet_against_a_recount(predictions, validation, data, source, n):
    path, guesses = predictions
    (score,) = snellen.score(path, data).scores
    right = [
        guesses[f"ILSVRC2012_val_{number:08d}.JPEG"][0] in accepted
        for number, accepted in enumerate(validation[source], 1)
        if accepted
    ]
    assert (score.labels, score.top1.hits, score.top1.n) == (source, sum(right), n)
    assert score.top1.stderr == pytest.approx(math.sqrt(sum(right) / n * (1 - sum(right) / n) / n))
    of_class = {}
    for accepted, hit in zip(filter(None, validation[source]), right, strict=True):
        for k in set(accepted):
            of_class.setdefault(k, []).append(hit)
    assert score.per_class.value == pytest.approx(sum(sum(h) / len(h) for h in of_class.values()) / len(of_class))
    assert score.calibration.n == n


def test_a_path_is_a_folder_whatever_it_is_called(tmp_path, monkeypatch):
    for name in ("imagenet", "imagenet-a"):
        truth = make_folder(tmp_path / name)
        path = write_csv(tmp_path / "p.csv", ["image", "class"], list(some_right(truth).items()))
        monkeypatch.chdir(tmp_path)
        scores = snellen.score(path, Path(name))
        assert (hits(scores), scores.scores[0].labels) == ((7, 12), "own")


def test_one_call_gives_every_label_source_asked_for(predictions):
    path, _ = predictions
    scores = snellen.score(path, "imagenet-real", labels=["imagenet+real", "imagenet", "real"])
    assert [(score.labels, score.top1.n) for score in scores.scores] == [
        ("imagenet+real", 50_000),
        ("imagenet", 50_000),
        ("real", 46_837),
    ]
    assert scores.data == "imagenet"
    with pytest.raises(DataError, match="no labels 'reel'"):
        snellen.score(path, "imagenet", labels="reel")


def test_labels_of_ones_own(folder, truth, tmp_path):
    guesses = some_right(truth)
    path = write_csv(tmp_path / "p.csv", ["image", "class"], list(guesses.items()))
    mine = write_csv(
        tmp_path / "mine.csv",
        ["image_id", "labels"],
        [(n, f"{WNIDS[k]} {WNIDS[(k + 1) % 1000]}") for n, k in truth.items()],
    )
    scores = snellen.score(path, folder, labels=[mine, "own"])
    assert [hits(scores, 0), hits(scores, 1)] == [(12, 12), (7, 12)]


def test_images_without_a_label_need_no_prediction(predictions, validation, tmp_path):
    path, _ = predictions
    unlabelled = {f"ILSVRC2012_val_{k:08d}.JPEG" for k, accepted in enumerate(validation["real"], 1) if not accepted}
    lines = [line for line in path.read_text().splitlines() if line.split(",")[0] not in unlabelled]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    assert snellen.score(tmp_path / "p.csv", "imagenet-real").scores[0].top1.n == 46_837
    with pytest.raises(DataError, match="3163 of 50000 images of imagenet have no prediction"):
        snellen.score(tmp_path / "p.csv", "imagenet")


def test_every_row_has_its_error_and_interval(folder, truth, tmp_path):
    rows = [[name, *five(k, place % 6), 0.5] for place, (name, k) in enumerate(truth.items())]
    path = write_csv(tmp_path / "p.csv", ["image", *(f"id{j}" for j in range(5)), "p0"], rows)
    scores = snellen.score(path, folder)
    table = {what: numbers for what, *numbers in score_rows(scores.scores[0])}
    assert list(table) == ["top-1", "top-5", "mean over 4 classes", "calibration error (15 bins)"]
    assert [table["top-5"][k] for k in (0, 4)] == [10 / 12, 12]
    assert table["mean over 4 classes"][4] == table["top-1"][4]
    text = io.StringIO()
    print_scores(scores, Console(file=text, width=200))
    for words in ("16.67", "83.33", "10.76", "55.20 – 95.30", "labels own", "read as class: id0, id1, id2, id3, id4"):
        assert words in text.getvalue()
    record = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert record["scores"][0]["top5"]["hits"] == 10
    assert record["scores"][0]["top5"]["stderr"] == pytest.approx(math.sqrt(10 / 12 * 2 / 12 / 12))


def test_it_needs_no_torch(predictions):
    code = (
        "import sys, snellen.report.scores; from snellen.score import score; score(sys.argv[1], 'imagenet+real');"
        "print([name for name in ('torch', 'timm', 'torchvision', 'openvino', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(predictions[0])], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
