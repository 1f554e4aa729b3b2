"""Test-time methods: accuracy against what it costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from snellen.analysis.methods import MethodResult, MethodResults
from snellen.report.figures.style import COLOURS, GREY, MARKERS, STYLE, errors, new_figure, percents, wrapped

# Costs closer than this, as a share of the axis, would hide one another; they stand so many points apart.
CLOSE, APART = 0.03, 7
# Room at either end of the axis of cost, as a factor: any axis then holds a 1, 2 or 5.
ROOM = 1.6


@dataclass(frozen=True)
class _Point:
    """A method on an axis of cost: its place among the rows, and how many points of the page it stands aside."""

    place: int
    cost: float
    row: MethodResult
    aside: float = 0.0


def methods_figure(results: MethodResults) -> Figure:
    """Accuracy with its interval against forward passes and, where it was measured, milliseconds an image."""
    timed, rows = results.timed, results.rows
    with rc_context(STYLE):
        legend, columns = _legend(rows, timed), 3 if timed else 2
        figure = new_figure(9.6 if timed else 5.8, 4.0 + 0.2 * math.ceil(len(legend) / columns))
        panels = figure.subplots(1, 2 if timed else 1, sharey=True, squeeze=False)[0]
        for axis, (panel, what) in enumerate(zip(panels, ("forward passes", "milliseconds"), strict=False)):
            _panel(panel, rows, axis)
            panel.set_xlabel(f"{what} an image")
        panels[0].set_ylabel("right, % [95 %]")
        figure.legend(handles=legend, loc="outside lower center", ncols=columns, fontsize=7.5)
        title = (
            f"{results.model} on {results.data} ({results.precision}), labels {results.labels}, "
            f"n = {rows[0].accuracy.n}"
        )
        figure.suptitle(wrapped(title, 100 if timed else 60), fontsize=9)
    return figure


def _panel(panel: Axes, rows: Sequence[MethodResult], axis: int) -> None:
    costs = [(place, row.forwards if axis == 0 else row.ms) for place, row in enumerate(rows)]
    points = [_Point(place, cost, rows[place]) for place, cost in costs if cost > 0]  # nan where nothing was computed
    panel.set_xscale("log")
    if not points:
        return
    low, high = min(point.cost for point in points) / ROOM, max(point.cost for point in points) * ROOM
    panel.set_xlim(low, high)
    front = sorted((point.cost, 100 * point.row.accuracy.value) for point in points if point.row.front[axis])
    if len(set(front)) > 1:
        panel.plot(*zip(*front, strict=True), color=GREY, linewidth=0.9, drawstyle="steps-post", zorder=1)
    for point in _side_by_side(points, math.log(high / low)):
        share, (colour, marker) = point.row.accuracy, _mark(point.place)
        aside = ScaledTranslation(point.aside / 72, 0, panel.figure.dpi_scale_trans)
        panel.errorbar(
            [point.cost],
            percents([share]),
            yerr=errors([share]),
            fmt=marker,
            color=colour,
            markerfacecolor=colour if point.row.front[axis] else "white",
            markersize=5,
            elinewidth=0.8,
            transform=panel.transData + aside,
        )
    subs = (1.0,) if high / low > 100 else (1.0, 2.0, 5.0)
    panel.xaxis.set_major_locator(LogLocator(subs=subs))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    ends = [100 * end for point in points for end in (point.row.accuracy.low, point.row.accuracy.high)]
    panel.set_ylim(max(-2, min(ends) - 2), min(102, max(ends) + 2))


def _side_by_side(points: Sequence[_Point], span: float) -> list[_Point]:
    """The points, those of nearly one cost set apart: none hides another, nor its interval."""
    groups: list[list[_Point]] = []
    for point in sorted(points, key=lambda point: (point.cost, point.place)):
        if groups and math.log(point.cost / groups[-1][-1].cost) < CLOSE * span:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [
        _Point(point.place, point.cost, point.row, APART * (k - (len(group) - 1) / 2))
        for group in groups
        for k, point in enumerate(group)
    ]


def _legend(rows: Sequence[MethodResult], timed: bool) -> list[Line2D]:
    """Every method's mark, and what a hollow one and the line say, where there are such."""
    marks = [_handle(wrapped(row.method, 34), *_mark(place)) for place, row in enumerate(rows)]
    axes = range(2 if timed else 1)
    if any(not row.front[axis] for row in rows for axis in axes):
        marks.append(_handle("hollow: another is as accurate for less", GREY, "o", "white"))
    if any(len({(row.forwards, row.ms)[axis] for row in rows if row.front[axis]}) > 1 for axis in axes):
        marks.append(Line2D([], [], color=GREY, linewidth=0.9, label="front"))
    return marks


def _handle(label: str, colour: str, marker: str, face: str | None = None) -> Line2D:
    return Line2D(
        [], [], linestyle="", markersize=5, label=label, color=colour, marker=marker, markerfacecolor=face or colour
    )


def _mark(place: int) -> tuple[str, str]:
    """Colour and marker of a row: no two of 49 are the same."""
    turn = place // len(COLOURS)
    return COLOURS[place % len(COLOURS)], MARKERS[(place + turn) % len(MARKERS)]
