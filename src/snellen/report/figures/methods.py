"""Test-time methods: accuracy against what it costs."""

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from snellen.analysis.methods import MethodResult, MethodResults
from snellen.report.colours import BLUE, VERMILION
from snellen.report.figures.style import STYLE, errors, new_figure, percents, wrapped

# Accuracies closer than this, in points, share the room of a label.
CLOSE = 1.2


def methods_figure(results: MethodResults) -> Figure:
    """Accuracy with its interval against forward passes and, where it was measured, milliseconds an image."""
    timed = results.timed
    with rc_context(STYLE):
        figure = new_figure(9.6 if timed else 5.4, 4.4)
        panels = figure.subplots(1, 2 if timed else 1, sharey=True, squeeze=False)[0]
        for axis, (panel, what) in enumerate(zip(panels, ("forward passes", "milliseconds"), strict=False)):
            _panel(panel, results.rows, axis)
            panel.set_xlabel(f"{what} an image")
        panels[0].set_ylabel(f"right, % (n = {results.rows[0].accuracy.n})")
        figure.suptitle(wrapped(f"{results.model} on {results.data}", 90), fontsize=9)
    return figure


def _panel(panel: Axes, rows: Sequence[MethodResult], axis: int) -> None:
    points = [(row.forwards if axis == 0 else row.ms, row) for row in rows]
    front = sorted((cost, 100 * row.accuracy.value) for cost, row in points if row.front[axis])
    panel.plot(*zip(*front, strict=True), color=VERMILION, linewidth=1, drawstyle="steps-post", label="Pareto front")
    for cost, row in points:
        share = row.accuracy
        colour = VERMILION if row.front[axis] else BLUE
        panel.errorbar(
            [cost], percents([share]), yerr=errors([share]), fmt="o", color=colour, markersize=4, elinewidth=0.8
        )
    for cost, value, above, name in _labels(points):
        offset = (4, 4 if above else -10)
        panel.annotate(name, (cost, value), offset, textcoords="offset points", fontsize=7)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.legend(frameon=False, fontsize=8, loc="lower right")


def _labels(points: Sequence[tuple[float, MethodResult]]) -> list[tuple[float, float, bool, str]]:
    """Names beside the points; of two close ones the lower name stands below."""
    placed: list[tuple[float, float, bool, str]] = []
    for cost, row in sorted(points, key=lambda point: -point[1].accuracy.value):
        value = 100 * row.accuracy.value
        near = any(abs(math.log(cost / c)) < 1 and abs(value - v) < CLOSE and above for c, v, above, _ in placed)
        placed.append((cost, value, not near, row.method))
    return placed
