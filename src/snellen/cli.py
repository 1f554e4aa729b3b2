"""The command line: one thin function a command; what is heavy is imported inside."""

import importlib.metadata
import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from snellen.errors import SnellenError, UsageError

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
        print(f"snellen: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if len(sys.argv) < 2:  # the help is what such a call is shown
            print(error.format_message(), file=sys.stderr)
        else:
            print(f"snellen: {error.format_message()}; `snellen --help` says what there is", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("snellen: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(3)


@app.command()
def study(
    data: Annotated[str, typer.Argument(help="`examples`, or a folder DIR/<class>/<image>.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model spec; may be given again.", show_default=DEFAULT_MODEL),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs are kept; a run found there is resumed.")] = Path(
        "snellen-out"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images; more extends the run.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Score by this CSV (image_id, labels) instead.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    backend: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="Views a batch, or auto: the fastest here.")] = "auto",
    workers: Annotated[str, typer.Option(help="Worker processes, or auto: one a core or GPU.")] = "auto",
    keep_probs: Annotated[bool, typer.Option("--keep-probs", help="Also keep all probabilities (float16).")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Show every image at 324 zooms to each model, and print what framing can and cannot fix."""
    from rich.console import Console

    import snellen
    from snellen.analysis.summary import summarise
    from snellen.classifiers.spec import parse_spec
    from snellen.engine.progress import reporter
    from snellen.report.tables import print_summary

    if labels and not labels.is_file():
        raise UsageError(f"no file of labels at {str(labels)!r}; give a CSV with columns image_id and labels")
    specs = [parse_spec(spec).text for spec in model or [DEFAULT_MODEL]]  # a wrong one costs no study of the others
    console = Console()
    summaries = []
    for spec in specs:
        run = snellen.study(
            spec,
            data,
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
        summary = summarise(run, str(labels) if labels else None)
        summaries.append(summary)
        if not as_json:
            print_summary(summary, console)
            console.print(f"Run: {run.path}", soft_wrap=True, highlight=False, markup=False)
    if as_json:
        _print_json([summary.to_json() for summary in summaries])
    if any(summary.errors for summary in summaries):
        raise typer.Exit(UNREADABLE)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="The OUT of a study, or one run below it.")],
    to: Annotated[Path | None, typer.Option("--to", help="Where to write; OUT/report if left out.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Score by this CSV (image_id, labels) instead.")] = None,
) -> None:
    """Write a self-contained page with tables, figures and the hardest images of finished runs."""
    from snellen.report.page import write_report
    from snellen.store.reader import find_runs

    print(f"Report: {write_report(find_runs(out), to or out / 'report', str(labels) if labels else None)}")


@app.command()
def ls(
    what: Annotated[str, typer.Argument(help="models, datasets or grids.")],
    pattern: Annotated[str, typer.Argument(help="Only names that match, for example `timm/*vit*`.")] = "*",
) -> None:
    """List the models, data sets or grids there are."""
    from snellen.catalogue import LISTS, listing

    if what not in LISTS:
        raise UsageError(f"nothing called {what!r} to list; expected {', '.join(LISTS)}")
    lines = listing(what, pattern)
    if not lines:
        raise UsageError(f"no {what} match {pattern!r}; * stands for any part of a name, for example '*/*vit*'")
    print("\n".join(lines))


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
