"""Data sets in stores: the same images, labels and fingerprint as on this machine, without copying them here."""

import errno
import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import BUCKET, client, emptied, upload

from snellen.atomic import write_atomic
from snellen.datasets import open_dataset
from snellen.engine.samples import read_image, sample_row
from snellen.errors import DataError, Stopped
from snellen.files import remove
from snellen.labels import IMAGENET_1K
from snellen.places import place


@pytest.fixture
def asked(s3, monkeypatch):
    """How often each S3 method was called, and the bytes that came."""
    from s3fs import S3FileSystem

    counts, plain = Counter(), S3FileSystem._call_s3

    async def counting(self, method, *args, **kwargs):
        counts[method] += 1
        answer = await plain(self, method, *args, **kwargs)
        counts["bytes"] += answer.get("ContentLength", 0) if method == "get_object" else 0
        return answer

    monkeypatch.setattr(S3FileSystem, "_call_s3", counting)
    return counts


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of one's own, as another machine has it."""
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))


def labels_of(dataset):
    return dataset.label_sets([item.id for item in dataset.items], IMAGENET_1K)


def test_a_class_folder_is_what_it_is_here(pictures, s3):
    upload(s3, pictures, "pictures/")
    upload(s3, pictures, "pictures/.hidden/")
    here, there = open_dataset(pictures), open_dataset(f"s3://{BUCKET}/pictures")
    assert there.spec == f"s3://{BUCKET}/pictures"
    assert there.name == "pictures"
    assert list(there.items) == list(here.items)
    assert there.fingerprint == here.fingerprint
    assert labels_of(there) == labels_of(here)
    assert all(there.read(k) == here.read(k) for k in range(len(here.items)))
    assert there.reachable()
    assert list(open_dataset(place(f"s3://{BUCKET}/pictures")).items) == list(here.items)


def test_a_whole_bucket(pictures, s3):
    upload(s3, pictures, "")
    found = open_dataset(f"s3://{BUCKET}")
    assert list(found.items) == list(open_dataset(pictures).items)
    assert found.name == BUCKET
    assert open_dataset(found.spec).fingerprint == found.fingerprint


def test_names_as_people_have_them(s3):
    names = ["b/x.jpg", "a-b/x.jpg", "a/é雪.jpg", "a b/x y.png", "a/b.JPEG", "a/100%25.jpg", "a/b+c.jpg", "a/x.txt"]
    with_client = client(s3)
    for name in names:
        with_client.put_object(Bucket=BUCKET, Key=f"odd/{name}", Body=name.encode())
    with_client.close()
    found = open_dataset(f"s3://{BUCKET}/odd")
    expected = sorted((name for name in names if not name.endswith("txt")), key=str.encode)
    assert [item.id for item in found.items] == expected
    assert [found.read(k).decode() for k in range(len(expected))] == expected


def test_it_is_listed_once_a_machine(pictures, s3, asked, cache):
    """The command lists it, its workers do not; an image is one request."""
    upload(s3, pictures, "pictures/")
    url = f"s3://{BUCKET}/pictures"
    planned = open_dataset(url)
    assert asked["list_objects_v2"] == 1
    for _ in range(3):
        worker = open_dataset(url, planned=planned.fingerprint)
        assert list(worker.items) == list(planned.items)
    assert asked["list_objects_v2"] == 1
    for k in range(len(worker.items)):
        worker.read(k)
    assert asked["get_object"] == len(worker.items)
    assert asked["bytes"] == sum(item.size for item in worker.items)
    assert asked["head_object"] == 0
    open_dataset(url, planned="0" * 64)
    assert asked["list_objects_v2"] == 2, "other images are planned than those that are known"


def test_a_kept_listing_that_is_wrong_is_not_believed(pictures, s3, cache):
    upload(s3, pictures, "pictures/")
    url = f"s3://{BUCKET}/pictures"
    planned = open_dataset(url)
    (kept,) = (place(os.environ["SNELLEN_CACHE"]) / "listings").iterdir()
    for text in (b"", b"[]", b'{"files": [["a.jpg", 1]], "root": "%s"}' % url.encode()):
        kept.write_bytes(text)
        assert list(open_dataset(url, planned=planned.fingerprint).items) == list(planned.items)


