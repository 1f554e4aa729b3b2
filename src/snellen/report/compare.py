"""The comparison of two runs on a terminal, in one screen."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.analysis.accuracy import Share
from snellen.analysis.bootstrap import EstimatedDifference
from snellen.analysis.consistency import ShareDifference
from snellen.analysis.pairs import UPPER, Pair
from snellen.report.tables import percent

# Columns that the table takes with an interval beside each share.
WIDE = 100
WHERE = {UPPER: "at the upper bound", "own transform": "with their own transforms"}


def verdict(pair: Pair) -> str:
    """Which run is better, by how much and how surely, at the single view and at the upper bound, in plain words."""
    a, b = f"{pair.a} (A)", f"{pair.b} (B)"
    rows = [row for k, row in enumerate(pair.differences) if k == 0 or row.what == UPPER]
    if not any(row.significant for row in rows):
        places = " or ".join(map(_where, rows))  # other tests, of a group of zooms or of the centre bias, may do
        found = "; ".join(f"{_points(row)} points, {p_value(row.p)}" for row in rows)
        return f"No test tells {a} and {b} apart {places}: A − B is {found}."
    parts = []
    winner = None
    for row in sorted(rows, key=lambda row: not row.significant):  # what is sure comes first
        gain = f"by {_points(row, row.value < 0).removeprefix('+')} points, {p_value(row.p)}"
        if not row.significant:
            parts.append(f"{_where(row)} no test tells them apart ({_points(row)} points, {p_value(row.p)})")
        elif winner == (row.value > 0):
            parts.append(f"{_where(row)} {gain}")
        else:
            winner = row.value > 0
            better, worse = (a, b) if winner else (b, a)
            parts.append(f"{better} is better than {worse}: {_where(row)} {gain}")
    return "; ".join(parts) + "."


def print_pair(pair: Pair, paths: tuple[Path, Path], console: Console, *, resamples: int, seed: int) -> None:
    """Print a comparison: the verdict, the table of shares, and how the two runs' answers and errors go together."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False)

    line(verdict(pair), "bold")
    for letter, name, path in zip("AB", (pair.a, pair.b), paths, strict=True):
        console.print(f"{letter} = {name}: {path}", markup=False, highlight=False, soft_wrap=True)
    left = ", ".join(f"{count} {reason}" for reason, count in pair.left_out.items())
    line(
        f"On the same {pair.images} images of {pair.data}, labels {pair.labels}.{f' Left out: {left}.' if left else ''}"
    )
    for note in pair.notes:
        line(f"Note: {note}.", "yellow")
    console.print()
    console.print(_differences(pair, narrow=console.width < WIDE))
    console.print()
    console.print(_together(pair))
    console.print()
    many = f", Holm-corrected over {len(pair.differences)} rows" if len(pair.differences) > 1 else ""
    line(
        f"95 % intervals: Wilson for a share, bootstrap over images ({resamples} resamples, seed {seed}) for all else. "
        f"p in the table: McNemar's exact test{many}."
    )


def p_value(p: float) -> str:
    """A p-value in three digits.

    >>> p_value(0.0004), p_value(0.25)
    ('p < 0.001', 'p = 0.250')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _where(row: ShareDifference) -> str:
    return WHERE.get(row.what, f"at {row.what}")


def _points(found: ShareDifference | EstimatedDifference, turned: bool = False) -> str:
    value, low, high = (-found.value, -found.high, -found.low) if turned else (found.value, found.low, found.high)
    return f"{100 * value:+z.2f} [{100 * low:z.1f}, {100 * high:z.1f}]".replace("-", "−")


def _interval(share: Share) -> str:
    return f"{percent(share.value)} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _differences(pair: Pair, narrow: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    table.add_column("right answers", overflow="fold")
    for name in ("A %", "B %", "A − B, points", "only A/B", "p"):
        table.add_column(name, justify="right")
    for row in pair.differences:
        shares = (text.replace(" [", "\n[") if narrow else text for text in map(_interval, (row.a, row.b)))
        numbers = *shares, _points(row), f"{row.test.only_a}/{row.test.only_b}"
        p = p_value(row.p).removeprefix("p ").removeprefix("= ").replace(" ", "")
        table.add_row(row.what, *numbers, p, style="bold" if row.significant else None)
    return table


def _together(pair: Pair) -> Table:
    """What goes beyond single shares, a topic a line."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", ratio=1)
    table.add_column(overflow="fold", ratio=3)

    def row(what: str, text: str) -> None:
        table.add_row(what, escape(text))

    for what, kappa in pair.consistency.items():
        number = f"{kappa.kappa:z.2f} [{kappa.low:z.2f}, {kappa.high:z.2f}]".replace("-", "−")
        number = "undefined" if kappa.kappa != kappa.kappa else number
        chance = f"both right or both wrong {percent(kappa.observed)} %, by chance {percent(kappa.expected)} %"
        row(f"Error consistency, {what}", f"kappa {number}; {chance}")
    same, texts = pair.agreement, []
    if same.single:
        texts.append(f"{_interval(same.single)} % at {pair.differences[0].what}")
    if same.all is not None and len(pair.differences) > 1:
        texts.append(f"{percent(same.all)} % of {same.answers:,} at all zooms")
    if same.confidence is not None:
        texts.append(f"confidence differs by {same.confidence:.4f} at most")
    row("Same answer", "; ".join(texts))
    if pair.hard:
        hard = pair.hard
        jaccard = "" if hard.jaccard != hard.jaccard else f", Jaccard {hard.jaccard:.2f}"
        row(
            "Hard (no zoom is right)",
            f"A {hard.a}, B {hard.b}, both {hard.both} of {hard.n}{jaccard}; "
            f"by chance {hard.expected:.1f} would be both (Fisher's {p_value(hard.p)})",
        )
    if pair.union:
        upper = next(row.test for row in pair.differences if row.what == UPPER)
        added = f"beyond the other, A reads {upper.only_a}, B reads {upper.only_b}"
        row("Upper bound of both", f"{_interval(pair.union)} %; {added}")
    if pair.bias:
        bias = pair.bias
        row(
            "Centre bias, points",
            f"A {100 * bias.a:z.2f}, B {100 * bias.b:z.2f}, A − B {_points(bias)}, {p_value(bias.p)} (bootstrap)",
        )
    for one in pair.transfer:
        a, b = ("A", "B") if one.learned_on == pair.a else ("B", "A")
        row(
            f"Cover of {a}, {one.zooms} zoom{'s' if one.zooms != 1 else ''}",
            f"{_interval(one.transferred)} % on {b}; {_interval(one.oracle)} % on {a} itself (oracle)",
        )
    return table
