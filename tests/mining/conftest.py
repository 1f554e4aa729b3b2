"""What tests of mining share: a made-up hard set, small pictures and miners with their studies, a cascade's truth."""

import numpy as np
import pytest
import small_mining
import torch
from hard_set import images_of, write_hard_set
from PIL import Image
from projecting import KINDS, exhaustive
from small_mining import KEYS, OPTIONS, Other, Sampling, Third, mine, write_images

import snellen

# Programs that tests start.
collect_ignore_glob = ["stepwise_*.py", "*/stepwise_*.py"]


@pytest.fixture
def hard(tmp_path):
    """Twelve images: a wrong label is suspected, one is part of another, one of an image that is not among them."""
    images = images_of(12)
    train = {"id": "f" * 16, "image_id": "train/1.jpg", "origin": "train", "reference": True}
    evidence = [
        {"id": images[3].id, "cluster": 5, "kind": "flip", "kept": False, "score": 0.5},
        train | {"cluster": 5, "kind": None, "kept": True, "score": None},
        {"id": images[1].id, "cluster": 4, "kind": None, "kept": True, "score": None},
        {"id": images[2].id, "cluster": 4, "kind": "crop", "kept": False, "score": 0.9375},
    ]
    suspects = [{"id": images[0].id, "score": 0.75, "kind": "label", "proposed": [5, 0], "share": 0.5}]
    return write_hard_set(tmp_path / "hard", images, duplicates=evidence, suspects=suspects)


@pytest.fixture(scope="module")
def few_zooms():
    """Studies and minings of a module show few zooms."""
    with small_mining.few_zooms():
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Two folders of pictures; one of the first cannot be read."""
    root = tmp_path_factory.mktemp("mined")
    first, second = write_images(root / "first", 10, 0), write_images(root / "second", 5, 1)
    (first / KEYS[1] / "06.png").write_bytes(b"no picture")
    return first, second


@pytest.fixture(scope="session")
def models():
    """Three miners."""
    torch.manual_seed(0)
    return Sampling(), Other(), Third()


@pytest.fixture(scope="session")
def studies(data, models, tmp_path_factory):
    """The exhaustive studies: by model and data set."""
    out = tmp_path_factory.mktemp("studies")
    with small_mining.few_zooms():
        return {
            (number, place): snellen.study(model, folder, out=out, **OPTIONS)
            for number, model in enumerate(models)
            for place, folder in enumerate(data)
        }


@pytest.fixture(scope="module")
def mined(few_zooms, data, models, tmp_path_factory):
    """A mined hard set of two miners."""
    out = tmp_path_factory.mktemp("hard")
    mine(models[:2], data, out)
    return out


@pytest.fixture
def folder(tmp_path):
    """14 pictures in four folders, of some classes that the model hardly ever answers; the sixth cannot be read."""
    rng = np.random.default_rng(5)
    for k in range(14):
        place = tmp_path / "data" / f"kind-{k % KINDS}"
        place.mkdir(parents=True, exist_ok=True)
        size = tuple(rng.integers(60, 120, 2).tolist())
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(size).save(place / f"{k:02d}.png")
    (tmp_path / "data" / "kind-1" / "05.png").write_bytes(b"no picture")
    return tmp_path / "data"


@pytest.fixture
def truth(folder, tmp_path):
    """The exhaustive study."""
    return exhaustive(folder, tmp_path / "exhaustive")
