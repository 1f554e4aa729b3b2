"""The label sources of the validation images: ImageNet's own, ReaL's, and both."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from imagenet_members import GOLDFISH, INFO, TENCH, labels_of, val

from snellen.datasets import open_dataset
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, correct_by_labels


@pytest.mark.parametrize("spelling", ["imagenet", "imagenet-real", "imagenet+real", "ImageNet_ReaL"])
def test_one_run_serves_all_label_sources(spelling, lay):
    root = lay(*(val(n) for n in (1, 2, 3, 6, 293)))
    dataset = open_dataset(spelling, root)
    assert (dataset.name, dataset.spec) == ("imagenet", f"imagenet@{root}")
    assert dataset.label_sources == ("imagenet", "real", "imagenet+real")
    real = json.loads((INFO / "imagenet_real_labels.json").read_text())
    own = {1: 65, 2: 970, 3: 230, 6: 57, 293: 0}
    assert real[0] == []
    assert labels_of(dataset, "imagenet") == {val(n): [own[n]] for n in own}
    assert labels_of(dataset, "real") == {val(n): sorted(real[n - 1]) for n in own}
    assert labels_of(dataset, "imagenet+real") == {val(n): sorted({own[n], *real[n - 1]}) for n in own}


@pytest.mark.parametrize("layout", ["flat", "folders"])
def test_300_of_the_validation_images_scored_by_an_independent_count(layout, lay):
    numbers = range(1, 50_000, 167)
    wnids = (INFO / "imagenet_synsets.txt").read_text().split()
    truth = np.load(Path(importlib.util.find_spec("snellen.labels").origin).parent / "imagenet_val.npy")
    folders = {n: f"{wnids[truth[n - 1]]}/" if layout == "folders" else "" for n in numbers}
    dataset = open_dataset("imagenet", lay(*(f"val/{folders[n]}{val(n)}" for n in numbers)))
    assert len(dataset.items) == 300
    real = json.loads((INFO / "imagenet_real_labels.json").read_text())
    rng = np.random.default_rng(0)
    answers = {n: int(rng.choice([truth[n - 1], *real[n - 1], rng.integers(1000)])) for n in numbers}
    expected = {"imagenet": [0, 0], "real": [0, 0], "imagenet+real": [0, 0]}
    for n in numbers:
        for source, accepted in [
            ("imagenet", {truth[n - 1]}),
            ("real", set(real[n - 1])),
            ("imagenet+real", {truth[n - 1], *real[n - 1]}),
        ]:
            expected[source][0] += answers[n] in accepted
            expected[source][1] += bool(accepted)
    ids = [item.id for item in dataset.items]
    given = np.array([answers[int(image_id[-13:-5])] for image_id in ids], np.int32)
    for source, (right, count) in expected.items():
        sets = dataset.label_sets(ids, IMAGENET_1K, source)
        scored = [k for k, row in enumerate(sets) if row]
        correct = correct_by_labels(given[scored], [sets[k] for k in scored], 1000)
        assert (correct.sum(), len(scored)) == (right, count), source
    assert expected["real"][1] < 300


def test_validation_images_of_other_names_have_no_real_labels(lay):
    root = lay(f"val/{TENCH}/tench.JPEG", f"val/{GOLDFISH}/{val(2)}")
    dataset = open_dataset("imagenet", root)
    assert dataset.label_sources == ("imagenet", "real", "imagenet+real")
    assert labels_of(dataset, "real") == {f"{TENCH}/tench.JPEG": [], f"{GOLDFISH}/{val(2)}": [795, 970]}
    assert labels_of(dataset, "imagenet+real") == {f"{TENCH}/tench.JPEG": [0], f"{GOLDFISH}/{val(2)}": [1, 795, 970]}
    (root / "val" / GOLDFISH / val(2)).unlink()
    dataset = open_dataset("imagenet", root)
    assert dataset.label_sources == ("imagenet",)
    with pytest.raises(DataError, match="no labels 'real' for imagenet: there is imagenet"):
        labels_of(dataset, "real")


def test_parquet_validation_images_have_real_labels(copy):
    dataset = open_dataset("imagenet-real", copy("data/validation-00000-of-00001.parquet", "label", [0, 970]))
    assert dataset.label_sources == ("imagenet", "real", "imagenet+real")
    real = json.loads((INFO / "imagenet_real_labels.json").read_text())
    assert list(labels_of(dataset, "real").values()) == [sorted(real[292]), [795, 970]]
    assert list(labels_of(dataset, "imagenet+real").values()) == [sorted({0, *real[292]}), [795, 970]]
    with pytest.raises(DataError, match="no labels 'reel' for imagenet: there is imagenet, real, imagenet"):
        labels_of(dataset, "reel")
