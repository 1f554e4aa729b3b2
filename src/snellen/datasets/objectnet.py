"""ObjectNet in its released layout: `objectnet-1.0/images/<folder>/*.png` beside `objectnet-1.0/mappings/`.

Its images carry a red border of two pixels, so that they are recognised where they must not be (in training data).
Barbu et al., "ObjectNet", NeurIPS 2019. Nothing of its mapping is shipped here: it is read from the set's own files.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snellen.datasets.folder import KeyedFolder
from snellen.errors import DataError
from snellen.files import is_folder, read_bytes
from snellen.labels import IMAGENET_1K

NAME = "objectnet"
BORDER = 2

FOLDERS = "folder_to_objectnet_label.json"  # folder -> ObjectNet's label
OVERLAP = "objectnet_to_imagenet_1k.json"  # ObjectNet's label -> ImageNet's labels, joined by "; "
LINES = "imagenet_to_label_2012_v2"  # ImageNet's labels, one a line, in an order of their own
ORDER = "pytorch_to_imagenet_2012_id.json"  # ImageNet-1k id -> line, from 0


def is_objectnet(folder: Path) -> bool:
    """Whether a folder is `objectnet-1.0`: it holds the images and the mappings."""
    return is_folder(folder / "images") and is_folder(folder / "mappings")


def open_objectnet(folder: Path, spec: str) -> KeyedFolder:
    """The images of the classes that ImageNet has too; an ObjectNet class may be several of ImageNet's.

    folder: `objectnet-1.0`. The logits are masked to `classes`: the keys of each class, by folder name.
    Raises DataError where a mapping is missing or says something else than it should.
    """
    keys = read_mapping(folder / "mappings")

    def is_kept(path: bytes) -> bool:
        return os.fsdecode(path.partition(b"/")[0]) in keys

    def keys_of(image_id: str, source: str) -> Sequence[str]:
        return keys[image_id.partition("/")[0]]

    classes = [keys[name] for name in sorted(keys)]
    return KeyedFolder(folder / "images", NAME, spec, keys_of, classes=classes, border=BORDER, keep=is_kept)


def read_mapping(folder: Path) -> dict[str, list[str]]:
    """The WordNet ids of each folder of images whose class ImageNet has: 113 folders, 125 ids in the release."""
    label_of_folder, names_of_label, line_of_id = (_read(folder / name) for name in (FOLDERS, OVERLAP, ORDER))
    try:
        lines = read_bytes(folder / LINES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder / LINES, error) from error
    try:
        id_of_line = {int(line): int(label) for label, line in line_of_id.items()}
        ids_of_name: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            ids_of_name.setdefault(line.strip(), []).append(id_of_line[number])
        folder_of_label = {label: name for name, label in label_of_folder.items()}
        return {
            folder_of_label[label]: [_key(name, ids_of_name) for name in names.split("; ")]
            for label, names in names_of_label.items()
        }
    except (KeyError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"the mappings in {str(folder)!r} do not fit together (at {error}); unpack objectnet-1.0.zip again"
        ) from error


def _key(name: str, ids_of_name: dict[str, list[int]]) -> str:
    found = ids_of_name[name]
    if len(found) > 1:
        raise ValueError(f"{name!r}, which is {len(found)} classes")
    return IMAGENET_1K.keys[found[0]]


def _read(path: Path) -> dict[str, Any]:
    try:
        mapping = json.loads(read_bytes(path))
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error
    if not isinstance(mapping, dict):
        raise _unusable(path, "not a JSON object")
    return mapping


def _unusable(path: Path, why: object) -> DataError:
    return DataError(f"ObjectNet's mapping {str(path)!r} cannot be read ({why}); unpack objectnet-1.0.zip again")
