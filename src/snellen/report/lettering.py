"""Text and colours of the pictures that are drawn with Pillow: sheets and animations."""

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

from snellen.errors import SnellenError
from snellen.report.colours import BLUE

# Vermilion made darker, so that every text has a contrast above 4.5.
RIGHT, WRONG = BLUE, "#C44E00"
PAPER, INK, GREY, PALE = "#FFFFFF", "#1A1A1A", "#5F6368", "#DADCE0"
# Marks that tell right from wrong without colour.
MARKS = {True: "✓", False: "✗"}

Font = ImageFont.FreeTypeFont


@cache
def font(size: int, bold: bool = False) -> Font:
    """DejaVu Sans, which ships with matplotlib; found without importing that, which takes a third of a second."""
    package = importlib.util.find_spec("matplotlib")
    folder = Path(package.origin).parent if package and package.origin else Path()
    path = folder / "mpl-data" / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    try:
        return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise SnellenError(f"the font {path.name} of matplotlib cannot be read: {error}; install matplotlib") from error


def elided(text: str, face: Font, width: float) -> str:
    """The text on one line, with its middle left out where it is wider than `width` pixels.

    >>> elided("flat-coated retriever", font(13), 90)
    'flat-c…triever'
    """
    # What no font shows would be drawn as a box or break the line.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if face.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 0:
        short = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
        if face.getlength(short) <= width:
            return short
        kept -= 1
    return "…"


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, face: Font, width: float, colour: str = INK
) -> float:
    """Write one elided line whose left and middle are `at`; returns where it ends."""
    line = elided(text, face, width)
    draw.text(at, line, fill=colour, font=face, anchor="lm")
    return at[0] + face.getlength(line)


def percent(share: float) -> str:
    """A probability in percent, one digit.

    >>> percent(0.9234)
    '92.3 %'
    """
    return f"{100 * share:.1f} %"


def joined(words: list[str]) -> str:
    """Words as a list that ends in `or`.

    >>> joined(["castle", "church", "monastery"])
    'castle, church or monastery'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
