"""Every figure of a report, by name; matplotlib is imported only where figures are asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from snellen.analysis.summary import Summary
from snellen.report.names import DataGroup, data_groups, data_stem, data_title, distinct, readable, run_stems
from snellen.report.origins import Origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The formats of figures that are files of their own.
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Drawing:
    """A figure that may be drawn.

    name: the stem of its files.
    kind: `table1`, `locations`, `tiles`, `scales`, `oracle`, `cover`, `groups`, `luck`, `zooms` or `origins`.
    title: what it shows, of what; table: the name of the table that has the same numbers.
    about: places in the list of summaries; those of `origins` are all of the data set.
    """

    name: str
    kind: str
    title: str
    table: str
    about: tuple[int, ...]
    draw: "Callable[[str], Figure]" = field(repr=False)

    def figure(self) -> "Figure":
        """Draw it."""
        return self.draw(self.title)


@dataclass(frozen=True)
class Drawn:
    """A figure as the page takes it; the fields are those of `Drawing`, `svg` is its text."""

    name: str
    kind: str
    title: str
    table: str
    about: tuple[int, ...]
    svg: str = field(repr=False)


def drawings(
    summaries: Sequence[Summary],
    names: Sequence[str],
    origins: Mapping[str, Sequence[Origin]],
) -> Iterator[Drawing]:
    """What there is to draw: by data set and label source what compares its classifiers, then what is about one run.

    names: a short name for each summary's run.
    origins: for each data set where its images come from.
    A run without images has no figures.
    """
    stems = run_stems(summaries, names)
    names = [readable(name) for name in names]
    for group in data_groups(summaries):
        about = tuple(k for k in group.members if summaries[k].images)
        if about:
            yield from _of_group(group, about, [summaries[k] for k in about], [names[k] for k in about])
        for place in about:
            yield from _of_run(group, place, summaries[place], names[place], stems[place])
    stems = distinct(data_stem(data) for data in origins)
    for stem, (data, places) in zip(stems, origins.items(), strict=True):
        yield _of_data(stem, data, places, summaries)


def _of_group(
    group: DataGroup, about: tuple[int, ...], some: Sequence[Summary], names: Sequence[str]
) -> Iterator[Drawing]:
    from snellen.report.figures import bars, curves, maps

    counts = sorted({summary.images for summary in some})
    n = _n(f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} … {counts[-1]:,}")
    of = f"{group.title} {n}" if len(about) > 1 else f"{names[0]} on {group.title} {n}"
    kinds: list[tuple[str, str, str, Callable[[str], Figure]]] = [
        ("table1", "1-crop, top-36 and upper bound", "table1", partial(bars.table_figure, some, names)),
        (
            "locations",
            "Upper bound over all scales at each location, %",
            "locations",
            partial(maps.location_maps, [s.locations for s in some], names),
        ),
        (
            "tiles",
            "Right at any zoom whose window sees the tile, %",
            "locations",
            partial(maps.location_maps, [s.tiles for s in some], names),
        ),
        ("scales", "Accuracy over scale", "scales", partial(curves.zoom_curves, some, names)),
        ("oracle", "Upper bound of k zooms", "oracle", partial(curves.oracle_curves, some, names)),
        ("cover", "Size of the cover", "covers", partial(bars.cover_bars, some, names)),
        ("groups", "Zooming in, out and neither", "groups", partial(bars.group_bars, some, names)),
        ("luck", "The control for luck", "luck", partial(bars.luck_figure, some, names)),
    ]
    for kind, what, table, draw in kinds:
        if kind != "scales" or len(about) > 1:  # that of one run has both of its lines together
            yield Drawing(f"{group.stem}_{kind}", kind, f"{what}: {of}", table, about, draw)


def _of_run(group: DataGroup, place: int, summary: Summary, name: str, stem: str) -> Iterator[Drawing]:
    from snellen.report.figures import curves, maps

    of = f"{name} on {group.title} {_n(f'{summary.images:,}')}"
    for kind, what, draw in (
        ("scales", "Accuracy over scale", partial(curves.zoom_curve, summary)),
        ("zooms", "Accuracy at each zoom, %", partial(maps.zoom_map, summary)),
    ):
        yield Drawing(f"{stem}_{kind}", kind, f"{what}: {of}", kind, (place,), draw)


def _of_data(stem: str, data: str, places: Sequence[Origin], summaries: Sequence[Summary]) -> Drawing:
    from snellen.report.figures import bars

    title = f"Origin of the images of {data_title(data, 'own')}"
    about = tuple(k for k, summary in enumerate(summaries) if summary.data_name == data)
    return Drawing(f"{stem}_origins", "origins", title, "origins", about, partial(bars.origin_figure, places))


def _n(count: str) -> str:
    """How many images, with spaces that no line breaks at."""
    return f"(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{count})"
