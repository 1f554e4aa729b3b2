"""The command `study`."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import (
    UNREADABLE,
    AsJson,
    Backend,
    BatchSize,
    ClassNames,
    Device,
    Expect,
    Limit,
    Models,
    Normalize,
    Out,
    Precision,
    Quiet,
    Root,
    Templates,
    Workers,
    check_labels,
    chosen_models,
    finish,
    read_expectation,
    whole,
)


def study(
    data: Annotated[str, typer.Argument(help="`examples`, a folder DIR/<class>/<image>, or a name of `ls datasets`.")],
    model: Models = None,
    out: Out = Path("snellen-out"),
    root: Root = None,
    limit: Limit = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    device: Device = "auto",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    keep_probs: Annotated[bool, typer.Option("--keep-probs", help="Also keep all probabilities (float16).")] = False,
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    expect: Expect = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show every image at 324 zooms to each model, and print what framing can and cannot fix."""
    from rich.console import Console

    import snellen
    from snellen.analysis.summary import summarise
    from snellen.datasets import label_source
    from snellen.engine.progress import reporter
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
            limit=limit,
            precision=precision,
            backend=backend,
            device=device,
            batch_size=whole("--batch-size", batch_size),
            workers=whole("--workers", workers),
            keep_probs=keep_probs,
            report=reporter(quiet or as_json),
        )
        summary = summarise(run, source)
        summaries.append(summary)
        if not as_json:
            print_summary(summary, console)
            console.print(f"Run: {run.path}", soft_wrap=True, highlight=False, markup=False)
    finish([summary.to_json() for summary in summaries], expected, [s.measured() for s in summaries], as_json)
    if any(summary.errors for summary in summaries):
        raise typer.Exit(UNREADABLE)
