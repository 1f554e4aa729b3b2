"""Parquet data sets against pyarrow's own reading of the whole file, and as people have them: odd, large, damaged."""

import errno
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_rows import ORIGINS, SCHEMA, hard_rows, write_rows

from snellen.datasets import open_dataset
from snellen.datasets.parquet.columns import Columns
from snellen.datasets.parquet.dataset import ParquetDataSet
from snellen.datasets.parquet.files import placed_files
from snellen.datasets.parquet.labels import in_file_order
from snellen.datasets.parquet.rows import DAMAGED
from snellen.engine.samples import OF_ONE_FILE, read_image, sample_row
from snellen.errors import DataError, Stopped
from snellen.labels import IMAGENET_1K, ClassSpace

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PETS = ClassSpace.of_names(["cat", "dog", "axolotl"], "pets")


@pytest.fixture(scope="module")
def rows(examples_dir):
    return hard_rows(examples_dir)


@pytest.fixture
def write(tmp_path):
    """`write("a/b.parquet", column=values, …)`: a Parquet file; the image column is made up unless given."""

    def make(name, *, group=None, metadata=None, image=None, kinds=None, **columns):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        count = len(next(iter(columns.values()))) if columns else len(image)
        if image is None:
            image = pa.array([{"bytes": f"{name} {k}".encode(), "path": None} for k in range(count)], IMAGE)
        arrays = {"image": image} | {
            key: pa.array(value, (kinds or {}).get(key)) if isinstance(value, list) else value
            for key, value in columns.items()
        }
        table = pa.table({key: value for key, value in arrays.items() if value is not False})
        if metadata:
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": metadata}})})
        pq.write_table(table, path, row_group_size=group or max(count, 1))
        return path

    return make


def ids(dataset):
    return [item.id for item in dataset.items]


def labels(dataset, space=IMAGENET_1K):
    return dataset.label_sets(ids(dataset), space)


def open_path(path, **options):
    return open_dataset(f"parquet/{path}" + "".join(f",{key}={value}" for key, value in options.items()))


@pytest.mark.parametrize("group", [1, 3, 5, 100])
@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("way", ["parquet", "hub"])
def test_the_hubs_schema_against_reading_the_whole_table(rows, tmp_path, group, files, way):
    half = -(-len(rows) // files)
    for k in range(files):
        path = tmp_path / f"data/validation-{k:05d}-of-{files:05d}.parquet"
        write_rows(rows[k * half : (k + 1) * half], path, group)
    where = tmp_path / "data"
    dataset = open_dataset(f"parquet/{where}" if way == "parquet" else f"hub/taesiri/imagenet-hard@{tmp_path}")
    paths = sorted(where.iterdir())
    tables = [pq.read_table(path) for path in paths]
    table = pa.concat_tables(tables)
    assert table.num_rows == len(rows) == len(dataset.items)
    assert ids(dataset) == [f"{p.stem}:{k}" for p, t in zip(paths, tables, strict=True) for k in range(t.num_rows)]
    assert labels(dataset) == [sorted(row) for row in table["label"].to_pylist()] == [sorted(r.labels) for r in rows]
    assert min(len(row) for row in labels(dataset)) == 2
    assert [dataset.origin(k) for k in range(len(rows))] == table["origin"].to_pylist()
    assert [dataset.read(k) for k in range(len(rows))] == [row["bytes"] for row in table["image"].to_pylist()]
    starts = [half * f + s for f, t in enumerate(tables) for s in range(0, t.num_rows, group)]
    assert list(dataset.breaks) == [start for start in starts if start]
    assert dataset.label_sources == ("own",)
    assert (dataset.classes, dataset.border, dataset.revision) == (None, 0, "")


def test_paths_beside_the_bytes_are_the_ids(rows, tmp_path):
    write_rows(rows, tmp_path / "a.parquet", 4, paths=True)
    dataset = open_path(tmp_path / "a.parquet")
    assert ids(dataset) == [row.name for row in rows]
    some = [rows[5].name, rows[2].name]
    assert dataset.label_sets(some, IMAGENET_1K) == [sorted(rows[5].labels), sorted(rows[2].labels)]


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


def class_label(*names):
    return {"_type": "ClassLabel", "names": list(names)}


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


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("image", IMAGE),
        ("img", pa.binary()),
        ("jpg", pa.large_binary()),
        ("png", pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary()), ("more", pa.int8())])),
        ("photograph", IMAGE),
    ],
)
def test_what_an_image_column_may_be(write, name, kind):
    data = [b"one", b"", b"three"]
    image = pa.array(data if not pa.types.is_struct(kind) else [{"bytes": item} for item in data], kind)
    dataset = open_path(write("a.parquet", **{"image": False, "label": [1, 2, 3], name: image}))
    assert [dataset.read(k) for k in range(3)] == data


