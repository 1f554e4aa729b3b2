"""The command `study`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    UNREADABLE,
    AsJson,
    ClassNames,
    Expect,
    Models,
    Normalize,
    Out,
    Root,
    Templates,
    check_labels,
    chosen_models,
    finish,
    read_expectation,
    running_options,
    with_options,
)

if TYPE_CHECKING:
    from snellen.engine.running import Running


@with_options(running=running_options)
def study(
    data: Annotated[str, typer.Argument(help="`examples`, a folder DIR/<class>/<image>, or a name of `ls datasets`.")],
    model: Models = None,
    out: Out = Path("snellen-out"),
    root: Root = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    keep_probs: Annotated[bool, typer.Option("--keep-probs", help="Also keep all probabilities.")] = False,
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    expect: Expect = None,
    as_json: AsJson = False,
    *,
    running: "Running",
) -> None:
    """Show every image at 324 zooms to each model, and print what framing can and cannot fix."""
    from rich.console import Console

    import snellen
    from snellen.analysis.summary import summarise
    from snellen.datasets import label_source
    from snellen.report.tables import print_summary

    source = check_labels([labels])[0] if labels is not None else label_source(data)
    specs = chosen_models(model, classnames, templates, normalize)  # a wrong one costs no study of the others
    expected = read_expectation(expect)
    console = Console()
    summaries = []
    for spec in specs:
        run = snellen.study(
            spec,
            data,
            root=root,
            labels=source,
            out=out,
            keep_probs=keep_probs,
            **running,
        )
        summary = summarise(run, source)
        summaries.append(summary)
        if not as_json:
            print_summary(summary, console)
            console.print(f"Run: {run.path}", soft_wrap=True, highlight=False, markup=False)
    finish([summary.to_json() for summary in summaries], expected, [s.measured() for s in summaries], as_json)
    if any(summary.errors for summary in summaries):
        raise typer.Exit(UNREADABLE)
