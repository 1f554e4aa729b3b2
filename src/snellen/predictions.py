"""Predictions from elsewhere: what somebody's own script wrote down for each image, read from a file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from snellen.errors import DataError
from snellen.labels import ClassSpace
from snellen.store.schema import TOP

# The names that columns go by, the most telling first, in lower case and with _ for what is no letter or digit.
# `index` is what timm's inference script calls the class, beside a column of file names; it may count the rows instead.
# `top1` may be whether the answer is right, and `id0` an id of anything. Each stands for a numbered top-5, too.
ROLES = {
    "image": ("file_name", "filename", "image_id", "image_path", "image", "path", "file", "id"),
    "logits": ("logits", "logit", "probabilities", "probs"),
    "class": (
        *("predicted_class", "prediction", "pred", "label_pred", "predicted_label"),
        *("class_id", "class", "top1", "id0", "index"),
    ),
    "probability": (
        *("predicted_probability", "probability", "confidence", "prob", "p0", "score"),
        *("probability_0", "prob_0", "probability_1", "prob_1"),
    ),
}
# Columns of the Parquet files of Snellen's own runs, where `image` is a place in the data set.
OWN = {"image", "zoom", "id0", "raw_id0"}


@dataclass(frozen=True)
class Predictions:
    """What a file says in each of its rows.

    names: which image a row is of; None where rows are in the order of the data set.
    places: whether `names` are places in the data set.
    ids: best classes first, -1 where there is none: int32 `[rows, k]`; None where there are logits instead.
    confidence: of the best class, nan where there is none: float32 `[rows]`; None where the file does not tell.
    logits: `[rows, classes]`, or probabilities.
    read: what was read as what.
    notes: what might have been read instead.
    """

    rows: int
    names: pa.Array | None = None
    places: bool = False
    ids: NDArray[np.int32] | None = None
    confidence: NDArray[np.float32] | None = None
    logits: NDArray[Any] | None = None
    read: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def read_predictions(path: Path, space: ClassSpace, columns: Mapping[str, str] | None = None) -> Predictions:
    """The predictions in a CSV, Parquet or npy file; its first bytes say which of the three it is.

    space: the classes that indices, keys, names and logits stand for.
    columns: the column to read as `image`, `class`, `probability` or `logits`, where it has no usual name; several
        for a top-5 are joined by commas, and "" reads none.

    Raises DataError for a file that cannot be read, that has no column of classes, or that names a class which
    `space` does not have.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise DataError(
            f"no predictions at {str(path)!r}: {error.strerror}; give a CSV, Parquet or npy file"
        ) from error
    try:
        if start.startswith(b"\x93NUMPY"):
            return _of_array(np.load(path, mmap_mode="r", allow_pickle=False), path, space)
        if start.startswith(b"PAR1"):
            header = pq.read_schema(path).names
            roles, notes = _roles(header, columns or {}, len(space), path)
            wanted = [*_used(roles), *(["zoom"] if set(header) >= OWN else [])]
            table = pq.read_table(path, columns=wanted, partitioning=None)
        else:
            first_line = start.split(b"\n", 1)[0].decode("utf-8-sig")
            parse = pyarrow.csv.ParseOptions(delimiter=max(",;\t", key=first_line.count))
            header = pyarrow.csv.open_csv(path, parse_options=parse).schema.names
            roles, notes = _roles(header, columns or {}, len(space), path)
            text = dict.fromkeys(roles.get("image", ()), pa.string())  # 00000293.JPEG without its end is no number
            convert = pyarrow.csv.ConvertOptions(include_columns=_used(roles), column_types=text)
            table = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{str(path)!r} cannot be read: {reason}; give a CSV, Parquet or npy file") from error
    return replace(_of_table(table, roles, path, space), notes=notes)


def _used(roles: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for names in roles.values() for name in names]


