"""Files of a data set repository on the Hub: listed at a commit, read by range, fetched when they are needed.

What the local Hub cache holds is used without any network. What was learned of a commit (its files, their footers and
small columns) is kept in the Hub's cache of assets, so that workers and later commands ask for nothing twice.
"""

import contextlib
import errno
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.atomic import FULL, write_atomic
from snellen.datasets.parquet.files import BATCH_BYTES, Footer, PlacedFile, damage, first_line, parse_footer, read_end
from snellen.errors import DataError
from snellen.files import RangedFile, whole_range
from snellen.trouble import patiently

COMMIT = re.compile(r"[0-9a-f]{40}")
CARD = "README.md"
MAIN = "main"
# What a request for a range brings beyond what was asked for: the small columns of a hundred rows.
READ_AHEAD_BYTES = 64 * 1024
LOCAL_COPY = "or give a local copy of it with --root (or @FOLDER)"


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit, and its card."""

    commit: str
    paths: tuple[str, ...]
    card: str


@dataclass(frozen=True)
class HubFile:
    """A Parquet file of a data set repository at a commit. `name` is its path in it.

    stream: read its images by ranges where it is not here, in place of fetching it whole.
    """

    name: str
    repo: str
    commit: str
    stream: bool = False

    def footer(self) -> Footer:
        """Its end, by range unless the file is here."""

        def fetch() -> bytes:
            with self._remote() as file:
                size, data = read_end(file)
            return size.to_bytes(8, "little") + data

        here = self._here()
        if here:
            return here.footer()
        data = _kept(self.repo, self.commit, f"{self.name} footer", fetch)
        with damage(f"{self.repo}/{self.name}"):
            return parse_footer(int.from_bytes(data[:8], "little"), data[8:])

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Small columns, by range unless the file is here."""
        here = self._here()
        if here:
            return here.columns(names)
        metadata = self.footer().metadata

        def fetch() -> bytes:
            with self._remote() as file:
                # Row group by row group, so that one request brings its small columns, which lie side by side. Not by
                # Arrow's own threads (pre_buffer, pq.read_table): one that lets go of a Python object when Python has
                # ended ends the process.
                opened = pq.ParquetFile(file, metadata=metadata, pre_buffer=False)
                groups = range(metadata.num_row_groups)
                table = pa.concat_tables([opened.read_row_group(k, list(names), use_threads=False) for k in groups])
            out = io.BytesIO()
            pq.write_table(table, out)
            return out.getvalue()

        data = _kept(self.repo, self.commit, f"{self.name} columns {list(names)}", fetch)
        with damage(f"{self.repo}/{self.name}"):
            return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)

    def rows_from(self) -> Any:
        """The file in the local cache, else its ranges or a whole download. OSError where it does not come."""
        here = self._here()
        if here is None and self.stream:
            return RangedFile(self._range, self.footer().size, BATCH_BYTES)
        try:
            return here.place if here else fetch_file(self.repo, self.commit, self.name)
        except DataError as error:
            raise OSError(errno.EIO, str(error)) from error

    def _range(self, start: int, stop: int) -> bytes:
        def ask() -> bytes:
            with HfFileSystem().open(self._url, "rb", cache_type="none", size=self.footer().size) as file:
                file.seek(start)
                return whole_range(file.read(stop - start), start, stop)

        from huggingface_hub import HfFileSystem

        try:
            return patiently(ask)
        except OSError as error:  # whatever it is, no image is to blame
            raise OSError(errno.EIO, f"cannot get {self.repo} from the Hub ({first_line(error)})") from error

    def reachable(self) -> bool:
        """Always: losing the network shows as an error that no single image is blamed for."""
        return True

    @property
    def _url(self) -> str:
        return f"datasets/{self.repo}@{self.commit}/{self.name}"

    def _here(self) -> PlacedFile | None:
        from huggingface_hub import try_to_load_from_cache

        place = try_to_load_from_cache(self.repo, self.name, revision=self.commit, repo_type="dataset")
        return PlacedFile(self.name, Path(place)) if isinstance(place, str) else None

    @contextlib.contextmanager
    def _remote(self) -> Iterator[Any]:
        """The file on the Hub, open for reading ranges; DataError where it cannot be had."""
        from huggingface_hub import HfFileSystem

        opened = {"cache_type": "readahead", "block_size": READ_AHEAD_BYTES}
        with damage(f"{self.repo}/{self.name}"), reaching(self.repo), HfFileSystem().open(self._url, **opened) as file:
            yield file


