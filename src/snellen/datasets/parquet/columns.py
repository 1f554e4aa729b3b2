"""Which column of a Parquet file is the image, the label, the id, the origin: as told, or by the usual names."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
from pyarrow import types

from snellen.errors import DataError

IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes")
LABEL_NAMES = ("label", "labels", "cls", "y", "fine_label", "wnid", "class", "target")
ID_NAMES = ("id", "image_id", "file_name", "filename", "__key__")
ORIGIN_NAMES = ("origin", "source")

IMAGE_KINDS = "encoded images (binary, or a struct with the field bytes) or their paths (string)"
LABEL_KINDS = "integers, strings, or lists of them"
ID_KINDS = "strings or integers"


@dataclass(frozen=True)
class Columns:
    """Names of columns; None: guess by the usual names. `a.b` is the field `b` of the struct `a`."""

    image: str | None = None
    label: str | None = None
    id: str | None = None
    origin: str | None = None

    @staticmethod
    def of_options(options: Mapping[str, str], form: str, others: Sequence[str] = ()) -> "Columns":
        """The columns that a data spec's options name; DataError for an option that is neither these nor `others`."""
        known = [field.name for field in fields(Columns)]
        for key, value in options.items():
            if key not in (*known, *others) or not value:
                expected = ", ".join(f"{name}=…" for name in (*known, *others))
                raise DataError(f"{form} has no option {f'{key}={value}'!r}: expected {expected}")
        return Columns(**{key: value for key, value in options.items() if key in known})


@dataclass(frozen=True)
class Chosen:
    """The columns of a data set, each of a kind that fits.

    paths: whether the image column holds only paths of image files.
    ids: columns that may give the ids, best first; `told`: the first was asked for.
    label, origin: None where there is none.
    """

    image: str
    paths: bool
    label: str | None
    ids: tuple[str, ...]
    told: bool
    origin: str | None

    @property
    def small(self) -> tuple[str, ...]:
        """Everything but the images."""
        return tuple(dict.fromkeys(name for name in (*self.ids, self.label, self.origin) if name))


def choose(columns: Columns, schema: pa.Schema, where: str) -> Chosen:
    """The columns of a file with this schema; DataError, which lists its columns, where one is missing or unfit."""
    kinds = dict(_kinds(schema))

    def pick(told: str | None, guesses: Sequence[str], fits: Callable[[pa.DataType], bool], what: str) -> str | None:
        if told is None:
            return next((name for name in guesses if name in kinds and fits(kinds[name])), None)
        if told not in kinds:
            raise DataError(f"{where} has no column {told!r}: its columns are {', '.join(schema.names)}")
        if not fits(kinds[told]):
            raise DataError(f"column {told!r} of {where} holds {kinds[told]}: expected {what}")
        return told

    image = pick(columns.image, (*IMAGE_NAMES, *_sole_struct(schema)), _is_image, IMAGE_KINDS)
    if image is None:
        raise DataError(
            f"{where} has no column with a usual name of images ({', '.join(IMAGE_NAMES)}) and with {IMAGE_KINDS}: "
            f"its columns are {', '.join(schema.names)}; give image=COLUMN"
        )
    named = pick(columns.id, (), _is_id, ID_KINDS)
    guessed = [name for name in (*ID_NAMES, f"{image}.path") if name in kinds and _is_id(kinds[name])]
    return Chosen(
        image=image,
        paths=_is_text(kinds[image]),
        label=pick(columns.label, LABEL_NAMES, _is_label, LABEL_KINDS),
        ids=(named,) if named else tuple(guessed),
        told=named is not None,
        origin=pick(columns.origin, ORIGIN_NAMES, _is_text, "strings"),
    )


def values(table: pa.Table, name: str) -> list[Any]:
    """The values of a column, or of a struct's field by its dotted name, as Python has them."""
    if name in table.column_names:
        column: list[Any] = table.column(name).to_pylist()
        return column
    outer, _, inner = name.partition(".")
    return values(pa.Table.from_batches(_fields(table.column(outer))), inner)


def class_names(schema: pa.Schema, label: str) -> list[str] | None:
    """The names of the classes behind an integer label column, where the schema tells them.

    The `datasets` library writes a column's features as JSON into the schema's metadata, under `huggingface`; a class
    label has `names` there, a list of class labels has them one level down.
    """
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        while "names" not in feature:
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def _fields(column: pa.ChunkedArray) -> list[pa.RecordBatch]:
    """The fields of a struct column; what lies in a null struct is null."""
    return [pa.RecordBatch.from_arrays(chunk.flatten(), names=_names(chunk.type)) for chunk in column.chunks]


def _names(kind: pa.StructType) -> list[str]:
    return [kind.field(k).name for k in range(kind.num_fields)]


def _kinds(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    """Every column and every field of a struct, by its dotted name."""

    def visit(field: pa.Field, prefix: str) -> Iterator[tuple[str, pa.DataType]]:
        yield prefix + field.name, field.type
        if types.is_struct(field.type):
            for k in range(field.type.num_fields):
                yield from visit(field.type.field(k), f"{prefix}{field.name}.")

    for field in schema:
        yield from visit(field, "")


def _sole_struct(schema: pa.Schema) -> list[str]:
    """The one struct with the fields of an image, whatever it is called."""
    found = [f.name for f in schema if types.is_struct(f.type) and {"bytes", "path"} <= set(_names(f.type))]
    return found if len(found) == 1 else []


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_image(kind: pa.DataType) -> bool:
    if types.is_struct(kind):
        return any(kind.field(k).name == "bytes" and _is_bytes(kind.field(k).type) for k in range(kind.num_fields))
    return _is_text(kind) or _is_bytes(kind)


def _is_id(kind: pa.DataType) -> bool:
    return _is_text(kind) or types.is_integer(_plain(kind))


def _is_label(kind: pa.DataType) -> bool:
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    # Integers with gaps are floats where pandas wrote them; a column of nothing has no type.
    return _is_id(kind) or types.is_floating(kind) or types.is_null(kind)
