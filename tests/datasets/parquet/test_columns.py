"""Which columns of a Parquet file hold images, ids, labels and origins, by their names or as told."""

import errno

import pyarrow as pa
import pytest
from hard_rows import write_rows
from parquet_sets import IMAGE, ids, labels, open_path

from snellen.datasets import open_dataset
from snellen.datasets.parquet.columns import Columns
from snellen.engine.samples import OF_ONE_FILE
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K


def test_paths_beside_the_bytes_are_the_ids(rows, tmp_path):
    write_rows(rows, tmp_path / "a.parquet", 4, paths=True)
    dataset = open_path(tmp_path / "a.parquet")
    assert ids(dataset) == [row.name for row in rows]
    some = [rows[5].name, rows[2].name]
    assert dataset.label_sets(some, IMAGENET_1K) == [sorted(rows[5].labels), sorted(rows[2].labels)]


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


def test_options_that_are_columns():
    assert Columns.of_options({"label": "x", "config": "y"}, "hub/…", ("config",)) == Columns(label="x")