def test_images_beside_the_file(write, tmp_path):
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "one.jpg").write_bytes(b"one")
    (tmp_path / "d" / "sub" / "two.jpg").write_bytes(b"two")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    names = [
        "one.jpg",
        "sub/two.jpg",
        "three.jpg",
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "sub/../one.jpg",
        None,
    ]
    for path in (
        write("d/a.parquet", image=pa.array(names)),
        write("d/b.parquet", image=pa.array([{"bytes": None, "path": name} for name in names], IMAGE)),
    ):
        dataset = open_path(path)
        assert (dataset.read(0), dataset.read(1)) == (b"one", b"two")
        for k, code in ((2, errno.ENOENT), (3, errno.EPERM), (4, errno.EPERM), (5, errno.EPERM), (6, errno.ENOENT)):
            with pytest.raises(OSError, match=r".") as raised:
                dataset.read(k)
            assert raised.value.errno == code in OF_ONE_FILE
        assert dataset.read(0) == b"one"
        assert dataset.reachable()


def test_a_row_without_an_image_is_that_images_own_fault(write):
    path = write("a.parquet", image=pa.array([b"x", None, b"z"]), label=[1, 2, 3])
    dataset = open_path(path)
    with pytest.raises(FileNotFoundError, match="holds no image"):
        dataset.read(1)
    assert (dataset.read(0), dataset.read(2), dataset.reachable()) == (b"x", b"z", True)


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        ({"id": ["b", "a", "c"]}, {}, ["b", "a", "c"]),
        ({"image_id": [5, 3, 4]}, {}, ["5", "3", "4"]),
        ({"id": [1, 1, 2], "file_name": ["x", "y", "z"]}, {}, ["x", "y", "z"]),  # a guess that names no row
        ({"id": ["x", "x", "y"]}, {}, ["a:0", "a:1", "a:2"]),
        ({"id": ["x", None, "y"]}, {}, ["a:0", "a:1", "a:2"]),
        ({"id": [1, 2, 3], "key": ["x", "x", None]}, {"id": "key"}, ["x@a:0", "x@a:1", "a:2"]),
        ({"key": ["a:1", None, None]}, {"id": "key"}, ["a:0", "a:1", "a:2"]),
        ({"id": [1.5, 2.5, 3.5]}, {}, ["a:0", "a:1", "a:2"]),
    ],
)
def test_ids(write, columns, options, expected):
    assert ids(open_path(write("a.parquet", **columns), **options)) == expected


def test_ids_from_paths_only_where_they_are_unique_over_the_set(write, tmp_path):
    def image(*names):
        return pa.array([{"bytes": b"", "path": name} for name in names], IMAGE)

    write("d/a.parquet", image=image("x", "y"))
    write("d/b.parquet", image=image("z"))
    assert ids(open_path(tmp_path / "d")) == ["x", "y", "z"]
    write("d/b.parquet", image=image("x"))
    assert ids(open_path(tmp_path / "d")) == ["a:0", "a:1", "b:0"]
    assert ids(open_path(tmp_path / "d", id="image.path")) == ["x@a:0", "y", "x@b:0"]