def _roles(
    header: Sequence[str], given: Mapping[str, str], classes: int, path: Path
) -> tuple[dict[str, list[str]], list[str]]:
    """The columns to read as each role: those that were given, else those of a usual name; and what else has one."""
    roles: dict[str, list[str]] = {}
    notes: list[str] = []
    for role in ROLES:
        if role in given:
            names = [given[role]] if given[role] in header else [name for name in given[role].split(",") if name]
        else:
            usual = [] if role == "logits" and "class" in given else _usual(role, header, classes, "image" in roles)
            names = usual[0] if usual else []
            notes += [
                f"not read as {role}, though it may be: {_some(other)} ({role}=NAME reads another column)"
                for other in usual[1:]
                if len(names) > 1 or len(other) > 1
            ]
        roles |= {role: names} if names else {}
    unknown = [role for role in given if role not in ROLES]
    if unknown:
        raise DataError(f"{unknown[0]!r} is nothing a column can be; expected {', '.join(ROLES)}")
    wrong = next((name for name in _used(roles) if header.count(name) != 1), None)
    if wrong is not None:
        count = f"{header.count(wrong)} columns" if wrong in header else "no column"
        raise DataError(f"{str(path)!r} has {count} {wrong!r}; its header is {_some(header)}")
    if "logits" in roles:
        return {role: names for role, names in roles.items() if role in ("image", "logits")}, []
    if "class" not in roles:
        raise DataError(
            f"no column of {str(path)!r} is known to hold the predicted class: its header is {_some(header)}; say "
            "which does (class=NAME, and if need be image=, probability= or logits=)"
        )
    return roles, notes


def _usual(role: str, header: Sequence[str], classes: int, named: bool) -> list[list[str]]:
    """The columns that may be a role's by their names, the most telling first: single ones, and those of a top-5.

    named: whether there is a column of file names; without one, `index` may as well count the rows.
    """
    folded = {re.sub(r"[^a-z0-9]+", "_", name.strip().lower()): name for name in header}
    numbered = _numbered(folded)
    found = []
    if role == "logits":  # more columns than a top-5 can have, one a class
        found += [group for group in numbered.values() if len(group) == classes > 2 * TOP]
    for word in ROLES[role]:
        group = numbered.get(word.rstrip("01"), []) if role == "class" else []
        found += [group] if 1 < len(group) < classes else []
        if word in folded and not (found and folded[word] in found[-1]) and (word != "index" or named):
            found.append([folded[word]])
    return found


def _numbered(folded: Mapping[str, str]) -> dict[str, list[str]]:
    """Columns that differ in a number that counts from 0 or 1, in its order, by what stands before it."""
    found: dict[str, dict[int, str]] = {}
    for name, column in folded.items():
        match = re.fullmatch(r"(.*?)_?([0-9]+)", name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = column
    return {
        before: [columns[number] for number in sorted(columns)]
        for before, columns in found.items()
        if min(columns) in (0, 1) and max(columns) - min(columns) + 1 == len(columns)
    }


def _of_table(table: pa.Table, roles: dict[str, list[str]], path: Path, space: ClassSpace) -> Predictions:
    columns = {role: [_whole(table[name]) for name in names] for role, names in roles.items()}
    where = {role: f"{str(path)!r}, column {names[0]!r}" for role, names in roles.items()}
    names = columns["image"][0] if "image" in roles else None
    if names is not None and not (pa.types.is_integer(names.type) or _is_text(names.type)):
        raise DataError(f"{where['image']} holds {names.type}; expected file names, or say which column has them")
    own = "zoom" in table.column_names
    if own and pc.count_distinct(table["zoom"]).as_py() > 1:
        raise DataError(f"{str(path)!r} holds several views of an image; `snellen report` reads such a run")
    if "logits" in roles:
        logits = _matrix(dict(zip(roles["logits"], columns["logits"], strict=True)), path)
        return Predictions(len(table), names, own, logits=_checked(logits, space, where["logits"]), read=roles)
    if _is_list(columns["class"][0].type):
        ids = _class_lists(columns["class"][0], space, where["class"])
    else:
        ids = np.stack([class_ids(column, space, where["class"]) for column in columns["class"]], axis=1)
    confidence = _confidence(columns["probability"][0], where["probability"]) if "probability" in roles else None
    return Predictions(len(table), names, own, ids, confidence, read=roles)


def _of_array(array: NDArray[Any], path: Path, space: ClassSpace) -> Predictions:
    read = {"logits" if array.dtype.kind == "f" else "class": ["the array"]}
    if array.ndim == 2 and array.dtype.kind == "f":
        return Predictions(len(array), logits=_checked(array, space, repr(str(path))), read=read)
    if array.ndim in (1, 2) and array.shape[-1] and array.dtype.kind in "iuU":
        ids = class_ids(pa.array(array.ravel()), space, repr(str(path)))
        return Predictions(len(array), ids=ids.reshape(len(array), -1), read=read)
    raise DataError(
        f"{str(path)!r} is an array {list(array.shape)} of {array.dtype}; expected classes [n] or [n, {TOP}] as "
        f"integers or text, or logits [n, {len(space)}] as floats"
    )


def class_ids(column: pa.Array, space: ClassSpace, where: str) -> NDArray[np.int32]:
    """The ids that a column of indices, keys or names stands for; -1 for null, for -1 and for blank text.

    Raises DataError for what `space` does not have.
    """
    if pa.types.is_null(column.type):
        return np.full(len(column), -1, np.int32)
    if _is_text(column.type):
        coded = column.dictionary_encode()
        words = [(word or "").strip() for word in coded.dictionary.to_pylist()]
        found = [-1 if word in ("", "-1") else space.find(word) for word in words]
        lacking = next((word for word, i in zip(words, found, strict=True) if i is None), None)
        if lacking is not None:
            raise DataError(f"{where}: {space.unknown(lacking)}")
        ids = np.array([*found, -1], np.int32)
        codes: NDArray[np.integer[Any]] = coded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        return np.asarray(ids[codes], np.int32)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{where} holds {column.type}; expected class indices, keys or names")
    values = column.cast(pa.float64(), safe=False).fill_null(-1).to_numpy(zero_copy_only=False)
    values = np.where(np.isnan(values), -1, values)
    wrong = (values != np.floor(values)) | (values < -1) | (values >= len(space))
    if wrong.any():
        row = int(wrong.argmax())
        hint = "; it seems to count from 1: write the index less 1" if values.max() == len(space) else ""
        raise DataError(f"{where}, row {row}: {values[row]:g} is no class; expected 0 … {len(space) - 1}{hint}")
    return values.astype(np.int32)


def _class_lists(column: pa.Array, space: ClassSpace, where: str) -> NDArray[np.int32]:
    """Lists of classes, best first, as a matrix: short ones end in -1, and all are cut after the first five."""
    row, place, flat = _unpacked(column)
    wide = max(1, min(TOP, int(place.max(initial=0)) + 1))
    ids, kept = np.full((len(column), wide), -1, np.int32), place < wide
    ids[row[kept], place[kept]] = class_ids(flat, space, where)[kept]
    return ids


def _unpacked(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
    """The elements of an array of lists, and for each its row and its place in the row's list."""
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(column)), lengths)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths), pc.list_flatten(column)


