"""The labels of the validation images, against the files that timm ships and facts that anyone can look up."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.labels import imagenet as module
from snellen.labels.imagenet import (
    SOURCES,
    subset_keys,
    validation_keys,
    validation_labels,
    validation_name,
    validation_number,
)


@pytest.fixture(scope="module")
def timm_info():
    """The folder of timm's own lists."""
    return Path(importlib.util.find_spec("timm").origin).parent / "data" / "_info"


@pytest.fixture(scope="module")
def labels():
    return {source: validation_labels(source)[1] for source in SOURCES}


def test_file_names():
    names, _ = validation_labels()
    assert names == [f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, 50001)] == sorted(names)


def test_ground_truth(labels):
    """Fifty images a class; the first are a sea snake, an alp, a sheepdog, a soup bowl and a cradle; 293 is a tench."""
    flat = [row[0] for row in labels["imagenet"]]
    assert [len(row) for row in labels["imagenet"]] == [1] * 50_000
    assert np.bincount(flat).tolist() == [50] * 1000
    assert flat[:5] == [65, 970, 230, 809, 516]
    assert flat[292] == 0


def test_real_labels_are_timms_and_empty_ones_stay_empty(labels, timm_info):
    theirs = json.loads((timm_info / "imagenet_real_labels.json").read_text())
    assert labels["real"] == [sorted(row) for row in theirs]
    assert sum(not row for row in labels["real"]) == 3163
    assert sum(bool(row) for row in labels["real"]) == 46_837


def test_both_is_the_union(labels):
    assert all(
        set(both) == set(own) | set(real) and both == sorted(set(both))
        for own, real, both in zip(labels["imagenet"], labels["real"], labels["imagenet+real"], strict=True)
    )


def test_ground_truth_and_real_labels_are_of_the_same_images(labels):
    """ReaL's authors: the ImageNet label is among theirs for 90.02 % of the images that have any."""
    pairs = [(own, real) for own, real in zip(labels["imagenet"], labels["real"], strict=True) if real]
    assert round(100 * np.mean([own[0] in real for own, real in pairs]), 2) == 90.02


@pytest.mark.parametrize("letter", ["a", "r"])
def test_class_lists_are_timms(letter, timm_info):
    indices = [int(i) for i in (timm_info / f"imagenet_{letter}_indices.txt").read_text().split()]
    assert sorted(indices) == [IMAGENET_1K.keys.index(key) for key in subset_keys(letter)]
    assert len(subset_keys(letter)) == 200


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ILSVRC2012_val_00000001.JPEG", 1),
        ("val/n01440764/ILSVRC2012_val_00050000.JPEG", 50_000),
        ("ILSVRC2012_val_00000293_n01440764.JPEG", 293),
        ("ILSVRC2012_val_00000293.png", 293),
        ("ILSVRC2012_val_00050001.JPEG", None),
        ("ILSVRC2012_val_00000000.JPEG", None),
        ("ILSVRC2012_val_0000293.JPEG", None),
        ("ILSVRC2012_val_000002930.JPEG", None),
        ("ILSVRC2012_val_00000293/tench.JPEG", None),
        ("tench.JPEG", None),
    ],
)
def test_numbers_in_names(name, number):
    assert validation_number(name) == number


def test_names_and_numbers_fit():
    assert all(validation_number(validation_name(n)) == n for n in (1, 9, 10, 49_999, 50_000))


def test_ids_are_those_of_the_class_space():
    turned = ClassSpace.of_names(IMAGENET_1K.keys[::-1], "turned")
    assert validation_labels("imagenet", turned)[1][:2] == [[999 - 65], [999 - 970]]
    assert validation_labels("real", turned)[1][1] == sorted([999 - 970, 999 - 795])


def test_what_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no labels 'reals' .* there is imagenet, real, imagenet\+real"):
        validation_labels("reals")
    with pytest.raises(DataError, match="unknown class 'n01751748' in custom"):
        validation_labels("imagenet", ClassSpace.of_names(["tench", "goldfish"]))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"timm lacks data/_info/imagenet_a_synsets\.txt; install timm"):
        subset_keys("a")


def test_one_image():
    assert validation_keys(293) == ["n01440764"]
    assert validation_keys(1, "real") == []
    assert validation_keys(2, "imagenet+real") == [IMAGENET_1K.keys[970], IMAGENET_1K.keys[795]]
