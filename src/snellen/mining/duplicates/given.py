"""What is searched for duplicates, a hard set's images or data sets, and the file that takes what is found."""

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import check_replaces, write_atomic, writing
from snellen.classifiers import Prepared
from snellen.datasets import DataSet, expand_data, open_dataset
from snellen.engine.progress import Reporter
from snellen.engine.running import ModelOptions, prepare_model
from snellen.errors import DataError, ModelError, UsageError
from snellen.files import exists, is_folder, read_bytes
from snellen.mining.duplicates.duplicates import DUPLICATES, Source
from snellen.mining.mined import read_mined
from snellen.mining.publish.images import Originals, mined_sources
from snellen.places import is_remote, place
from snellen.store.find import reading

# What is given in place of a classifier, to compare whole images only.
NONE = "none"


def hard_folder(given: Sequence[str]) -> Path | None:
    """The HARD folder that is given, None where data sets are; UsageError for a hard set beside others."""
    found = []
    for one in given:
        with reading(place(one)):
            found += [one] if exists(place(one) / "mine.json") else []
    if found and len(given) > 1:
        raise UsageError(f"{found[0]!r} is a hard set: give it alone, or data sets to compare it with by --reference")
    return place(found[0]) if found else None


def hard_sources(hard: Path, data: Sequence[str], root: Path | None) -> list[Source]:
    """The images of a hard set in the data sets that it was mined from, or in `data`, where they lie now.

    Raises what `read_mined` does, and DataError where an image is not there or not what was mined.
    """
    mined = read_mined(hard)
    datasets = mined_sources(mined.record, data, root)
    originals = Originals(datasets, mined.images)
    found: dict[int, list[int]] = {}
    for image in mined.images:
        originals.read(image)
        dataset, number = originals.place(image)
        found.setdefault(id(dataset), []).append(number)
    return [Source(dataset, found[id(dataset)]) for dataset in datasets if id(dataset) in found]


def data_sources(names: Sequence[str], root: Path | None, limit: int | None, report: Reporter) -> list[Source]:
    """Data sets, each once, up to `limit` images of each; raises what `open_dataset` does."""
    found = []
    for spec in dict.fromkeys(one for name in names for one in expand_data(name)):
        report.status(f"opening {spec}")
        dataset = open_dataset(spec, root)
        found.append(Source(dataset, None if limit is None else range(min(limit, len(dataset.items)))))
    return found


def ready_embedder(model: str, options: ModelOptions) -> Prepared | None:
    """The classifier whose embeddings are wanted, or None for `NONE`; ModelError where it has none."""
    if model == NONE:
        return None
    prepared = prepare_model(model, options)
    if prepared.generative or not prepared.card.embed_dim:
        raise ModelError(f"{prepared.text} has no embedding to compare images by; choose another model, or -m {NONE}")
    return prepared


def check_apart(sources: Sequence[Source], reference: Sequence[Source]) -> None:
    """Raise DataError where two images have one origin and id, which name them; the reference's own may."""
    own: dict[tuple[str, str], DataSet] = {}
    for source in sources:
        for dataset, number in source.pictures:
            other = own.setdefault((dataset.origin(number), dataset.items[number].id), dataset)
            if other is not dataset:
                raise _same_name(other, dataset, number)
    for source in reference:
        for dataset, number in source.pictures:
            if twin := own.get((dataset.origin(number), dataset.items[number].id)):
                raise _same_name(twin, dataset, number)


def _same_name(one: DataSet, other: DataSet, number: int) -> DataError:
    return DataError(
        f"{one.spec!r} and {other.spec!r} both have an image {other.items[number].id!r} of {other.origin(number)!r}: "
        "nothing tells them apart; give one of the data sets, or rename a folder"
    )


def check_ours(path: Path) -> None:
    """Raise UsageError where what is found cannot be put at `path`: it has no folder, or another file is there."""
    with writing(path, "--out"):
        check_replaces(path)
        if is_folder(path) or not (is_remote(path) or exists(path.parent)):
            what = "is a folder" if is_folder(path) else "is in a folder that is not there"
            raise UsageError(f"{str(path)!r} {what}; give a file with --out")
        data = read_bytes(path) if exists(path) else None
    if data is None:
        return
    try:
        names = pq.read_schema(io.BytesIO(data)).names
    except (pa.ArrowException, ValueError):
        names = []
    if not set(DUPLICATES.names) <= set(names):
        raise UsageError(f"{str(path)!r} is there and no table of duplicates; choose another file with --out")


def write_duplicates(table: pa.Table, path: Path) -> None:
    """Put the table at `path`, whole or not at all; an earlier one is replaced."""
    check_ours(path)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    with writing(path, "--out"):
        write_atomic(path, buffer.getvalue())
