"""Example images of classes, from a folder that has a folder for each class: `DIR/<class>/<image>`."""

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from snellen.datasets.listing import SUFFIXES
from snellen.errors import UsageError
from snellen.labels import ClassSpace
from snellen.web.viewed import MOST_BYTES

# So many of a class are shown.
EXAMPLES = 4


class References:
    """The examples of each class. The folder of a class is looked up by its key, never by what a browser sends.

    outside: whether links may lead out of the folder, see `docs/view.md`.
    """

    def __init__(self, folder: Path, spaces: Iterable[ClassSpace], outside: bool = True) -> None:
        """The folder's classes, named as in a data set: by key, index or name.

        Raises UsageError where it cannot be listed, or no class of `spaces` has a folder in it.
        """
        self._root, self._outside = Path(os.path.realpath(folder)), outside
        try:
            with os.scandir(folder) as inside:
                names = sorted(one.name for one in inside if one.is_dir())
        except OSError as error:
            raise UsageError(
                f"--reference {str(folder)!r}: {error.strerror}; give a folder DIR/<class>/<image>"
            ) from error
        self._folders: dict[str, Path] = {}
        for space in spaces:
            for name in names:
                if (found := space.find(name)) is not None:
                    self._folders.setdefault(space.keys[found], folder / name)
        if not self._folders:
            raise UsageError(
                f"--reference {str(folder)!r}: no folder in it is named by a class; give DIR/<class>/<image>"
            )
        self._files = lru_cache(maxsize=4096)(self._listed)

    def count(self, key: str) -> int:
        """How many examples there are of a class, `EXAMPLES` at most."""
        return len(self._files(key))

    def counts(self) -> dict[str, int]:
        """How many examples there are of each class that has any, by key."""
        return {key: count for key in self._folders if (count := self.count(key))}

    def read(self, key: str, k: int) -> tuple[bytes, str] | None:
        """The k-th example's bytes and their sha256; None where there is none."""
        files = self._files(key)
        # The listing is of some time ago: what was a file there may be a link now.
        if not 0 <= k < len(files) or not (self._outside or self._is_inside(files[k])):
            return None
        try:
            if files[k].stat().st_size > MOST_BYTES:
                return None
            data = files[k].read_bytes()
        except OSError:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def _listed(self, key: str) -> tuple[Path, ...]:
        folder = self._folders.get(key)
        if folder is None:
            return ()
        try:
            with os.scandir(folder) as inside:
                names = sorted(one.name for one in inside if one.name.lower().endswith(SUFFIXES) and one.name[0] != ".")
        except OSError:
            return ()
        found = (folder / name for name in names)
        shown = (path for path in found if path.is_file() and (self._outside or self._is_inside(path)))
        return tuple(path for path, _ in zip(shown, range(EXAMPLES), strict=False))

    def _is_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)
