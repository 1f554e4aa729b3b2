"""What there is, for `snellen ls`."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatch


def models(pattern: str) -> Iterator[str]:
    """The names of models that Snellen can load, by library."""
    from snellen.classifiers.sources import EMBEDDED

    names = [f"embedded/{name}" for name in EMBEDDED]
    if fnmatch("timm/", pattern[:5] + "*") or pattern.startswith("*"):
        import timm

        names += [f"timm/{name}" for name in timm.list_models()]
    if fnmatch("torchvision/", pattern[:12] + "*") or pattern.startswith("*"):
        import torchvision.models

        names += [f"torchvision/{name}" for name in torchvision.models.list_models(module=torchvision.models)]
    return (name for name in names if fnmatch(name, pattern))


def datasets(pattern: str) -> Iterator[str]:
    """The names of data sets."""
    return (line for line in ("examples  the photographs that ship with Snellen",) if fnmatch(line.split()[0], pattern))


def grids(pattern: str) -> Iterator[str]:
    """The grids with their numbers of zooms."""
    from snellen.zoom import PAPER_GRID

    groups = ", ".join(f"{name} {len(zooms)}" for name, zooms in PAPER_GRID.groups.items())
    lines = (f"paper  {len(PAPER_GRID)} zooms: 36 scales x 9 anchors ({groups})",)
    return (line for line in lines if fnmatch(line.split()[0], pattern))


LISTS: dict[str, Callable[[str], Iterator[str]]] = {"models": models, "datasets": datasets, "grids": grids}
