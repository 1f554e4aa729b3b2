"""The photographs that ship with the package, against the licence table beside them."""

import csv
import re

import pytest
from PIL import Image

from snellen.datasets import open_dataset
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace

FREE = {"LicenseRef-public-domain", "CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "CC-BY-SA-4.0"}


@pytest.fixture(scope="module")
def dataset():
    return open_dataset("examples")


@pytest.fixture(scope="module")
def licences(examples_dir):
    """The rows of LICENSES.md by file name."""
    lines = (examples_dir / "LICENSES.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


def test_every_photograph_is_listed_with_a_free_licence(dataset, licences, examples_dir):
    ids = [item.id for item in dataset.items]
    assert ids == sorted(path.name for path in examples_dir.glob("*.jpg")) == sorted(licences)
    for _, _, author, licence, source, *_ in licences.values():
        assert author
        assert source
        assert licence.strip("`") in FREE


def test_every_photograph_has_the_size_the_table_gives_and_no_metadata(dataset, licences, examples_dir):
    for name, row in licences.items():
        with Image.open(examples_dir / name) as image:
            image.load()
            before, after = re.match(r"(\d+x\d+) (?:to (\d+x\d+)|kept)", row[-1]).groups()
            assert f"{image.width}x{image.height}" == (after or before), name
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert not image.info.keys() & {"exif", "icc_profile", "xmp", "comment"}


def test_the_words_in_the_label_file_are_those_of_its_wnids(examples_dir):
    with (examples_dir / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["image_id"] for row in rows}) == len(rows)
    for row in rows:
        wnids, words = row["labels"].split(), row["names"].split("; ")
        assert len(set(wnids)) == len(wnids) == len(words)
        for wnid, word in zip(wnids, words, strict=True):
            assert word in IMAGENET_1K.synonyms[IMAGENET_1K.keys.index(wnid)]


def test_label_sets(dataset):
    ids = ["koala.jpg", "citrus.jpg", "fig.jpg"]
    assert dataset.label_sets(ids, IMAGENET_1K) == [[105], [950, 951], [952]]
    assert all(dataset.label_sets([item.id for item in dataset.items], IMAGENET_1K))
    with pytest.raises(DataError, match="unknown class 'n01882714' in custom"):
        dataset.label_sets(["koala.jpg"], ClassSpace.of_names(["a", "b"]))


def test_bytes_and_sizes(dataset, examples_dir):
    for i, item in enumerate(dataset.items):
        assert dataset.read(i) == (examples_dir / item.id).read_bytes()
        assert item.size == len(dataset.read(i))
        assert dataset.origin(i) == "examples"


def test_small_enough_to_ship(dataset):
    assert sum(item.size for item in dataset.items) < 2 * 2**20


def test_a_folder_of_that_name_does_not_hide_it(dataset, tmp_path, monkeypatch):
    (tmp_path / "examples" / "tench").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert open_dataset("examples").fingerprint == dataset.fingerprint
