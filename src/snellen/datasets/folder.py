"""A folder of images, one folder a class: `DIR/<class>/<image>`, nested or not."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from snellen.datasets.base import OWN_LABELS, Item, ListedDataSet
from snellen.datasets.listing import SUFFIXES, image_files, keep_listing, printable
from snellen.errors import DataError
from snellen.files import entries, read_bytes
from snellen.labels import ClassSpace
from snellen.labels.imagenet import check_source, ids_of_keys
from snellen.places import is_remote


class FolderDataSet(ListedDataSet):
    """Every image file below a folder of this machine or of a store, ordered by the bytes of its relative path."""

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
        self.root = root if is_remote(root) else root.resolve()
        self.spec = str(self.root) if spec is None else spec
        self.name = (
            printable(os.fsencode(self.root.name or str(self.root.parts[0]).strip("/"))) if name is None else name
        )
        listed = image_files(self.root)
        found = [pair for pair in listed if keep(pair[0])]
        if not found:
            raise DataError(f"no images under {str(root)!r}: looked for {' '.join(SUFFIXES)} in it and below")
        self._paths = [path for path, _ in found]
        self.items: Sequence[Item] = [Item(printable(path), size) for path, size in found]
        keep_listing(self.fingerprint, self.root, found)

    def reachable(self) -> bool:
        """Whether the folder is there and holds something."""
        try:
            return bool(entries(self.root))
        except OSError:
            return False

    def read(self, index: int) -> bytes:
        """The file's bytes; of a store, OSError (ENODATA) where it is no longer as long as it was listed."""
        if is_remote(self.root):
            return read_bytes(self.root / os.fsdecode(self._paths[index]), self.items[index].size)
        with open(os.path.join(os.fsencode(self.root), self._paths[index]), "rb") as file:
            return file.read()

    def leads_out(self, index: int) -> bool:
        """Whether an image is a link, or lies behind one, to a file outside the folder of this machine."""
        if is_remote(self.root):
            return False
        root = os.fsencode(self.root)
        path = os.path.realpath(os.path.join(root, self._paths[index]))
        return os.path.commonpath((root, path)) != root

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
