"""Data sets of the Hub: `hub/ORG/NAME[:SPLIT][,config=…,revision=…,image=…,label=…,id=…,origin=…]`."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from snellen.datasets.hub.files import CARD, HubFile, Listing, NoRevision, list_repository
from snellen.datasets.hub.layout import layout_of, missing_shards
from snellen.datasets.opening import current_opening
from snellen.datasets.parquet.columns import Columns
from snellen.datasets.parquet.dataset import ParquetDataSet
from snellen.datasets.parquet.files import ParquetSource, placed_files
from snellen.datasets.spec import DataSpec
from snellen.errors import DataError
from snellen.files import exists, read_bytes

FORM = "hub/ORG/NAME[:SPLIT]"
NAME = re.compile(r"hub/(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?::(?P<split>\w[\w.-]*))?")
# Where the Hub keeps the Parquet files it makes of repositories that have none.
CONVERTED = "refs/convert/parquet"


@dataclass(frozen=True)
class HubSplit:
    """The Parquet files of one split; `revision` is the commit, "" for a local copy."""

    files: tuple[ParquetSource, ...]
    revision: str
    split: str
    config: str


def open_hub(parsed: DataSpec) -> ParquetDataSet:
    """The data set that a spec `hub/…` names. Its own spec names the commit, so that it opens the same files again.

    With a root: a local copy of the repository. Raises DataError as `hub_split` and `ParquetDataSet` do.
    """
    columns = Columns.of_options(parsed.options, FORM, ("config", "revision"))
    match = NAME.fullmatch(parsed.name)
    if match is None:
        raise DataError(f"no data set {parsed.name!r}: expected {FORM}")
    repo, config = match["repo"], parsed.options.get("config")
    part = hub_split(repo, match["split"], config, parsed.options.get("revision"), parsed.root)
    options = parsed.options | ({"revision": part.revision} if part.revision else {})
    spec = DataSpec(f"hub/{repo}:{part.split}", parsed.root, options)
    name = "-".join([repo.replace("/", "-"), *([config] if config else []), part.split])
    return ParquetDataSet(part.files, spec.text, name, columns, revision=part.revision)


def hub_split(
    repo: str,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    root: Path | None = None,
) -> HubSplit:
    """The Parquet files of a split of a repository, of the Hub or of a local copy in `root`; nothing is downloaded yet.

    split: None: the only one, else validation, else test.
    config: None: the card's default, else `default`, else the only one.
    revision: a commit, branch or tag; None: the main branch, or what the Hub converted to Parquet where that has none.

    Raises DataError where there is no such repository, revision, configuration or split, it is gated or private and
    this user is not logged in, or the Hub cannot be reached and the local cache does not hold it.
    """
    if root is not None and revision:
        raise DataError(f"revision={revision} and a local copy of {repo}: give only one of them")
    listing = _listing(repo, revision) if root is None else _copy_at(root)
    layout = layout_of(listing.paths, listing.card)
    if not layout.configs:
        where = f"in {str(root)!r}" if root else f"in {repo}, and the Hub made none of it"
        raise DataError(f"no Parquet files {where}: give a data set of Parquet files")
    config, split = layout.choose(repo, split, config)
    paths = layout.configs[config][split]
    missing = missing_shards(paths)
    if missing:
        raise DataError(f"only a part of {repo} is here: {', '.join(missing)}; fetch the others, or go online")
    if root is not None:
        places = {file.name: file for file in placed_files(root)}
        return HubSplit(tuple(places[path] for path in paths), "", split, config)
    stream = current_opening().stream
    files = tuple(HubFile(path, repo, listing.commit, stream) for path in paths)
    return HubSplit(files, listing.commit, split, config)


def _listing(repo: str, revision: str | None) -> Listing:
    listing = list_repository(repo, revision)
    if revision is None and not layout_of(listing.paths, listing.card).configs:
        with contextlib.suppress(NoRevision):
            return list_repository(repo, CONVERTED)
    return listing


def _copy_at(root: Path) -> Listing:
    card = root / CARD
    text = read_bytes(card).decode("utf-8", "replace") if exists(card) else ""
    return Listing("", tuple(file.name for file in placed_files(root)), text)
