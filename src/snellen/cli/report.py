"""The command `report`."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import Expect, finish, read_expectation
from snellen.errors import UsageError


def report(
    out: Annotated[Path, typer.Argument(help="The OUT of a study, or one run below it.")],
    to: Annotated[Path | None, typer.Option("--to", help="Where to write; OUT/report if left out.")] = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    expect: Expect = None,
) -> None:
    """Write a self-contained page with tables, figures and the hardest images of finished runs."""
    from snellen.analysis.summary import summarise
    from snellen.report.page import write_report
    from snellen.store.reader import find_runs

    expected = read_expectation(expect)
    runs = [run for run in find_runs(out) if run.grid.one_crop is not None]
    if not runs:
        raise UsageError(f"no study in {str(out)!r}: `snellen study … -o {out}` makes one; eval writes results.csv")
    print(f"Report: {write_report(runs, to or out / 'report', labels)}")
    if expected:
        finish([], expected, [summarise(run, labels).measured() for run in runs], as_json=False)
