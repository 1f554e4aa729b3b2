"""The self-contained HTML page of finished runs, its figures as files, and its numbers as CSV."""

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from snellen.analysis.summary import Summary, summarise
from snellen.atomic import explain_os_error, write_atomic
from snellen.report.hardest import hardest
from snellen.report.plots import location_figure, save, scale_figure
from snellen.report.tables import interval, percent, summary_rows
from snellen.store import Run


def write_report(runs: Sequence[Run], folder: Path, labels: str | None = None) -> Path:
    """Write `index.html`, `results.csv` and the figures of the runs into `folder`; returns the page's path.

    The page needs no other file and no network. Raises UsageError for a run that is not a zoom study, and where
    nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sections = [_section(run, summarise(run, labels), folder, labels) for run in runs]
        write_atomic(folder / "results.csv", _results(sections).encode("utf-8", "backslashreplace"))
        template = jinja2.Environment(
            loader=jinja2.PackageLoader("snellen.report"), autoescape=True, undefined=jinja2.StrictUndefined
        ).get_template("page.html.j2")
        write_atomic(
            folder / "index.html",
            template.render(sections=sections, pct=percent, interval=interval).encode("utf-8", "backslashreplace"),
        )
    except OSError as error:
        raise explain_os_error(error, folder) from error
    return folder / "index.html"


def _section(run: Run, summary: Summary, folder: Path, labels: str | None) -> dict[str, Any]:
    name = "_".join(run.path.parts[-3:])
    figures = {}
    for what, figure in (("locations", location_figure(summary)), ("scales", scale_figure(summary))):
        svg = save(figure, folder / f"{name}_{what}")
        figures[what] = base64.b64encode(svg.encode()).decode()
    return {
        "name": name,
        "run": run,
        "summary": summary,
        "rows": summary_rows(summary),
        "figures": figures,
        "hardest": hardest(run, labels),
        "labels": labels or "the data set's own",
    }


def _results(sections: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["model", "dataset", "labels", "precision", "measure", "value", "ci_low", "ci_high", "n", "random"])
    for section in sections:
        summary: Summary = section["summary"]
        start = [summary.model, summary.data, section["labels"], summary.precision]
        for what, value, chance in section["rows"]:
            rows.writerow([*start, what, value.value, value.low, value.high, value.n, "" if chance is None else chance])
        for group, (_, only) in summary.groups.items():
            rows.writerow([*start, f"{group} alone", only.value, only.low, only.high, only.n, ""])
        for row, line in enumerate(summary.locations):
            for col, cell in enumerate(line):
                rows.writerow([*start, f"location {row} {col}", cell.value, cell.low, cell.high, cell.n, ""])
        for scale, centre, bound in summary.curve:
            for what, cell in (("centre", centre), ("upper bound", bound)):
                rows.writerow([*start, f"scale {scale} {what}", cell.value, cell.low, cell.high, cell.n, ""])
    return text.getvalue()