def test_files_of_one_name_in_two_folders(write, tmp_path):
    for name in ("d/two/0000.parquet", "d/one/0000.parquet", "d/one/0001.parquet"):
        write(name, label=[1, 2])
    expected = ["one/0000:0", "one/0000:1", "one/0001:0", "one/0001:1", "two/0000:0", "two/0000:1"]
    assert ids(open_path(tmp_path / "d")) == expected


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"label": [1]}, {"image": "photo"}, "'a.parquet' has no column 'photo': its columns are image, label"),
        ({"label": [1]}, {"label": "cls"}, "has no column 'cls': its columns are image, label"),
        ({"label": [1]}, {"id": "image.name"}, "has no column 'image.name': its columns are image, label"),
        ({"label": [1]}, {"image": "label"}, "column 'label' of 'a.parquet' holds int64: expected encoded images"),
        ({"label": [1]}, {"label": "image"}, "column 'image' of .* expected integers, strings, or lists of them"),
        ({"label": [1.5]}, {"id": "label"}, "column 'label' .* holds double: expected strings or integers"),
        ({"label": [1]}, {"origin": "label"}, "column 'label' .* holds int64: expected strings"),
        (
            {"label": [1]},
            {"labels": "label"},
            r"parquet/PATH has no option 'labels=label': expected image=…, label=…, id=…",
        ),
        ({"label": [1]}, {"label": ""}, "has no option 'label='"),
        (
            {"label": [1], "image": False, "x": [2]},
            {},
            "no column with a usual name of images .* are label, x; give image=",
        ),
        ({"label": [], "kinds": {"label": pa.int64()}}, {}, "no images in"),
    ],
)
def test_a_wrong_column_costs_one_line(write, columns, options, message):
    path = write("a.parquet", **columns)
    with pytest.raises(DataError, match=message) as raised:
        open_path(path, **options)
    assert "\n" not in str(raised.value)


def test_columns_as_told(write):
    path = write("a.parquet", label=[1, 2], fine=[3, 4], where=["x", None], photo=pa.array([b"1", b"2"]))
    dataset = open_path(path, image="photo", label="fine", origin="where")
    assert labels(dataset) == [[3], [4]]
    assert [dataset.origin(0), dataset.origin(1)] == ["x", "a"]
    assert dataset.read(1) == b"2"
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


def test_files_with_other_columns_are_not_mixed(write, tmp_path):
    write("d/a.parquet", label=[1])
    write("d/b.parquet", label=[1], origin=["x"])
    with pytest.raises(DataError, match=r"'b.parquet' and 'a.parquet' have other columns"):
        open_path(tmp_path / "d")


def test_order_is_by_the_bytes_of_the_relative_path(write, tmp_path):
    names = ["b/x", "a/x", "a-b/x", "a", "a/B", "a/b", "a/é", "A/x", "a0/x", "n/10", "n/9"]
    for name in names:
        write(f"d/{name}.parquet", id=[name])
    for hidden in (".cache/x", "a/.x"):
        write(f"d/{hidden}.parquet", id=[hidden])
    (tmp_path / "d" / "README.md").write_text("no Parquet")
    (tmp_path / "d" / "folder.parquet").mkdir()
    assert ids(open_path(tmp_path / "d")) == sorted(names, key=lambda name: f"{name}.parquet".encode())


def test_globs_and_relative_paths(write, tmp_path, monkeypatch):
    for name in ("d/train-0", "d/val-1", "d/val-0", "d/deep/val-2", "d/.hidden/val-3"):
        write(f"{name}.parquet", id=[name])
    monkeypatch.chdir(tmp_path)
    table = {
        "d/val-*.parquet": ["d/val-0", "d/val-1"],
        "d/**/val-*.parquet": ["d/deep/val-2", "d/val-0", "d/val-1"],
        "d/../d/val-[1]*": ["d/val-1"],
        "d/val-0.parquet": ["d/val-0"],
        "d": ["d/deep/val-2", "d/train-0", "d/val-0", "d/val-1"],
    }
    opened = {pattern: open_path(pattern) for pattern in table}
    monkeypatch.chdir("/")
    for pattern, expected in table.items():
        assert ids(opened[pattern]) == expected
        again = open_dataset(opened[pattern].spec)  # a worker's working directory may be another
        assert (again.spec, again.fingerprint) == (opened[pattern].spec, opened[pattern].fingerprint)
        assert opened[pattern].spec.startswith(f"parquet/{tmp_path}/")
    assert [opened[pattern].name for pattern in table] == ["d", "deep", "d", "val-0", "d"]


@pytest.mark.parametrize("name", ["a@b.parquet", "a,b.parquet", "a b[1]*.parquet", "é,.parquet", "d@e/x.parquet"])
def test_names_that_look_like_something_else(write, name):
    dataset = open_path(write(name, id=["x"]), id="id")
    assert ids(dataset) == ["x"]
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


