"""The command `report`."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import Expect, Labels, Quiet, check_labels, read_expectation, wide_console
from snellen.errors import UsageError
from snellen.files import is_folder
from snellen.places import is_remote, place

# Of the files of an earlier report, so many are named.
NAMED = 3


def report(
    out: Annotated[Path, typer.Argument(parser=place, metavar="OUT", help="The OUT of a study, or one run below it.")],
    formats: Annotated[
        str | None,
        typer.Option("--format", "-f", help="Some of html,md,csv,tex,png,svg,pdf; all if left out."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", parser=place, metavar="PATH", help="Where to write; OUT/report, for a URL ./OUT-report."),
    ] = None,
    labels: Labels = None,
    exact_cover: Annotated[
        float | None,
        typer.Option("--exact-cover", min=0.0, metavar="SECONDS", help="Seek each run's smallest cover, so long."),
    ] = None,
    errata: Annotated[
        bool, typer.Option("--errata", help="Also the group table as the released notebook computes it.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of every bootstrap.")] = 2000,
    expect: Expect = None,
    quiet: Quiet = False,
) -> None:
    """Tables, figures and a self-contained page of finished runs, with the hardest images."""
    from snellen.analysis.survey import survey
    from snellen.report.write import chosen_kinds, make_tables, write_report
    from snellen.report.writers import print_tables
    from snellen.store.find import find_runs

    if to is not None and is_remote(to):
        raise UsageError(f"--to {to}: a report is written to a folder of this machine; copy it from there")
    kinds, expected = chosen_kinds(formats), read_expectation(expect)
    sources = check_labels(labels.split(",")) if labels is not None else [None]
    runs = find_runs(out)
    if not any(run.grid.one_crop is not None for run in runs):
        raise UsageError(
            f"no study in {str(out)!r}: `snellen study … -o {out}` makes one. Of runs of eval, results.csv in "
            "their OUT has the numbers, and `snellen compare` compares two"
        )
    if not any(run.commits for run in runs) and any(is_folder(run.path / "mined") for run in runs):
        raise UsageError(
            f"{str(out)!r} holds what `snellen mine` showed, which leaves out most zooms, and no study; `snellen study "
            f"DATA -m MODEL -o {out}` completes it"
        )
    found = survey(runs, sources, exact_cover=exact_cover, resamples=resamples)
    tables = make_tables(found, runs, errata=errata, expected=expected)
    folder = to or (Path(f"{out.name or 'snellen'}-report") if is_remote(out) else out / "report")
    if not quiet:
        print_tables(tables, found.notes, wide_console())
    stale = write_report(found, runs, folder, kinds, tables)
    print(f"Report: {folder / 'index.html' if 'html' in kinds else folder}")
    if stale:
        more = f" and {len(stale) - NAMED} more" if len(stale) > NAMED else ""
        print(f"Of an earlier report, not written anew: {', '.join(stale[:NAMED])}{more} in {folder}")
