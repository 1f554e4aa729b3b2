"""The command line: one thin function a command; what is heavy is imported inside."""

import importlib.metadata
import io
import os
import signal
import sys
from typing import Annotated

import typer

from snellen.cli.bench import bench
from snellen.cli.compare import compare
from snellen.cli.duplicates import duplicates
from snellen.cli.evaluate import evaluate
from snellen.cli.fit import fit
from snellen.cli.ls import ls
from snellen.cli.mine import mine
from snellen.cli.publish import publish
from snellen.cli.report import report
from snellen.cli.review import review
from snellen.cli.score import score
from snellen.cli.show import show
from snellen.cli.study import study
from snellen.cli.suspects import suspects
from snellen.cli.tta import tta
from snellen.cli.view import view
from snellen.errors import SnellenError, UsageError

app = typer.Typer(
    name="snellen",
    help="An eye test for image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# What Typer makes of a KeyboardInterrupt in a command.
INTERRUPTED = 130


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


app.command()(study)
app.command(name="eval")(evaluate)
app.command()(score)
app.command()(report)
app.command()(compare)
app.command()(show)
app.command()(tta)
app.command()(fit)
app.command()(mine)
app.command()(review)
app.command()(suspects)
app.command()(duplicates)
app.command()(publish)
app.command()(view)
app.command()(bench)
app.command()(ls)


def _interrupt(*_: object) -> None:
    """What a SIGTERM does: the same as Ctrl-C."""
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    """The command is ending: another Ctrl-C must not change with what."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """Run a command; an error costs the user one line and the exit code it stands for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)
    except SnellenError as error:
        _ignore_interrupts()
        text = " ".join(str(error).split("\n")) if isinstance(error, UsageError) else str(error)
        print(f"snellen: {text}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if len(sys.argv) < 2:  # the help is what such a call is shown
            print(error.format_message(), file=sys.stderr)
        else:
            there = {info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands}
            command = " ".join(["snellen", *(name for name in sys.argv[1:2] if name in there)])
            what = error.format_message().rstrip(".")
            print(f"snellen: {what}; `{command} --help` says what there is", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone: `snellen … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        _ignore_interrupts()
        print("snellen: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(3)
