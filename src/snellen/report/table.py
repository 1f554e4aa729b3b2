"""A table of numbers and its four forms: terminal, Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from snellen.analysis.accuracy import Share
from snellen.datasets.base import OWN_LABELS
from snellen.report.names import last_part

Kind = Literal["share", "points", "count", "decimal", "p"]
# What a line of a table's CSV says of a number, after what names it.
VALUES = ("value", "ci_low", "ci_high", "n", "published", "difference", "bold")

# Keys whose texts say by themselves what they are.
PLAIN = ("data", "labels", "a labels", "b labels", "model", "measure")


@dataclass(frozen=True)
class Number:
    """One number of a table.

    kind: `share` is 0 … 1 and shown in percent, `points` a difference of shares, `count` whole, `decimal` anything
        else, `p` a p-value.
    low, high, n: its 95 % interval and the images it is over, where it has such.
    published: what a paper states for it, in the unit of `value`; source: where.
    best: set in bold: the best of its column, or what else the table's notes say.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    kind: Kind = "share"
    published: float | None = None
    source: str = ""
    best: bool = False

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        return None if self.published is None else self.value - self.published


@dataclass(frozen=True)
class Row:
    """What names a row, a text for each of the table's `row_keys`, and its numbers, None where there is none.

    read: whether it says anything that the rows before it do not; else it stands in the CSV alone.
    """

    names: tuple[str, ...]
    numbers: tuple[Number | None, ...]
    read: bool = True


@dataclass(frozen=True)
class Table:
    """Numbers by rows and columns.

    name: the stem of its files.
    title: what it shows; notes: how to read it, a sentence each.
    row_keys: what names a row, for example `("data", "labels", "model")`.
    column_keys: what names a column; columns: a text for each of these keys, by column.
    hidden: row keys that stand in the CSV alone.
    listed: whether it is short enough to be read, not only to be computed with.
    """

    name: str
    title: str
    row_keys: tuple[str, ...]
    column_keys: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    listed: bool = True


def number(
    share: Share, *, published: float | None = None, source: str = "", best: bool = False, kind: Kind = "share"
) -> Number:
    """A share as a number of a table."""
    return Number(share.value, share.low, share.high, share.n, kind, published, source, best)


