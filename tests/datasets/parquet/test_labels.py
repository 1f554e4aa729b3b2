"""What the labels of a Parquet file may be, and what its own class names make of them."""

import pyarrow as pa
import pytest
from parquet_sets import PETS, class_label, labels, open_path

from snellen.datasets.parquet.dataset import ParquetDataSet
from snellen.datasets.parquet.files import placed_files
from snellen.datasets.parquet.labels import in_file_order
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 7, 999], pa.int64(), [[0], [7], [999]]),
        ([0, -1, None], pa.int16(), [[0], [], []]),
        ([0, 7], pa.uint16(), [[0], [7]]),
        ([1.0, None, float("nan")], pa.float64(), [[1], [], []]),
        ([[3, 1], [], None, [-1], [2, 2, None]], pa.list_(pa.int64()), [[1, 3], [], [], [], [2]]),
        ([[3], [4]], pa.large_list(pa.int32()), [[3], [4]]),
        ([[3, 9], [4, 8]], pa.list_(pa.int32(), 2), [[3, 9], [4, 8]]),
        (["n01440764", "1", "Tinca_tinca", "", " ", "-1", None], pa.string(), [[0], [1], [0], [], [], [], []]),
        ([["tench", "n01443537"], [""], []], pa.list_(pa.string()), [[0, 1], [], []]),
        (["tench", "goldfish"], pa.dictionary(pa.int8(), pa.string()), [[0], [1]]),
        ([None, None], pa.null(), [[], []]),
    ],
)
def test_what_a_label_may_be(write, values, kind, expected):
    assert labels(open_path(write("a.parquet", label=values, kinds={"label": kind}))) == expected


@pytest.mark.parametrize(
    ("values", "feature", "expected"),
    [
        ([0, 1, 2, -1], class_label("dog", "axolotl", "cat"), [[1], [2], [0], []]),
        ([[0, 1]], {"_type": "Sequence", "feature": class_label("dog", "cat")}, [[0, 1]]),
        ([[0, 1]], {"_type": "List", "feature": class_label("dog", "cat")}, [[0, 1]]),
        ([[1, 1]], [class_label("dog", "cat")], [[0]]),
        ([0, 1], class_label("Canis, dog", "felid, cat"), [[1], [0]]),
        ([2], {"_type": "Value", "dtype": "int64"}, [[2]]),
        ([0, 2], class_label("cat", "dog", "newt"), [[0], [2]]),  # as many, in order: the odd one is in its place
    ],
)
def test_class_names_of_the_file_decide_what_its_numbers_mean(write, values, feature, expected):
    assert labels(open_path(write("a.parquet", label=values, metadata={"label": feature})), PETS) == expected


def test_imagenets_own_names_on_the_hub_are_its_order(write):
    names = [", ".join(words) for words in IMAGENET_1K.synonyms]
    path = write("a.parquet", label=list(range(1000)), metadata={"label": class_label(*names)})
    assert labels(open_path(path)) == [[k] for k in range(1000)]


NAMES = [", ".join(words) for words in IMAGENET_1K.synonyms]  # `crane`, `partridge` and some others are two classes
SOME = (6, 11, 134, 1, 2)  # the second `crane` is no class of these
TOLD = [NAMES[i] for i in SOME]


@pytest.mark.parametrize(
    ("classes", "ids", "expected"),
    [
        ([IMAGENET_1K.keys[i] for i in SOME[::-1]], SOME, SOME[::-1]),
        (["goldfish", "stingray"], (6, 11, 1), (1, 6)),
        ([str(k) for k in range(5)], SOME, SOME),  # numbers of the file, not of ImageNet
        (TOLD, SOME, SOME),
        ([TOLD[1], TOLD[0], *TOLD[2:]], SOME, "class 2 is 'crane': expected the 5 classes, each by its name"),
        ([TOLD[0], TOLD[0], *TOLD[2:]], SOME, "class 0 is 'stingray': expected the 5 classes"),
        ([*TOLD[:4], "tench"], SOME, "class 2 is 'crane'"),
        (["stingray", "tench"], (6, 11), "class 1 is 'tench': expected the 2 classes"),
        (["x", "y"], (6, 11), "class 0 is 'x'"),
        (NAMES, range(1000), range(1000)),
        ([NAMES[1], NAMES[0], *NAMES[2:]], range(1000), "class 86 is 'partridge'"),
    ],
)
def test_a_members_classes_in_the_order_of_the_files_own_names(classes, ids, expected):
    keys = [IMAGENET_1K.keys[i] for i in ids]
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            in_file_order(classes, keys, IMAGENET_1K)
    else:
        assert in_file_order(classes, keys, IMAGENET_1K) == [IMAGENET_1K.keys[i] for i in expected]


@pytest.mark.parametrize(
    ("columns", "space", "message"),
    [
        ({"label": [3]}, PETS, "label 3: expected 0 … 2, the 3 classes of pets"),
        ({"label": [-7]}, PETS, "label -7: expected 0 … 2"),
        ({"label": ["wolf"]}, PETS, "unknown class 'wolf' in pets"),
        ({"label": [1.5]}, PETS, "label 1.5: expected a whole number"),
        ({"label": [1], "metadata": {"label": class_label("dog", "wolf")}}, PETS, "unknown class 'wolf'"),
        ({"label": [2], "metadata": {"label": class_label("dog", "cat")}}, PETS, "label 2: expected 0 … 1"),
        ({"label": [0], "metadata": {"label": class_label("crane")}}, IMAGENET_1K, "'crane' is ambiguous"),
        ({"other": [0]}, PETS, "no label column .* its columns are image, other; give label=COLUMN"),
    ],
)
def test_labels_that_mean_nothing(write, columns, space, message):
    with pytest.raises(DataError, match=message):
        labels(open_path(write("a.parquet", **columns)), space)


def test_label_sets_of_what_is_not_there(write):
    dataset = open_path(write("a.parquet", label=[1]))
    with pytest.raises(DataError, match="no image 'b'"):
        dataset.label_sets(["b"], IMAGENET_1K)
    with pytest.raises(DataError, match="no labels 'real': expected own"):
        dataset.label_sets(["a:0"], IMAGENET_1K, "real")


def test_files_that_name_other_classes_are_not_mixed(write, tmp_path):
    write("d/a.parquet", label=[0], metadata={"label": class_label("dog", "cat")})
    write("d/b.parquet", label=[0], metadata={"label": class_label("cat", "dog")})
    with pytest.raises(DataError, match="name different classes"):
        labels(open_path(tmp_path / "d"), PETS)


def test_a_family_says_what_its_numbers_mean(write):
    path = write("a.parquet", label=[1, 0, -1], metadata={"label": class_label("x", "y")})
    keys = [["n01440764"], ["n01443537", "n01484850"]]
    dataset = ParquetDataSet(
        placed_files(path), "s", "n", names=keys, classes=keys, border=2, label_sources=("own", "real"), revision="r"
    )
    assert labels(dataset) == [[1, 2], [0], []]
    assert (dataset.classes, dataset.border, dataset.revision) == (keys, 2, "r")
    assert dataset.label_sources == ("own", "real")
