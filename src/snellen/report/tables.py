"""The study's table on a terminal, and as rows for the page and for files."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from snellen.analysis.accuracy import Share
from snellen.analysis.cover import TOP_K
from snellen.analysis.summary import Summary
from snellen.report.names import place_of


def percent(value: float) -> str:
    """A share in percent, two digits; a dash where there is none."""
    return "–" if value != value else f"{100 * value:.2f}"


def interval(share: Share) -> str:
    """A share's 95 % interval in percent; a dash where there are no images."""
    return f"{percent(share.low)} – {percent(share.high)}" if share.n else "–"


def summary_rows(summary: Summary) -> list[tuple[str, Share, float | None]]:
    """What is measured, its share, and what guessing would reach where that is stated."""
    rule = summary.best_rule
    rows: list[tuple[str, Share, float | None]] = [
        ("1-crop (256, centre)", summary.one_crop, None),
        (f"best single zoom ({rule.scale}, {place_of(rule)})", summary.best_single, None),
        (f"top-{TOP_K} (oracle)", summary.top_k, summary.random[1]),
        (f"upper bound, {summary.zooms} zooms", summary.upper, summary.random[0]),
    ]
    return rows + [(f"{name} upper bound", bound, None) for name, (bound, _) in summary.groups.items()]


def print_summary(summary: Summary, console: Console) -> None:
    """Print one run's table and its location map."""
    title = f"{summary.model} on {summary.data} ({summary.precision})"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    if summary.done < summary.planned:
        done = f"{summary.done} of {summary.planned} images are done"
        console.print(f"Still in progress: {done}; the numbers are of those.")
    if summary.planned < summary.of:
        console.print(f"Only the first {summary.planned} of {summary.of} images (--limit).", style="yellow")
    if summary.unlabelled:
        one = summary.unlabelled == 1
        what = "1 image has no label here and is" if one else f"{summary.unlabelled} images have no label here and are"
        console.print(f"{what} left out.")
    table = Table()
    table.add_column("")
    for name in ("%", "95 % interval", "n", "random %"):
        table.add_column(name, justify="right")
    for what, value, chance in summary_rows(summary):
        random = "" if chance is None else percent(chance)
        table.add_row(what, percent(value.value), interval(value), str(value.n), random)
    console.print(table)
    console.print("Upper bound over all scales at each location, % [95 % interval]:")
    places = Table(show_header=False, show_lines=True)
    for line in summary.locations:
        places.add_row(*(f"{percent(cell.value)}\n[{interval(cell)}]" for cell in line))
    console.print(places)
    console.print(
        f"n = {summary.images} images at each location. "
        f"The greedy cover reaches the upper bound with {summary.cover_size} of {summary.zooms} zooms."
    )
    print_errors(summary.errors, console)


def print_errors(errors: Sequence[tuple[str, str]], console: Console, most: int = 20) -> None:
    """List the images that could not be read."""
    if errors:
        what = (
            "1 image could not be read and is"
            if len(errors) == 1
            else f"{len(errors)} images could not be read and are"
        )
        console.print(f"{what} left out:", style="yellow")
        for image, reason in errors[:most]:
            console.print(f"  {image!r}: {reason}", style="yellow", markup=False, highlight=False)
        if len(errors) > most:
            console.print(f"  … and {len(errors) - most} more, in the run's samples")
