"""How the page's templates write numbers and names."""

import re

from markupsafe import Markup

from snellen.analysis.accuracy import Share
from snellen.report.studies import zoom_name

SPACE = "\N{NO-BREAK SPACE}"


def share(share: Share) -> str:
    """A share in percent with its interval, for a sentence."""
    if not share.n:
        return "–"
    return f"{100 * share.value:.2f}{SPACE}% [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def part(value: float) -> str:
    r"""A share of the zooms, without digits that so few would not carry.

    >>> part(0.125), part(0.003)
    ('12\xa0%', '<\xa01\xa0%')
    """
    return f"{100 * value:.0f}{SPACE}%" if value >= 0.01 else f"<{SPACE}1{SPACE}%"


def surely(confidence: float) -> str:
    """Confidence after an answer; nothing where the model states none."""
    return "" if confidence != confidence else f" ({100 * confidence:.0f}{SPACE}%)"


def breakable(text: str) -> Markup:
    """A name or a path that may go on in the next line: after a separator, and inside what has none for long.

    >>> breakable("a_b<c")
    Markup('a_<wbr>b&lt;c')
    """
    parts = re.findall(r"[^/_.,@:=-]{1,20}[/_.,@:=-]?|[/_.,@:=-]", text, re.DOTALL)
    return Markup("<wbr>").join(parts)


def whole(text: str) -> str:
    """An interval and a count, of which each stays on one line: `[83.5, 90.9] (n = 300)`."""
    return text.replace(", ", f",{SPACE}").replace(" = ", f"{SPACE}={SPACE}")


def count(number: int) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}"


FILTERS = {
    "share": share,
    "part": part,
    "surely": surely,
    "breakable": breakable,
    "whole": whole,
    "count": count,
    "zoom": zoom_name,
}
