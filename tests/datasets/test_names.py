"""How the members of the ImageNet family are called, and what groups and wildcards mean."""

import pytest

from snellen.datasets.members import CORRUPTION_GROUPS, CORRUPTIONS, MEMBERS, member_of
from snellen.datasets.names import GROUPS, NAMES, canonical, expand, is_family, label_source
from snellen.errors import DataError

# The fifteen of the benchmark and the four for validation, as Hendrycks and Dietterich name them.
ALL_19 = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
]


@pytest.mark.parametrize(
    ("spelling", "name", "source"),
    [
        ("imagenet", "imagenet", None),
        ("ImageNet", "imagenet", None),
        ("imagenet-1k", "imagenet", None),
        ("imagenet_1k", "imagenet", None),
        ("ILSVRC2012", "imagenet", None),
        ("imagenet-real", "imagenet", "real"),
        ("ImageNet-ReaL", "imagenet", "real"),
        ("imagenet_real", "imagenet", "real"),
        ("imagenet+real", "imagenet", "imagenet+real"),
        ("ImageNet+ReaL", "imagenet", "imagenet+real"),
        ("imagenet-v2", "imagenet-v2", None),
        ("imagenetv2", "imagenet-v2", None),
        ("imagenet_v2", "imagenet-v2", None),
        ("ImageNetV2", "imagenet-v2", None),
        ("imagenet-v2/matched-frequency", "imagenet-v2", None),
        ("imagenetv2-matched-frequency", "imagenet-v2", None),
        ("imagenetv2-matched-frequency-format-val", "imagenet-v2", None),
        ("imagenet-v2/threshold-0.7", "imagenet-v2/threshold-0.7", None),
        ("imagenetv2-threshold0.7", "imagenet-v2/threshold-0.7", None),
        ("imagenet_v2/top_images", "imagenet-v2/top-images", None),
        ("imagenetv2-top-images", "imagenet-v2/top-images", None),
        ("imagenet-a", "imagenet-a", None),
        ("imagenet_a", "imagenet-a", None),
        ("imageneta", "imagenet-a", None),
        ("ImageNet-A", "imagenet-a", None),
        ("imagenet-r", "imagenet-r", None),
        ("imagenet_r", "imagenet-r", None),
        ("imagenet-rendition", "imagenet-r", None),
        ("imagenet-sketch", "imagenet-sketch", None),
        ("imagenet_sketch", "imagenet-sketch", None),
        ("imagenet-c/fog/3", "imagenet-c/fog/3", None),
        ("imagenet_c/gaussian-noise/5", "imagenet-c/gaussian_noise/5", None),
        ("ImageNetC/JPEG_compression/1", "imagenet-c/jpeg_compression/1", None),
        ("imagenet-c-made/zoom_blur/2", "imagenet-c-made/zoom_blur/2", None),
        ("objectnet", "objectnet", None),
        ("ObjectNet-1.0", "objectnet", None),
        ("imagenet-hard", "imagenet-hard", None),
        ("imagenet_hard", "imagenet-hard", None),
        ("imagenet-hard-4k", "imagenet-hard-4k", None),
        ("imagenet-hard-4K", "imagenet-hard-4k", None),
        ("ImageNet_Hard_4K", "imagenet-hard-4k", None),
    ],
)
def test_spellings(spelling, name, source):
    assert is_family(spelling)
    assert canonical(spelling) == name
    assert canonical(name) == name
    assert label_source(spelling) == source


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("imagenet-c/fogg/3", "imagenet-c/fog/3"),
        ("imagenet-c/fog/33", "imagenet-c/fog/3"),
        ("imagenet-skech", "imagenet-sketch"),
        ("imagenet-hard-4", "imagenet-hard-4k"),
        ("objectnets", "objectnet"),
        ("imagenet-v2/top-image", "imagenet-v2/top-images"),
        ("imagenet-x", "imagenet"),
    ],
)
def test_a_name_that_is_slightly_off_is_told_the_nearest(name, nearest):
    assert is_family(name)
    for function in (canonical, expand):
        with pytest.raises(DataError, match=rf"no data set '{name}': the nearest name is '{nearest}'; `snellen ls"):
            function(name)


@pytest.mark.parametrize(
    "name", ["examples", "hub/someone/imagenet-a", "parquet/imagenet-a", "photos", "", "./imagenet-a", "imagenet-a/"]
)
def test_names_of_others(name):
    assert not is_family(name)
    assert expand(name) == [name]
    assert label_source(name) is None


