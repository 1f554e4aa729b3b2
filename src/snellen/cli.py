"""The command line: one thin function a command; what is heavy is imported inside."""

import importlib.metadata
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from snellen.errors import SnellenError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from snellen.analysis.expected import Expected, Measured

app = typer.Typer(
    name="snellen",
    help="An eye test for image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_MODEL = "embedded/efficientnet_lite0"
UNREADABLE = 4


def _print_version(wanted: bool) -> None:
    if wanted:
        print(importlib.metadata.version("snellen"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An eye test for image classifiers."""


def main() -> None:
    """Run a command; an error costs the user one line and the exit code it stands for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except SnellenError as error:
        text = " ".join(str(error).split("\n")) if isinstance(error, UsageError) else str(error)
        print(f"snellen: {text}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if len(sys.argv) < 2:  # the help is what such a call is shown
            print(error.format_message(), file=sys.stderr)
        else:
            command = " ".join(["snellen", *(name for name in sys.argv[1:2] if name.isalpha())])
            print(f"snellen: {error.format_message()}; `{command} --help` says what there is", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone: `snellen … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("snellen: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(3)


Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="A spec, a wildcard, or a .txt of specs; may be given again.", show_default=DEFAULT_MODEL
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where runs are kept; a run found there is resumed.")]
Root = Annotated[Path | None, typer.Option(help="The folder that holds a named data set in its released layout.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images; more extends the run.")]
Labels = Annotated[str | None, typer.Option(help="Label sources (imagenet, real, …), joined by commas, or a CSV.")]
Precision = Annotated[str, typer.Option(help="fp32, bf16 or fp16.")]
Backend = Annotated[str, typer.Option(help="auto, openvino or torch.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[str, typer.Option(help="Views a batch, or auto: the fastest here.")]
Workers = Annotated[str, typer.Option(help="Worker processes, or auto: one a core or GPU.")]
ClassNames = Annotated[str | None, typer.Option(help="OpenCLIP models: openai, wordnet or a file, one a line.")]
Templates = Annotated[str | None, typer.Option(help="OpenCLIP models: openai80, simple7, single or a file.")]
Normalize = Annotated[str | None, typer.Option(help="OpenCLIP models: own or imagenet (as the published runs).")]
Expect = Annotated[Path | None, typer.Option(help="Numbers to compare with: a file as in configs/.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


@app.command()
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

    source = _check_labels([labels])[0] if labels is not None else label_source(data)
    specs = _models(model, classnames, templates, normalize)  # a wrong one costs no study of the others
    expected = _expected(expect)
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
            batch_size=_whole("--batch-size", batch_size),
            workers=_whole("--workers", workers),
            keep_probs=keep_probs,
            report=reporter(quiet or as_json),
        )
        summary = summarise(run, source)
        summaries.append(summary)
        if not as_json:
            print_summary(summary, console)
            console.print(f"Run: {run.path}", soft_wrap=True, highlight=False, markup=False)
    _finish([summary.to_json() for summary in summaries], expected, [s.measured() for s in summaries], as_json)
    if any(summary.errors for summary in summaries):
        raise typer.Exit(UNREADABLE)


@app.command(name="eval")
def evaluate(
    data: Annotated[list[str], typer.Argument(help="Data sets: names of `ls datasets`, folders, hub/…, parquet/….")],
    model: Models = None,
    out: Out = Path("snellen-out"),
    root: Root = None,
    limit: Limit = None,
    labels: Labels = None,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    device: Device = "auto",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    classnames: ClassNames = None,
    templates: Templates = None,
    normalize: Normalize = None,
    expect: Expect = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score each model, with its own transform, on each data set: top-1 and top-5 with intervals."""
    import snellen
    from snellen.engine.progress import reporter
    from snellen.report.results import print_results

    sources = _check_labels(labels.split(",") if labels is not None else [])
    expected = _expected(expect)
    evaluation = snellen.evaluate(
        _models(model, classnames, templates, normalize),
        data,
        root=root,
        labels=sources,
        out=out,
        limit=limit,
        precision=precision,
        backend=backend,
        device=device,
        batch_size=_whole("--batch-size", batch_size),
        workers=_whole("--workers", workers),
        report=reporter(quiet or as_json),
    )
    if not as_json:
        print_results(evaluation.results, _console())
        print(f"Results: {out / 'results.csv'}")
    records = [result.to_json() for result in evaluation.results]
    _finish(records, expected, [result.measured() for result in evaluation.results], as_json)
    for what, error in evaluation.failures:
        print(f"snellen: left out {what}: {error}", file=sys.stderr)
    if evaluation.failures:
        raise typer.Exit(evaluation.failures[0][1].exit_code)
    if any(result.errors for result in evaluation.results):
        raise typer.Exit(UNREADABLE)


@app.command()
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
        classes=_lines(classes) if classes else None,
        missing=missing,
    )
    if as_json:
        _print_json(scores.to_json())
    else:
        print_scores(scores, _console())


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="The OUT of a study, or one run below it.")],
    to: Annotated[Path | None, typer.Option("--to", help="Where to write; OUT/report if left out.")] = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    expect: Expect = None,
) -> None:
    """Write a self-contained page with tables, figures and the hardest images of finished runs."""
    from snellen.analysis.summary import summarise
    from snellen.report.page import write_report
    from snellen.store.reader import find_runs

    expected = _expected(expect)
    runs = [run for run in find_runs(out) if run.grid.one_crop is not None]
    if not runs:
        raise UsageError(f"no study in {str(out)!r}: `snellen study … -o {out}` makes one; eval writes results.csv")
    print(f"Report: {write_report(runs, to or out / 'report', labels)}")
    if expected:
        _finish([], expected, [summarise(run, labels).measured() for run in runs], as_json=False)


@app.command()
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
        _print_json([dict(zip(heads, row, strict=True)) for row in rows])
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


def _models(model: list[str] | None, classnames: str | None, templates: str | None, normalize: str | None) -> list[str]:
    """The specs that were asked for, every one of them understood."""
    from snellen.classifiers import expand_models
    from snellen.classifiers.spec import with_prompts

    given = {"classnames": classnames, "templates": templates, "normalize": normalize}
    options = {key: value for key, value in given.items() if value is not None}
    return [with_prompts(spec, options) for text in model or [DEFAULT_MODEL] for spec in expand_models(text)]


def _console() -> "Console":
    """Standard output; wide tables are not squeezed where it is a file or a pipe."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


def _check_labels(sources: list[str]) -> list[str]:
    """The label sources; a file that is not there is found out before anything runs."""
    for source in sources:
        if not source.strip():
            raise UsageError("--labels is blank; give label sources joined by commas, or a CSV")
        if ("/" in source or source.endswith(".csv")) and not Path(source).is_file():
            raise UsageError(f"no file of labels at {source!r}; give a CSV with columns image_id and labels")
    return sources


def _expected(file: Path | None) -> "Expected | None":
    from snellen.analysis.expected import read_expected

    return read_expected(file) if file else None


def _finish(
    records: list[dict[str, Any]],
    expected: "Expected | None",
    measured: "list[list[Measured]]",
    as_json: bool,
) -> None:
    """Print the results as JSON if asked to, and how they compare with what was expected."""
    from rich.console import Console

    from snellen.analysis.expected import compare
    from snellen.report.scores import print_comparison

    if as_json:
        _print_json(records)
    if expected:
        rows = compare(expected, [one for many in measured for one in many])
        print_comparison(rows, expected, Console(stderr=as_json, width=None if sys.stdout.isatty() else 160))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no list of classes at {str(file)!r}: {error}; give a text file, one a line") from error


def _whole(flag: str, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"{flag} {value}: expected a whole number of at least 1, or auto")
    return int(value)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
