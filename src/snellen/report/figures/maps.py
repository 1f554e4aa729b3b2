"""Heat maps: where in the image a classifier is right, and at which of all zooms."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share
from snellen.analysis.summary import Summary
from snellen.report.colours import VERMILION
from snellen.report.figures.style import MAP, STYLE, new_figure, percents, wrapped
from snellen.report.names import PLACES

COLUMNS = 3
# WCAG 2's weights of linear red, green and blue, and the luminance from which black and white stand out alike.
LUMINANCE = (0.2126, 0.7152, 0.0722)
EVEN = (1.05 * 0.05) ** 0.5 - 0.05


def location_maps(maps: Sequence[list[list[Share]]], names: Sequence[str], title: str) -> Figure:
    """A 3 x 3 map for each classifier, all on one scale: percent and 95 % interval in each cell."""
    across = min(COLUMNS, len(maps))
    down = math.ceil(len(maps) / across)
    low, high = _limits([share for lines in maps for line in lines for share in line])
    with rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(2.95 * across + 1.0, 2.75 * down + 0.5)
        grid = figure.subplots(down, across, squeeze=False)
        for axes in grid.flat[len(maps) :]:
            axes.set_visible(False)
        shown = grid.flat[: len(maps)]
        for place, (axes, lines, name) in enumerate(zip(shown, maps, names, strict=True)):
            image = _heat(axes, np.array([percents(line) for line in lines], np.float64), low, high)
            for row, line in enumerate(lines):
                for col, cell in enumerate(line):
                    ink = _ink(100 * cell.value, low, high)
                    axes.text(col, row - 0.1, f"{100 * cell.value:.2f}", ha="center", va="center", color=ink)
                    ends = f"[{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
                    axes.text(col, row + 0.22, ends, ha="center", va="center", fontsize=7, color=ink)
            axes.set_xticks(range(3), PLACES[3:6])
            axes.set_yticks(range(3), PLACES[1::3] if place % across == 0 else [""] * 3)
            axes.tick_params(length=0)
            if len(maps) > 1:
                axes.set_title(wrapped(name, 34))
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), shrink=0.75, fraction=0.05, label="%")
        bar.outline.set_visible(False)
        figure.suptitle(wrapped(title, 44 * across - 4), fontsize=10)
    return figure


def zoom_map(summary: Summary, title: str) -> Figure:
    """The accuracy at each zoom: scales downwards, the nine anchors across; the 1-crop and the best zoom are framed."""
    scales = sorted({rule.scale for rule in summary.grid})
    values = np.full((len(scales), 9), np.nan)
    places = [(scales.index(rule.scale), 3 * rule.row + rule.col) for rule in summary.grid]
    for place, share in zip(places, summary.per_zoom, strict=True):
        values[place] = 100 * share.value
    low, high = _limits(summary.per_zoom)
    with rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(5.6, 0.185 * len(scales) + 1.3)
        axes = figure.add_subplot()
        image = _heat(axes, values, low, high, aspect="auto")
        for (row, col), value in np.ndenumerate(values):
            if value == value:
                ink = _ink(float(value), low, high)
                cell = axes.text(col, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color=ink)
                cell.set_in_layout(False)  # it lies inside its cell: laying out 324 texts takes half of the time
        best = next(k for k, rule in enumerate(summary.grid) if rule == summary.best_rule)
        framed = [(summary.grid.one_crop, "-", "1-crop"), (best, ":", "best single zoom")]
        if best == summary.grid.one_crop:
            framed = [(best, "-", "1-crop, which is the best single zoom")]
        for zoom, line, text in framed:
            if zoom is not None:
                row, col = places[zoom]
                corner = (col - 0.5, row - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="white", linewidth=2.6))
                axes.add_patch(
                    Rectangle(corner, 1, 1, fill=False, edgecolor=VERMILION, linewidth=1.4, linestyle=line, label=text)
                )
        axes.set_xticks(range(9), [place.replace(" ", "\n") for place in PLACES], fontsize=7)
        axes.set_yticks(range(len(scales)), [str(scale) for scale in scales], fontsize=7)
        axes.tick_params(length=0)
        axes.set_ylabel("scale: shorter side after resizing, pixels")
        axes.set_title(wrapped(title, 62))
        bar = figure.colorbar(image, ax=axes, fraction=0.04, shrink=0.6, label="right, %")
        bar.outline.set_visible(False)
        figure.legend(loc="outside lower center", ncols=2, handlelength=1.2)
    return figure


def _heat(
    axes: Axes, values: NDArray[np.float64], low: float, high: float, aspect: Literal["equal", "auto"] = "equal"
) -> AxesImage:
    for side in axes.spines.values():
        side.set_visible(False)
    return axes.imshow(values, cmap=MAP, vmin=low, vmax=high, aspect=aspect, interpolation="nearest")


def _limits(shares: Sequence[Share]) -> tuple[float, float]:
    """The least and the most in percent; where all are equal a scale of a point, for none may leave 0 … 100."""
    values = [100 * share.value for share in shares if share.n]
    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    return (low, high) if low < high else (max(0.0, low - 1), max(1.0, high))


def _ink(value: float, low: float, high: float) -> str:
    """White or black, whichever stands out more from the colour of that value."""
    levels = np.array(colormaps[MAP]((value - low) / (high - low))[:3])
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return "white" if linear @ LUMINANCE < EVEN else "black"
