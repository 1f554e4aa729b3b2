"""Tables on a terminal: scores of predictions from elsewhere, and published numbers beside ours."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from snellen.analysis.accuracy import Share
from snellen.analysis.expected import Comparison, Expected
from snellen.analysis.scoring import Score
from snellen.report.table import Number, Row, Table
from snellen.report.tables import percent
from snellen.score import Scores

# Of measures that a file names and nothing has, so many are told.
NAMED = 3


def score_rows(score: Score) -> list[tuple[str, float, float, float, float, int | None]]:
    """What is measured, its value, standard error, low and high end of its 95 % interval, and n.

    The calibration error has neither error nor interval.
    """

    def row(what: str, value: Share) -> tuple[str, float, float, float, float, int | None]:
        return what, value.value, value.stderr, value.low, value.high, value.n

    nan, mean = float("nan"), score.per_class
    rows = [row("top-1", score.top1)]
    rows += [row("top-5", score.top5)] if score.top5 else []
    images = score.top1.n
    rows.append((f"mean over {mean.classes} classes", mean.value, mean.stderr, mean.low, mean.high, images))
    if score.calibration:
        bins = len(score.calibration.bins)
        rows.append((f"calibration error ({bins} bins)", score.calibration.ece, nan, nan, nan, score.calibration.n))
    return rows + [row(f"top-1, {origin}", value) for origin, value in score.origins.items()]


def print_scores(scores: Scores, console: Console) -> None:
    """Print a table for each label source, and how the file was read."""
    for score in scores.scores:
        title = f"{scores.predictions} on {scores.data}, labels {score.labels}"
        console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        table = RichTable()
        table.add_column("", overflow="fold")
        for name in ("%", "± standard error", "95 % interval", "n"):
            table.add_column(name, justify="right")
        for what, value, stderr, low, high, n in score_rows(score):
            ends = "–" if low != low else f"{percent(low)} – {percent(high)}"
            table.add_row(escape(what), percent(value), percent(stderr), ends, str(n))
        console.print(table)
    for note in scores.notes:
        console.print(f"Note: {note}.", markup=False, highlight=False, soft_wrap=True)


def print_comparison(
    rows: Sequence[Comparison], expected: Expected, console: Console, unmeasured: Sequence[str] = ()
) -> None:
    """Print published numbers beside ours, or that none is about what was run; `unmeasured` as `remarks`."""
    console.print(f"Expected: {expected.title}", style="bold", markup=False, highlight=False, soft_wrap=True)
    if not rows:
        _say(remarks(rows, expected, unmeasured), console)
        return
    table = RichTable()
    for name in ("model", "data", "labels", "what"):
        table.add_column(name, overflow="fold")
    for name in ("published %", "ours %", "difference", "in our interval", "n"):
        table.add_column(name, justify="right")
    for row in rows:
        inside = "–" if row.inside is None else "yes" if row.inside else "no"
        numbers = (f"{row.published:.2f}", f"{row.ours:.2f}", f"{row.difference:+.2f}", inside)
        table.add_row(
            *map(escape, (row.model, row.data, row.labels, row.metric)), *numbers, "–" if row.n is None else str(row.n)
        )
    console.print(table)
    _say([*remarks(rows, expected, unmeasured), f"Published: {expected.source}"], console)


def _say(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def remarks(rows: Sequence[Comparison], expected: Expected, unmeasured: Sequence[str]) -> list[str]:
    """What a comparison leaves out, a sentence each.

    unmeasured: the measures of the file that what was run has not.
    """
    said = []
    if unmeasured:
        more = len(unmeasured) - NAMED
        names = [*map(repr, unmeasured[:NAMED]), *([f"{more} more"] if more > 0 else [])]
        said.append(f"No measure of what was run is called {', '.join(names)}.")
    elif not rows:
        said.append("Nothing that was run is among its numbers: the model, the data set or the labels differ.")
    left = len(expected.numbers) - len(rows)
    if rows and left > 0:
        what = "number of the file is" if left == 1 else "numbers of the file are"
        said.append(f"{left} more {what} of models, data sets or measures that were not run.")
    return said


def expected_table(rows: Sequence[Comparison], expected: Expected, unmeasured: Sequence[str]) -> Table:
    """Published numbers beside ours; `unmeasured` as `remarks`."""
    lines = []
    for row in rows:
        ours = row.found
        one = Number(
            ours.value if ours else row.ours / 100,
            ours.low if ours else None,
            ours.high if ours else None,
            row.n,
            published=row.published / 100,
            source=expected.source,
            best=row.inside is True,
        )
        lines.append(Row((row.data, row.labels, row.model, row.metric), (one,)))
    bold = ["In bold: the 95 % interval holds the published number."] if any(row.inside for row in rows) else []
    return Table(
        "expected",
        f"Expected: {expected.title}",
        ("data", "labels", "model", "measure"),
        ("what",),
        (("ours",),),
        tuple(lines),
        (*bold, *remarks(rows, expected, unmeasured)),
    )
