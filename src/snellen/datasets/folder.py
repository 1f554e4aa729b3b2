"""A folder of images, one folder a class: `DIR/<class>/<image>`, nested or not."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from snellen.datasets.base import OWN_LABELS, Item, ListedDataSet
from snellen.errors import DataError
from snellen.labels import ClassSpace
from snellen.labels.imagenet import check_source, ids_of_keys

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")


class FolderDataSet(ListedDataSet):
    """Every image file below a folder, ordered by the bytes of its relative path.

    Links to folders are followed once each, so that a loop of links ends. Hidden files and folders are left out.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str | None = None,
        spec: str | None = None,
        keep: Callable[[bytes], bool] = lambda path: True,
    ) -> None:
        """A folder under its own name, or as the data set that `name` and `spec` say.

        keep: which of its images belong to it, by relative path.
        """
        self.root = root.resolve()
        self.spec = str(self.root) if spec is None else spec
        self.name = _printable(os.fsencode(self.root.name)) if name is None else name
        found = sorted((pair for pair in _walk(self.root) if keep(pair[0])), key=lambda pair: pair[0])
        if not found:
            raise DataError(f"no images under {str(root)!r}: looked for {' '.join(SUFFIXES)} in it and below")
        self._paths = [path for path, _ in found]
        self.items: Sequence[Item] = [Item(_printable(path), size) for path, size in found]

    def reachable(self) -> bool:
        """Whether the folder is there and holds something."""
        return self.root.is_dir() and any(self.root.iterdir())

    def read(self, index: int) -> bytes:
        """The file's bytes."""
        with open(os.path.join(os.fsencode(self.root), self._paths[index]), "rb") as file:
            return file.read()

    def origin(self, index: int) -> str:
        """The folder's name."""
        return self.name

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """One label an image: the class its folder names, at the outermost level where every folder names one."""
        folders = [image_id.split("/")[:-1] for image_id in ids]
        known: dict[str, int | None] = {}

        def class_of(parts: list[str], depth: int) -> int | None:
            if depth >= len(parts):
                return None
            word = parts[depth]
            if word not in known:
                known[word] = space.find(word)
            return known[word]

        levels: list[list[int | None]] = []
        for depth in range(max((len(parts) for parts in folders), default=0)):
            levels.append([class_of(parts, depth) for parts in folders])
            if None not in levels[-1]:
                return [[label] for label in levels[-1] if label is not None]
        if not levels:
            raise DataError(f"the images of {self.name!r} lie in no class folder: expected DIR/<class>/<image>")
        best = max(range(len(levels)), key=lambda depth: len(folders) - levels[depth].count(None))
        at = levels[best].index(None)
        if best >= len(folders[at]):
            raise DataError(f"{ids[at]!r} lies in no class folder: expected DIR/<class>/<image>")
        raise space.unknown(folders[at][best])


class KeyedFolder(FolderDataSet):
    """A folder whose images have their classes by a rule: `keys_of(image id, label source)` gives their keys."""

    def __init__(
        self,
        root: Path,
        name: str,
        spec: str,
        keys_of: Callable[[str, str], Sequence[str]],
        *,
        classes: Sequence[Sequence[str]] | None = None,
        border: int = 0,
        keep: Callable[[bytes], bool] = lambda path: True,
    ) -> None:
        super().__init__(root, name=name, spec=spec, keep=keep)
        self.label_sources: tuple[str, ...] = (OWN_LABELS,)
        self.classes = classes
        self.border = border
        self._keys_of = keys_of

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """What the rule says; DataError also where it cannot tell."""
        source = source or self.label_sources[0]
        check_source(source, self.label_sources, self.name)
        return ids_of_keys((self._keys_of(image_id, source) for image_id in ids), space)


def _walk(root: Path) -> Iterator[tuple[bytes, int]]:
    """Relative path and size of every image file below `root`."""
    seen: set[tuple[int, int]] = set()

    def visit(folder: bytes, prefix: bytes) -> Iterator[tuple[bytes, int]]:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        try:
            # Folders themselves before links to them, so that a link never takes a folder's images.
            entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            raise DataError(f"cannot list {_printable(folder)!r}: {error.strerror}; check its permissions") from error
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_dir(entry):
                yield from visit(entry.path, prefix + entry.name + b"/")
            elif os.fsdecode(entry.name).lower().endswith(SUFFIXES) and _is_readable(entry):
                yield prefix + entry.name, _size(entry)

    yield from visit(os.fsencode(root), b"")


def _is_dir(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that loops onto itself; reading it will say so
        return False


def _is_readable(entry: os.DirEntry[bytes]) -> bool:
    """A file, or a link to nothing, which is reported when it is read; not a pipe or a device, which may block."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(os.fsdecode(entry.path)).exists())
    except OSError:
        return True


def _size(entry: os.DirEntry[bytes]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a broken link stays in the list, and is reported when it is read
        return -1


def _printable(path: bytes) -> str:
    r"""The path as text that any UTF-8 file can hold: undecodable bytes are written `\xNN`."""
    return path.decode("utf-8", "backslashreplace")
