"""The command `suspects`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import AsJson, check_labels, print_json, wide_console
from snellen.places import place


def suspects(
    places: Annotated[
        list[Path],
        typer.Argument(parser=place, metavar="OUT|HARD …", help="What `study` or `mine` wrote, folders or URLs."),
    ],
    labels: Annotated[str | None, typer.Option(help="The label source to doubt, or a CSV (image_id, labels).")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=place, metavar="FILE", help="The table; suspects.parquet in the first."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the swapped labels that the score is learned from.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Images whose label is likely wrong, that show several objects, or that nobody can read."""
    from snellen.mining.mined import is_finished, read_record
    from snellen.mining.suspects.file import check_place, write_suspects
    from snellen.mining.suspects.suspects import find_suspects, runs_to_doubt
    from snellen.report.suspects import print_suspects, suspects_json

    path = out or places[0] / "suspects.parquet"
    check_place(path)
    for folder in places:
        record = read_record(folder)
        if record is not None and not is_finished(record):
            print(f"mining has not finished in {str(folder)!r}; what it has shown so far counts", file=sys.stderr)
    source = check_labels([labels])[0] if labels is not None else None
    runs, mined_by = runs_to_doubt(places)
    found = find_suspects(runs, mined_by if source is None else source, seed=seed)
    write_suspects(found.table, path)
    if as_json:
        print_json({"path": str(path), **suspects_json(found)})
    else:
        print_suspects(found, path, wide_console())
