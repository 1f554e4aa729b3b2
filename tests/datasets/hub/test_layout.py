"""Which files of a repository are which configuration and split: by its card, or by their names."""

import pytest
from hub_copies import ONE_A_SPLIT, VALIDATION, card

from snellen.datasets.hub.layout import Layout, layout_of, missing_shards
from snellen.errors import DataError

CARDS = {
    "one a split": ONE_A_SPLIT,
    "a pattern": card("- config_name: default\n  data_files: data/*.parquet\n"),
    "a list": card("- config_name: default\n  data_files: [data/a.parquet, ./data/validation-0*]\n"),
    "a folder": card("- config_name: default\n  data_dir: data\n"),
    "by name": card("- config_name: default\n  data_files:\n    dev: data/a.parquet\n"),
    "in a folder": card("- config_name: default\n  data_dir: data\n  data_files: a.parquet\n"),
    "two": card(
        "- config_name: big\n  data_files: data/a.parquet\n",
        "- config_name: small\n  default: true\n  data_files: data/sub/b.parquet\n",
    ),
    "other files": card("- config_name: default\n  data_files: photos.zip\n"),
    "no YAML": "---\nconfigs: [:\n---\n",
    "odd": "---\nconfigs: 7\n---\n",
    "no pattern": card("- config_name: default\n  data_files: '**.parquet'\n"),
    "one no pattern": card(
        "- config_name: big\n  data_files: data/a.parquet\n", "- config_name: small\n  data_files: data/**b/c\n"
    ),
}
FILES = ["README.md", "photos.zip", "data/a.parquet", "data/sub/b.parquet", *VALIDATION]
BY_NAMES = {
    "default": {"train": ["data/a.parquet"], "validation": VALIDATION},
    "sub": {"train": ["data/sub/b.parquet"]},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one a split", {"default": {"train": ["data/a.parquet", "data/sub/b.parquet"], "validation": VALIDATION}}),
        ("a pattern", {"default": {"train": ["data/a.parquet", *VALIDATION]}}),
        ("a list", {"default": {"train": ["data/a.parquet", *VALIDATION]}}),
        ("a folder", {"default": {"train": ["data/a.parquet", "data/sub/b.parquet"], "validation": VALIDATION}}),
        ("by name", {"default": {"dev": ["data/a.parquet"]}}),
        ("in a folder", {"default": {"train": ["data/a.parquet"]}}),
        ("two", {"big": {"train": ["data/a.parquet"]}, "small": {"train": ["data/sub/b.parquet"]}}),
        ("other files", BY_NAMES),
        ("no YAML", BY_NAMES),
        ("odd", BY_NAMES),
        ("no pattern", BY_NAMES),
        ("one no pattern", BY_NAMES),
    ],
)
def test_what_a_card_says_of_its_files(name, expected):
    layout = layout_of(reversed(FILES), CARDS[name])
    assert layout.configs == expected
    assert layout.default == ("small" if name == "two" else None)


@pytest.mark.parametrize(
    ("path", "config", "split"),
    [
        ("data/validation-00000-of-00002.parquet", "default", "validation"),
        ("data/train-00003-of-00294-4d8bd2f7a1a7c4c1.parquet", "default", "train"),
        ("test-00000-of-00001.parquet", "default", "test"),
        ("data/adversarial.r1-00000-of-00001.parquet", "default", "adversarial.r1"),
        ("fog/3-00000-of-00001.parquet", "fog", "3"),
        ("validation/0000.parquet", "default", "validation"),
        ("default/val/0001.parquet", "default", "validation"),
        ("fog/severity_3/0001.parquet", "fog", "severity_3"),
        ("en/partial-train/0000.parquet", "en", "partial-train"),
        ("val.parquet", "default", "validation"),
        ("imagenet_1k-Dev.parquet", "default", "validation"),
        ("images/test/part-a.parquet", "images", "test"),
        ("trainer.parquet", "default", "train"),
        ("photos.parquet", "default", "train"),
        ("0000.parquet", "default", "train"),
    ],
)
def test_the_usual_names_tell_configuration_and_split(path, config, split):
    assert layout_of([path, "README.md"]).configs == {config: {split: [path]}}


def layout(**configs):
    return Layout({name: {split: ["x.parquet"] for split in splits.split()} for name, splits in configs.items()})


@pytest.mark.parametrize(
    ("there", "split", "config", "expected"),
    [
        (layout(default="train"), None, None, ("default", "train")),
        (layout(default="train validation test"), None, None, ("default", "validation")),
        (layout(default="train test"), None, None, ("default", "test")),
        (layout(default="train test"), "train", None, ("default", "train")),
        (layout(default="train validation"), "val", None, ("default", "validation")),
        (layout(default="val test"), "val", None, ("default", "val")),
        (layout(only="odd"), None, None, ("only", "odd")),
        (layout(default="train", other="test"), None, "other", ("other", "test")),
        (layout(default="train", other="test"), None, None, ("default", "train")),
        (layout(a="a b"), None, None, "o/n has several splits: give hub/o/n:SPLIT with one of a, b"),
        (layout(a="a b"), "c", None, "o/n has no split 'c': give hub/o/n:SPLIT with one of a, b"),
        (layout(a="x", b="x"), None, None, "o/n has several configurations: give config= one of a, b"),
        (layout(a="x"), None, "b", "o/n has no configuration 'b': give config= one of a"),
    ],
)
def test_which_split_is_meant(there, split, config, expected):
    if isinstance(expected, tuple):
        assert there.choose("o/n", split, config) == expected
    else:
        with pytest.raises(DataError) as raised:
            there.choose("o/n", split, config)
        assert str(raised.value) == expected


def test_the_cards_default_is_chosen():
    assert layout_of(FILES, CARDS["two"]).choose("o/n", None, None) == ("small", "train")


def test_shards_that_are_missing():
    assert missing_shards(["a.parquet", *VALIDATION]) == []
    assert missing_shards(VALIDATION[1:]) == ["data/validation (1 of 2 files)"]
