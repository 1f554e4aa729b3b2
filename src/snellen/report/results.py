"""The benchmark's results: `results.csv` in timm's columns and more, and a table on a terminal."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from snellen.analysis.accuracy import Share
from snellen.analysis.benchmark import Result, group_letters
from snellen.atomic import write_atomic, writing
from snellen.report.tables import percent, print_errors

# The first nine are timm's, from its validation script's results; what names a row is in KEY.
COLUMNS = (
    *("model", "img_size", "top1", "top1_err", "top5", "top5_err", "param_count", "crop_pct", "interpolation"),
    *("dataset", "labels", "revision", "n", "stderr", "ci_low", "ci_high", "class_space", "classnames", "precision"),
    *("fingerprint", "images_per_s", "per_class", "calibration_error", "preprocessing"),
)
# Unmatched answers that are listed; all are in the run's `answers`.
MOST = 10
KEY = ("model", "dataset", "labels", "precision")


def result_row(result: Result) -> dict[str, str]:
    """One line of `results.csv`: shares in percent, parameters in millions."""
    card, top1 = result.card, result.score.top1
    own = card["own"]
    value = 100 * top1.value
    top5 = 100 * result.score.top5.value if result.score.top5 else None
    classes = result.run.class_map
    return {
        "model": result.model,
        "img_size": str(own["size"]),
        "top1": f"{value:.3f}",
        "top1_err": f"{100 - value:.3f}",
        "top5": "" if top5 is None else f"{top5:.3f}",
        "top5_err": "" if top5 is None else f"{100 - top5:.3f}",
        "param_count": f"{card['parameters'] / 1e6:.2f}",
        "crop_pct": f"{own['size'] / own['resize']:.3f}" if own["resize"] else "",
        "interpolation": own["filter"],
        "dataset": result.data,
        "labels": result.score.labels,
        "revision": result.run.record["data"].get("revision", ""),
        "n": str(top1.n),
        "stderr": f"{100 * top1.stderr:.3f}",
        "ci_low": f"{100 * top1.low:.3f}",
        "ci_high": f"{100 * top1.high:.3f}",
        "class_space": f"{card['space']}/{classes.name} ({len(classes.ids)})" if classes else card["space"],
        "classnames": dict(card.get("inputs", ())).get("classnames", ""),
        "precision": result.run.record["model"]["precision"],
        "fingerprint": result.run.record["fingerprint"][:16],
        "images_per_s": "" if result.images_per_s is None else f"{result.images_per_s:.1f}",
        "per_class": f"{100 * result.score.per_class.value:.3f}",
        "calibration_error": f"{100 * result.score.calibration.ece:.3f}" if result.score.calibration else "",
        "preprocessing": result.preprocessing,
    }


def write_results(out: Path, results: Sequence[Result]) -> Path:
    """Write `results.csv` under `out`: these results, and the rows of earlier ones that they do not replace."""
    path = out / "results.csv"
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows[tuple(row.get(key) or "" for key in KEY)] = {name: row.get(name) or "" for name in COLUMNS}
    for result in results:
        row = result_row(result)
        rows[tuple(row[key] for key in KEY)] = row
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        rows[key] for key in sorted(rows, key=lambda key: (key[1], key[2], -float(rows[key]["top1"]), key))
    )
    with writing(out):
        write_atomic(path, text.getvalue().encode())
    return path


def print_results(results: Sequence[Result], console: Console) -> None:
    """Print a table for each data set and label source, and one of models and data sets where there are several."""
    ordered = sorted(results, key=lambda r: (r.data, r.score.labels))
    sets = [(key, list(group)) for key, group in groupby(ordered, key=lambda r: (r.data, r.score.labels))]
    letters = {key: group_letters(rows) if len(rows) > 1 else {} for key, rows in sets}
    for key, rows in sets:
        _print_set(rows, letters[key], console)
    if len(sets) > 1:
        _print_matrix(dict(sets), letters, console)
    if any(letters.values()):
        console.print("Models that share a letter cannot be told apart: paired McNemar tests, Holm-corrected, 5 %.")
    for result in ordered:
        count, unmatched = result.unmatched
        if count:
            console.print(
                f"{result.model} on {result.data}: {count} answers mean no class", style="yellow", markup=False
            )
            for image, answer in unmatched[:MOST]:
                console.print(f"  {image!r}: {answer!r}", style="yellow", markup=False, highlight=False)
        if result.run.errors:
            console.print(f"{result.model} on {result.data}:", markup=False, highlight=False, soft_wrap=True)
            print_errors(result.run.errors, console)


def _print_set(rows: list[Result], letters: dict[str, str], console: Console) -> None:
    first = rows[0]
    title = first.data if first.score.labels == "own" else f"{first.data}, labels {first.score.labels}"
    console.print(title, style="bold", markup=False, highlight=False)
    published = any(result.published for result in rows)
    table = Table()
    table.add_column("model", overflow="fold")
    names = ["top-1 % [95 %]", *(["group"] if letters else []), "top-5 % [95 %]", "per class %", "ECE %", "n"]
    for name in [*names, *(["published", "difference"] if published else [])]:
        table.add_column(name, justify="right", no_wrap=name.startswith("top"))
    for result in sorted(rows, key=lambda r: -r.score.top1.value):
        score = result.score
        cells = [result.model, _with_interval(score.top1)]
        cells += [letters[result.model]] if letters else []
        cells += [_with_interval(score.top5) if score.top5 else "–", percent(score.per_class.value)]
        cells += [percent(score.calibration.ece) if score.calibration else "–", str(score.top1.n)]
        if published:
            cells.append("\n".join(f"{p.value:.2f}" for p in result.published))
            cells.append("\n".join(f"{100 * score.top1.value - p.value:+.2f}" for p in result.published))
        table.add_row(*cells)
    console.print(table)
    for source in dict.fromkeys(p.source for result in rows for p in result.published):
        console.print(f"Published: {source}", markup=False, highlight=False)
    for result in rows:
        for origin, value in result.score.origins.items():
            console.print(f"  {result.model}, {origin}: {value}", markup=False, highlight=False, soft_wrap=True)


def _with_interval(share: Share) -> str:
    return f"{percent(share.value)} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _print_matrix(
    sets: dict[tuple[str, str], list[Result]], letters: dict[tuple[str, str], dict[str, str]], console: Console
) -> None:
    table = Table(title="top-1 %, with the half width of its 95 % interval")
    table.add_column("model", overflow="fold")
    for data, labels in sets:
        table.add_column(data if labels == "own" else f"{data}\n{labels}", justify="right")
    for model in dict.fromkeys(result.model for rows in sets.values() for result in rows):
        cells = []
        for key, rows in sets.items():
            found = next((result for result in rows if result.model == model), None)
            half = f" ± {50 * (found.score.top1.high - found.score.top1.low):.1f}" if found else ""
            group = f" {letters[key][model]}" if found and letters[key] else ""
            cells.append(f"{percent(found.score.top1.value)}{half}{group}" if found else "–")
        table.add_row(model, *cells)
    console.print(table)
