"""Specs that stand for many."""

import pytest

from snellen.classifiers import expand, expand_models
from snellen.errors import ModelError

NAMES = [
    "embedded/efficientnet_lite0",
    "timm/resnet18.a1_in1k",
    "timm/vit_tiny",
    "timm/vit_base",
    "torchvision/vit_b_32",
]


@pytest.fixture
def names(monkeypatch):
    monkeypatch.setattr(expand, "model_names", lambda: NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm/vit*", ["timm/vit_tiny", "timm/vit_base"]),
        ("*/vit_?_32", ["torchvision/vit_b_32"]),
        ("timm/vit*,mean=0.5", ["timm/vit_tiny,mean=0.5", "timm/vit_base,mean=0.5"]),
        ("timm/[rv]*", ["timm/resnet18.a1_in1k", "timm/vit_tiny", "timm/vit_base"]),
        ("timm/resnet18.a1_in1k,std=0.5,mean=0.5", ["timm/resnet18.a1_in1k,mean=0.5,std=0.5"]),
        ("timm/resnet18,classes=names.txt", ["timm/resnet18,classes=names.txt"]),
    ],
)
def test_wildcards(names, text, expected):
    assert expand_models(text) == expected


def test_a_file_of_specs(names, tmp_path):
    file = tmp_path / "models.txt"
    file.write_text("# the small ones\ntimm/vit*  # two\n\ntorchvision/resnet50:IMAGENET1K_V1\ntimm/vit_tiny\n")
    assert expand_models(str(file)) == ["timm/vit_tiny", "timm/vit_base", "torchvision/resnet50:IMAGENET1K_V1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timm/no_such*", "no models match 'timm/no_such\\*'"),
        ("nowhere/models.txt", "no list of models"),
        ("resnet50", "is not understood"),
        ("tim/resnet50", "unknown kind of model 'tim'"),
    ],
)
def test_what_stands_for_nothing(names, text, message):
    with pytest.raises(ModelError, match=message):
        expand_models(text)


def test_an_empty_file_of_specs(tmp_path):
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(ModelError, match="lists no models"):
        expand_models(str(tmp_path / "none.txt"))