def test_a_name_that_looks_like_an_option(write, tmp_path, monkeypatch):
    path = write("a,b=c/x.parquet", id=["x"])
    with pytest.raises(DataError, match=r"has no option 'b=c/x\.parquet'"):
        open_path(path)
    monkeypatch.chdir(path.parent)
    with pytest.raises(DataError, match=r"a path may not hold ,WORD= .*; link to it"):
        open_path("x.parquet")
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    for place in (link, link / "x.parquet", link / "*.parquet"):
        assert ids(open_dataset(open_path(place).spec)) == ["x"]


@pytest.mark.parametrize(
    "path", ["nowhere.parquet", "no/where/*.parquet", "", "**x", "x" * 300, "a\0b", "~nobody-here/x"]
)
def test_no_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no Parquet file") as raised:
        open_path(path)
    assert "\n" not in str(raised.value)


def test_links_keep_their_own_names(write, tmp_path):
    blob = write("blobs/0123", id=[1]).rename(tmp_path / "blobs" / "abc")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "val.parquet").symlink_to(blob)
    assert open_path(tmp_path / "d" / "val.parquet").name == "val"
    assert open_path(tmp_path / "d").fingerprint == open_path(tmp_path / "d" / "val.parquet").fingerprint


def test_fingerprint(write, tmp_path):
    def made(folder, data=(b"1", b"2"), **options):
        for k, item in enumerate(data):
            write(f"{folder}/{k}.parquet", image=pa.array([item]), label=[1], fine=[2], key=[k])
        return open_path(tmp_path / folder, **options).fingerprint

    first = made("d")
    assert made("elsewhere/d") == first
    assert made("d", label="fine") == first
    assert made("d", image="image") == first
    others = [made("d", id="key"), made("d3", (b"1", b"2", b"3")), made("d4", (b"1", b"22"))]
    (tmp_path / "d" / "0.parquet").rename(tmp_path / "d" / "00.parquet")
    others.append(open_path(tmp_path / "d").fingerprint)
    assert len({first, *others}) == 5


@pytest.fixture
def large(tmp_path):
    """`large(rows, group, size)`: incompressible images, each of which says its row, in pages of a few images."""

    def make(count, group, size, name="large.parquet", **how):
        noise = random.Random(0).randbytes(size)
        image = [{"bytes": k.to_bytes(4, "big") + noise, "path": None} for k in range(count)]
        table = pa.table({"image": pa.array(image, IMAGE), "label": list(range(count)), "note": ["x"] * count})
        path = tmp_path / name
        pq.write_table(table, path, row_group_size=group, use_dictionary=False, write_batch_size=8, **how)
        return path

    return make


def bytes_read():
    """Bytes that this process has asked the system to read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_reading_in_order_reads_each_byte_once_and_opening_none_of_them(large):
    path = large(300, 75, 40_000)
    size = path.stat().st_size
    before = bytes_read()
    dataset = open_path(path)
    labels(dataset)
    opened = bytes_read()
    for k in range(300):
        assert int.from_bytes(dataset.read(k)[:4], "big") == k
    assert opened - before < 0.03 * size
    assert 0.98 * size < bytes_read() - opened < 1.05 * size


def test_reading_in_any_order(large):
    dataset = open_path(large(120, 25, 2_000))
    order = [*random.Random(1).choices(range(120), k=400), 119, 0, 24, 25, 24, 25]
    assert [int.from_bytes(dataset.read(k)[:4], "big") for k in order] == order
    with pytest.raises(IndexError):
        dataset.read(120)


PEAK = """
import sys
import pyarrow
from snellen.datasets.parquet.files import placed_files, read_footers
from snellen.datasets.parquet.rows import RowStream
from pathlib import Path

files = placed_files(Path(sys.argv[1]))
stream = RowStream(files, read_footers(files), "image")
for row in range(int(sys.argv[2])):
    stream.value(row)