def test_a_folder_hides_a_wrong_name_but_no_right_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("imagenet-x", "imagenet-a"):
        (tmp_path / folder).mkdir()
    assert not is_family("imagenet-x")
    assert is_family("imagenet-a")
    assert is_family("imagenet" * 100)  # longer than a path may be


def test_corruptions():
    assert sorted(CORRUPTIONS) == sorted(ALL_19)
    assert {group: len(names) for group, names in CORRUPTION_GROUPS.items()} == {
        "noise": 3,
        "blur": 4,
        "weather": 4,
        "digital": 4,
        "extra": 4,
    }


@pytest.mark.parametrize("member", ["imagenet-c", "imagenet-c-made"])
def test_groups_and_wildcards(member):
    everything = [f"{member}/{name}/{severity}" for name in CORRUPTIONS for severity in range(1, 6)]
    assert expand(member) == everything
    assert len(set(everything)) == 95
    assert expand(f"{member}/*") == expand(member.upper()) == everything
    assert expand(f"{member}/*/3") == [f"{member}/{name}/3" for name in CORRUPTIONS]
    assert expand(f"{member}/fog") == expand(f"{member}/fog/*") == [f"{member}/fog/{k}" for k in range(1, 6)]
    assert expand(f"{member}/gaussian?*/[12]") == [
        f"{member}/gaussian_{kind}/{k}" for kind in ("noise", "blur") for k in (1, 2)
    ]


def test_the_family():
    family = expand("imagenet-robustness")
    assert [name for name in family if not name.startswith("imagenet-c/")] == [
        "imagenet",
        "imagenet-v2",
        "imagenet-a",
        "imagenet-r",
        "imagenet-sketch",
        "objectnet",
        "imagenet-hard",
        "imagenet-hard-4k",
    ]
    assert len(family) == 8 + 95
    assert all(canonical(name) == name for name in family)


def test_a_wildcard_over_members():
    assert expand("imagenet-hard*") == ["imagenet-hard", "imagenet-hard-4k"]
    assert expand("imagenet-[ar]") == ["imagenet-a", "imagenet-r"]
    assert not [name for name in expand("imagenet*") if "made" in name]
    with pytest.raises(DataError, match=r"no data set matches 'imagenet-c/\*/9'"):
        expand("imagenet-c/*/9")


def test_one_name_means_itself():
    assert expand("ImageNet_V2") == ["imagenet-v2"]
    assert expand("imagenet_real") == ["imagenet-real"]
    assert expand("imagenet+real") == ["imagenet+real"]


@pytest.mark.parametrize(
    ("name", "count"), [("imagenet-c", 95), ("imagenet-c/fog", 5), ("imagenet-c/*/3", 19), ("imagenet-robustness", 103)]
)
def test_several_cannot_be_opened_as_one(name, count):
    with pytest.raises(DataError) as error:
        canonical(name)
    first = expand(name)[0]
    assert str(error.value) == f"{name!r} means {count} data sets; name one of them, for example {first!r}"


def test_the_table():
    assert len({member.name for member in MEMBERS}) == len(MEMBERS)
    for member in MEMBERS:
        assert member.about
        assert member.licence
        assert member.source
        assert member.download
    counts = {member.name: (member.images, member.classes, member.sets) for member in MEMBERS}
    assert counts == {
        "imagenet": (50_000, 1000, 1),
        "imagenet-v2": (10_000, 1000, 1),
        "imagenet-v2/threshold-0.7": (10_000, 1000, 1),
        "imagenet-v2/top-images": (10_000, 1000, 1),
        "imagenet-a": (7500, 200, 1),
        "imagenet-r": (30_000, 200, 1),
        "imagenet-sketch": (50_889, 1000, 1),
        "imagenet-c": (50_000, 1000, 95),
        "imagenet-c-made": (50_000, 1000, 95),
        "objectnet": (18_574, 113, 1),
        "imagenet-hard": (10_980, 1000, 1),
        "imagenet-hard-4k": (10_980, 1000, 1),
    }
    assert [name for name in NAMES if member_of(name).sets == 1] + GROUPS["imagenet-c"] + GROUPS[
        "imagenet-c-made"
    ] == list(NAMES)
