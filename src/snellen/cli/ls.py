"""The command `ls`."""

import sys
from typing import Annotated

import typer

from snellen.cli.options import AsJson, print_json
from snellen.errors import UsageError


def ls(
    what: Annotated[str, typer.Argument(help="models, datasets or grids.")],
    pattern: Annotated[str, typer.Argument(help="Only names that match, for example `timm/*vit*`.")] = "*",
    as_json: AsJson = False,
) -> None:
    """List the models, data sets or grids there are."""
    from snellen.catalogue import LISTS, listing

    if what not in LISTS:
        raise UsageError(f"nothing called {what!r} to list; expected {', '.join(LISTS)}")
    heads, rows = listing(what, pattern)
    if not rows:
        raise UsageError(f"no {what} match {pattern!r}; * stands for any part of a name, for example '*/*vit*'")
    if as_json:
        print_json([dict(zip(heads, row, strict=True)) for row in rows])
        return
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(*heads, box=None, padding=(0, 1))
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)
        return
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
