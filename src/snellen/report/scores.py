"""Tables on a terminal: scores of predictions from elsewhere, and published numbers beside ours."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.analysis.accuracy import Share
from snellen.analysis.expected import Comparison, Expected
from snellen.analysis.scoring import Score
from snellen.report.tables import percent
from snellen.score import Scores


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
        table = Table()
        table.add_column("", overflow="fold")
        for name in ("%", "± standard error", "95 % interval", "n"):
            table.add_column(name, justify="right")
        for what, value, stderr, low, high, n in score_rows(score):
            ends = "–" if low != low else f"{percent(low)} – {percent(high)}"
            table.add_row(escape(what), percent(value), percent(stderr), ends, str(n))
        console.print(table)
    for note in scores.notes:
        console.print(f"Note: {note}.", markup=False, highlight=False, soft_wrap=True)


def print_comparison(rows: Sequence[Comparison], expected: Expected, console: Console) -> None:
    """Print published numbers beside ours, or that none is about what was run."""
    console.print(f"Expected: {expected.title}", style="bold", markup=False, highlight=False, soft_wrap=True)
    if not rows:
        console.print("Nothing that was run is among its numbers: the model, the data set or the labels differ.")
        return
    table = Table()
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
    left = len(expected.numbers) - len(rows)
    if left > 0:
        console.print(f"{left} more numbers of the file are of models, data sets or measures that were not run.")
    console.print(f"Published: {expected.source}", markup=False, highlight=False, soft_wrap=True)