def test_an_image_that_is_gone_is_reported_and_one_that_changed_stops_the_run(pictures, s3):
    upload(s3, pictures, "pictures/")
    dataset = open_dataset(f"s3://{BUCKET}/pictures")
    remove(place(f"s3://{BUCKET}/pictures/{dataset.items[0].id}"))
    row = sample_row(dataset, 0)
    assert read_image(dataset, 0, row) is None
    assert "cannot be read" in row["error"]
    write_atomic(place(f"s3://{BUCKET}/pictures/{dataset.items[1].id}"), b"short")
    with pytest.raises(Stopped, match="bytes came in place of"):
        read_image(dataset, 1, sample_row(dataset, 1))
    emptied(s3)
    with pytest.raises(Stopped, match="the same command resumes"):
        read_image(dataset, 2, sample_row(dataset, 2))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (f"s3://{BUCKET}/nothing", "no images under"),
        ("s3://no-such-bucket/x", "bucket does not exist"),
        (f"parquet/s3://{BUCKET}/nothing", "no Parquet file"),
        ("parquet/s3://no-such-bucket/x", "bucket does not exist"),
        (f"parquet/s3://{BUCKET}/broken.parquet", "cannot be read as a Parquet file"),
        (f"imagenet@s3://{BUCKET}/nothing", "no imagenet in"),
    ],
)
def test_what_is_not_there(spec, words, s3):
    write_atomic(place(f"s3://{BUCKET}/broken.parquet"), b"PAR1 but no more")
    with pytest.raises(DataError, match=words) as raised:
        open_dataset(spec)
    assert "\n" not in str(raised.value)


def test_imagenet_in_its_released_layout(pictures, s3):
    upload(s3, pictures, "imagenet/val/")
    here = open_dataset(pictures)
    for root in (f"s3://{BUCKET}/imagenet", f"s3://{BUCKET}"):
        there = open_dataset("imagenet", root)
        assert there.name == "imagenet"
        assert list(there.items) == list(here.items)
        assert labels_of(there) == labels_of(here)
        assert labels_of(open_dataset(there.spec)) == labels_of(here)


@pytest.fixture
def table(tmp_path, s3):
    """A Parquet file of 60 images of 20 kB in row groups of 20, here and in the store."""
    rng = np.random.default_rng(0)
    images = [rng.bytes(20_000) for _ in range(60)]
    rows = {
        "image": pa.array([{"bytes": data, "path": f"{k}.jpg"} for k, data in enumerate(images)]),
        "label": pa.array([k % 1000 for k in range(60)]),
    }
    (tmp_path / "rows").mkdir()
    path = tmp_path / "rows" / "data-0.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=20)
    upload(s3, tmp_path / "rows", "rows/")
    return path, images


def test_a_parquet_file_is_what_it_is_here(table, s3):
    path, images = table
    here = open_dataset(f"parquet/{path}")
    for url in (f"s3://{BUCKET}/rows/data-0.parquet", f"s3://{BUCKET}/rows", f"s3://{BUCKET}/rows/data-*.parquet"):
        there = open_dataset(f"parquet/{url}")
        assert there.spec == f"parquet/{url}"
        assert there.name == ("data-0" if url.endswith("data-0.parquet") else "rows")
        assert [item.id for item in there.items] == [item.id for item in here.items]
        assert there.breaks == here.breaks == [20, 40]
        assert there.fingerprint == here.fingerprint
        assert labels_of(there) == labels_of(here)
        assert [there.read(k) for k in (0, 1, 25, 59, 3)] == [images[k] for k in (0, 1, 25, 59, 3)]
        assert there.reachable()


def test_only_the_row_groups_that_are_wanted_are_fetched(table, s3, asked, cache):
    """A worker asks for the images of its shard; footer and small columns are fetched once a machine."""
    path, images = table
    url = f"parquet/s3://{BUCKET}/rows"
    open_dataset(url)
    asked.clear()
    worker = open_dataset(url)
    assert asked["get_object"] == 0
    assert [worker.read(k) for k in range(20, 40)] == images[20:40]
    assert asked["bytes"] < 2.2 * 20 * 20_000, "no more than this row group and what is read ahead of it"
    assert asked["bytes"] < path.stat().st_size


def test_paths_in_a_parquet_file_lie_beside_it(tmp_path, s3, pictures):
    names = [path.relative_to(pictures).as_posix() for path in sorted(pictures.rglob("*.png"))][:3]
    pq.write_table(pa.table({"image": [*names, "../up.png"]}), tmp_path / "paths.parquet")
    upload(s3, pictures, "beside/")
    with_client = client(s3)
    with_client.put_object(Bucket=BUCKET, Key="beside/p.parquet", Body=(tmp_path / "paths.parquet").read_bytes())
    with_client.close()
    found = open_dataset(f"parquet/s3://{BUCKET}/beside/p.parquet")
    assert [found.read(k) for k in range(3)] == [(pictures / name).read_bytes() for name in names]
    with pytest.raises(PermissionError) as raised:
        found.read(3)
    assert raised.value.errno == errno.EPERM
