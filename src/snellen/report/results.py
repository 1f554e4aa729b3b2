"""The benchmark's results: `results.csv` in timm's columns and more, and a table on a terminal."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.analysis.accuracy import Share
from snellen.analysis.benchmark import Result, group_letters
from snellen.atomic import write_atomic, writing
from snellen.errors import UsageError
from snellen.files import read_bytes
from snellen.locks import only_here
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
    cut = card["view_size"] > 0  # a generative model is shown the whole image
    value = 100 * top1.value
    top5 = 100 * result.score.top5.value if result.score.top5 else None
    classes = result.run.class_map
    return {
        "model": result.model,
        "img_size": str(own["size"]) if cut else "",
        "top1": f"{value:.3f}",
        "top1_err": f"{100 - value:.3f}",
        "top5": "" if top5 is None else f"{top5:.3f}",
        "top5_err": "" if top5 is None else f"{100 - top5:.3f}",
        "param_count": f"{card['parameters'] / 1e6:.2f}" if cut else "",
        "crop_pct": f"{own['size'] / own['resize']:.3f}" if cut else "",
        "interpolation": own["filter"] if cut else "",
        "dataset": result.data,
        "labels": result.score.labels,
        "revision": result.record["data"].get("revision", ""),
        "n": str(top1.n),
        "stderr": f"{100 * top1.stderr:.3f}",
        "ci_low": f"{100 * top1.low:.3f}",
        "ci_high": f"{100 * top1.high:.3f}",
        "class_space": f"{card['space']}/{classes.name} ({len(classes.ids)})" if classes else card["space"],
        "classnames": dict(card.get("inputs", ())).get("classnames", ""),
        "precision": result.record["model"]["precision"],
        "fingerprint": result.record["fingerprint"][:16],
        "images_per_s": "" if result.images_per_s is None else f"{result.images_per_s:.1f}",
        "per_class": f"{100 * result.score.per_class.value:.3f}",
        "calibration_error": f"{100 * result.score.calibration.ece:.3f}" if result.score.calibration else "",
        "preprocessing": result.preprocessing if cut else "",
    }


def read_results(out: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of `results.csv` under `out`, by what names them; UsageError where it is none of Snellen's."""
    path = out / "results.csv"
    try:
        text = read_bytes(path).decode("utf-8")
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error}); move it away") from error
    if lines and not set(KEY) <= lines[0].keys():
        raise UsageError(f"{str(path)!r} is no table of results: it lacks {', '.join(KEY)}; move it away")
    return {tuple(row[key] or "" for key in KEY): {name: row.get(name) or "" for name in COLUMNS} for row in lines}


def write_results(out: Path, results: Sequence[Result]) -> Path:
    """Write `results.csv` under `out`: these results, and the rows of earlier ones that they do not replace."""
    path = out / "results.csv"
    with writing(out), only_here(out, ".results.lock", wait=True):  # another command may be adding rows of its own
        rows = read_results(out)
        for result in results:
            row = result_row(result)
            rows[tuple(row[key] for key in KEY)] = row
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        ordered: list[dict[str, str]] = sorted(rows.values(), key=_order)
        writer.writerows(ordered)
        write_atomic(path, text.getvalue().encode())
    return path


def _order(row: dict[str, str]) -> tuple[str, str, float, str, str]:
    """By data set and label source, best first."""
    try:
        value = float(row["top1"])
    except ValueError:
        value = float("-inf")
    return row["dataset"], row["labels"], -value, row["model"], row["precision"]


def print_results(results: Sequence[Result], console: Console) -> None:
    """Print a table for each data set and label source, and one of models and data sets where there are several."""
    sets: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        sets.setdefault((result.data, result.score.labels), []).append(result)
    letters = {key: group_letters(rows) if len(rows) > 1 else {} for key, rows in sets.items()}
    for key, rows in sets.items():
        _print_set(rows, letters[key], console)
    if len(sets) > 1:
        _print_matrix(sets, letters, console)
    if any(letters.values()):
        console.print("Models that share a letter cannot be told apart: paired McNemar tests, Holm-corrected, 5 %.")
    for result in {result.path: result for result in results}.values():
        _print_left_out(result, console)


def _print_left_out(result: Result, console: Console) -> None:
    """What the numbers of a result do not show: images that could not be read, answers that mean no class."""
    where = f"{result.model} on {result.data}"
    count, unmatched = result.unmatched
    plain: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    if count:
        console.print(f"{where}: {count} answers mean no class", style="yellow", **plain)
        for image, answer in unmatched[:MOST]:
            console.print(f"  {image!r}: {answer!r}", style="yellow", **plain)
    if result.errors:
        console.print(f"{where}:", **plain)
        print_errors(result.errors, console)


def _print_note(result: Result, console: Console) -> None:
    """How the images of a data set differ from the official ones in number."""
    data = result.record["data"]
    done, official = result.record["shards"][-1], data.get("official") or data["images"]
    if done != official:
        limit = " (--limit)" if done < data["images"] else ""
        console.print(f"{done:,} of its {official:,} images{limit}", style="yellow", markup=False, highlight=False)


def _print_set(rows: list[Result], letters: dict[str, str], console: Console) -> None:
    first = rows[0]
    title = first.data if first.score.labels == "own" else f"{first.data}, labels {first.score.labels}"
    console.print(title, style="bold", markup=False, highlight=False)
    _print_note(first, console)
    published = any(result.published for result in rows)
    table = Table()
    table.add_column("model", overflow="fold")
    names = ["top-1 % [95 %]", *(["group"] if letters else []), "top-5 % [95 %]", "per class %", "ECE %", "n"]
    for name in [*names, *(["published", "difference"] if published else [])]:
        table.add_column(name, justify="right", no_wrap=name.startswith("top"))
    for result in sorted(rows, key=lambda r: -r.score.top1.value):
        score = result.score
        cells = [escape(result.model), _with_interval(score.top1)]
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
    """Models and data sets against each other, the longer list downwards."""
    names = {key: key[0] if key[1] == "own" else f"{key[0]}, labels {key[1]}" for key in sets}
    cells = {
        (names[key], r.model): f"{_with_interval(r.score.top1)} {letters[key].get(r.model, '')}".rstrip()
        for key, rows in sets.items()
        for r in rows
    }
    models = list(dict.fromkeys(model for _, model in cells))
    down = models if len(models) > len(names) else list(names.values())
    across = list(names.values()) if down is models else models
    table = Table(title="top-1 % [95 %]")
    table.add_column("", overflow="fold")
    for head in across:
        table.add_column(escape(head), justify="right", overflow="fold", min_width=20)
    for row in down:
        found = (cells.get((head, row) if down is models else (row, head), "–") for head in across)
        table.add_row(escape(row), *found)
    console.print(table)
