"""The command `mine`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    UNREADABLE,
    AsJson,
    ClassNames,
    Models,
    Normalize,
    Root,
    Templates,
    check_labels,
    chosen_models,
    print_json,
    running_options,
    wide_console,
    with_options,
)
from snellen.places import place

if TYPE_CHECKING:
    from snellen.engine.running import Running


@with_options(running=running_options)
def mine(
    data: Annotated[list[str], typer.Argument(help="Data sets: names of `ls datasets`, folders, hub/…, parquet/….")],
    hard: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=place, metavar="HARD", help="The hard set, a folder or a URL; one found is extended."
        ),
    ],
    model: Models = None,
    root: Root = None,
    labels: Annotated[str | None, typer.Option(help="A label source of all DATA, or CSV (image_id, labels).")] = None,
    miners_required: Annotated[
        int | None, typer.Option(help="How many models must be wrong at every zoom.", show_default="all")
    ] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Also mine without each model, and score it on that.")
    ] = False,
    order: Annotated[
        list[Path] | None,
        typer.Option(
            parser=place, metavar="RUN", help="Learn from a study which zooms come first; may be given again."
        ),
    ] = None,
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    as_json: AsJson = False,
    *,
    running: "Running",
) -> None:
    """Mine the hard set: the images that no zoom of no model gets right."""
    import snellen
    from snellen.report.mine import print_mining

    mining = snellen.mine(
        chosen_models(model, classnames, templates, normalize),
        data,
        root=root,
        labels=check_labels([labels])[0] if labels is not None else None,
        out=hard,
        miners_required=miners_required,
        leave_one_out=leave_one_out,
        order=order or [],
        **running,
    )
    if as_json:
        print_json(mining.to_json())
    else:
        print_mining(mining, wide_console())
    if mining.unreadable:
        raise typer.Exit(UNREADABLE)
