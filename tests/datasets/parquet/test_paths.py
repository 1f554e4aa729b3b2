"""Which files a path means, in which order they stand, how images and data set are called by them."""

import pyarrow as pa
import pytest
from parquet_sets import ids, open_path

from snellen.datasets import open_dataset
from snellen.errors import DataError


def test_files_of_one_name_in_two_folders(write, tmp_path):
    for name in ("d/two/0000.parquet", "d/one/0000.parquet", "d/one/0001.parquet"):
        write(name, label=[1, 2])
    expected = ["one/0000:0", "one/0000:1", "one/0001:0", "one/0001:1", "two/0000:0", "two/0000:1"]
    assert ids(open_path(tmp_path / "d")) == expected


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
