"""The columns of a published data set as the Hub's libraries describe them: in Parquet's metadata, and in the card."""

import json
from typing import Any

import pyarrow as pa
from pyarrow import types

from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.publish.rows import IMAGE, SCHEMA

# Numbers of classes: with names where they are not ImageNet's.
CLASSES = ("label", "mined_label", "answer", "suspect_label")


def described(space: ClassSpace) -> pa.Schema:
    """`SCHEMA` with the metadata by which `datasets` knows images and, of a class space of one's own, the classes.

    Form: what `Dataset.to_parquet` writes under the key `huggingface`.
    """
    features = {field.name: _feature(field, space) for field in SCHEMA}
    return SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def in_card(space: ClassSpace) -> list[dict[str, Any]]:
    """The same as the list that a card's header has under `dataset_info`, `features`."""
    return [{"name": field.name} | _in_header(field, space) for field in SCHEMA]


def _has_names(name: str, space: ClassSpace) -> bool:
    return name in CLASSES and space is not IMAGENET_1K


def _feature(field: pa.Field, space: ClassSpace) -> dict[str, Any]:
    if field.type == IMAGE:
        return {"_type": "Image"}
    if not types.is_list(field.type):
        return {"dtype": _name(field.type), "_type": "Value"}
    inner: dict[str, Any] = {"dtype": _name(field.type.value_type), "_type": "Value"}
    if _has_names(field.name, space):
        inner = {"names": list(space.keys), "_type": "ClassLabel"}
    return {"feature": inner, "_type": "Sequence"}


def _in_header(field: pa.Field, space: ClassSpace) -> dict[str, Any]:
    if field.type == IMAGE:
        return {"dtype": "image"}
    if not types.is_list(field.type):
        return {"dtype": _name(field.type)}
    if _has_names(field.name, space):
        return {"sequence": {"class_label": {"names": {str(k): key for k, key in enumerate(space.keys)}}}}
    return {"sequence": _name(field.type.value_type)}


def _name(kind: pa.DataType) -> str:
    """What `datasets` calls an Arrow type."""
    return "float32" if kind == pa.float32() else str(kind)
