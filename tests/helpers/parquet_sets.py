"""Parquet data sets as tests write and open them: what is in them, what was read of them, damage in one page."""

from pathlib import Path

import pyarrow as pa

from snellen.datasets import open_dataset
from snellen.labels import IMAGENET_1K, ClassSpace

# An image as the Hub keeps it.
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PETS = ClassSpace.of_names(["cat", "dog", "axolotl"], "pets")


def ids(dataset):
    """The ids of all images, in order."""
    return [item.id for item in dataset.items]


def labels(dataset, space=IMAGENET_1K):
    """The class ids of every image, in order."""
    return dataset.label_sets(ids(dataset), space)


def open_path(path, **options):
    """Open `parquet/PATH` with these options."""
    return open_dataset(f"parquet/{path}" + "".join(f",{key}={value}" for key, value in options.items()))


def class_label(*names):
    """The feature of a column whose numbers count these names."""
    return {"_type": "ClassLabel", "names": list(names)}


def bytes_read():
    """Bytes that this process has asked the system to read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


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
