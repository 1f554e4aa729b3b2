"""The other layouts, read as their own documents describe them."""

import csv
import json
import tarfile

import pytest
from hard_pictures import hard_pictures, publish_options
from hard_set import verdict_on
from PIL import Image

from snellen.datasets import open_dataset
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.log import append
from snellen.mining.publish import write as publish_write
from snellen.mining.publish.publish import publish


@pytest.fixture
def hard(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    append(tmp_path / "hard", [verdict_on(images[0], "relabel", "n01484850", "n01443537")])
    truth = {image.id: ([1, 2] if k == 0 else list(image.labels), image) for k, image in enumerate(images)}
    return tmp_path / "hard", truth


def test_an_image_folder(hard, pictures, tmp_path):
    folder, truth = hard
    publish(folder, tmp_path / "out", publish_options(pictures, form="folder"))
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.items) == len(truth) == 24
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        labels = {row["image_id"]: row["labels"] for row in csv.DictReader(file)}
    for k, item in enumerate(dataset.items):
        key, _, name = item.id.partition("/")
        own, image = truth[name.removesuffix(".png")]
        assert key == IMAGENET_1K.keys[own[0]]
        assert dataset.read(k) == (pictures / image.image_id).read_bytes()
        assert labels[item.id] == "|".join(IMAGENET_1K.keys[label] for label in own)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert {line["file_name"] for line in lines} == {item.id for item in dataset.items}
    assert {line["id"]: line["label"] for line in lines} == {key: own for key, (own, _) in truth.items()}


def test_a_folder_of_images_loads_with_datasets(hard, pictures, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder, truth = hard
    publish(folder, tmp_path / "out", publish_options(pictures, form="folder"))
    data = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    rows = next(iter(data.values()))
    assert dict(zip(rows["id"], rows["label"], strict=True)) == {key: own for key, (own, _) in truth.items()}


def test_tar_files_of_webdataset(hard, pictures, tmp_path, monkeypatch):
    """The rules: a sample is the run of members with one key, which is the name up to its first dot."""
    folder, truth = hard
    monkeypatch.setattr(publish_write, "SHARD_BYTES", 50_000)
    publish(folder, tmp_path / "out", publish_options(pictures, form="webdataset"))
    paths = sorted((tmp_path / "out").glob("*.tar"))
    assert [path.name for path in paths] == [f"validation-{k:06d}.tar" for k in range(len(paths))]
    assert len(paths) > 1
    found = {}
    for path in paths:
        assert path.stat().st_size < 100_000
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert [one.name.partition(".")[0] for one in members[::2]] == [
                one.name.partition(".")[0] for one in members[1::2]
            ]
            assert {(one.mtime, one.uid, one.uname) for one in members} == {(0, 0, "")}
            for image, row in zip(members[::2], members[1::2], strict=True):
                key, suffix = image.name.split(".")
                assert (suffix, row.name) == ("png", f"{key}.json")
                found[key] = (tar.extractfile(image).read(), json.load(tar.extractfile(row)))
    assert set(found) == set(truth)
    for key, (data, row) in found.items():
        own, image = truth[key]
        assert data == (pictures / image.image_id).read_bytes()
        assert (row["label"], row["id"]) == (own, key)


def test_annotations_as_coco_has_them(hard, pictures, tmp_path):
    """cocodataset.org, data format: every id is there once, and every annotation is of an image and a category."""
    folder, truth = hard
    publish(folder, tmp_path / "out", publish_options(pictures, form="coco"))
    found = json.loads((tmp_path / "out" / "annotations.json").read_text())
    images = {one["id"]: one for one in found["images"]}
    categories = {one["id"]: one for one in found["categories"]}
    assert (len(images), len(categories)) == (24, 1000)
    assert (found["licenses"], {one["license"] for one in images.values()}) == (
        [{"id": 1, "name": "CC0-1.0", "url": ""}],
        {1},
    )
    labels: dict[str, list[int]] = {}
    for one in found["annotations"]:
        image = images[one["image_id"]]
        assert one["bbox"] == [0, 0, image["width"], image["height"]]
        assert (one["area"], one["iscrowd"]) == (image["width"] * image["height"], 0)
        labels.setdefault(image["key"], []).append(one["category_id"])
    assert labels == {key: own for key, (own, _) in truth.items()}
    assert len({one["id"] for one in found["annotations"]}) == 25
    assert categories[1]["name"] == IMAGENET_1K.names[1]
    for image in images.values():
        own = truth[image["key"]][1]
        assert (tmp_path / "out" / "images" / image["file_name"]).read_bytes() == (pictures / own.image_id).read_bytes()


def test_labels_as_fiftyone_reads_them(hard, pictures, tmp_path):
    """FiftyOne's user guide, FiftyOneImageClassificationDataset: `data/<uuid>.<ext>`, targets index `classes`."""
    folder, truth = hard
    publish(folder, tmp_path / "out", publish_options(pictures, form="fiftyone"))
    found = json.loads((tmp_path / "out" / "labels.json").read_text())
    files = {path.stem: path for path in (tmp_path / "out" / "data").iterdir()}
    assert set(files) == set(found["labels"]) == set(truth)
    assert found["classes"] == list(IMAGENET_1K.names)
    for key, (own, image) in truth.items():
        assert found["labels"][key] == own[0]
        assert files[key].read_bytes() == (pictures / image.image_id).read_bytes()


@pytest.mark.parametrize("form", ["folder", "coco", "fiftyone", "webdataset"])
def test_each_has_a_card_without_parquet(form, hard, pictures, tmp_path):
    publish(hard[0], tmp_path / "out", publish_options(pictures, form=form))
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("---\n")
    assert "data/validation-*" not in text
    assert "24 images" in text


def test_a_class_whose_key_is_no_name_of_a_folder(tmp_path):
    space = ClassSpace.of_names(["a/b", "..", "cat", "train", "Dog", "dog", "0", "dot.", "class-4"], "odd")
    samples = [publish_write.Sample(b"x", f"{k}.png", {"id": str(k), "label": [k]}) for k in range(len(space))]
    (tmp_path / "out").mkdir()
    publish_write.image_folder(tmp_path / "out", samples, space)
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")) == [
        "0/6.png",
        "cat/2.png",
        *(f"class-{k}/{k}.png" for k in (0, 1, 3, 4, 5, 7, 8)),
    ]


def test_folders_are_read_where_there_are_two_sources_and_a_class_called_test(tmp_path):
    space = ClassSpace.of_names(["test", "train", "cat", *"abcdef"], "pets")
    for source in ("a", "b"):
        for k, name in enumerate(space.keys[:3]):
            (tmp_path / source / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (k, len(source), ord(source))).save(tmp_path / source / name / "x.png")
    table = hard_pictures(tmp_path / "hard", tmp_path / "a", tmp_path / "b", space=space)
    options = publish_options(tmp_path / "a", tmp_path / "b", form="folder")
    publish(tmp_path / "hard", tmp_path / "out", options)
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.items) == len(table) == 6
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in data.items()} == {"train": 6}, "no class is a split"
