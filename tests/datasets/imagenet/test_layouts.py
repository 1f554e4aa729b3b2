"""A miniature of every member of the ImageNet family in its released layout."""

import subprocess
import sys
from pathlib import Path

import pytest
from imagenet_members import GOLDFINCH, GOLDFISH, INFO, OFFICIAL, SHARK, STINGRAY, TENCH, TURNED, WNID, labels_of, val

from snellen.datasets import open_dataset
from snellen.labels import IMAGENET_1K, ClassMap

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


def test_the_spec_opens_it_in_another_process(lay):
    dataset = open_dataset("imagenet-a", root=lay(f"imagenet-a/{STINGRAY}/a.jpg", f"imagenet-a/{GOLDFINCH}/b.jpg"))
    script = (
        "import sys; from snellen.datasets import open_dataset; d = open_dataset(sys.argv[1]); "
        "print(d.fingerprint, d.name, d.spec, len(d.classes), d.read(0)[:2].hex())"
    )
    done = subprocess.run([sys.executable, "-c", script, dataset.spec], capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == [dataset.fingerprint, "imagenet-a", dataset.spec, "200", "ffd8"], done.stderr