print(pyarrow.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_a_row_group(large):
    peaks = {}
    for count in (800, 2400):
        command = [sys.executable, "-c", PEAK, str(large(count, count, 60_000, f"{count}.parquet")), str(count)]
        peaks[count] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert max(peaks.values()) < 40e6 < 800 * 60_000
    assert peaks[2400] < 1.05 * peaks[800]


def test_50000_rows_open_at_once(tmp_path):
    count = 50_000
    image = pa.StructArray.from_arrays(
        [pa.array([b"x"] * count), pa.array([f"ILSVRC2012_val_{k:08d}.JPEG" for k in range(count)])], ["bytes", "path"]
    )
    pairs = pa.array([[k % 1000, (k + 1) % 1000] for k in range(count)])
    columns = {"image": image, "label": pairs, "origin": ["x"] * count, "english_label": [["x", "y"]] * count}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=100)
    start = time.process_time()  # of this process alone: a busy machine does not add to it
    dataset = open_path(tmp_path / "a.parquet")
    found = labels(dataset)
    assert time.process_time() - start < 1.5
    assert ids(dataset)[-1] == "ILSVRC2012_val_00049999.JPEG"
    assert found[1234] == [234, 235]
    assert len(dataset.breaks) == 499


def damaged(data, what):
    middle, footer = len(data) // 2, int.from_bytes(data[-8:-4], "little") + 8
    return {
        "empty": b"",
        "short": data[:7],
        "text": b"version https://git-lfs.github.com/spec/v1\n" * 3,
        "cut": data[:middle],
        "no magic": data[:-4] + b"PAR2",
        "long footer": data[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
        "no schema": data[:-footer] + bytes(footer // 2) + data[-footer + footer // 2 :],
    }[what]


@pytest.mark.parametrize("what", ["empty", "short", "text", "cut", "no magic", "long footer", "no schema"])
def test_a_damaged_file_costs_one_line_at_opening(write, tmp_path, what):
    write("d/a.parquet", label=[1] * 50)
    path = write("d/b.parquet", label=[1] * 50)
    path.write_bytes(damaged(path.read_bytes(), what))
    with pytest.raises(DataError, match=r"b.parquet' cannot be read as a Parquet file: .*; fetch it again") as raised:
        open_path(tmp_path / "d")
    assert "\n" not in str(raised.value)


def test_flipped_bytes_of_a_footer_are_never_worse_than_an_error(write):
    path = write("a.parquet", label=[1] * 20, origin=["x"] * 20, group=5)
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    rng = random.Random(2)
    outcomes = set()
    for _ in range(150):
        changed = bytearray(data)
        changed[len(data) - 8 - rng.randrange(footer)] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            dataset = open_path(path)
            labels(dataset)
            for k in range(len(dataset.items)):
                dataset.read(k)
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
        except OSError as error:
            outcomes.add(error.errno)
    assert {"read", "refused"} <= outcomes <= {"read", "refused", DAMAGED}


# How a `large` file is written whose pages hold 8 images, as they are.
PAGES_OF_8 = {"compression": "none", "data_page_size": 1}


def spoil(path, row, size):
    """Zeros over the head of the page that starts with this row's image, in a `large` file of such pages."""
    data = bytearray(path.read_bytes())
    before, there = (data.index((4 + size).to_bytes(4, "little") + k.to_bytes(4, "big")) for k in (row - 1, row))
    end = before + 4 + 4 + size  # of the image before it
    assert end < there, "no page starts there"
    data[end:there] = bytes(there - end)
    path.write_bytes(data)


@pytest.mark.parametrize("order", ["forward", "backward", "only the damaged"])
def test_damaged_rows_are_their_own_fault_and_the_others_are_read(large, order):
    path = large(120, 40, 3_000, **PAGES_OF_8)
    whole = open_path(path)
    spoil(path, 48, 3_000)
    dataset = open_path(path)
    assert dataset.fingerprint == whole.fingerprint
    rows = {"forward": range(120), "backward": range(119, -1, -1), "only the damaged": range(40, 80)}[order]
    lost = []
    for row in rows:
        sample = sample_row(dataset, row)
        data = read_image(dataset, row, sample)  # no Stopped
        if data is None:
            lost.append(row)
            assert re.fullmatch(r"cannot be read: large\.parquet, row group 1: .+", sample["error"])
        else:
            assert int.from_bytes(data[:4], "big") == row
    assert sorted(lost) == list(range(48, 80))  # what lies before the damage is read, though held in one batch with it


def test_a_lost_row_group_is_not_read_for_each_of_its_rows(large):
    path = large(400, 200, 40_000, **PAGES_OF_8)
    spoil(path, 120, 40_000)
    dataset = open_path(path)
    before = bytes_read()
    samples = [sample_row(dataset, row) for row in range(400)]
    lost = [row for row in range(400) if read_image(dataset, row, samples[row]) is None]
    assert lost == list(range(120, 200))
    assert bytes_read() - before < 2 * path.stat().st_size


def test_text_that_is_none_costs_its_own_row_only(tmp_path):
    image = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(struct.pack("<4i", 0, 5, 7, 12)), pa.py_buffer(b"a.jpg\xff\xfeb.jpg")]
    )
    pq.write_table(pa.table({"image": image}), tmp_path / "a.parquet", use_dictionary=False)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    dataset = open_path(tmp_path / "a.parquet")
    with pytest.raises(OSError, match=r"a\.parquet, row group 0: .*utf-8") as raised:
        dataset.read(1)
    assert raised.value.errno == DAMAGED
    assert (dataset.read(0), dataset.read(2)) == (b"a", b"b")


