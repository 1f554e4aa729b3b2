"""Reading a run: the long table, the answers as arrays, and whether they are right by any label source."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.datasets.spec import parse_name
from snellen.errors import UsageError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace, correct_by_labels
from snellen.store.commits import commit_path, own_commits, read_commits
from snellen.store.labels import find_labels, read_labels
from snellen.store.logprobs import log_of_code
from snellen.store.parts import block, cells, each, read_part, read_parts
from snellen.store.schema import KINDS, kinds_of
from snellen.zoom.grid import Grid

if TYPE_CHECKING:
    from snellen.analysis.accuracy import Share

# Images scored at once; bounds the memory that scoring takes beside its result.
CHUNK = 4096
# Images whose probabilities are decoded at once: 80 MB of 1,000 classes at 324 zooms.
DECODED = 64


@dataclass(frozen=True)
class Run:
    """One classifier's answers on one data set at one grid; what is committed so far, if it is still going on."""

    path: Path
    record: dict[str, Any] = field(repr=False)

    @property
    def grid(self) -> Grid:
        """The view rules that `zoom` indexes."""
        return Grid.from_json(self.record["grid"])

    @property
    def class_space(self) -> ClassSpace:
        """The classes that `id0` … `id4` index."""
        card = self.record["model"]["card"]
        return IMAGENET_1K if card["space"] == IMAGENET_1K.name else ClassSpace.of_names(card["keys"], card["space"])

    @property
    def model(self) -> str:
        """The model's spec."""
        return str(self.record["model"]["spec"])

    @property
    def data(self) -> str:
        """The data set's spec."""
        return str(self.record["data"]["spec"])

    @property
    def data_name(self) -> str:
        """What tells its data set from others: the name of a named set, else the whole spec (a folder's path, say)."""
        name = str(self.record["data"]["name"])
        return name if parse_name(self.data) == name else self.data

    @property
    def label_sources(self) -> tuple[str, ...]:
        """The label sources of its data set; the first is what it is scored by unless told otherwise."""
        return tuple(self.record["data"].get("label_sources", ("own",)))

    @cached_property
    def commits(self) -> dict[int, dict[str, Any]]:
        """The commit records, by shard; those of another run or of other images are left out."""
        return own_commits(read_commits(self.path), self.record)

    @property
    def complete(self) -> bool:
        """Whether every planned shard is committed."""
        return len(self.commits) == len(self.record["shards"]) - 1

    def table(self, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All committed rows of `samples`, `predictions`, `merged` or `logprobs`, in the order of images."""
        parts = list(self._parts(kind, columns))
        schema = KINDS[kind]
        if not parts:
            return (pa.schema([schema.field(c) for c in columns]) if columns else schema).empty_table()
        return pa.concat_tables(parts).combine_chunks()

    def _parts(self, kind: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """One kind of table of each committed shard, in the order of images."""
        yield from read_parts(self._files(kind), KINDS[kind], columns)

    def _files(self, kind: str) -> list[tuple[Path, int | None]]:
        """The files of one kind of table, in the order of images, and their lengths.

        Raises UsageError where a commit record lacks one: since others have it, or since every shard of the run does.
        """
        files = {shard: commit["files"].get(kind) for shard, commit in self.commits.items()}
        lacking = [shard for shard, file in files.items() if file is None]
        # `merged` is no answer of a zoom: a run that has it nowhere is read without.
        if lacking and (len(lacking) < len(files) or kind in kinds_of(self.record) - {"merged"}):
            raise UsageError(
                f"{str(commit_path(self.path, lacking[0]))!r} is damaged: it names no {kind}; "
                "run the study again to redo its shard"
            )
        return [(self.path / "parts" / file["name"], file["bytes"]) for file in files.values() if file]

    def frame(self) -> pa.Table:
        """The long table, a row for each image and zoom; `.to_pandas()` gives a DataFrame."""
        return self.table("predictions")

    @cached_property
    def samples(self) -> pa.Table:
        """A row for each image: id, size, sha256, origin, and why it could not be read if so."""
        return self.table("samples")

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Id and reason of every image that could not be read."""
        rows = self.samples.filter(pc.is_valid(self.samples["error"])).select(["image_id", "error"])
        return [(row["image_id"], row["error"]) for row in rows.to_pylist()]

    @cached_property
    def image_ids(self) -> list[str]:
        """Ids of the images that were read, in order: the rows of `answers` and `correct`."""
        ids: list[str] = self.samples.filter(pc.is_null(self.samples["error"]))["image_id"].to_pylist()
        return ids

    @cached_property
    def images(self) -> NDArray[np.int32]:
        """Index in the data set of each row of `answers`: int32 `[images]`."""
        readable = self.samples.filter(pc.is_null(self.samples["error"]))
        return np.asarray(readable["image"].to_numpy(), np.int32)

    def answers(self, column: str = "id0") -> NDArray[Any]:
        """One column of the predictions as an array `[images, zooms]`, for example the best class at each zoom."""
        return self.arrays([column])[0]

    def arrays(self, columns: Sequence[str], narrow: bool = False) -> list[NDArray[Any]]:
        """Columns of the predictions, each as `answers` gives it, in one pass over the files.

        narrow: answers as int16 where the head has no more classes than that holds; UsageError for one that is none.
        """
        kinds = [KINDS["predictions"].field(column).type.to_pandas_dtype() for column in columns]
        if narrow and len(self.class_space) <= np.iinfo(np.int16).max:
            kinds = [np.int16 if kind == np.int32 else kind for kind in kinds]
        shape = len(self.images), len(self.grid)
        arrays = [np.full(shape, np.nan if np.issubdtype(kind, np.floating) else -1, kind) for kind in kinds]

        def place(path: Path, size: int | None) -> None:  # one at a time in each thread: memory does not pile up
            part = read_part(path, KINDS["predictions"], ["image", "zoom", *columns], size)
            image, zoom = part["image"].to_numpy(), part["zoom"].to_numpy()
            rows = block(self.images, shape[1], image, zoom)
            where = cells(self.images, shape[1], image, zoom) if rows is None else rows
            if where is None:
                raise UsageError(f"{str(self.path)!r} is damaged: it has answers of images or zooms it does not list")
            for array, column in zip(arrays, columns, strict=True):
                values = part[column].to_numpy()
                if narrow and column.startswith("id"):
                    self.check_answers(values)
                array[where] = values if rows is None else values.reshape(-1, shape[1])

        each(place, self._files("predictions"))
        return arrays

    @property
    def keeps_probs(self) -> bool:
        """Whether all its probabilities were kept (`--keep-probs`)."""
        kinds = {kind for commit in self.commits.values() for kind in commit["files"]}
        if "probs" in kinds:
            model = f"-m {shlex.quote(self.model)} --precision {self.record['model']['precision']}"
            raise UsageError(
                f"{str(self.path)!r} keeps probabilities as float16, which is no longer read; run `snellen study "
                f"{shlex.quote(self.data)} {model} --keep-probs` again, with its -o, to redo them"
            )
        return "logprobs" in kinds

    def probabilities(
        self, zooms: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Some images at a time: rows of `answers`, and their probabilities `[rows, zooms, classes]`.

        zooms: of which zooms, in that order; all where None.
        0 for ids that take no part. Nothing where they were not kept. Raises UsageError where a file is damaged.
        """
        of_code = np.exp(log_of_code())
        yield from ((rows, of_code[codes]) for rows, codes in self._kept(zooms))

    def log_probabilities(
        self, zooms: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """As `probabilities`, their natural logarithms: down to -87, and -inf for ids that take no part."""
        yield from ((rows, log_of_code()[codes]) for rows, codes in self._kept(zooms))

    def _kept(self, zooms: NDArray[np.intp] | None) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint16]]]:
        """The codes of log-probabilities of some images at a time, `[rows, zooms, classes]`."""
        *_, column = KINDS["logprobs"].names
        for part in self._parts("logprobs", ["image", column]):
            flat = part[column].combine_chunks().flatten().to_numpy()
            try:
                codes = flat.reshape(len(part) // len(self.grid), len(self.grid), len(self.class_space))
                images = part["image"].to_numpy().reshape(-1, len(self.grid))[:, 0]
            except ValueError as error:
                raise UsageError(f"{str(self.path)!r} is damaged: probabilities are missing ({error})") from error
            rows = np.searchsorted(self.images, images)
            for start in range(0, len(rows), DECODED):
                some = codes[start : start + DECODED]
                yield rows[start : start + DECODED], some if zooms is None else some[:, zooms]

    @property
    def class_map(self) -> ClassMap | None:
        """Which ids took part and which class each is; None where all did."""
        record = self.record.get("classes")
        return ClassMap.from_json(record) if record else None

    def labels(self, source: str | Path | None = None) -> list[list[int]]:
        """The label set of each row of `answers`; an image that its source leaves without a label has an empty one.

        source: None for those the run was made with, the name of another that the data set has (`real`), or a CSV
            with columns `image_id` and `labels` (classes joined by spaces or by `|`).
        Raises DataError for an image without a row or a class that the class space does not have.
        """
        kept = None if source == self.label_sources[0] else source
        return read_labels(find_labels(self.path, kept), self.image_ids, self.class_space)

    def scored(self, labels: str | Path | None = None) -> NDArray[np.intp]:
        """The rows of `answers` that have a label, which are the rows of `correct`: int `[scored images]`."""
        return np.flatnonzero([len(row) > 0 for row in self.labels(labels)])

    def correct(self, labels: str | Path | None = None, top: int = 1) -> NDArray[np.bool_]:
        """Whether each zoom's answer is one of its image's labels: bool `[scored images, zooms]`.

        Images without a label are left out; `scored` says which rows of `answers` remain.
        top: count an image as right where any of its best `top` classes (1 … 5) is.
        """
        label_sets = self.labels(labels)
        rows = np.flatnonzero([len(row) > 0 for row in label_sets])
        kept = [label_sets[row] for row in rows]
        right = np.zeros((len(rows), len(self.grid)), bool)
        for k in range(top):
            right |= self.score(self.answers(f"id{k}")[rows], kept)
        return right

    def score(self, answers: NDArray[np.integer[Any]], label_sets: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
        """Whether each of some answers, ids `[images, zooms]`, is one of its image's labels: bool `[images, zooms]`.

        Raises UsageError where an answer is none of the classes.
        """
        self.check_answers(answers)
        classes = len(self.class_space)
        right = np.empty(answers.shape, bool)
        for start in range(0, len(answers), CHUNK):
            part = slice(start, start + CHUNK)
            right[part] = correct_by_labels(answers[part], label_sets[part], classes)
        return right

    def check_answers(self, answers: NDArray[np.integer[Any]]) -> None:
        """Raise UsageError where an answer is neither one of the classes nor -1, of any shape."""
        classes = len(self.class_space)
        if answers.size and not (answers.min() >= -1 and answers.max() < classes):
            raise UsageError(f"{str(self.path)!r} is damaged: it has answers outside its {classes} classes")

    def accuracy(self, labels: str | Path | None = None) -> "Share":
        """1-crop accuracy, or that of the model's own transform, with its count and 95 % Wilson interval.

        Raises UsageError where the run's grid has no 1-crop zoom and more than one.
        """
        from snellen.analysis.accuracy import share

        zoom = 0 if len(self.grid) == 1 else self.grid.one_crop
        if zoom is None:
            raise UsageError(f"the grid {self.grid.name!r} of {str(self.path)!r} has no 1-crop zoom")
        return share(self.correct(labels)[:, zoom])
