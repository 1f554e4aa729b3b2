"""The command `tta`."""

import sys
from collections import Counter
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
    wide_console,
    with_options,
)
from snellen.errors import UsageError
from snellen.files import exists, is_folder
from snellen.places import place

if TYPE_CHECKING:
    from snellen.engine.running import Running


# What `tta` takes beside a finished study; everything else says how a model is run, or which one.
OF_STUDIES = ("data", "method", "policy", "out", "labels", "expect", "as_json", "quiet")


@with_options(running=running_options)
def tta(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(help="A data set as for `study`; or a finished study (its OUT or run), whose views are merged."),
    ],
    method: Annotated[
        list[str],
        typer.Option(
            help="center, 1crop, own, 5crop, 10crop, anytime, MERGE:VIEWS (mean:paper:in), memo-augmix, memo-rrc; each "
            "but anytime with or without +flip; given again for more. MERGE: mean, max, gmean, vote, confident-8 (or "
            "another number), zero. VIEWS: paper:in|out|224|all|centre, top36@RUN (of a study), a crop's name. MEMO's "
            "settings: memo-rrc,k=16,lr=0.00025,prior=16,scale=0.08:1,flip=no,seed=0, or memo-rrc,preset=released.",
        ),
    ],
    model: Models = None,
    policy: Annotated[
        Path | None, typer.Option(parser=place, metavar="PATH", help="Of anytime: a file that `snellen fit` wrote.")
    ] = None,
    out: Out = Path("snellen-out"),
    root: Root = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    expect: Expect = None,
    as_json: AsJson = False,
    *,
    running: "Running",
) -> None:
    """Answer by test-time methods, and compare their accuracy and their cost with a centre crop's."""
    from snellen.analysis.methods import results_of
    from snellen.datasets import label_source
    from snellen.report.tta import print_methods, write_methods
    from snellen.store import load_run
    from snellen.tta.from_study import is_study, results_from_study

    if policy is not None and not any(text.removesuffix("+flip") == "anytime" for text in method):
        raise UsageError(f"--policy {policy}: no method takes one; give --method anytime as well, or leave it out")
    for text, times in Counter(method).items():
        if times > 1:
            print(f"--method {text} was given {times} times; it is one method", file=sys.stderr)
    source = check_labels([labels])[0] if labels is not None else None
    expected = read_expectation(expect)
    if exists(place(out)) and not is_folder(place(out)):
        raise UsageError(f"-o {out} is a file; give a folder")
    if is_study(data):
        given = _given(context)
        if needless := [flag for name, flag in given.items() if name not in OF_STUDIES]:
            raise UsageError(
                f"{data!r} is a finished study, of which nothing is computed: leave {', '.join(needless)} out, or give "
                "its data set"
            )
        tables = [results_from_study(load_run(data), method, policy, source)]
        folders = [out if "out" in given else place(tables[0].path) / "report"]
    else:
        from snellen.tta.run import tta as run_methods

        source = source or label_source(data)
        tables = []
        for spec in chosen_models(model, classnames, templates, normalize):
            run = run_methods(
                spec,
                data,
                method,
                policy=policy,
                root=root,
                labels=source,
                out=out,
                **running,
            )
            tables.append(results_of(run, source))
        folders = [place(table.path) / "report" for table in tables]
    console = wide_console()
    for table, folder in zip(tables, folders, strict=True):
        figure = write_methods(table, folder)
        if not as_json:
            print_methods(table, console)
            console.print(f"Figure: {figure}, and as .png", soft_wrap=True, highlight=False, markup=False)
    finish([table.to_json() for table in tables], expected, [table.measured() for table in tables], as_json)
    if any(table.errors for table in tables):
        raise typer.Exit(UNREADABLE)


def _given(context: typer.Context) -> dict[str, str]:
    """The options that were given, by the names of their parameters, as they are written."""
    given = {}
    for parameter in context.command.params:
        source = parameter.name and context.get_parameter_source(parameter.name)
        if parameter.name and source and source.name == "COMMANDLINE":
            given[parameter.name] = parameter.opts[0]
    return given
