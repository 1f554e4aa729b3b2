"""What there is, for `snellen ls`. Never imports torch."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from snellen.classifiers.listing import model_rows
from snellen.datasets.members import MEMBERS
from snellen.zoom import PAPER_GRID

Rows = list[tuple[str, ...]]


def _models(pattern: str) -> Rows:
    """Models whose name matches; whether each is cached is looked up for these only."""
    return [
        (row.name, f"{row.size} px" if row.size else "", row.classes, row.licence, row.source, _mark(row.cached))
        for row in model_rows()
        if fnmatch(row.name, pattern)
    ]


def _datasets(pattern: str) -> Rows:
    from snellen.datasets.examples import ExamplesDataSet

    examples = ("examples", str(len(ExamplesDataSet().items)), "imagenet-1k", "free, see its LICENSES.md", "installed")
    rows: Rows = [(*examples, "cached", "photographs that ship with Snellen")]
    for member in MEMBERS:
        count = f"{member.images:,}" + (f" x {member.sets}" if member.sets > 1 else "")
        space = f"{member.classes} of imagenet-1k" if member.classes < 1000 else "imagenet-1k"
        cached = _mark(member.hub is not None and _on_hub_cache(member.hub.repository))
        rows.append((member.name, count, space, member.licence, member.source, cached, member.about))
    return [row for row in rows if fnmatch(row[0], pattern)]


def _grids(pattern: str) -> Rows:
    groups = ", ".join(f"{name} {len(zooms)}" for name, zooms in PAPER_GRID.groups.items())
    rows: Rows = [
        (PAPER_GRID.name, f"{len(PAPER_GRID)} zooms", f"36 scales x 9 anchors ({groups})"),
        ("own", "1 view", "each model's own evaluation transform"),
    ]
    return [row for row in rows if fnmatch(row[0], pattern)]


LISTS: dict[str, tuple[tuple[str, ...], Callable[[str], Rows]]] = {
    "models": (("model", "view", "classes", "licence", "source", "cached"), _models),
    "datasets": (("data set", "images", "class space", "licence", "source", "cached", "what it is"), _datasets),
    "grids": (("grid", "views", "what it is"), _grids),
}


def listing(what: str, pattern: str) -> tuple[Sequence[str], Rows]:
    """The heads and rows of a list, those whose name matches a shell pattern.

    >>> listing("grids", "p*")[1]
    [('paper', '324 zooms', '36 scales x 9 anchors (zoom-in 234, zoom-224 9, zoom-out 81)')]
    """
    heads, rows = LISTS[what]
    return heads, rows(pattern)


def _mark(cached: bool) -> str:
    return "cached" if cached else "-"


def _on_hub_cache(repository: str) -> bool:
    """Whether the Hub's local cache holds files of a data set."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository, repo_type="dataset")
    return any((Path(constants.HF_HUB_CACHE) / folder / "snapshots").glob("*/**/*.parquet"))