def fetch_file(repo: str, commit: str, name: str) -> Path:
    """A file in the local Hub cache, downloaded unless it is there; DataError where it does not come.

    A broken download goes on where it stopped while this call lasts. OSError where the disk is full.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with reaching(repo):
        return Path(hf_hub_download(repo, name, revision=commit, repo_type="dataset"))


def list_repository(repo: str, revision: str | None) -> Listing:
    """The repository's files at a commit, at the commit a branch or tag names now, or at that of its main branch.

    Without a network: at the commit that the branch had when it was last looked up. Raises DataError for a repository
    or revision that there is not, that is not open to this user, or that cannot be reached and is not in the cache.
    """
    commit = revision if revision and COMMIT.fullmatch(revision) else None
    known = _known_listing(repo, commit) if commit else None
    if known:
        return known
    try:
        listing = _ask(repo, revision)
    except _Unreachable as error:
        commit = commit or _cached_commit(repo, revision or MAIN)
        here = (_known_listing(repo, commit) or _cached_listing(repo, commit)) if commit else None
        if here:
            return here
        raise DataError(str(error)) from error
    record = {"paths": listing.paths, "card": listing.card}
    _keep(repo, listing.commit, "listing", json.dumps(record).encode())
    _keep(repo, "refs", revision or MAIN, listing.commit.encode())
    return listing


class _Unreachable(DataError):
    """The Hub did not answer; what the local cache holds may do."""


class NoRevision(DataError):
    """The repository has no such branch, tag or commit."""


@contextlib.contextmanager
def reaching(repo: str) -> Iterator[None]:
    """Turn what huggingface_hub raises for a repository into a DataError that says what to do."""
    try:
        yield
    except (DataError, pa.ArrowException, MemoryError):
        raise
    # The library lets the errors of its transport through; they are no OSErrors, and change with its version.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise _explained(repo, error) from error


def _explained(repo: str, error: BaseException) -> DataError:
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/datasets/{repo}"
    # Its file system says that no such file exists, its downloads that the cache has none: the cause says why.
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return _explained(repo, error.__cause__)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return DataError(
            f"{repo} is gated: accept its terms at {page}, log in with `hf auth login` and run this again, {LOCAL_COPY}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return DataError(
            f"the Hub has no data set {repo!r} that you may see: check the name, do `hf auth login`, {LOCAL_COPY}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NoRevision(f"{repo} has no such revision: give revision= a commit, branch or tag of {page}")
    if status in (401, 403):
        return DataError(f"the Hub refuses access to {repo}: log in with `hf auth login`, {LOCAL_COPY}")
    if status == 404:
        return DataError(f"{repo} lacks a file that it listed ({first_line(error)}): look at {page}")
    return _Unreachable(
        f"cannot get {repo} from the Hub ({first_line(error)}): check the network and run this again, {LOCAL_COPY}"
    )


def _ask(repo: str, revision: str | None) -> Listing:
    from huggingface_hub import HfApi

    with reaching(repo):
        info = HfApi().dataset_info(repo, revision=revision, timeout=30)
        paths = tuple(file.rfilename for file in info.siblings or ())
    card = fetch_file(repo, info.sha, CARD).read_text("utf-8", "replace") if CARD in paths else ""
    return Listing(info.sha, paths, card)


def _known_listing(repo: str, commit: str) -> Listing | None:
    """The listing that was kept when the Hub was asked."""
    data = _look(repo, commit, "listing")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        record = json.loads(data or b"")
        return Listing(commit, tuple(record["paths"]), record["card"])
    return None


def _cache_folder(repo: str) -> Path:
    """The repository's folder in the Hub's cache, whose layout is documented: refs/NAME, snapshots/COMMIT/…."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}"


def _cached_commit(repo: str, revision: str) -> str | None:
    """The commit that a branch had when it was last looked up, here or else by whatever program."""
    places = (_asset(repo, "refs", revision), _cache_folder(repo) / "refs" / revision)
    for place in places:
        with contextlib.suppress(OSError, ValueError):
            commit = place.read_text().strip()
            if COMMIT.fullmatch(commit):
                return commit
    return None


def _cached_listing(repo: str, commit: str) -> Listing | None:
    """The files of a commit that were downloaded, by whatever program."""
    root = _cache_folder(repo) / "snapshots" / commit
    paths = tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))
    card = (root / CARD).read_text("utf-8", "replace") if CARD in paths else ""
    return Listing(commit, paths, card) if paths else None


def _kept(repo: str, commit: str, what: str, fetch: Callable[[], bytes]) -> bytes:
    """What was kept of a commit under this name, else what `fetch` brings, which is kept."""
    data = _look(repo, commit, what)
    if data is None:
        data = fetch()
        _keep(repo, commit, what, data)
    return data


def _look(repo: str, commit: str, what: str) -> bytes | None:
    with contextlib.suppress(OSError):
        return _asset(repo, commit, what).read_bytes()
    return None


def _keep(repo: str, commit: str, what: str, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        write_atomic(_asset(repo, commit, what), data)


def _asset(repo: str, commit: str, what: str) -> Path:
    from huggingface_hub import cached_assets_path

    return Path(cached_assets_path("snellen", repo, commit)) / hashlib.sha256(what.encode()).hexdigest()[:32]
