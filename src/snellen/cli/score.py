"""The command `score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from snellen.cli.options import AsJson, Labels, Root, print_json, read_lines, wide_console
from snellen.errors import UsageError


def score(
    predictions: Annotated[Path, typer.Argument(help="CSV, Parquet or npy: file names, and classes or logits.")],
    data: Annotated[str, typer.Argument(help="The data set; `imagenet` and its label sources need no images.")],
    root: Root = None,
    labels: Labels = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="What a column is, for example class=my_prediction.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="The predicted classes' names, one a line.")] = None,
    missing: Annotated[
        Literal["error", "wrong", "skip"], typer.Option(help="What an image without a prediction counts as.")
    ] = "error",
    as_json: AsJson = False,
) -> None:
    """Score predictions made elsewhere by the same rules."""
    import snellen
    from snellen.report.scores import print_scores

    pairs = [text.partition("=") for text in column or []]
    wrong = next((text for text, pair in zip(column or [], pairs, strict=True) if not pair[2]), None)
    if wrong:
        raise UsageError(f"--column {wrong}: expected WHAT=NAME, for example class=my_prediction")
    scores = snellen.score(
        predictions,
        data,
        root=root,
        labels=labels.split(",") if labels else None,
        columns={what: name for what, _, name in pairs},
        classes=read_lines(classes) if classes else None,
        missing=missing,
    )
    if as_json:
        print_json(scores.to_json())
    else:
        print_scores(scores, wide_console())
