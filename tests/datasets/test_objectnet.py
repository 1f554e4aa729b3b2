"""ObjectNet from a miniature of its release: how its four mappings are joined, what is left out, the red border."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from snellen.datasets import open_dataset
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace, correct_by_labels
from snellen.zoom.render import decode, without_border

FOLDERS = {
    "alarm_clock": "Alarm clock",
    "banana": "Banana",
    "chair": "Chair",
    "blender": "Blender",
    "hand_towel_or_rag": "Dishrag or hand towel",
}
OVERLAP = {
    "Chair": "barber chair; folding chair; rocking chair, rocker",
    "Alarm clock": "analog clock; digital clock",
    "Banana": "banana",
    "Dishrag or hand towel": "dishrag, dishcloth",
}
# ImageNet-1k's ids of those names, as every list of its classes has them. Blenders are no class of it.
IDS = {"alarm_clock": [409, 530], "banana": [954], "chair": [423, 559, 765], "hand_towel_or_rag": [533]}
IMAGES = [
    "alarm_clock/1.png",
    "banana/1.png",
    "banana/2.png",
    "blender/1.png",
    "chair/1.png",
    "hand_towel_or_rag/1.png",
]


@pytest.fixture
def objectnet(tmp_path, examples_dir):
    """`objectnet-1.0` in a folder: photographs of 40 x 30 pixels in a red frame of two."""
    root = tmp_path / "objectnet-1.0"
    with Image.open(examples_dir / "fig.jpg") as photo:
        small = photo.convert("RGB").resize((40, 30))
    for path in IMAGES:
        framed = Image.new("RGB", (44, 34), (255, 0, 0))
        framed.paste(small, (2, 2))
        (root / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        framed.save(root / "images" / path)
    order = list(range(1000))
    random.Random(0).shuffle(order)
    mappings = root / "mappings"
    mappings.mkdir()
    (mappings / "folder_to_objectnet_label.json").write_text(json.dumps(FOLDERS))
    (mappings / "objectnet_to_imagenet_1k.json").write_text(json.dumps(OVERLAP))
    lines = [", ".join(IMAGENET_1K.synonyms[i]) for i in order]
    (mappings / "imagenet_to_label_2012_v2").write_text("\n".join(lines))
    (mappings / "pytorch_to_imagenet_2012_id.json").write_text(json.dumps({str(i): k for k, i in enumerate(order)}))
    return root


def labels_of(dataset, space=IMAGENET_1K):
    ids = [item.id for item in dataset.items]
    return dict(zip(ids, dataset.label_sets(ids, space), strict=True))


@pytest.mark.parametrize("above", [False, True])
def test_images_labels_and_mask(objectnet, above):
    dataset = open_dataset("objectnet", objectnet.parent if above else objectnet)
    assert [item.id for item in dataset.items] == [path for path in IMAGES if not path.startswith("blender")]
    assert labels_of(dataset) == {path: IDS[path.split("/")[0]] for path in IMAGES if not path.startswith("blender")}
    mask = ClassMap.of(dataset.name, dataset.classes, IMAGENET_1K)
    assert [sorted(row) for row in mask.ids] == [IDS[name] for name in sorted(IDS)]
    assert mask.taking_part.tolist() == sorted(i for ids in IDS.values() for i in ids)
    assert mask.many_to_one
    assert dataset.read(0) == (objectnet / "images" / IMAGES[0]).read_bytes()
    assert (dataset.name, dataset.origin(0), dataset.label_sources) == ("objectnet", "objectnet", ("own",))
    again = open_dataset(dataset.spec)
    assert (again.fingerprint, again.spec) == (dataset.fingerprint, dataset.spec)


def test_accuracy_is_that_of_a_count_by_hand(objectnet):
    """The arg-max over the ids of the mask, of logits that favour what is masked; right if it is any of the class's."""
    dataset = open_dataset("objectnet", objectnet)
    mask = ClassMap.of(dataset.name, dataset.classes, IMAGENET_1K)
    logits = np.random.default_rng(3).normal(size=(5, 1000)).astype(np.float32)
    for row, best in zip(logits, (530, 954, 533, 765, 409), strict=True):
        row[best] += 10
        row[0] += 100  # a tench, which is no class of ObjectNet
    answers = mask.taking_part[logits[:, mask.taking_part].argmax(axis=1)].astype(np.int32)
    correct = correct_by_labels(answers, list(labels_of(dataset).values()), 1000)
    # alarm clock: digital clock, right. banana: right, then a dishrag. chair: rocking chair, right. A rag: a clock.
    assert correct.tolist() == [True, True, False, True, False]


