"""`DATA` on the command line: what its text means, and the data set that it opens."""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

from snellen.datasets.base import DataSet
from snellen.datasets.opening import opening
from snellen.errors import DataError
from snellen.places import is_remote, place

FORMS = (
    "`examples`, a folder DIR/<class>/<image> or its URL, a name of `snellen ls datasets`, hub/ORG/NAME[:SPLIT] or "
    "parquet/PATH"
)

# What starts an option.
_OPTION = re.compile(r",(?=\w+=)")


@dataclass(frozen=True)
class DataSpec:
    """A parsed data spec `NAME[@ROOT][,key=value…]`.

    name: `imagenet-a`, `imagenet-c/fog/3`, `hub/ORG/NAME:SPLIT`, `parquet/PATH`, …
    root: where its files lie, absolute, or None.
    options: what followed as `,key=value`.
    """

    name: str
    root: Path | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The canonical spelling, which opens the same data set again.

        Raises DataError where a path in it would be read as an option.
        """
        head = f"{self.name}@{self.root}" if self.root else self.name
        if _OPTION.search(head):
            path = str(self.root or self.name.partition("/")[2])
            raise DataError(f"{path!r}: a path may not hold ,WORD= here, which starts an option; link to it")
        return head + "".join(f",{key}={value}" for key, value in sorted(self.options.items()))


def parse_data(text: str, root: str | Path | None = None) -> DataSpec:
    """The spec that `text` spells; `root` stands for an `@ROOT` that it lacks.

    >>> parse_data("hub/someone/photos:test,label=class").options
    {'label': 'class'}
    """
    head, *pairs = _OPTION.split(text)
    options = dict(pair.split("=", 1) for pair in pairs)
    if head.startswith("parquet/"):  # a path, which may hold an @ and needs no root
        return DataSpec(head, None, options)
    name, _, own_root = head.partition("@")
    where = own_root or root
    return DataSpec(name, _absolute(where) if where else None, options)


def _absolute(text: str | Path) -> Path:
    path = place(text)
    if is_remote(path):  # whether it is there shows when it is listed
        return path
    try:
        path = path.expanduser()
        if path.is_dir():
            return lasting(path)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"no folder {str(text)!r}: {error}") from error
    what = "is a file" if path.exists() else "is no folder"
    raise DataError(f"{str(text)!r} {what}; give the folder that holds the data set's files as --root")


def lasting(folder: Path) -> Path:
    """A folder's path that means the same in any process: without links, unless only a link can be spelled."""
    if is_remote(folder):
        return folder
    resolved = folder.resolve()
    return folder.absolute() if _OPTION.search(str(resolved)) else resolved


def open_dataset(
    spec: str | Path, root: str | Path | None = None, *, planned: str | None = None, stream: bool = False
) -> DataSet:
    """The data set that `spec` names; `root` is the folder that holds a named set in its released layout.

    planned: the fingerprint that it is to have; a store is then not listed again where this machine did already.
    stream: read files of the Hub by ranges, unless they are here already; else each is fetched whole and kept here.
    Raises DataError where there is no such data set, or it holds no image; Stopped where its store cannot be reached.
    """
    with opening(planned, stream):
        return _open(spec, root)


def _open(spec: str | Path, root: str | Path | None) -> DataSet:
    """As `open_dataset`; imports only the kind of data set that it is, since every worker process opens one."""
    from snellen.datasets.names import is_family

    if str(spec) == "examples":
        from snellen.datasets.examples import ExamplesDataSet

        return ExamplesDataSet()
    if not isinstance(spec, str) or (not re.match(r"(hub|parquet)/", spec) and not is_family(parse_name(spec))):
        from snellen.datasets.folder import FolderDataSet

        return FolderDataSet(_folder(spec))
    parsed = parse_data(spec, root)
    if parsed.name.startswith("hub/"):
        from snellen.datasets.hub.dataset import open_hub

        return open_hub(parsed)
    if parsed.name.startswith("parquet/"):
        from snellen.datasets.parquet.dataset import open_parquet

        return open_parquet(parsed)
    from snellen.datasets.imagenet import open_family

    return open_family(parsed)


def label_source(spec: str | Path) -> str | None:
    """The label source that a spec names (`imagenet-real`: `real`); None where it names none."""
    from snellen.datasets.names import label_source as of_name

    return of_name(parse_name(spec)) if isinstance(spec, str) else None


def expand_data(spec: str) -> list[str]:
    """The specs that one stands for: `imagenet-c/*/3`, `imagenet-robustness`; any other stands for itself."""
    from snellen.datasets.names import expand

    name = parse_name(spec)
    return [one + spec[len(name) :] for one in expand(name)]


def parse_name(text: str) -> str:
    """The name in a spec, without root and options."""
    return re.split(rf"@|{_OPTION.pattern}", text, maxsplit=1)[0]


def _folder(spec: str | Path) -> Path:
    path = place(spec)
    if is_remote(path):
        return path
    try:
        path = path.expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (RuntimeError, OSError, ValueError) as error:  # no such user, a name too long, a null byte
        raise DataError(f"no data set {str(spec)!r}: {error}") from error
    if is_folder:
        return path
    if exists:
        raise DataError(f"{str(spec)!r} is a file; give a folder DIR/<class>/<image>, or parquet/{spec}")
    raise DataError(f"no data set {str(spec)!r}: {_nearest(str(spec))}give {FORMS}")


def _nearest(name: str) -> str:
    """The known name that is meant, where one is near."""
    from snellen.datasets.names import NAMES

    near = difflib.get_close_matches(name.lower(), ["examples", *NAMES], n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? Or " if near else ""
