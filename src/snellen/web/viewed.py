"""Images that are shown together, and the models on them."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from snellen.datasets import DataSet, open_dataset
from snellen.datasets.folder import FolderDataSet
from snellen.datasets.names import is_family
from snellen.datasets.spec import parse_data
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.mined import Mined, image_key
from snellen.mining.publish.images import mined_sources
from snellen.store import Run
from snellen.web.index import Index
from snellen.zoom.grid import PAPER_GRID, Grid

# A file of more bytes is not shown: the server holds a file whole while it is decoded.
MOST_BYTES = 256 * 2**20

Kind = Literal["runs", "hard", "data"]


@dataclass(frozen=True, eq=False)
class ViewModel:
    """A model on a set of images: `runs` by the number of the data set that the images are of."""

    key: str
    name: str
    runs: Mapping[int, Run]

    @property
    def run(self) -> Run:
        """Any of its runs; they have one spec, grid, precision and classes."""
        return next(iter(self.runs.values()))


@dataclass(eq=False)
class ViewSet:
    """Images that are shown together, by position 0 … len - 1.

    place: the folder of runs or the hard set, or the data set's spec. root: as `open_dataset` takes it. labels: the
    label source that was asked for, None for the first. specs: the data sets that the images are of. borders: by the
    number of the data set, pixels cut off each side of its images before anything else. unfinished: whether `mine` is
    still at work on it.
    """

    key: str
    name: str
    kind: Kind
    place: str
    root: str | None
    labels: str | None
    specs: tuple[str, ...]
    space: ClassSpace
    sources: tuple[str, ...]
    count: int
    borders: Mapping[int, int] = field(default_factory=dict)
    models: list[ViewModel] = field(default_factory=list)
    mined: Mined | None = None
    index: Index | None = None
    unfinished: bool = False
    _datasets: list[DataSet] | None = None
    _rows: dict[int, tuple[int, int]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return self.count

    @property
    def dataset(self) -> DataSet:
        """Its data set, opened; of several the first."""
        with self._lock:
            if self._datasets is None:
                self._datasets = self._open()
            return self._datasets[0]

    @property
    def space_key(self) -> str:
        """Names the file of its classes."""
        known = self.space is IMAGENET_1K
        return self.space.name if known else f"classes-{self.space.fingerprint[:12]}"

    def sha256(self, position: int) -> str | None:
        """The hash of the bytes that a run or a hard set was made from; None where nothing says so."""
        if self.mined is not None:
            return self.mined.images[position].sha256
        return self.index.sha256(position) if self.index is not None else None

    def border_at(self, position: int) -> int:
        """Pixels that are cut off each side of an image before anything else."""
        source = 0 if self.mined is None or self.index is None else int(self.index.source[position])
        return self.borders.get(source, 0)

    def image(self, position: int) -> bytes:
        """The original's bytes; OSError where they cannot be had, DataError where the data set cannot be opened."""
        dataset, number = self._place(position)
        size = dataset.items[number].size
        if size > MOST_BYTES:
            raise OSError(f"its file has {size:,} bytes, more than the {MOST_BYTES:,} that are shown")
        return dataset.read(number)

    def leads_out(self, position: int) -> bool:
        """Whether it is a link to a file outside the folder of the data set."""
        dataset, number = self._place(position)
        return isinstance(dataset, FolderDataSet) and dataset.leads_out(number)

    def grid(self, model: str) -> Grid | None:
        """The grid of one of its models; None for a model that it has not. "" is the study's grid."""
        if not model:
            return PAPER_GRID
        return next((one.run.grid for one in self.models if one.key == model), None)

    def _place(self, position: int) -> tuple[DataSet, int]:
        with self._lock:  # opened when the first image is asked for: a listing takes its time
            if self._datasets is None:
                self._datasets = self._open()
            if self.mined is None:
                dataset, number = self._datasets[0], position
            else:
                self._rows = self._rows or _mined_rows(self.mined, self._datasets)
                source, number = self._rows.get(position, (-1, -1))
                if source < 0:
                    raise OSError(f"no data set has {self.mined.images[position].image_id!r} any more")
                dataset = self._datasets[source]
        if number >= len(dataset.items):
            raise OSError("the data set has fewer images than the run was made from")
        return dataset, number

    def _open(self) -> list[DataSet]:
        if self.mined is not None:
            return mined_sources(self.mined.record, (), self.root)
        if self.kind == "data" or self.root is None:
            return [open_dataset(self.specs[0], self.root)]
        return [_moved(self.specs[0], self.root)]

    @property
    def job(self) -> dict[str, Any]:
        """A plain form, from which a child process makes it again."""
        models = [
            {"key": one.key, "runs": {str(k): str(run.path) for k, run in one.runs.items()}} for one in self.models
        ]
        plain = {name: getattr(self, name) for name in ("key", "name", "kind", "place", "root", "labels")}
        return {**plain, "models": models, "mined": self.mined_digest}

    @cached_property
    def mined_digest(self) -> str | None:
        """Changes with the images of a hard set, their order and what they were mined with."""
        return digest(self.mined.images) if self.mined is not None else None


def _moved(spec: str, root: str) -> DataSet:
    """The data set of a run, whose files lie at `root` now."""
    parsed = parse_data(spec)
    if is_family(parsed.name):
        return open_dataset(replace(parsed, root=None).text, root)
    fixed = parsed.name == "examples" or parsed.name.startswith(("hub/", "parquet/"))
    return open_dataset(spec if fixed else root)


def _mined_rows(mined: Mined, datasets: list[DataSet]) -> dict[int, tuple[int, int]]:
    """Data set and number there of each position of a hard set."""
    wanted = {image.id: position for position, image in enumerate(mined.images)}
    found: dict[int, tuple[int, int]] = {}
    for source, dataset in enumerate(datasets):
        for number, item in enumerate(dataset.items):
            position = wanted.get(image_key(dataset.origin(number), item.id))
            if position is not None:
                found.setdefault(position, (source, number))
    return found


def digest(*parts: object) -> str:
    """16 hex digits that change with what is given."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