def _confidence(column: pa.Array, where: str) -> NDArray[np.float32]:
    """Probabilities of the best class; of lists the first."""
    values = np.full(len(column), np.nan, np.float32)
    row = np.arange(len(column))
    if _is_list(column.type):
        row, place, column = _unpacked(column)
        row, column = row[place == 0], column.filter(pa.array(place == 0))
    try:
        values[row] = column.cast(pa.float32()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise DataError(f"{where} holds {column.type}; expected probabilities") from error
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"{where}, row {at}: {values[at]:g} is no probability, which lies in 0 … 1; "
            "say which column is the probability, or that none is"
        )
    return values


def _matrix(columns: Mapping[str, pa.Array], path: Path) -> NDArray[Any]:
    """One column of lists of one length, or a column of numbers for each class, as `[rows, classes]`."""
    for name, column in columns.items():
        where, several = f"{str(path)!r}, column {name!r}", len(columns) > 1
        number = column.type if several else column.type.value_type if _is_list(column.type) else pa.null()
        if not (pa.types.is_integer(number) or pa.types.is_floating(number)):
            wanted = "the logits of a class" if several else "a list of logits for each image"
            raise DataError(f"{where} holds {column.type}; expected {wanted}, as numbers")
    if several:
        arrays = [column.to_numpy(zero_copy_only=False) for column in columns.values()]
        return np.stack(arrays, axis=1).astype(np.float32)
    lengths = pc.list_value_length(column).unique().to_pylist()
    if len(lengths) != 1 or None in lengths:
        raise DataError(f"{where} holds lists of different lengths; expected as many logits as classes in each")
    return np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False)).reshape(len(column), -1)


def _checked(logits: NDArray[Any], space: ClassSpace, where: str) -> NDArray[Any]:
    if logits.shape[1] != len(space):
        hint = "; the first of 1001 is often a background class: leave it out" if logits.shape[1] == 1001 else ""
        raise DataError(
            f"{where} holds {logits.shape[1]} logits for each image; {space.name} has {len(space)} classes{hint}"
        )
    return logits


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
