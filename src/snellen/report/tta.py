"""Test-time methods as a table on a terminal and as a figure: accuracy against what it costs."""

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.analysis.methods import MethodResult, MethodResults
from snellen.atomic import write_atomic, writing
from snellen.files import make_folder
from snellen.report.tables import percent, print_errors


def print_methods(results: MethodResults, console: Console) -> None:
    """Print one model's table: accuracy with its interval, cost, the paired test, published numbers."""
    published = any(row.published for row in results.rows)
    timed = results.timed
    base = results.rows[0].baseline
    title = f"{results.model} on {results.data} ({results.precision}), by the labels {results.labels!r}"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("method", overflow="fold")
    heads = ["top-1 % [95 %]", "n", "forwards", *(["ms", "of it views", "front"] if timed else ["front"])]
    compared = len(results.rows) > 1  # one method has nothing to be compared with
    heads += [f"against {base}", "p (Holm)"] if compared else []
    heads += ["published", "difference"] if published else []
    for head in heads:
        table.add_column(head, justify="right", no_wrap=head.startswith("top"))
    for row in results.rows:
        table.add_row(*_cells(row, timed, compared, published))
    console.print(table)
    notes = [
        "forwards: mean forward passes an image"
        + ("; a gradient step's backward passes show in ms." if timed else "."),
        "front: no other method is as accurate for less, in forwards (f)" + (" or in ms (t)." if timed else "."),
    ]
    if compared:
        notes.append(f"against {base}: images that only the method, only {base} gets right; p: McNemar's exact test.")
    if timed:
        notes.insert(
            1,
            "ms: what an image costs by this method alone, batches full; views: decoding, cutting, augmenting. "
            "Measured once: what else the machine does counts, and methods a few percent apart may change places.",
        )
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    for ratio in memo_ratios(results.rows):
        console.print(ratio, markup=False, highlight=False, soft_wrap=True)
    for row in results.rows:
        if fewer := _fewer(row):
            console.print(fewer, style="yellow", markup=False, highlight=False, soft_wrap=True)
        if row.unanswered:
            text = (
                f"{row.method} has no answer to {row.unanswered} of {row.accuracy.n} images, which count as wrong: the "
                "logits of the network adapted to them are not all numbers. A smaller lr may help."
            )
            console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
        if row.learned_here:
            text = (
                f"{row.method} was learned from {row.learned_here} of these {row.accuracy.n} images: its accuracy here "
                "is optimistic."
            )
            console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for source in dict.fromkeys(p.source for row in results.rows for p in row.published):
        console.print(f"Published: {source}", markup=False, highlight=False, soft_wrap=True)
    print_errors(results.errors, console)


def _fewer(row: MethodResult) -> str | None:
    """What to say where a run's cover has fewer zooms than a method asked for."""
    asked = re.search(r"top(\d+)@.*?(\+flip)?$", row.method)
    views = round(row.forwards / (2 if asked and asked[2] else 1)) if row.forwards > 0 else 0
    if asked is None or not 0 < views < int(asked[1]):
        return None
    return f"{row.method}: {views} of {asked[1]} zooms; no other gets an image of that run right that these do not."


def _cells(row: MethodResult, timed: bool, compared: bool, published: bool) -> list[str]:
    share = row.accuracy
    front = "".join(letter for letter, on in zip("ft", row.front, strict=True) if on)
    cells = [escape(row.method), f"{percent(share.value)} [{100 * share.low:.1f}, {100 * share.high:.1f}]"]
    cells += [str(share.n), f"{row.forwards:.1f}"]
    cells += [f"{row.ms:.1f}", f"{row.views_ms:.1f}"] if timed else []
    cells += [front or "–"]
    if compared:
        cells += [f"+{row.test.only_a} −{row.test.only_b}", f"{row.p:.3g}"] if row.test else ["–", "–"]
    if published:
        cells.append("\n".join(f"{p.value:.2f}" for p in row.published) or "–")
        cells.append("\n".join(f"{100 * share.value - p.value:+.2f}" for p in row.published) or "–")
    return cells


def memo_ratios(rows: Sequence[MethodResult]) -> list[str]:
    """How memo-augmix's time compares with that of each memo-rrc of as many views; published: 1.15 s and 0.65 s."""
    mixes, crops = ([row for row in rows if row.method.startswith(kind)] for kind in ("memo-augmix", "memo-rrc"))
    return [
        f"{mix.method} takes {mix.ms / crop.ms:.2f} x the time of {crop.method} (published: 1.77 x), "
        f"its views {mix.views_ms / crop.views_ms:.1f} x; adapting {mix.ms - mix.views_ms:.0f} and "
        f"{crop.ms - crop.views_ms:.0f} ms an image"
        for mix in mixes
        for crop in crops
        if mix.forwards == crop.forwards and crop.ms > 0 and crop.views_ms > 0
    ]


def write_methods(results: MethodResults, folder: Path) -> Path:
    """Write the figure as `methods.png` and `methods.svg` into a folder, over earlier ones; the path of the SVG."""
    from snellen.report.figures.methods import methods_figure
    from snellen.report.figures.style import save

    with writing(folder):
        make_folder(folder)
        for kind, content in save(methods_figure(results), ("png", "svg")).items():
            write_atomic(folder / f"methods.{kind}", content)
    return folder / "methods.svg"
