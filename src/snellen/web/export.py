"""`--export`: the page as a folder of files for any file server, read-only.

The new site is made beside the old one and takes its place when it is whole. Nothing that a browser does not show of
an image leaves: thumbnails and pictures are encoded anew.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snellen.engine.progress import Reporter, silent
from snellen.errors import DataError, UsageError
from snellen.redact import without_folders
from snellen.web.app import STATIC
from snellen.web.build import Builder
from snellen.web.drawing import Drawers
from snellen.web.images import Content, Images, NoSuchImage
from snellen.web.references import References
from snellen.web.site import Target
from snellen.web.verdicts import Reviews

# What an export holds, and nothing else: a folder with other things in it is not written over.
INSIDE = frozenset({"index.html", "static", "data", "thumbs", "pictures", "references"})


@dataclass(frozen=True)
class Exported:
    """What was written: how many images have a picture, and the bytes of all files."""

    images: int
    size: int


def export(
    target: Target, folder: Path, cache_folder: Path, *, reference: Path | None = None, report: Reporter = silent
) -> Exported:
    """Write the page of a target to `folder`; an earlier export there is replaced.

    reference: a folder with examples of classes. Left out are images that cannot be read, and links out of a data set's
    folder to files that no run has recorded.
    Raises UsageError where there is something else than an export, or nothing can be written.
    """
    check_place(folder)
    spaces = [one.space for one in target.sets.values()]
    references = References(reference, spaces, outside=False) if reference else None
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    except OSError as error:
        raise UsageError(f"--export {str(folder)!r}: {error.strerror}; choose another folder") from error
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, fresh, ignore_errors=True)
        drawers = Drawers(max(1, len(os.sched_getaffinity(0))))
        stack.callback(drawers.close)
        builder = stack.enter_context(closing(Builder(target, cache_folder)))
        report.status("reading what is shown")
        builder.finish()
        site = _public(builder.site(), references is not None)
        _write_data(site, builder, fresh)
        images = Images(target.sets, cache_folder, drawers, references, outside=False)
        report.status(f"writing {sum(map(len, target.sets.values())):,} pictures")
        _write_images(target, images, fresh)
        if references:
            _write_references(target, site, images, references, fresh)
        if target.hard:
            (fresh / "data" / "verdicts.json").write_bytes(Reviews(target.hard).state()[1])
        shutil.copytree(STATIC, fresh / "static", ignore=shutil.ignore_patterns("index.html"))
        shutil.copy(STATIC / "index.html", fresh / "index.html")
        fresh.chmod(0o755)
        files = [path for path in fresh.rglob("*") if path.is_file()]
        pictures = sum(path.is_relative_to(fresh / "pictures") for path in files)
        written = Exported(pictures, sum(path.stat().st_size for path in files))
        check_place(folder)
        _put(fresh, folder.absolute())
        return written


def check_place(folder: Path) -> None:
    """Raise UsageError where there is something else than an earlier export, which would be lost."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"--export {str(folder)!r} is no folder; give a new one")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    try:
        site = json.loads((folder / "data" / "site.json").read_bytes())
        own = site["live"] is False and isinstance(site["sets"], list)
    except (OSError, ValueError, KeyError, TypeError):
        own = False
    if not own or not names <= INSIDE:
        other = next(iter(sorted(names - INSIDE)), None)
        what = f"holds {other!r}, which is of no export" if other else "holds files that no export wrote"
        raise UsageError(f"--export {str(folder)!r} {what}; give a new folder, or move it away")


def _public(site: dict[str, Any], references: bool) -> dict[str, Any]:
    """What `data/site.json` says of an export: nothing of folders of this machine."""
    sets = [
        one
        | {"name": without_folders(one["name"]), "error": None}
        | {"label_sources": [without_folders(source) for source in one["label_sources"]]}
        | {
            "models": [
                model | {"spec": without_folders(model["spec"]), "complete": True, "error": None}
                for model in one["models"]
            ]
        }
        for one in site["sets"]
    ]
    title = without_folders(site["title"])
    return site | {"title": title, "live": False, "review": False, "references": references, "sets": sets}


def _write_data(site: dict[str, Any], builder: Builder, fresh: Path) -> None:
    data = fresh / "data"
    data.mkdir()
    (data / "site.json").write_text(json.dumps(site), encoding="ascii")
    for one in site["sets"]:
        urls = [f"data/classes-{one['space']}.json", f"data/{one['key']}/images.json"]
        for model in one["models"]:
            urls += [f"data/grid-{model['grid']}.json", f"data/{one['key']}/{model['key']}.json"]
            chunks = -(-one["images"] // one["chunk"])
            urls += [f"data/{one['key']}/{model['key']}/answers/{k}.bin" for k in range(chunks)]
        for url in urls:
            path = builder.path(url)
            if path is None:
                raise DataError(f"{url} could not be made, since what is shown has changed meanwhile; export again")
            (fresh / url).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, fresh / url)


def _write_images(target: Target, images: Images, fresh: Path) -> None:
    def write(job: tuple[str, Callable[[], Content]]) -> None:
        name, make = job
        try:
            made = make()
        except NoSuchImage:  # the page says why
            return
        (fresh / name).write_bytes(made.data)

    def jobs() -> Iterator[tuple[str, Callable[[], Content]]]:
        for key, one in target.sets.items():
            for row in range(len(one)):
                yield f"thumbs/{key}/{row}.jpg", partial(images.thumb, key, row)
                yield f"pictures/{key}/{row}.jpg", partial(images.picture, key, row)

    for key in target.sets:
        for kind in ("thumbs", "pictures"):
            (fresh / kind / key).mkdir(parents=True)
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        for _ in pool.map(write, jobs()):
            pass


def _write_references(
    target: Target, site: dict[str, Any], images: Images, references: References, fresh: Path
) -> None:
    """The examples of every class that an image has or may have, and how many there are of each."""
    wanted: set[str] = set()
    counts: dict[str, int] = {}
    for one in site["sets"]:
        columns = json.loads((fresh / "data" / one["key"] / "images.json").read_bytes())
        keys = target.sets[one["key"]].space.keys
        wanted |= {keys[k] for name in ("labels", "candidates") for some in columns.get(name, ()) for k in some}
    for key in sorted(wanted):
        # The name of a class may be anything; only what is one part of a path is one here.
        if key in (".", "..") or "/" in key or "\0" in key:
            continue
        for k in range(references.count(key)):
            try:
                made = images.reference(key, k)
            except NoSuchImage:
                continue
            (fresh / "references" / key).mkdir(parents=True, exist_ok=True)
            (fresh / "references" / key / f"{counts.setdefault(key, 0)}.jpg").write_bytes(made.data)
            counts[key] += 1
    (fresh / "data" / "references.json").write_text(json.dumps(counts), encoding="utf-8")


def _put(fresh: Path, folder: Path) -> None:
    """Put the new export in the place of the old one."""
    try:
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.rename(old / "old")
            try:
                fresh.rename(folder)
            except OSError:
                (old / "old").rename(folder)
                old.rmdir()
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.rename(folder)
    except OSError as error:
        raise UsageError(f"--export {str(folder)!r}: {error.strerror}; choose another folder") from error
