"""Tables as the page shows them: every name heads its rows, also where it is printed once for several."""

from dataclasses import dataclass

from snellen.analysis.summary import Summary
from snellen.report.names import PLACES
from snellen.report.table import Number, Row, Table, Text, number, shown


@dataclass(frozen=True)
class Name:
    """What names `span` rows, this and the following ones."""

    text: str
    span: int


@dataclass(frozen=True)
class HtmlRow:
    """The names that begin in a row, its cells, and whether it begins a block."""

    names: tuple[Name, ...]
    cells: tuple[Text, ...]
    block: bool


@dataclass(frozen=True)
class HtmlTable:
    """A table as text; each head of a column of numbers is some lines."""

    title: str
    names: tuple[str, ...]
    heads: tuple[tuple[str, ...], ...]
    rows: tuple[HtmlRow, ...]
    notes: tuple[str, ...]


def html_table(table: Table) -> HtmlTable:
    """A table with one head for all rows that share a name."""
    form = shown(table)
    keys = [table.row_keys.index(name) for name in form.names]
    names = [[row.names[key] for key in keys] for row in table.rows if row.read]

    def begins(place: int, col: int) -> bool:
        return place == 0 or col == len(keys) - 1 or names[place][: col + 1] != names[place - 1][: col + 1]

    def span(place: int, col: int) -> int:
        return next((k for k in range(place + 1, len(names)) if begins(k, col)), len(names)) - place

    rows = tuple(
        HtmlRow(
            tuple(Name(text, span(place, col)) for col, text in enumerate(texts) if begins(place, col)), cells, block
        )
        for place, (texts, cells, block) in enumerate(form.rows)
    )
    heads = tuple(head if any(head) else ("value",) for head in form.heads)
    return HtmlTable(form.title, form.names, heads, rows, form.notes)


def zoom_table(summary: Summary) -> HtmlTable:
    """The accuracy at each zoom: a row for each scale, a column for each anchor."""
    by_scale: dict[int, dict[int, Number]] = {}
    for rule, share in zip(summary.grid, summary.per_zoom, strict=True):
        by_scale.setdefault(rule.scale, {})[3 * rule.row + rule.col] = number(share)
    rows = tuple(
        Row((str(scale),), tuple(cells.get(place) for place in range(len(PLACES))))
        for scale, cells in sorted(by_scale.items())
    )
    title = "Accuracy at each zoom, %"
    return html_table(Table("zooms", title, ("scale",), ("anchor",), tuple((place,) for place in PLACES), rows))
