"""Members of the ImageNet family as Parquet files: from a folder and from the Hub."""

import pytest
from imagenet_members import GOLDFISH, INFO, OFFICIAL, SHARK, TURNED, WNID, labels_of

from snellen.datasets import open_dataset
from snellen.datasets.hub import dataset as hub
from snellen.datasets.parquet.files import placed_files
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassMap

# Parquet, as the Hub lays it out: member, file, label column, what is in it, the class ids.
HUB = [
    ("imagenet-hard", "data/validation-00000-of-00001.parquet", "label", [[3, 7], [999]], [[3, 7], [999]]),
    ("imagenet-hard-4k", "data/validation-00000-of-00001.parquet", "label", [[3, 7], [999]], [[3, 7], [999]]),
    ("imagenet-a", "data/train-00000-of-00001.parquet", "label", [0, 1], [[6], [11]]),
    ("imagenet-r", "data/test-00000-of-00001.parquet", "wnid", [GOLDFISH, SHARK], [[1], [2]]),
    ("imagenet", "data/validation-00000-of-00001.parquet", "label", [0, 970], [[0], [970]]),
]


@pytest.mark.parametrize(("name", "file", "column", "labels", "ids"), HUB)
@pytest.mark.parametrize("place", ["", "data", "above"])
def test_parquet_copies_from_a_root(name, file, column, labels, ids, place, copy, photos):
    root = copy(file, column, labels)
    if place == "above":
        (root / "data").rename(root / name)
    dataset = open_dataset(name, root / place if place == "data" else root)
    assert dataset.name == name
    assert list(labels_of(dataset).values()) == ids
    assert list(labels_of(dataset, None, TURNED).values()) == [sorted(999 - i for i in row) for row in ids]
    assert [dataset.read(k) for k in range(2)] == photos[:2]
    assert [dataset.origin(k) for k in range(2)] == ["ImageNet", "ImageNet-Sketch"]
    assert dataset.official == OFFICIAL.get(name, 50_000)
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint
    masked = name in ("imagenet-a", "imagenet-r")
    assert (dataset.classes is None) == (not masked)
    if masked:
        indices = [int(i) for i in (INFO / f"imagenet_{name[-1]}_indices.txt").read_text().split()]
        assert ClassMap.of(name, dataset.classes, IMAGENET_1K).taking_part.tolist() == sorted(indices)


def test_a_folder_of_the_members_name_comes_before_other_parquet_files(copy):
    root = copy("imagenet-hard/data/validation-00000-of-00001.parquet", "label", [[3, 7], [999]])
    copy("other.parquet", "label", [[0], [0]])
    copy("imagenet-hard/data/train-00000-of-00001.parquet", "label", [[0], [0]])
    assert list(labels_of(open_dataset("imagenet-hard", root)).values()) == [[3, 7], [999]]


@pytest.mark.parametrize(
    ("name", "files", "root"),
    [
        ("imagenet-hard", ["other.parquet"], "copy"),
        ("imagenet-a", ["other.parquet"], "copy"),  # a file of no split, which counts as `train`
        ("imagenet-hard", ["data/train-00000-of-00001.parquet"], "copy"),
        ("imagenet-a", ["other.parquet", "imagenet-1k/data/train-00000-of-00001.parquet"], "copy"),
        ("imagenet-hard", ["imagenet-1k/data/validation-00000-of-00001.parquet"], "copy/imagenet-1k"),
        ("imagenet-hard-4k", ["imagenet-hard/validation.parquet"], "copy/imagenet-hard"),
    ],
)
def test_parquet_files_that_are_not_the_members_split(name, files, root, copy, tmp_path):
    for file in files:
        copy(file, "label", [0, 1])
    with pytest.raises(DataError, match=rf"no {name} in '.*': .*expected .* the Parquet files of|{name}\.tar") as error:
        open_dataset(name, tmp_path / root)
    assert "\n" not in str(error.value)


def test_the_only_split_in_the_members_own_folder(copy):
    root = copy("imagenet-hard/part.parquet", "label", [[3], [4]])
    for place in (root, root / "imagenet-hard"):
        assert list(labels_of(open_dataset("imagenet-hard", place)).values()) == [[3], [4]]
    copy("imagenet-hard/test.parquet", "label", [[3], [4]])
    with pytest.raises(DataError, match=r"taesiri/imagenet-hard has no split 'validation': .* one of train, test"):
        open_dataset("imagenet-hard", root)


@pytest.mark.parametrize(
    ("name", "file", "labels", "classes", "expected"),
    [
        ("imagenet-a", "train.parquet", [0, 199], "reversed", [-1, 0]),
        ("imagenet-a", "train.parquet", [0, 199], "numbers", [0, -1]),
        ("imagenet", "validation.parquet", [0, 999], "reversed", [999, 0]),
    ],
)
def test_the_files_own_class_names_say_what_its_labels_are(name, file, labels, classes, expected, copy):
    members = sorted((INFO / f"imagenet_{name[-1]}_synsets.txt").read_text().split()) if name != "imagenet" else WNID
    told = members[::-1] if classes == "reversed" else [str(k) for k in range(len(members))]
    dataset = open_dataset(name, copy(file, "label", labels, told))
    assert list(labels_of(dataset).values()) == [[WNID.index(members[k])] for k in expected]
    turned = list(labels_of(dataset, None, TURNED).values())
    assert turned == [[999 - WNID.index(members[k])] for k in expected]


@pytest.mark.parametrize("classes", [["stingray", "tench"], ["x", "y"], [str(k) for k in range(1000)]])
def test_a_file_that_names_other_classes_is_not_the_member(classes, copy):
    root = copy("train.parquet", "label", [0, 1], classes)
    with pytest.raises(DataError, match=r"files of 'imagenet-a@.*' are not imagenet-a: the file's class \d+ is"):
        open_dataset("imagenet-a", root)


@pytest.mark.parametrize(("name", "file", "column", "labels", "ids"), HUB)
def test_members_from_the_hub(name, file, column, labels, ids, copy, monkeypatch):
    """Which repository, split and revision are asked for; the workers' spec names the commit."""
    files = tuple(placed_files(copy(file, column, labels)))
    asked = []

    def hub_split(repository, split=None, config=None, revision=None, root=None):
        asked.append((repository, split, revision))
        return hub.HubSplit(files, revision or "c0ffee", split, "default")

    monkeypatch.setattr(hub, "hub_split", hub_split)
    dataset = open_dataset(name)
    assert (dataset.name, dataset.revision) == (name, "c0ffee")
    assert dataset.spec == f"{name},revision=c0ffee"
    assert list(labels_of(dataset).values()) == ids
    assert open_dataset(dataset.spec).spec == dataset.spec
    repository = {
        "imagenet": "ILSVRC/imagenet-1k",
        "imagenet-a": "barkermrl/imagenet-a",
        "imagenet-r": "axiong/imagenet-r",
        "imagenet-hard": "taesiri/imagenet-hard",
        "imagenet-hard-4k": "taesiri/imagenet-hard-4K",
    }[name]
    split = file.removeprefix("data/").partition("-")[0]
    assert asked == [(repository, split, None), (repository, split, "c0ffee")]
    with pytest.raises(DataError, match=rf"{name} has no option 'label=x' here: expected revision"):
        open_dataset(f"{name},label=x")
