"""The command `eval`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import (
    UNREADABLE,
    AsJson,
    ClassNames,
    Expect,
    Labels,
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
    wide_console,
    with_options,
)

if TYPE_CHECKING:
    from snellen.engine.running import Running


@with_options(running=running_options)
def evaluate(
    data: Annotated[list[str], typer.Argument(help="Data sets: names of `ls datasets`, folders, hub/…, parquet/….")],
    model: Models = None,
    out: Out = Path("snellen-out"),
    root: Root = None,
    labels: Labels = None,
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    expect: Expect = None,
    as_json: AsJson = False,
    *,
    running: "Running",
) -> None:
    """Score each model, with its own transform, on each data set: top-1 and top-5 with intervals."""
    import snellen
    from snellen.report.results import print_results

    sources = check_labels(labels.split(",") if labels is not None else [])
    expected = read_expectation(expect)
    evaluation = snellen.evaluate(
        chosen_models(model, classnames, templates, normalize),
        data,
        root=root,
        labels=sources,
        out=out,
        **running,
    )
    if not as_json:
        print_results(evaluation.results, wide_console())
        print(f"Results: {out / 'results.csv'}")
    records = [result.to_json() for result in evaluation.results]
    finish(records, expected, [result.measured() for result in evaluation.results], as_json)
    for what, error in evaluation.failures:
        print(f"snellen: left out {what}: {error}", file=sys.stderr)
    if evaluation.failures:
        raise typer.Exit(evaluation.failures[0][1].exit_code)
    if any(result.errors for result in evaluation.results):
        raise typer.Exit(UNREADABLE)
