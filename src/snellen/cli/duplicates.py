"""The command `duplicates`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    DEFAULT_MODEL,
    UNREADABLE,
    AsJson,
    Root,
    model_options,
    print_json,
    wide_console,
    with_options,
)
from snellen.errors import UsageError
from snellen.places import place

if TYPE_CHECKING:
    from snellen.engine.running import ModelOptions


@with_options(running=model_options)
def duplicates(
    searched: Annotated[
        list[str], typer.Argument(metavar="HARD|DATA …", help="What `mine` wrote; or data sets, as for `study`.")
    ],
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA", help="A data set that none of them may be in; may be given again."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its embeddings find crops; none: only copies of whole images.")
    ] = DEFAULT_MODEL,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images of each DATA.")] = None,
    root: Root = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Of HARD: the data sets that were mined, where they lie elsewhere now.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=place,
            metavar="FILE",
            help="The table.",
            show_default="HARD/duplicates.parquet, or duplicates.parquet",
        ),
    ] = None,
    as_json: AsJson = False,
    *,
    running: "ModelOptions",
) -> None:
    """Images that are one picture: in a hard set or data sets, and between them and a reference."""
    from snellen.engine.progress import silent
    from snellen.engine.running import completed_model
    from snellen.mining.duplicates.duplicates import search
    from snellen.mining.duplicates.given import (
        check_apart,
        check_ours,
        data_sources,
        hard_folder,
        hard_sources,
        ready_embedder,
        write_duplicates,
    )
    from snellen.report.duplicates import duplicates_json, print_duplicates

    hard = hard_folder(searched)
    if hard and limit is not None:
        raise UsageError(f"--limit {limit} is of data sets; of a hard set every image is compared")
    if data and not hard:
        raise UsageError("--data is of a hard set; name data sets without it")
    path = out or (hard or Path()) / "duplicates.parquet"
    check_ours(path)
    options = completed_model("duplicates", {**running, "report": silent} if as_json else running)
    report = options["report"]
    sources = hard_sources(hard, data or (), root) if hard else data_sources(searched, root, limit, report)
    others = data_sources(reference or (), root, None, report)
    check_apart(sources, others)
    prepared = ready_embedder(model, options)
    found = search(sources, others, model=prepared, report=report)
    write_duplicates(found.table, path)
    if as_json:
        print_json({"path": str(path), "model": prepared and prepared.text, **duplicates_json(found)})
    else:
        print_duplicates(found, path, wide_console())
    if found.unreadable:
        raise typer.Exit(UNREADABLE)
