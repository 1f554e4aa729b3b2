"""The one look of all figures, for print and the colour-blind too, and how they are saved: the same bytes each time."""

import io
import re
import warnings
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from snellen.analysis.accuracy import Share
from snellen.report.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# In grey print colours fall together: lines also differ by dashes and markers, bars by hatching.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "////", "..", "xxxx")  # more dots would make an SVG ten times as long
MAP = "cividis"
GREY = "0.35"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # which ships with matplotlib: the same bytes wherever they are drawn
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "snellen",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "text.parse_math": False,  # a model's name may hold a dollar sign
}
DPI = 200


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; call it, and all that draws on it, inside `rc_context(STYLE)`."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def wrapped(text: str, width: int = 30, lines: int = 3) -> str:
    r"""A long name on a few lines, broken behind a mark where it has some; the middle of a longer one is left out.

    >>> wrapped("open_clip/ViT-L-14,openai,normalize=imagenet", 26, 2)
    'open_clip/ViT-L-14,openai,\nnormalize=imagenet'
    """
    room = width * lines
    while len(broken := _broken(text, width)) > lines:
        room -= 1
        text = f"{text[: room // 2]}…{text[len(text) - (room - room // 2 - 1) :]}" if len(text) > room else text
    return "\n".join(broken)


def _broken(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; a piece without a mark that is longer is cut."""
    found = [""]
    for piece in re.findall(r"[^ _,:@./-]*[ _,:@./-]+|[^ _,:@./-]+", text):
        for start in range(0, len(piece), width):
            part = piece[start : start + width]
            if len(found[-1] + part.rstrip()) > width:
                found.append("")
            found[-1] += part
    return [line.rstrip() for line in found]


def percents(shares: Sequence[Share]) -> list[float]:
    """Values in percent, nan where there are no images."""
    return [100 * share.value for share in shares]


def errors(shares: Sequence[Share]) -> list[list[float]]:
    """How far the 95 % intervals reach below and above, in percent: as `errorbar` takes them."""
    return [
        [max(0.0, 100 * (s.value - s.low)) if s.n else 0.0 for s in shares],
        [max(0.0, 100 * (s.high - s.value)) if s.n else 0.0 for s in shares],
    ]


def band(axes: Axes, x: Sequence[float], shares: Sequence[Share], colour: str) -> None:
    """The 95 % intervals of a line."""
    low, high = [100 * s.low for s in shares], [100 * s.high for s in shares]
    axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)


def line_style(place: int) -> dict[str, str]:
    """Colour, marker and dashes of the line of a place: no two of 28 are the same."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[(place % len(COLOURS) + place // len(COLOURS)) % len(DASHES)],
    }


def save(figure: Figure, formats: Sequence[str]) -> dict[str, bytes]:
    """The figure as the content of files, by format (`png`, `svg`, `pdf`): the same bytes for the same numbers."""
    files = {}
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")  # a box stands for it
        canvas = FigureCanvasAgg(figure)
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)  # once, and at the same size whichever formats are wanted
            figure.set_layout_engine("none")
        dpi = figure.dpi
        for name in formats:
            content = io.BytesIO()
            figure.dpi = dpi  # the canvases of SVG and PDF leave their own behind
            # The canvases' own methods: `savefig` draws everything twice, for boxes that nobody asked for.
            if name == "png":
                canvas.print_png(content, metadata={"Software": None})
            elif name == "svg":
                FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
            else:
                FigureCanvasPdf(figure).print_pdf(content, metadata={"CreationDate": None})
            files[name] = content.getvalue()
    return files
