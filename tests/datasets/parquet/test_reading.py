"""Rows read against pyarrow's own reading of the whole file; bytes, memory and time that large files cost."""

import hashlib
import random
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_rows import ORIGINS, SCHEMA, write_rows
from parquet_sets import IMAGE, bytes_read, ids, labels, open_path

from snellen.datasets import open_dataset


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
