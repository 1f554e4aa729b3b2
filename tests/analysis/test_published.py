"""Published numbers: that they are those of their sources, and that they are shown for the right models only."""

import csv
import io
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console

from snellen.analysis.expected import Comparison, Measured, compare, measured, read_expected, unmeasured
from snellen.analysis.published import dataset_key, lookup, published_origins, same_model
from snellen.classifiers.spec import parse_spec
from snellen.errors import UsageError
from snellen.report.scores import print_comparison

REPOSITORY = Path(__file__).resolve().parents[2]
PAPER = REPOSITORY.parent / "shared" / "reference" / "paper_numbers.json"
RESNET = "torchvision/resnet50:IMAGENET1K_V1"
CLIP = "open_clip/ViT-L-14,openai"


def rows():
    with files("snellen.analysis").joinpath("published.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def value(*arguments):
    (found,) = lookup(*arguments)
    assert found.source
    return found.value


@pytest.mark.parametrize(
    ("arguments", "percent"),
    [
        (("imagenet", "imagenet", RESNET, "one_crop"), 75.75),
        (("imagenet-real", None, RESNET, "one_crop"), 82.63),
        (("imagenet", "real", RESNET, "one_crop"), 82.63),
        (("imagenet", "imagenet+real", "torchvision/vit_b_32:IMAGENET1K_V1", "upper_bound"), 98.91),
        (("imagenet+real", None, "torchvision/vit_b_32", "upper_bound"), 98.91),
        (("ImageNet_A", "own", "torchvision/alexnet", "top_36"), 31.37),
        (("imagenet-a", None, RESNET, "top1"), 0.0),
        (("objectnet", None, "timm/anything", "random_baseline.top_36"), 31.85),
        (("imagenet-hard", None, "timm/tf_efficientnet_l2.ns_jft_in1k", "top1"), 39.0),
        (("imagenet-hard", None, CLIP, "top1"), 1.86),
        (("imagenet-hard", None, "open_clip/coca_ViT-L-14,laion2b_s13b_b90k", "top1"), 10.79),
        (("imagenet-hard-4k@/data", None, "torchvision/efficientnet_b7:IMAGENET1K_V1", "top1"), 18.67),
        (("imagenet", None, RESNET, "top5"), 92.862),
        (("imagenet", None, "torchvision/resnet50:IMAGENET1K_V2", "top1"), 80.858),
        (("imagenet", None, "torchvision/resnet50", "top1"), 80.858),
    ],
)
def test_known_numbers(arguments, percent):
    assert value(*arguments) == percent


# What a plain folder is called says nothing of the images in it.
FOLDERS = ["/data/imagenet-a", "/imagenet", "/data/imagenet-real", "/data/ImageNet_A@2", "/data/imagenet,labels=real"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("labels", [None, "own", "imagenet", "real"])
def test_nothing_is_published_of_a_folder(folder, labels):
    for row in rows():
        model = row["models"].split(" ")[0].replace("*", RESNET)
        assert lookup(folder, labels, model, row["metric"]) == []


def test_a_paper_and_a_release_may_both_state_one():
    found = lookup("imagenet", "imagenet", RESNET, "top1")
    assert [one.value for one in found] == [76.13, 76.13]
    assert len({one.source for one in found}) == 2


@pytest.mark.parametrize(
    ("pattern", "model", "same"),
    [
        (RESNET, RESNET, True),
        (RESNET, f"{RESNET}@/weights/resnet50-0676ba61.pth", True),
        (RESNET, f"{RESNET}@a,b.pth,mean=0.5", False),
        (RESNET, f"{RESNET},mean=0.5,std=0.5", False),
        (RESNET, "torchvision/resnet50:IMAGENET1K_V2", False),
        (RESNET, "torchvision/resnet50", False),
        ("torchvision/resnet50", "torchvision/resnet50", True),
        ("torchvision/resnet50", "torchvision/resnet50@mine.pth", False),  # the library's default is not in that file
        (RESNET, f"{RESNET}@/elsewhere/deepaugment_and_augmix.pth.tar", False),
        (f"{RESNET}@deepaugment_and_augmix.pth.tar", f"{RESNET}@/elsewhere/deepaugment_and_augmix.pth.tar", True),
        (f"{RESNET}@deepaugment_and_augmix.pth.tar", RESNET, False),
        ("timm/tf_efficientnet_l2.ns_jft_in1k", "timm/tf_efficientnet_l2.ns_jft_in1k@w.safetensors", True),
        ("timm/mobilenetv2_100", "timm/mobilenetv2_100@w.safetensors", False),
        (CLIP, CLIP, True),
        (CLIP, f"{CLIP}@clip.pt,templates=openai80,classnames=openai,normalize=own", True),
        (CLIP, f"{CLIP},templates=single", False),
        (CLIP, f"{CLIP},normalize=imagenet", False),
        (f"{CLIP},normalize=imagenet", f"{CLIP},normalize=imagenet,templates=openai80", True),
        (CLIP, "open_clip/ViT-L-14,datacomp_xl_s13b_b90k", False),
        (RESNET, "vlm/some-model@http://localhost:8000/v1", False),
        (RESNET, "net.py:resnet50", False),
        (RESNET, "no such thing", False),
        ("*", "no such thing", True),
    ],
)
def test_which_models_a_number_is_of(pattern, model, same):
    assert same_model(pattern, model) is same


@pytest.mark.parametrize(
    ("data", "labels", "key"),
    [
        ("imagenet", None, ("imagenet", "imagenet")),
        ("imagenet", "own", ("imagenet", "imagenet")),
        ("imagenet_real", None, ("imagenet", "real")),
        ("imagenet+real@/data", None, ("imagenet", "imagenet+real")),
        ("imagenet-real", "imagenet", ("imagenet", "imagenet")),
        ("imagenetv2", None, ("imagenet-v2", "own")),
        ("imagenet-c/fog/3", None, ("imagenet-c/fog/3", "own")),
        ("/a/folder/of/mine", "labels.csv", ("/a/folder/of/mine", "labels.csv")),
        ("examples", None, ("examples", "own")),
        ("imagenet-typo", None, ("imagenet-typo", "own")),
    ],
)
def test_data_sets_and_label_sources_have_one_name(data, labels, key):
    assert dataset_key(data, labels) == key


def test_the_file_is_whole():
    seen = set()
    for row in rows():
        key = (row["dataset"], row["labels"])
        assert dataset_key(*key) == key
        counts = row["metric"].startswith("origins.") or row["metric"].endswith("greedy_cover")
        assert 0 <= float(row["value"]) <= (50_000 if counts else 100)
        assert row["source"]
        for model in row["models"].split(" "):
            if model != "*" and "@" not in model:
                assert parse_spec(model).text == model
            once = (*key, model, row["metric"], row["source"])
            assert once not in seen
            seen.add(once)


def test_torchvisions_numbers_are_those_of_the_installed_weights():
    models = pytest.importorskip("torchvision.models")
    listed = {
        (row["models"], row["metric"]): float(row["value"]) for row in rows() if row["source"].startswith("torchv")
    }
    expected = {}
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name)
        for one in weights:
            metrics = one.meta["_metrics"].get("ImageNet-1K", {})
            specs = f"torchvision/{name}:{one.name}" + (f" torchvision/{name}" if one is weights.DEFAULT else "")
            for metric, theirs in (("top1", "acc@1"), ("top5", "acc@5")):
                if metrics.get(theirs) == metrics.get(theirs) is not None:
                    expected[specs, metric] = metrics[theirs]
    assert listed == expected


def test_the_papers_numbers_are_the_papers():
    if not PAPER.is_file():
        pytest.skip("the published numbers are not here")
    paper = json.loads(PAPER.read_text())
    values = {round(float(v), 2) for v in _numbers({k: v for k, v in paper.items() if k[0] != "_"})}
    of_the_paper = [row for row in rows() if "2304.05538" in row["source"] and "openclip_results" not in row["source"]]
    assert {float(row["value"]) for row in of_the_paper} <= values
    table = [row for row in of_the_paper if row["source"].endswith("Table 1")]
    assert len(table) == len(list(_numbers(paper["table1"])))
    for block, words in (
        ("disentangling", "disentangling.ipynb"),
        ("per_crop_location_max_over_36_scales", "classification-performance.ipynb"),
        ("heatmaps", "center-bias-heatmaps.ipynb"),
    ):
        there = {name: part for name, part in paper[block].items() if (block, name) != ("heatmaps", "CLIP-ViT-L/14")}
        assert len([row for row in of_the_paper if words in row["source"]]) == len(list(_numbers(there)))
    hard = [row for row in of_the_paper if "performance report" in row["source"]]
    assert len(hard) == len(paper["imagenet_hard_accuracy"]["10980"]) + len(paper["imagenet_hard_accuracy"]["4K_10980"])


@pytest.mark.parametrize("name", ["groups", "heat-maps", "aggregation"])
def test_what_the_configs_expect_of_a_study_is_known(name):
    numbers = read_expected(REPOSITORY / "configs" / f"{name}.toml").numbers
    assert numbers
    for number in numbers:
        known = lookup(number.data, number.labels, number.model, number.metric)
        assert [one.value for one in known] == [number.percent], number


@pytest.mark.skipif(not PAPER.is_file(), reason="the published numbers are not here")
def test_numbers_that_no_config_expects():
    paper = json.loads(PAPER.read_text())
    for data, by_model in paper["disentangling"].items():
        for group, percent in by_model["AlexNet"]["exclusive"].items():
            metric = f"groups.{group.replace('_', '-')}.exclusive_shadowed"
            assert value(data.lower(), None, "torchvision/alexnet:IMAGENET1K_V1", metric) == percent
    sizes = paper["min_cover_size"]["VGG-16"]
    known = {data: lookup(data.lower(), None, "torchvision/vgg16", "upper_bound.greedy_cover") for data in sizes}
    found = {data: one[0].value for data, one in known.items() if one}
    assert found == {data: size for data, size in sizes.items() if data != "ImageNet+ReaL(old def)"}
    counts = paper["imagenet_hard_counts"]["2023-05-24_10980"]
    assert {name: one.value for name, one in published_origins("imagenet-hard").items()} == counts
    assert sum(counts.values()) == 10980
    assert published_origins("/data/imagenet-hard") == published_origins("imagenet") == {}


def _numbers(tree):
    if isinstance(tree, dict | list):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _numbers(branch)
    else:
        yield tree


EXPECTED = """
title = "Two models"
source = "A paper"
commands = ["snellen study imagenet-real -m torchvision/alexnet:IMAGENET1K_V1"]

[models]
A = "torchvision/alexnet:IMAGENET1K_V1"
R = "torchvision/resnet50:IMAGENET1K_V1"

[expect.imagenet-real]
one_crop = { A = 62.67, R = 82.63 }
"random_baseline.top_36" = { "*" = 3.6 }
"groups.zoom-in.upper_bound" = { A = 90 }

[expect.imagenet-a]
locations = { A = [[1.0, 2.0], [3.0, 4.0]] }
"""


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "expected.toml"
    path.write_text(EXPECTED)
    return read_expected(path)


def share_of(hits, n=1000):
    return {"hits": hits, "n": n, "value": hits / n, "low": hits / n - 0.01, "high": hits / n + 0.01, "stderr": 0.005}


def test_what_was_measured_stands_beside_what_is_expected(expected):
    record = {
        "model": "ignored",
        "images": 1000,
        "one_crop": share_of(620),
        "random_baseline": {"top_36": 0.036, "upper_bound": 0.324},
        "groups": {"zoom-in": {"upper_bound": share_of(800), "exclusive": share_of(10)}},
    }
    alexnet = "torchvision/alexnet:IMAGENET1K_V1"
    found = compare(expected, measured(alexnet, "imagenet", "real", record))
    assert found == [
        Comparison(alexnet, "imagenet", "real", "one_crop", 62.67, pytest.approx(62.0), True, 1000),
        Comparison(alexnet, "imagenet", "real", "random_baseline.top_36", 3.6, pytest.approx(3.6), None, None),
        Comparison(alexnet, "imagenet", "real", "groups.zoom-in.upper_bound", 90, pytest.approx(80.0), False, 1000),
    ]
    assert found[0].difference == pytest.approx(-0.67)
    assert compare(expected, measured(alexnet, "imagenet", "imagenet", record)) == []
    assert [row.metric for row in compare(expected, measured("timm/other", "imagenet-real", None, record))] == [
        "random_baseline.top_36"
    ]
    cells = measured(
        alexnet, "imagenet-a", None, {"locations": [[share_of(10 * (2 * i + j + 1)) for j in (0, 1)] for i in (0, 1)]}
    )
    assert [(row.metric, row.published, round(row.ours, 6)) for row in compare(expected, cells)] == [
        (f"locations.{i}.{j}", 2 * i + j + 1, 2 * i + j + 1) for i in (0, 1) for j in (0, 1)
    ]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("labels", [None, "own", "imagenet", "real"])
def test_nothing_is_expected_of_a_folder(expected, folder, labels):
    record = {"one_crop": share_of(620), "random_baseline": {"top_36": 0.036}, "locations": [[share_of(1)] * 2] * 2}
    found = measured("torchvision/alexnet:IMAGENET1K_V1", folder, labels, record)
    assert {"one_crop", "random_baseline.top_36", "locations.0.0"} <= {one.metric for one in found}
    assert compare(expected, found) == []


def test_what_is_printed(expected):
    one = Measured("torchvision/alexnet:IMAGENET1K_V1", "imagenet", "real", "one_crop", 0.62, 0.6, 0.61, 1234)
    text = io.StringIO()
    print_comparison(compare(expected, [one]), expected, Console(file=text, width=160))
    for words in ("Expected: Two models", "62.67", "62.00", "-0.67", "no", "1234", "Published: A paper"):
        assert words in text.getvalue()
    text = io.StringIO()
    print_comparison([], expected, Console(file=text, width=160))
    assert "Nothing that was run is among its numbers" in text.getvalue()


def test_measures_that_nothing_has_are_named(expected):
    one = Measured("torchvision/alexnet:IMAGENET1K_V1", "imagenet", "real", "on_crop", 0.62)
    lacking = unmeasured(expected, [one])
    assert "one_crop" in lacking
    text = io.StringIO()
    print_comparison([], expected, Console(file=text, width=160), lacking)
    assert "No measure of what was run is called" in text.getvalue()
    assert "'one_crop'" in text.getvalue()
    assert unmeasured(expected, [replace(one, data="elsewhere")]) == []


@pytest.mark.parametrize(("low", "high", "inside"), [(0.62, 0.64, True), (0.62675, 0.63, True), (0.6268, 0.63, False)])
def test_a_rounded_number_may_lie_just_outside(expected, low, high, inside):
    one = Measured("torchvision/alexnet:IMAGENET1K_V1", "imagenet", "real", "one_crop", 0.628, low, high, 9)
    assert [row.inside for row in compare(expected, [one])] == [inside]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "is not TOML"),
        ("title = 'x'", "no file of expected numbers"),
        (EXPECTED.replace("A = 62.67", "B = 62.67"), "model 'B' is not listed in its table models"),
        (EXPECTED.replace("A = 62.67", "A = 'much'"), "could not convert"),
        (
            EXPECTED.replace("[expect.imagenet-a]\nlocations = { A = [[1.0, 2.0], [3.0, 4.0]] }", "[expect]\nx = 3"),
            "no file of",
        ),
    ],
)
def test_a_file_of_another_form_costs_one_line(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_expected(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no expected numbers at"):
        read_expected(tmp_path / "none.toml")
