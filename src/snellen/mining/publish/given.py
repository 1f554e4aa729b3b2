"""What is published and how, read before anything is written; and what tells one such thing from another."""

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.datasets import DataSet
from snellen.mining.hardset import HardSet, read
from snellen.mining.mined import read_rows
from snellen.mining.publish.changes import open_previous
from snellen.mining.publish.images import source_specs
from snellen.mining.publish.licences import Licence, licences_of
from snellen.mining.publish.rows import Choice, Selection, row_of, select
from snellen.mining.publish.upscale import Network
from snellen.redact import command_without_folders
from snellen.store import Run
from snellen.store.find import find_runs


@dataclass(frozen=True)
class Options:
    """How a hard set is published.

    form: the layout, of `publish_write.WRITERS`. undecided, duplicates: what to do with such images, see `select`.
    licences: see `licences_of`. runs: places of runs for the table of accuracy. previous: an earlier version.
    wide: the width that images are enlarged to, None to leave them. convert: encode anew what no browser shows as the
    miners saw it. data: data sets in place of those that mine.json names. root: where the files of a named one lie.
    """

    form: str = "parquet"
    undecided: Choice | None = None
    duplicates: Choice = "drop"
    licences: Sequence[str] = ()
    runs: Sequence[str | Path] = ()
    previous: str | None = None
    wide: int | None = None
    convert: bool = False
    data: Sequence[str] = ()
    root: Path | None = None


@dataclass(frozen=True)
class Given:
    """A hard set, what is selected of it with its rows, and all that goes with it."""

    hard_set: HardSet
    selection: Selection
    rows: Sequence[Mapping[str, Any]]
    origins: Mapping[str, int]
    licences: Mapping[str, Licence]
    runs: Sequence[Run]
    previous: DataSet | None
    options: Options
    network: Network | None

    @property
    def how(self) -> str:
        """What enlarges images, where they are to be."""
        return self.network.name if self.network else "Lanczos"

    def command(self, name: str) -> str:
        """What publishes this as `name`, without folders."""
        options, words = self.options, ["snellen", "publish", str(self.hard_set.mined.folder), "-o", name]
        words += ["--format", options.form, "--duplicates", options.duplicates]
        words += ["--undecided", options.undecided] if options.undecided else []
        words += [word for origin, one in self.licences.items() for word in ("--licence", f"{origin}={one.text}")]
        words += ["--convert"] if options.convert else []
        words += ["--upscale", str(options.wide)] if options.wide else []
        words += ["--previous", str(options.previous)] if options.previous else []
        return command_without_folders(shlex.join(words))

    @property
    def treatment(self) -> str:
        """What decides how the bytes of an image are made from those that were mined."""
        network = self.network.sha256 if self.network else None
        return digest([self.options.wide, network])

    @property
    def content(self) -> str:
        """What tells this data from other data: its rows, its layout, and what is done with the bytes.

        But for `Options.convert`, see `publish`: there may be nothing to convert.
        """
        hashes = [image.mined.sha256 for image in self.selection.images]
        # COCO's file has a place for licences.
        licences = {origin: one.text for origin, one in self.licences.items()} if self.options.form == "coco" else {}
        plain = [self.options.form, self.treatment, list(self.hard_set.space.keys), licences]
        return digest([*plain, hashes, list(self.rows)])


def read_given(hard: Path, options: Options, network: Network | None) -> Given:
    """Read a hard set and all that is to be published with it; raises what `publish` does."""
    hard_set = read(hard)
    suspects = {row["id"]: row for row in read_rows(hard, "suspects") or ()}
    selection = select(hard_set, read_rows(hard, "duplicates") or (), options.undecided, options.duplicates)
    origins = dict(Counter(image.mined.origin for image in selection.images).most_common())
    return Given(
        hard_set=hard_set,
        selection=selection,
        rows=[row_of(image, hard_set.space, suspects.get(image.mined.id)) for image in selection.images],
        origins=origins,
        licences=licences_of(
            origins,
            options.licences,
            source_specs(hard_set.mined.record, options.data),
            {image.mined.origin for image in hard_set.images},
        ),
        runs=[run for place in options.runs for run in find_runs(place)],
        previous=open_previous(options.previous) if options.previous else None,
        options=options,
        network=network,
    )


def digest(plain: Any) -> str:
    """A hash of what JSON can say."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
