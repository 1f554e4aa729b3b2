"""Parquet files that a test writes: of any columns, and large ones whose images say their rows."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_sets import IMAGE


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
