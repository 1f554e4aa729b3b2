"""The study's figures, with one look: readable in print and for the colour-blind, the same numbers as the tables."""

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from snellen.analysis.summary import Summary
from snellen.report.tables import PLACES

# Okabe and Ito's colour-blind-safe palette: blue and vermilion differ in lightness too.
BLUE, VERMILION = "#0072B2", "#D55E00"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "snellen",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}


def location_figure(summary: Summary) -> Figure:
    """The 3 x 3 map: at each anchor the upper bound over all scales, in percent, with its interval."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.9), layout="constrained")
        axes = figure.add_subplot()
        values = [[100 * cell.value for cell in line] for line in summary.locations]
        low, high = min(map(min, values)), max(map(max, values))
        # Equal cells would get a scale of their own, above 100.
        bottom = low if low < high else low - 1
        image = axes.imshow(values, cmap="cividis", vmin=bottom, vmax=high)
        middle = (bottom + high) / 2
        for row, line in enumerate(summary.locations):
            for col, cell in enumerate(line):
                text = f"{values[row][col]:.2f}\n[{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
                dark = values[row][col] <= middle
                axes.text(col, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        axes.set_xticks(range(3), [PLACES[1][0], "centre", PLACES[1][2]])
        axes.set_yticks(range(3), [PLACES[0][1], "centre", PLACES[2][1]])
        axes.grid(visible=False)
        axes.set_title(f"Upper bound at each location, % (n = {summary.images})", fontsize=10)
        figure.colorbar(image, ax=axes, shrink=0.8, label="%")
    return figure


def scale_figure(summary: Summary) -> Figure:
    """Accuracy over scale: at the centre, and the upper bound over the nine anchors, with 95 % intervals."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.9), layout="constrained")
        axes = figure.add_subplot()
        scales = [scale for scale, _, _ in summary.curve]
        lines = (
            ([bound for _, _, bound in summary.curve], VERMILION, "s", "any of nine anchors (upper bound)"),
            ([centre for _, centre, _ in summary.curve], BLUE, "o", "centre anchor"),
        )
        for shares, colour, marker, label in lines:
            axes.plot(scales, [100 * s.value for s in shares], color=colour, marker=marker, markersize=3.5, label=label)
            low, high = ([100 * s.low for s in shares], [100 * s.high for s in shares])
            axes.fill_between(scales, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axvline(224, color="0.4", linewidth=0.8, linestyle=":")
        axes.text(230, 1, "scale = window", fontsize=8, color="0.3")
        axes.set_xscale("log", base=2)
        ticks = [10, 16, 32, 64, 128, 256, 512, 1024]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
        axes.set_ylim(-1, 101)
        axes.set_xlabel("scale: shorter side after resizing, pixels")
        axes.set_ylabel("right, %")
        figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=9)
    return figure


def save(figure: Figure, path: Path) -> str:
    """Write a figure as PNG and SVG at `path` without its suffix; returns the SVG's text."""
    text = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
        figure.savefig(path.with_name(path.name + ".png"), dpi=160)
    path.with_name(path.name + ".svg").write_text(text.getvalue(), encoding="utf-8")
    return text.getvalue()
