"""The ImageNet family: a miniature of every member in its released layout, and what may be wrong with one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.datasets import open_dataset
from snellen.datasets.hub import dataset as hub
from snellen.datasets.parquet.files import placed_files
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace, correct_by_labels

WNID = IMAGENET_1K.keys
TENCH, GOLDFISH, SHARK = WNID[:3]
# Of ImageNet-A and of ImageNet-R, by their own lists.
STINGRAY, GOLDFINCH = "n01498041", "n01531178"
INFO = Path(importlib.util.find_spec("timm").origin).parent / "data" / "_info"
TURNED = ClassSpace.of_names(WNID[::-1], "turned")


def val(number):
    return f"ILSVRC2012_val_{number:08d}.JPEG"


@pytest.fixture(scope="session")
def photos(examples_dir):
    """The bytes of the shipped photographs."""
    return [path.read_bytes() for path in sorted(examples_dir.glob("*.jpg"))]


@pytest.fixture
def lay(tmp_path, photos):
    """`lay("a/b.jpg", …)`: photographs at these paths below one folder, each another one while they last."""

    def make(*paths):
        for k, path in enumerate(paths):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(photos[k % len(photos)])
        return tmp_path

    return make


def labels_of(dataset, source=None, space=IMAGENET_1K):
    ids = [item.id for item in dataset.items]
    return dict(zip(ids, dataset.label_sets(ids, space, source), strict=True))


# Member, its folder, images inside it and the index of each one's class; the class is said by the folder's name.
RELEASED = [
    (
        "imagenet",
        "val",
        {f"{TENCH}/{val(293)}": 0, f"{WNID[65]}/{val(1)}": 65, f"{WNID[970]}/{val(2)}": 970},
    ),
    ("imagenet", "imagenet", {f"{TENCH}/{val(293)}": 0, f"{WNID[65]}/{val(1)}": 65}),
    ("imagenet", "ImageNet/val", {f"{TENCH}/{val(293)}": 0, f"{WNID[65]}/{val(1)}": 65}),
    ("imagenet", "ILSVRC/Data/CLS-LOC/val", {val(1): 65, val(2): 970, val(293): 0}),
    ("imagenet", "ILSVRC2012_img_val", {val(5): 516, val(4): 809, val(3): 230}),
    ("imagenet-v2", "imagenetv2-matched-frequency-format-val", {f"{k}/a.jpeg": k for k in (0, 1, 2, 9, 10, 99, 999)}),
    ("imagenet-v2/threshold-0.7", "imagenetv2-threshold0.7-format-val", {f"{k}/a.jpeg": k for k in (0, 2, 10)}),
    ("imagenet-v2/top-images", "imagenetv2-top-images-format-val", {f"{k}/a.jpeg": k for k in (0, 2, 10)}),
    ("imagenet-a", "imagenet-a", {f"{STINGRAY}/0.000116.jpg": 6, f"{GOLDFINCH}/0.7.jpg": 11}),
    ("imagenet-r", "imagenet-r", {f"{GOLDFISH}/art_0.jpg": 1, f"{SHARK}/toy_1.jpg": 2}),
    ("imagenet-sketch", "sketch", {f"{TENCH}/sketch_0.JPEG": 0, f"{WNID[999]}/sketch_1.JPEG": 999}),
    ("imagenet-c/fog/3", "ImageNet-C/fog/3", {f"{TENCH}/{val(293)}": 0, f"{WNID[65]}/{val(1)}": 65}),
    ("imagenet-c/fog/3", "imagenet-c/weather/fog/3", {f"{TENCH}/{val(293)}": 0, f"{WNID[65]}/{val(1)}": 65}),
    ("imagenet-c/spatter/5", "imagenet-c/extra/spatter/5", {f"{TENCH}/{val(293)}": 0}),
]

# Images of the released sets, as their papers count them; the others have 10,000 (V2) or 50,000.
OFFICIAL = {"imagenet-a": 7_500, "imagenet-r": 30_000, "imagenet-sketch": 50_889, "imagenet-hard": 10_980}
OFFICIAL["imagenet-hard-4k"] = OFFICIAL["imagenet-hard"]


@pytest.mark.parametrize(("name", "folder", "images"), RELEASED, ids=[f"{row[0]}-{row[1]}" for row in RELEASED])
def test_a_member_in_its_released_layout(name, folder, images, lay, photos):
    root = lay(*(f"{folder}/{path}" for path in images), "README.txt", "unrelated/notes.txt")
    dataset = open_dataset(name, root)
    assert dataset.name == name
    assert [item.id for item in dataset.items] == sorted(images, key=str.encode)
    own = dataset.label_sources[0]
    assert labels_of(dataset) == labels_of(dataset, own) == {path: [label] for path, label in images.items()}
    assert labels_of(dataset, own, TURNED) == {path: [999 - label] for path, label in images.items()}
    for k, path in enumerate(images):
        index = [item.id for item in dataset.items].index(path)
        assert dataset.read(index) == photos[k % len(photos)]
        assert dataset.items[index].size == len(photos[k % len(photos)])
        assert dataset.origin(index) == name
    assert (dataset.border, list(dataset.breaks), dataset.revision) == (0, [], "")
    assert dataset.official == OFFICIAL.get(name, 10_000 if "v2" in name else 50_000)
    assert dataset.reachable()


@pytest.mark.parametrize(("name", "folder", "images"), RELEASED, ids=[f"{row[0]}-{row[1]}" for row in RELEASED])
def test_root_is_its_own_folder_or_one_that_holds_it(name, folder, images, lay):
    root = lay(*(f"{folder}/{path}" for path in images))
    above = open_dataset(name, root)
    severity = folder.count("/") if name.startswith("imagenet-c/") else 0
    inside = root / Path(*Path(folder).parts[:-2]) if severity else root / folder
    for place in (inside, str(inside), root / Path(folder).parts[0]):
        assert open_dataset(name, place).fingerprint == above.fingerprint
    again = open_dataset(above.spec)
    assert (again.fingerprint, again.spec, again.name) == (above.fingerprint, f"{name}@{root.resolve()}", name)


@pytest.mark.parametrize("letter", ["a", "r"])
def test_masked_members_have_their_200_classes_whatever_images_are_there(letter, lay):
    indices = [int(i) for i in (INFO / f"imagenet_{letter}_indices.txt").read_text().split()]
    dataset = open_dataset(f"imagenet-{letter}", lay(f"x/{WNID[indices[0]]}/one.jpg").joinpath("x"))
    mask = ClassMap.of(dataset.name, dataset.classes, IMAGENET_1K)
    assert mask.taking_part.tolist() == sorted(indices)
    assert len(mask.ids) == 200
    assert not mask.many_to_one


@pytest.mark.parametrize("name", ["imagenet", "imagenet-v2", "imagenet-sketch", "imagenet-c/fog/3"])
def test_other_members_are_not_masked(name, lay):
    folder, image = {
        "imagenet": ("val", val(1)),
        "imagenet-v2": ("imagenetv2", "7/a.jpeg"),
        "imagenet-sketch": ("sketch", f"{TENCH}/a.JPEG"),
        "imagenet-c/fog/3": ("imagenet-c/fog/3", f"{TENCH}/a.JPEG"),
    }[name]
    root = lay(f"{folder}/{image}")
    assert open_dataset(name, root / "imagenetv2" if name == "imagenet-v2" else root).classes is None


def test_a_whole_v2_in_string_order_would_permute_the_classes(lay):
    dataset = open_dataset("imagenet-v2", lay(*(f"imagenet_v2/{k}/a.jpeg" for k in range(0, 1000, 7))))
    labels = [row[0] for row in labels_of(dataset).values()]
    assert labels == sorted(range(0, 1000, 7), key=str)
    assert labels != sorted(labels)


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


def test_the_training_folder_beside_it_is_left_alone(lay):
    root = lay(f"imagenet/train/{TENCH}/n01440764_1.JPEG", f"imagenet/val/{TENCH}/{val(293)}")
    assert [item.id for item in open_dataset("imagenet", root).items] == [f"{TENCH}/{val(293)}"]


def test_several_members_in_one_folder(lay):
    root = lay(
        f"imagenet-a/{STINGRAY}/a.jpg",
        f"imagenet-r/{GOLDFISH}/b.jpg",
        f"sketch/{TENCH}/c.jpg",
        f"imagenet/val/{val(1)}",
    )
    found = {name: open_dataset(name, root).items[0].id for name in ("imagenet", "imagenet-a", "imagenet-r")}
    assert found == {"imagenet": val(1), "imagenet-a": f"{STINGRAY}/a.jpg", "imagenet-r": f"{GOLDFISH}/b.jpg"}
    assert open_dataset("imagenet_sketch", root).items[0].id == f"{TENCH}/c.jpg"


@pytest.mark.parametrize(
    ("name", "paths", "message"),
    [
        ("imagenet-a", [f"imagenet-a/{TENCH}/a.jpg"], "lies in none of the 200 class folders of imagenet-a: is this"),
        ("imagenet-r", [f"imagenet-r/{STINGRAY}/a.jpg", "imagenet-r/x/b.jpg"], "'x/b.jpg' lies in none of the 200"),
        ("imagenet-sketch", [f"sketch/{TENCH}/a.jpg", "sketch/n99999999/b.jpg"], "'n99999999/b.jpg' lies in none of"),
        ("imagenet-v2", ["imagenet-v2/7/a.jpeg", "imagenet-v2/tench/b.jpeg"], "'tench/b.jpeg' lies in no folder 0 …"),
        ("imagenet", [f"val/{val(1)}", "val/tench.jpg"], "'tench.jpg' has no known label: expected <wnid>/tench"),
    ],
)
def test_images_that_do_not_belong(name, paths, message, lay):
    dataset = open_dataset(name, lay(*paths))
    with pytest.raises(DataError, match=message):
        labels_of(dataset)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet", "no imagenet in '.*': expected there, or in imagenet/, ILSVRC2012_img_val.tar: ILSVRC2012_val_"),
        ("imagenet-v2", "expected there, or in imagenetv2-matched-frequency-format-val/, imagenetv2-matched"),
        ("imagenet-a", "no imagenet-a in '.*': expected there, or in imagenet-a/, imagenet-a.tar: imagenet-a/<wnid>/"),
        ("imagenet-sketch", "no imagenet-sketch in .* ImageNet-Sketch.zip: sketch/<wnid>"),
        ("imagenet-c/fog/3", "no imagenet-c/fog/3 in .* weather.tar: <corruption>/<severity>/<wnid>"),
        ("objectnet", "no objectnet in .* objectnet-1.0.zip: objectnet-1.0/images/"),
        ("imagenet-hard", "no imagenet-hard in .* the Parquet files of taesiri/imagenet-hard"),
        ("imagenet-a,label=wnid", "imagenet-a has no option 'label=wnid' here: expected none"),
        ("imagenet-hard,revision=abc", "imagenet-hard has no option 'revision=abc' here: expected none"),
        ("imagenet-x", "no data set 'imagenet-x': the nearest name is"),
        ("imagenet-c", "'imagenet-c' means 95 data sets; name one"),
        ("imagenet-c/*/3", r"'imagenet-c/\*/3' means 19 data sets; name one"),
    ],
)
def test_a_root_that_does_not_hold_it(spec, message, lay):
    root = lay("cats/a.jpg", "cats/n01/b.jpg")
    with pytest.raises(DataError, match=message) as error:
        open_dataset(spec, root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "paths", "root"),
    [
        ("imagenet-sketch", [f"x/{TENCH}/{val(293)}"], "x"),
        ("imagenet-a", [f"x/{STINGRAY}/a.jpg", f"x/{STINGRAY}/{val(1)}"], "x"),
        ("imagenet-r", [f"imagenet-r/{GOLDFISH}/{val(1)}"], ""),
        ("imagenet-v2", [f"x/7/{val(1)}"], "x"),
    ],
)
def test_validation_images_are_no_other_member(name, paths, root, lay):
    with pytest.raises(DataError, match=rf"ILSVRC2012_val_.*' is a validation image of ImageNet, not one of {name}:"):
        open_dataset(name, lay(*paths) / root)


@pytest.mark.parametrize(
    ("name", "folder", "image", "other"),
    [
        ("imagenet-v2/top-images", "imagenetv2-matched-frequency-format-val", "0/a.jpeg", "imagenet-v2"),
        ("imagenet-v2", "imagenetv2-top-images-format-val", "0/a.jpeg", "imagenet-v2/top-images"),
        ("imagenet-v2", "v2/Threshold0.7", "0/a.jpeg", "imagenet-v2/threshold-0.7"),
        ("imagenet-sketch", "imagenet-r", f"{TENCH}/a.jpg", "imagenet-r"),
        ("imagenet-r", "ImageNet-Sketch", f"{GOLDFISH}/a.jpg", "imagenet-sketch"),
        ("imagenet", "imagenet_a", f"{STINGRAY}/a.jpg", "imagenet-a"),
        ("imagenet", "imagenet-c/fog/2", f"{TENCH}/{val(293)}", "imagenet-c/fog/2"),
    ],
)
def test_a_root_that_is_called_like_another_member(name, folder, image, other, lay):
    root = lay(f"{folder}/{image}")
    with pytest.raises(DataError, match=rf"no {name} in '.*': by its name it is {other}; expected in ") as error:
        open_dataset(name, root / folder)
    assert "\n" not in str(error.value)
    # What it holds under the member's own name is the member's.
    own = {"imagenet-v2/top-images": "imagenetv2-top-images"}.get(name, name)
    lay(f"{folder}/{own}/{image if name != 'imagenet-r' else f'{SHARK}/b.jpg'}")
    assert len(open_dataset(name, root / folder).items) == 1


def test_a_folder_of_corruptions_is_no_clean_set_to_corrupt(lay):
    root = lay(f"imagenet-c/fog/3/{TENCH}/{val(293)}")
    with pytest.raises(DataError, match=r"no imagenet-c/fog/3 in .*expected there, or in imagenet-c/"):
        open_dataset("imagenet-c/fog/3", root / "imagenet-c" / "fog" / "3")


@pytest.mark.parametrize("member", ["imagenet-a", "imagenet-c-made/contrast/3"])
def test_a_root_whose_spec_would_not_open_it(member, lay, tmp_path):
    root = lay(f"a,b=c/{STINGRAY}/a.jpg") / "a,b=c"
    with pytest.raises(DataError, match=r"a,b=c': a path may not hold ,WORD= here, .*; link to it$"):
        open_dataset(member, root)
    (tmp_path / "link").symlink_to(root)
    dataset = open_dataset(member, tmp_path / "link")
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("imagenet-v2", "https://github.com/modestyachts/ImageNetV2 .imagenetv2-matched-frequency.tar.gz"),
        ("imagenet-sketch", "https://github.com/HaohanWang/ImageNet-Sketch .ImageNet-Sketch.zip"),
        ("imagenet-c/fog/3", "https://zenodo.org/record/2235448 "),
        ("objectnet", "https://objectnet.dev .objectnet-1.0.zip"),
    ],
)
def test_without_a_root_and_a_copy_on_the_hub(name, where):
    with pytest.raises(
        DataError,
        match=rf"^{name} has no known Parquet copy on the Hub: get it from {where}.* give its folder as --root$",
    ):
        open_dataset(name)


def test_a_root_that_is_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' is no folder"):
        open_dataset("imagenet-a", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"nowhere' is no folder"):
        open_dataset(f"imagenet-a@{tmp_path}/nowhere")


def test_the_spec_opens_it_in_another_process(lay):
    dataset = open_dataset("imagenet-a", root=lay(f"imagenet-a/{STINGRAY}/a.jpg", f"imagenet-a/{GOLDFINCH}/b.jpg"))
    script = (
        "import sys; from snellen.datasets import open_dataset; d = open_dataset(sys.argv[1]); "
        "print(d.fingerprint, d.name, d.spec, len(d.classes), d.read(0)[:2].hex())"
    )
    done = subprocess.run([sys.executable, "-c", script, dataset.spec], capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == [dataset.fingerprint, "imagenet-a", dataset.spec, "200", "ffd8"], done.stderr


# Parquet, as the Hub lays it out: member, file, label column, what is in it, the class ids.
HUB = [
    ("imagenet-hard", "data/validation-00000-of-00001.parquet", "label", [[3, 7], [999]], [[3, 7], [999]]),
    ("imagenet-hard-4k", "data/validation-00000-of-00001.parquet", "label", [[3, 7], [999]], [[3, 7], [999]]),
    ("imagenet-a", "data/train-00000-of-00001.parquet", "label", [0, 1], [[6], [11]]),
    ("imagenet-r", "data/test-00000-of-00001.parquet", "wnid", [GOLDFISH, SHARK], [[1], [2]]),
    ("imagenet", "data/validation-00000-of-00001.parquet", "label", [0, 970], [[0], [970]]),
]


@pytest.fixture
def copy(tmp_path, photos):
    """`copy(file, label column, labels, names of the classes)`: a repository's local copy, in the folder `copy`."""

    def make(file, column, labels, classes=None):
        names = [val(293), f"{val(2)[:-5]}_{WNID[970]}.JPEG"] if "validation" in file else ["a.jpg", "b.jpg"]
        table = pa.table(
            {
                "image": [{"bytes": photos[k], "path": names[k]} for k in range(2)],
                column: labels,
                "origin": ["ImageNet", "ImageNet-Sketch"],
                "english_label": [["a"], ["b"]],
            }
        )
        if classes:
            features = {column: {"_type": "ClassLabel", "names": classes}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        path = tmp_path / "copy" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return tmp_path / "copy"

    return make


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


def test_parquet_validation_images_have_real_labels(copy):
    dataset = open_dataset("imagenet-real", copy("data/validation-00000-of-00001.parquet", "label", [0, 970]))
    assert dataset.label_sources == ("imagenet", "real", "imagenet+real")
    real = json.loads((INFO / "imagenet_real_labels.json").read_text())
    assert list(labels_of(dataset, "real").values()) == [sorted(real[292]), [795, 970]]
    assert list(labels_of(dataset, "imagenet+real").values()) == [sorted({0, *real[292]}), [795, 970]]
    with pytest.raises(DataError, match="no labels 'reel' for imagenet: there is imagenet, real, imagenet"):
        labels_of(dataset, "reel")


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