def test_a_disk_that_fails_is_not_blamed_on_an_image(large):
    path = large(60, 20, 40_000)
    dataset = open_path(path)
    dataset.read(0)
    opened = next(int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.resolve() == path)
    write_only = os.open(os.devnull, os.O_WRONLY)
    os.dup2(write_only, opened)
    os.close(write_only)
    with pytest.raises(OSError, match=r"Bad file descriptor") as raised:
        dataset.read(59)
    assert raised.value.errno == errno.EBADF
    assert [int.from_bytes(dataset.read(k)[:4], "big") for k in range(60)] == list(range(60))


def test_a_file_that_was_cut_meanwhile_stops_the_run(large):
    path = large(60, 20, 40_000)
    dataset = open_path(path)
    os.truncate(path, 100_000)
    with pytest.raises(Stopped, match=r"failed at 'large:40': large\.parquet, row group 2: "):
        read_image(dataset, 40, sample_row(dataset, 40))


class Elsewhere:
    """A file of the Hub: a source that is no PlacedFile."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_damage_in_what_came_from_the_hub_stops_the_run(large):
    path = large(60, 20, 3_000, **PAGES_OF_8)
    spoil(path, 28, 3_000)
    dataset = ParquetDataSet([Elsewhere(file) for file in placed_files(path)], "s", "n")
    for _ in range(2):
        with pytest.raises(OSError, match=r"large\.parquet, row group 1: .") as raised:
            dataset.read(28)
        assert raised.value.errno == errno.EIO
        assert raised.value.errno not in OF_ONE_FILE
        assert "\n" not in raised.value.strerror
    assert int.from_bytes(dataset.read(45)[:4], "big") == 45


def test_a_file_that_vanished_is_not_blamed_on_an_image(write, tmp_path):
    path = write("a.parquet", label=[1])
    dataset = open_path(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        dataset.read(0)
    assert not dataset.reachable()


def test_a_file_that_may_not_be_read(write):
    path = write("a.parquet", label=[1])
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match="Permission denied"):
        open_path(path)


def test_real_photographs_in_the_hubs_schema(sample_images, tmp_path):
    paths = sorted(sample_images.rglob("*.JPEG"))[:60]
    column = pa.array([{"bytes": path.read_bytes(), "path": path.name} for path in paths], IMAGE)
    table = {
        "image": column,
        "label": [[k, k + 1] for k in range(len(paths))],
        "origin": [ORIGINS[k % 3] for k in range(len(paths))],
    }
    table |= {"english_label": [["x", "y"]] * len(paths)}
    pq.write_table(pa.table(table, schema=SCHEMA), tmp_path / "a.parquet", row_group_size=25)
    dataset = open_path(tmp_path / "a.parquet")
    seen = [hashlib.sha256(dataset.read(k)).hexdigest() for k in range(len(paths))]
    assert seen == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert labels(dataset) == [[k, k + 1] for k in range(len(paths))]


def test_options_that_are_columns():
    assert Columns.of_options({"label": "x", "config": "y"}, "hub/…", ("config",)) == Columns(label="x")
