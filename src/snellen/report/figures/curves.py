"""Lines: accuracy over scale, and the upper bound of more and more zooms."""

from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snellen.analysis.accuracy import Share
from snellen.analysis.cover import TOP_K
from snellen.analysis.summary import Summary
from snellen.report.colours import BLUE, VERMILION
from snellen.report.figures.style import GREY, STYLE, band, line_style, new_figure, percents, wrapped
from snellen.zoom.grid import WINDOW

TICKS = (10, 16, 32, 64, 128, 256, 512, 1024)


def zoom_curve(summary: Summary, title: str) -> Figure:
    """One classifier over the scales: at the centre, and the upper bound over the nine anchors, with 95 % intervals."""
    with rc_context(STYLE):
        figure = new_figure(6.4, 4.0)
        axes = figure.add_subplot()
        bounds, centres = [bound for _, _, bound in summary.curve], [centre for _, centre, _ in summary.curve]
        scales = [scale for scale, _, _ in summary.curve]
        _line(axes, scales, bounds, "any of nine anchors (upper bound)", color=VERMILION, marker="s", linestyle="--")
        _line(axes, scales, centres, "centre anchor", color=BLUE, marker="o", linestyle="-")
        _scale_axis(axes, scales)
        axes.set_ylabel("right, %")
        axes.set_title(wrapped(title, 70))
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def zoom_curves(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """Classifiers over the scales, beside each other: at the centre, and the upper bound over the nine anchors."""
    with rc_context(STYLE):
        columns, rows = _legend_shape(names)
        figure = new_figure(8.6, 3.9 + 0.17 * rows)
        left, right = figure.subplots(1, 2, sharey=True)
        for place, (summary, name) in enumerate(zip(summaries, names, strict=True)):
            scales = [scale for scale, _, _ in summary.curve]
            _line(left, scales, [centre for _, centre, _ in summary.curve], wrapped(name, 44, 2), **line_style(place))
            _line(right, scales, [bound for _, _, bound in summary.curve], None, **line_style(place))
        every = [scale for summary in summaries for scale, _, _ in summary.curve]
        _scale_axis(left, every)
        _scale_axis(right, every, None)
        left.set_title("centre anchor")
        right.set_title("any of nine anchors (upper bound)")
        left.set_ylabel("right, %")
        figure.suptitle(wrapped(title, 100), fontsize=10)
        figure.legend(loc="outside lower center", ncols=columns, handlelength=3)
    return figure


def oracle_curves(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """The upper bound of the greedy cover's first k zooms, over k, with what guessing k times is taken to reach."""
    with rc_context(STYLE):
        columns, rows = _legend_shape(names) if len(names) > 1 else (1, 1)
        figure = new_figure(6.6, 3.9 + 0.17 * rows)
        axes = figure.add_subplot()
        for place, (summary, name) in enumerate(zip(summaries, names, strict=True)):
            k = list(range(1, len(summary.oracle) + 1))
            marks = [j for j in (0, TOP_K - 1, len(k) - 1) if j < len(k)]
            _line(axes, k, summary.oracle, wrapped(name, 44, 2), markevery=marks, **line_style(place))
        zooms = max(len(summary.oracle) for summary in summaries)
        for classes in sorted({c for summary in summaries if (c := _classes(summary))}):
            k = list(range(1, zooms + 1))
            guess = [100 * min(1.0, j / classes) for j in k]
            axes.plot(
                k, guess, color=GREY, linewidth=1, linestyle=(0, (1, 1)), label=f"random: k / {classes:,} classes"
            )
        axes.axvline(TOP_K, color=GREY, linewidth=0.8, label=f"top-{TOP_K}")
        axes.set_xscale("log", base=2)
        ticks = [t for t in (1, 2, 4, 8, 16, 32, 64, 128, zooms) if t <= zooms]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
        axes.set_ylim(-2, 102)
        axes.set_xlabel("k: zooms, in the order the greedy cover takes them (an oracle)")
        axes.set_ylabel("upper bound, %")
        axes.set_title(wrapped(title, 70))
        figure.legend(loc="outside lower center", ncols=columns, handlelength=3)
    return figure


def _classes(summary: Summary) -> int | None:
    """How many classes the random baseline is over; None where 36 guesses are as many or more."""
    return round(TOP_K / summary.random[1]) if 0 < summary.random[1] < 1 else None


def _line(axes: Axes, x: Sequence[float], shares: Sequence[Share], label: str | None, **style: Any) -> None:
    axes.plot(x, percents(shares), label=label, **style)
    band(axes, x, shares, style["color"])


def _scale_axis(axes: Axes, scales: Sequence[int], label: str | None = "scale = window") -> None:
    """Scales on a logarithmic axis, with the one where view and image are of one size."""
    axes.axvline(WINDOW, color=GREY, linewidth=0.8, linestyle=":", label=label)
    axes.set_xscale("log", base=2)
    ticks = [t for t in TICKS if min(scales) <= t <= max(scales)] or sorted(set(scales))
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(-2, 102)
    axes.set_xlabel("scale: shorter side after resizing, pixels")


def _legend_shape(names: Sequence[str]) -> tuple[int, int]:
    """Columns and lines of a legend below the axes: long names get a line each."""
    longest = max(map(len, names))
    columns = 3 if longest <= 24 else 2 if longest <= 44 else 1
    return columns, -(-(len(names) + 1) // columns) * (1 if longest <= 44 else 2)
