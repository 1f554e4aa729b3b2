"""The command `review`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import AsJson, print_json, wide_console
from snellen.errors import UsageError
from snellen.places import place

if TYPE_CHECKING:
    from snellen.mining.hardset import HardSet


def review(
    hard: Annotated[Path, typer.Argument(parser=place, metavar="HARD", help="What `mine` wrote, a folder or a URL.")],
    export_to: Annotated[Path | None, typer.Option("--export", help="Write a CSV to fill in; a new file.")] = None,
    import_from: Annotated[Path | None, typer.Option("--import", help="Take the verdicts of a filled-in CSV.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Whose verdicts these are; --import needs it.")] = None,
    conflicts: Annotated[
        bool, typer.Option("--conflicts", help="Export the images in conflict alone, with what everybody said.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Review a hard set by file: keep, drop, relabel or unsure. Without a file: what is decided, and who agrees."""
    from snellen.mining.hardset import read
    from snellen.mining.review import take
    from snellen.report.review import print_review, review_json

    if export_to and import_from:
        raise UsageError("--export and --import: give one of them")
    if import_from and not reviewer:
        raise UsageError("--import needs --reviewer NAME: whose verdicts they are")
    if conflicts and not export_to:
        raise UsageError("--conflicts is of --export FILE; without a file, conflicts are listed anyway")
    if reviewer is not None and not (export_to or import_from):
        raise UsageError("--reviewer is of --export or --import; without a file, all reviewers are listed")
    hard_set = read(hard)
    if export_to:
        _export(hard_set, export_to, reviewer, conflicts)
        return
    if import_from and reviewer:
        added = take(import_from, hard_set, reviewer)
        hard_set = read(hard)
        if not as_json:
            said = f"{added} new verdict{'s' * (added != 1)}" if added else "nothing new: the log holds every verdict"
            print(f"{import_from}: {said} of {reviewer}")
    if as_json:
        print_json(review_json(hard_set))
    else:
        print_review(hard_set, wide_console())


def _export(hard_set: "HardSet", path: Path, reviewer: str | None, conflicts: bool) -> None:
    from snellen.atomic import create_atomic, writing
    from snellen.mining.review import check_reviewer
    from snellen.mining.sheet import sheet

    if reviewer is not None:
        check_reviewer(reviewer, hard_set.reviewers)
    if conflicts and not hard_set.conflicts:
        raise UsageError("no image is in conflict; without --conflicts all are exported")
    data = sheet(hard_set, reviewer, conflicts)
    with writing(path, "--export"):
        if not create_atomic(path, data):
            raise UsageError(f"there is a file {str(path)!r}, perhaps filled in; choose another name with --export")
    then = f"snellen review {hard_set.mined.folder} --import {path} --reviewer {reviewer or 'NAME'}"
    print(f"{path}: fill in the columns verdict, labels and reason, then `{then}`")
