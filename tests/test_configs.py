"""Every file of `configs/`: it can be read, the command line takes its commands, its numbers are the published ones."""

import json
import re
import shlex
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from snellen.analysis.expected import read_expected
from snellen.analysis.published import dataset_key, lookup
from snellen.classifiers.spec import parse_spec
from snellen.cli import app
from snellen.datasets.names import is_family
from snellen.tta.methods import check_method

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER = REPOSITORY.parent / "shared" / "reference" / "paper_numbers.json"
CONFIGS = sorted((REPOSITORY / "configs").glob("*.toml"))
CLIP = "CLIP-ViT-L/14"

DATA = {
    "ImageNet": ("imagenet", "imagenet"),
    "ImageNet-ReaL": ("imagenet", "real"),
    "ImageNet+ReaL": ("imagenet", "imagenet+real"),
    "ImageNet-A": ("imagenet-a", "own"),
    "ImageNet-R": ("imagenet-r", "own"),
    "ImageNet-Sketch": ("imagenet-sketch", "own"),
    "ObjectNet": ("objectnet", "own"),
}
V1 = {
    "AlexNet": "alexnet",
    "VGG-16": "vgg16",
    "VGG-19": "vgg19",
    "ResNet-18": "resnet18",
    "ResNet-50": "resnet50",
    "ViT-B/32": "vit_b_32",
    "EfficientNet-B0": "efficientnet_b0",
    "EfficientNet-B7": "efficientnet_b7",
}
MODELS = {name: f"torchvision/{network}:IMAGENET1K_V1" for name, network in V1.items()} | {
    "CLIP-ViT-L/14": "open_clip/ViT-L-14,openai,normalize=imagenet",
    "EfficientNet-L2-Ns": "timm/tf_efficientnet_l2.ns_jft_in1k",
    "CLIP-ViT-L/14@224px": "open_clip/ViT-L-14,openai",
    "CLIP-ViT-L/14@336px": "open_clip/ViT-L-14-336,openai",
    "OpenCLIP-ViT-bigG-14": "open_clip/ViT-bigG-14,laion2b_s39b_b160k",
    "OpenCLIP-ViT-L-14": "open_clip/ViT-L-14,datacomp_xl_s13b_b90k",
    "DeepAug+AugMix": "torchvision/resnet50:IMAGENET1K_V1@deepaugment_and_augmix.pth.tar",
    "MoEx+CutMix": "torchvision/resnet50:IMAGENET1K_V1@moex_cutmix_resnet50.pth.tar",
}
VIEWS = {"zoom_in": "zoom-in", "zoom_out": "zoom-out", "zoom_224": "zoom-224", "5crop": "5-crop", "10crop": "10-crop"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with empty files where specs name checkpoints; a spec is understood only where its file is."""
    for name in ("deepaugment_and_augmix.pth.tar", "moex_cutmix_resnet50.pth.tar"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def paper():
    if not PAPER.is_file():
        pytest.skip("the published numbers are not here")
    return json.loads(PAPER.read_text())


def numbers(name):
    found = {
        (n.model, n.data, n.labels, n.metric): n.percent for n in read_expected(REPOSITORY / "configs" / name).numbers
    }
    assert len(found) == len(read_expected(REPOSITORY / "configs" / name).numbers)
    return found


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_command_and_spec_is_understood(path, here):
    expected = read_expected(path)
    assert expected.title
    assert expected.source
    run = set()
    for command in expected.commands:
        program, name, *words = shlex.split(command)
        assert program == "snellen"
        models = [word for flag, word in pairwise(words) if flag == "-m"]
        data = [word for word in words[: words.index("-m")] if not word.startswith("-")]
        assert all(is_family(word) and dataset_key(word)[0] in word for word in data)
        assert words[words.index("--expect") + 1] == f"configs/{path.name}"
        assert len(set(models)) == len(models)
        for model in models:
            assert parse_spec(model).kind in ("torchvision", "timm", "open_clip")
        run |= {(model, *dataset_key(word)) for model in models for word in data}
        known = typer.main.get_command(app).commands[name]
        call = known.make_context(name, words).params
        assert call["model"] == models
        assert call["data"] == (data if name == "eval" else data[0])
        for method in call.get("method", ()):
            check_method(method)
    # Every number is one that a command gives, and no command is there for nothing.
    about = {(n.model, n.data, n.labels) for n in expected.numbers if n.model != "*"}
    assert about == run


def test_there_is_a_file_for_every_published_result():
    assert {path.stem for path in CONFIGS} >= {
        *(
            "imagenet-hard",
            "imagenet-hard-4k",
            "imagenet-hard-openclip",
            "table1",
            "heat-maps",
            "aggregation",
            "test-time",
        )
    }


def test_table_1(paper):
    expected = {}
    for block, metric in (
        ("1_crop", "one_crop"),
        ("36_crops_top36_min_cover", "top_36"),
        ("324_crops_upper_bound", "upper_bound"),
    ):
        for model, row in paper["table1"][block].items():
            expected |= {(MODELS[model], *DATA[data], metric): percent for data, percent in row.items()}
    for block, metric in (("36_crops", "top_36"), ("324_crops", "upper_bound")):
        row = paper["table1"]["random_baseline"][block]
        expected |= {("*", *DATA[data], f"random_baseline.{metric}"): percent for data, percent in row.items()}
    assert numbers("table1.toml") == expected
    assert expected["torchvision/vit_b_32:IMAGENET1K_V1", "imagenet", "imagenet+real", "upper_bound"] == 98.91


@pytest.mark.parametrize(("name", "block"), [("imagenet-hard", "10980"), ("imagenet-hard-4k", "4K_10980")])
def test_performance_reports(paper, name, block):
    row = paper["imagenet_hard_accuracy"][block]
    assert numbers(f"{name}.toml") == {(MODELS[model], name, "own", "top1"): percent for model, percent in row.items()}


def test_open_clip_models_agree_with_the_report(paper):
    found = numbers("imagenet-hard-openclip.toml")
    assert len(found) == 68
    for name in ("OpenCLIP-ViT-bigG-14", "OpenCLIP-ViT-L-14"):
        percent = paper["imagenet_hard_accuracy"]["10980"][name]
        assert found[MODELS[name], "imagenet-hard", "own", "top1"] == percent


def test_heat_maps(paper):
    expected = {}
    drawn = {name: by_data for name, by_data in paper["heatmaps"].items() if name != CLIP}
    for metric, by_data in (
        ("locations", paper["per_crop_location_max_over_36_scales"]),
        ("cover_tiles", _swapped(drawn)),
    ):
        for data, by_model in by_data.items():
            for model, cells in by_model.items():
                for row, line in enumerate(cells):
                    for col, percent in enumerate(line):
                        expected[MODELS[model], *DATA[data], f"{metric}.{row}.{col}"] = percent
    assert numbers("heat-maps.toml") == expected


def test_the_heat_maps_of_clip_are_those_of_its_locations(paper):
    """So they are not of the zooms of a cover."""
    for data, cells in paper["heatmaps"][CLIP].items():
        locations = paper["per_crop_location_max_over_36_scales"][data][CLIP]
        for line, expected in zip(cells, locations, strict=True):
            assert line == pytest.approx(expected, abs=0.051)


def _swapped(tree):
    return {inner: {outer: tree[outer][inner] for outer in tree} for inner in tree["AlexNet"]}


def test_groups(paper):
    expected = {}
    for data, by_model in paper["disentangling"].items():
        for model, record in by_model.items():
            for group, percent in record["upper_bound"].items():
                expected[MODELS[model], *DATA[data], f"groups.{VIEWS[group]}.upper_bound"] = percent
    assert numbers("groups.toml") == expected


def test_aggregation(paper):
    expected = {}
    for data, row in paper["aggregation_table4_vit_b32"].items():
        for what, percent in row.items():
            views, _, merge = what.rpartition("_")
            metric = "one_crop" if what == "1-crop" else f"merged.{VIEWS[views]}.{merge}"
            expected[MODELS["ViT-B/32"], *DATA[data], metric] = percent
    assert numbers("aggregation.toml") == expected


def test_test_time(paper):
    expected = {}
    for block, metric in (("baseline_1crop", "top1"), ("MEMO_AugMix", "memo.augmix"), ("MEMO_RRC", "memo.rrc")):
        for model, row in paper["tta_table5"][block].items():
            expected |= {(MODELS[model], *DATA[data], metric): percent for data, percent in row.items()}
    assert numbers("test-time.toml") == expected


def test_the_shipped_table_says_the_same():
    """Whatever a config expects of `eval` and of Table 1 is also what `published.csv` knows."""
    for path in CONFIGS:
        for number in read_expected(path).numbers:
            if number.metric in ("top1", "one_crop", "top_36", "upper_bound"):
                known = lookup(number.data, number.labels, number.model, number.metric)
                assert number.percent in [one.value for one in known], (path.name, number)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_numbers_keep_their_two_decimals(path):
    text = path.read_text().partition("[expect")[2]
    odd = Counter(re.findall(r"(?<![\w.])\d+\.\d+", text)) - Counter(re.findall(r"(?<![\w.])\d+\.\d\d(?!\d)", text))
    assert not odd