def as_csv(table: Table) -> str:
    """One line for each number: what names its row and its column, then `VALUES`.

    Shares and differences of shares stand as 0 … 1, not in percent; `bold` is 1 or 0.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*table.row_keys, *table.column_keys, *VALUES])
    for row in table.rows:
        for column, one in zip(table.columns, row.numbers, strict=True):
            if one is not None:
                values = (one.value, one.low, one.high, one.n, one.published, one.difference)
                lines.writerow([*row.names, *column, *map(_plain, values), int(one.best)])
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None or value != value else str(value)


@dataclass(frozen=True)
class Text:
    """A cell as it is shown: the number, what follows it (its interval, its n), and whether it is the best."""

    main: str
    rest: str = ""
    best: bool = False


@dataclass(frozen=True)
class Shown:
    """A table as text, the same in every form that is read.

    title: with what is the same for all rows and columns, which is not repeated in them.
    names: the heads of the columns that name a row; heads: of the columns of numbers, a line each.
    rows: for each row its names, its cells, and whether it begins a block.
    """

    title: str
    names: tuple[str, ...]
    heads: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Text, ...], bool], ...]
    notes: tuple[str, ...]


def shown(table: Table) -> Shown:
    """What a reader sees of a table: what holds for all is said once, published numbers stand beside ours."""
    table = replace(table, rows=tuple(row for row in table.rows if row.read))
    kept, same_names = _split(table.row_keys, [row.names for row in table.rows], table.hidden)
    inside, same_heads = _split(table.column_keys, table.columns, ())
    said = [text for text in (*same_names, *same_heads) if text]
    counts = [{one.n for row in table.rows if (one := row.numbers[j]) and one.n} for j in range(len(table.columns))]
    whole: set[int | None] = set().union(*counts)
    published = [_is_published(table, j) for j in range(len(table.columns))]
    heads: list[tuple[str, ...]] = []
    for j, column in enumerate(table.columns):
        count = [f"n = {next(iter(counts[j])):,}"] if len(counts[j]) == 1 and len(whole) > 1 else []
        texts = [text for k in inside if (text := _reads(table.column_keys[k], column[k]))]
        heads.append((*(texts or [_reads(table.column_keys[0], column[0])]), *count))
        heads += [("published",), ("difference",)] if published[j] else []
    rows: list[tuple[tuple[str, ...], tuple[Text, ...], bool]] = []
    before: tuple[str, ...] = ()
    for row in table.rows:
        names = tuple(_reads(table.row_keys[k], row.names[k]) for k in kept)
        cells: list[Text] = []
        for j, one in enumerate(row.numbers):
            cells.append(_cell(one, with_n=len(counts[j]) > 1))
            cells += _beside(one) if published[j] else []
        block = bool(before) and len(kept) > 1 and names[0] != before[0]
        rows.append((_unrepeated(names, before), tuple(cells), block))
        before = names
    notes = list(table.notes)
    notes += [f"n = {next(iter(whole)):,} for every number."] if len(whole) == 1 else []
    sources = dict.fromkeys(one.source for row in table.rows for one in row.numbers if one and one.source)
    notes += [f"Published: {source}." for source in sources]
    title = ": ".join([table.title, ", ".join(said)]) if said else table.title
    return Shown(title, tuple(table.row_keys[k] for k in kept), tuple(heads), tuple(rows), tuple(notes))


def _split(
    keys: tuple[str, ...], lines: Sequence[tuple[str, ...]], hidden: tuple[str, ...]
) -> tuple[list[int], list[str]]:
    """Places of the keys that differ from line to line, or else of what is no data set; what the others say of all."""
    seen = [k for k in range(len(keys)) if keys[k] not in hidden]
    kept = [k for k in seen if len({line[k] for line in lines}) > 1]
    kept = kept or [k for k in seen if keys[k] not in ("data", "labels")] or seen[-1:]
    said = [(keys[k], _reads(keys[k], lines[0][k])) for k in seen if k not in kept and lines]
    return kept, [text if key in PLAIN or not text else f"{key} {text}" for key, text in said]


def _reads(key: str, text: str) -> str:
    """What names a row or column as it is read: a path by its last part, a label source as such."""
    text = last_part(text)
    if not key.endswith("labels") or not text:
        return text
    return "" if text == OWN_LABELS else f"labels {text}"


def _is_published(table: Table, column: int) -> bool:
    return any(one is not None and one.published is not None for one in (row.numbers[column] for row in table.rows))


def _unrepeated(names: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Names without those, from the left, that the row above has too; the last always stands."""
    same = 0
    while same < len(names) - 1 and before and names[same] == before[same]:
        same += 1
    return ("",) * same + names[same:]


def as_text(value: float, kind: Kind, digits: int = 2) -> str:
    """A value as a reader sees it; a dash where there is none.

    >>> as_text(0.8766, "share"), as_text(-0.012, "points"), as_text(233, "count")
    ('87.66', '−1.20', '233')
    >>> as_text(0.04, "p"), as_text(0.0009995, "p"), as_text(0.00002, "p"), as_text(-0.42, "decimal")
    ('0.040', '0.0010', '2e-05', '−0.420')
    """
    if value != value:
        return "–"
    match kind:
        case "share":
            return f"{100 * value:.{digits}f}"
        case "points":
            return f"{100 * value:+z.{digits}f}".replace("-", "−")
        case "count":
            return f"{value:,.0f}"
        case "p":
            return f"{value:.3f}" if value >= 0.001 else f"{value:.4f}" if value >= 0.0001 else f"{value:.0e}"
    return f"{value:z.3f}".replace("-", "−")


def _cell(one: Number | None, with_n: bool) -> Text:
    if one is None:
        return Text("")
    rest = []
    if one.low is not None and one.high is not None and one.value == one.value:
        digits = 1 if one.kind in ("share", "points") else 2
        rest.append(f"[{as_text(one.low, one.kind, digits)}, {as_text(one.high, one.kind, digits)}]")
    if with_n and one.n is not None:
        rest.append(f"(n = {one.n:,})")
    return Text(as_text(one.value, one.kind), " ".join(rest), one.best)


def _beside(one: Number | None) -> list[Text]:
    """The published number and how far ours is from it."""
    if one is None or one.published is None or one.difference is None:
        return [Text(""), Text("")]
    apart = f"{one.difference:+,.0f}".replace("-", "−") if one.kind == "count" else as_text(one.difference, "points")
    return [Text(as_text(one.published, one.kind)), Text(apart)]


def head_lines(heads: Sequence[Sequence[str]]) -> list[str]:
    """Heads on one line each."""
    return [", ".join(text for text in head if text) for head in heads]
