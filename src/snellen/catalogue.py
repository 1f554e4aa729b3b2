"""What there is, for `snellen ls`. Never imports torch."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatch

from snellen.classifiers.prepare import model_names
from snellen.zoom import PAPER_GRID


def _datasets() -> list[str]:
    return ["examples  the photographs that ship with Snellen"]


def _grids() -> list[str]:
    groups = ", ".join(f"{name} {len(zooms)}" for name, zooms in PAPER_GRID.groups.items())
    return [f"{PAPER_GRID.name}  {len(PAPER_GRID)} zooms: 36 scales x 9 anchors ({groups})"]


LISTS: dict[str, Callable[[], Iterable[str]]] = {"models": model_names, "datasets": _datasets, "grids": _grids}


def listing(what: str, pattern: str) -> list[str]:
    """The lines of a list whose first word matches a shell pattern.

    >>> listing("grids", "p*")
    ['paper  324 zooms: 36 scales x 9 anchors (zoom-in 234, zoom-224 9, zoom-out 81)']
    """
    return [line for line in LISTS[what]() if fnmatch(line.split()[0], pattern)]