def test_the_red_border_is_cut(objectnet):
    dataset = open_dataset("objectnet", objectnet)
    assert dataset.border == 2
    pixels = np.asarray(without_border(decode(dataset.read(0)), dataset.border))
    assert pixels.shape == (30, 40, 3)
    assert not (pixels == (255, 0, 0)).all(axis=-1).any()


def test_another_order_of_the_head(objectnet):
    turned = ClassSpace.of_names(IMAGENET_1K.keys[::-1], "turned")
    dataset = open_dataset("objectnet-1.0", objectnet)
    assert labels_of(dataset, turned)["chair/1.png"] == [999 - 765, 999 - 559, 999 - 423]
    with pytest.raises(DataError, match="objectnet has classes that this model's head lacks"):
        ClassMap.of(dataset.name, dataset.classes, ClassSpace.of_names(["tench", "goldfish"]))


@pytest.mark.parametrize(
    "name",
    [
        "folder_to_objectnet_label.json",
        "objectnet_to_imagenet_1k.json",
        "imagenet_to_label_2012_v2",
        "pytorch_to_imagenet_2012_id.json",
    ],
)
def test_a_mapping_is_missing(objectnet, name):
    (objectnet / "mappings" / name).unlink()
    with pytest.raises(DataError, match=rf"ObjectNet's mapping '.*{name}' cannot be read .*unpack objectnet-1.0.zip"):
        open_dataset("objectnet", objectnet)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("folder_to_objectnet_label.json", "{", "cannot be read"),
        ("folder_to_objectnet_label.json", "[]", "not a JSON object"),
        ("folder_to_objectnet_label.json", '{"banana": "Banana"}', "do not fit together .at 'Chair'"),
        ("objectnet_to_imagenet_1k.json", '{"Banana": "bananas"}', "do not fit together .at 'bananas'"),
        ("objectnet_to_imagenet_1k.json", '{"Banana": 954}', "do not fit together"),
        ("objectnet_to_imagenet_1k.json", '{"Banana": "crane"}', "do not fit together .at 'crane', which is 2 classes"),
        ("pytorch_to_imagenet_2012_id.json", '{"0": 0}', "do not fit together"),
        ("pytorch_to_imagenet_2012_id.json", '{"zero": 0}', "do not fit together"),
        ("imagenet_to_label_2012_v2", "tench", "do not fit together"),
    ],
)
def test_a_mapping_says_something_else(objectnet, name, text, message):
    (objectnet / "mappings" / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        open_dataset("objectnet", objectnet)
    assert "\n" not in str(error.value)


def test_a_mapping_that_gives_an_id_to_two_classes(objectnet):
    edited = OVERLAP | {"Banana": "banana; dishrag, dishcloth"}
    (objectnet / "mappings" / "objectnet_to_imagenet_1k.json").write_text(json.dumps(edited))
    dataset = open_dataset("objectnet", objectnet)
    with pytest.raises(DataError, match=rf"objectnet gives the model's class '{IMAGENET_1K.keys[533]}' 2 times"):
        ClassMap.of(dataset.name, dataset.classes, IMAGENET_1K)


def test_official_images(objectnet):
    assert open_dataset("objectnet", objectnet).official == 18_574  # those of the 113 classes


def test_no_image_of_a_class_that_counts(objectnet):
    for path in IMAGES:
        if not path.startswith("blender"):
            (objectnet / "images" / path).unlink()
    with pytest.raises(DataError, match=r"no images under '.*images'"):
        open_dataset("objectnet", objectnet)
