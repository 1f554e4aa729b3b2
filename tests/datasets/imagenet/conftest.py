"""Miniatures of the ImageNet family: photographs at the paths of a release, and a repository's Parquet files."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagenet_members import WNID, val


@pytest.fixture
def lay(tmp_path, photos):
    """`lay("a/b.jpg", …)`: photographs at these paths below one folder, each another one while they last."""

    def make(*paths):
        for k, path in enumerate(paths):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(photos[k % len(photos)])
        return tmp_path

    return make


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
