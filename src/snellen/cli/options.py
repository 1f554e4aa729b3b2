"""What commands share: their options, and how they read and print."""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snellen.errors import UsageError
from snellen.places import place

if TYPE_CHECKING:
    from rich.console import Console

    from snellen.analysis.expected import Expected, Measured
    from snellen.engine.running import ModelOptions, Running

DEFAULT_MODEL = "embedded/efficientnet_lite0"
UNREADABLE = 4

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="A spec, a wildcard, or a .txt of specs; may be given again.", show_default=DEFAULT_MODEL
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        parser=place,
        metavar="PATH",
        help="Where runs are kept, a folder or a URL; one found is resumed.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(parser=place, metavar="PATH", help="The folder or URL of a named data set in its released layout."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images; more extends the run.")]
Labels = Annotated[str | None, typer.Option(help="Label sources (imagenet, real, …), joined by commas, or a CSV.")]
Precision = Annotated[str, typer.Option(help="fp32, bf16, fp16 or int8.")]
Backend = Annotated[str, typer.Option(help="auto, openvino, onnxruntime, torch or torch-compile.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[str, typer.Option(help="Views a batch, or auto: the fastest here.")]
Workers = Annotated[str, typer.Option(help="Worker processes, or auto: one a core or GPU.")]
Engine = Annotated[str, typer.Option(help="local: processes on this machine; ray: actors on a Ray cluster.")]
RayAddress = Annotated[str | None, typer.Option(help="The Ray cluster, auto or HOST:PORT; else one started here.")]
ClassNames = Annotated[str | None, typer.Option(help="OpenCLIP models: openai, wordnet or a file, one a line.")]
Templates = Annotated[str | None, typer.Option(help="OpenCLIP models: openai80, simple7, single or a file.")]
Normalize = Annotated[str | None, typer.Option(help="OpenCLIP models: own or imagenet (as the published runs).")]
Expect = Annotated[Path | None, typer.Option(help="Numbers to compare with: a file as in configs/.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def with_options(**shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a function, and what it returns as the parameter of that name.

    An option that the command names too is one option; both are given it.
    """
    (name, function), *_ = shared.items()
    takes = inspect.signature(function).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = {key: option for key, option in inspect.signature(command).parameters.items() if key != name}
        options = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in {**own, **takes}.values()]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            command(**{key: given[key] for key in own}, **{name: function(**{key: given[key] for key in takes})})

        called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        called.__annotations__ = {option.name: option.annotation for option in options}
        return called

    return decorate


def model_options(
    precision: Precision = "fp32",
    backend: Backend = "auto",
    device: Device = "auto",
    batch_size: BatchSize = "auto",
    quiet: Quiet = False,
) -> "ModelOptions":
    """What the options of every command that runs a model say, as the package's functions take them."""
    from snellen.engine.progress import reporter

    return {
        "precision": precision,
        "backend": backend,
        "device": device,
        "batch_size": whole("--batch-size", batch_size),
        "report": reporter(quiet),
    }


def running_options(
    limit: Limit = None,
    precision: Precision = "fp32",
    backend: Backend = "auto",
    device: Device = "auto",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    engine: Engine = "local",
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> "Running":
    """The same for a command that shows a model a data set."""
    return {
        **model_options(precision, backend, device, batch_size, quiet or as_json),
        "limit": limit,
        "workers": whole("--workers", workers),
        "engine": engine,
        "ray_address": ray_address,
    }


def chosen_models(
    model: list[str] | None, classnames: str | None, templates: str | None, normalize: str | None
) -> list[str]:
    """The specs that were asked for, every one of them understood."""
    from snellen.classifiers import expand_models
    from snellen.classifiers.spec import with_prompts

    given = {"classnames": classnames, "templates": templates, "normalize": normalize}
    options = {key: value for key, value in given.items() if value is not None}
    return [with_prompts(spec, options) for text in model or [DEFAULT_MODEL] for spec in expand_models(text)]


def wide_console() -> "Console":
    """Standard output; wide tables are not squeezed where it is a file or a pipe."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


def check_labels(sources: list[str]) -> list[str]:
    """The label sources; a file that is not there is found out before anything runs."""
    for source in sources:
        if not source.strip():
            raise UsageError("--labels is blank; give label sources joined by commas, or a CSV")
        if ("/" in source or source.endswith(".csv")) and not Path(source).is_file():
            raise UsageError(f"no file of labels at {source!r}; give a CSV with columns image_id and labels")
    return sources


def read_expectation(file: Path | None) -> "Expected | None":
    """The numbers of a file as in configs/, where one is given."""
    from snellen.analysis.expected import read_expected

    return read_expected(file) if file else None


def finish(
    records: list[dict[str, Any]],
    expected: "Expected | None",
    measured: "list[list[Measured]]",
    as_json: bool,
) -> None:
    """Print the results as JSON if asked to, and how they compare with what was expected."""
    from rich.console import Console

    from snellen.analysis.expected import compare, unmeasured
    from snellen.report.scores import print_comparison

    if as_json:
        print_json(records)
    if expected:
        found = [one for many in measured for one in many]
        console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 160)
        print_comparison(compare(expected, found), expected, console, unmeasured(expected, found))


def read_lines(file: Path) -> list[str]:
    """The lines of a text file; UsageError where it is none."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no list of classes at {str(file)!r}: {error}; give a text file, one a line") from error


def whole(flag: str, value: str) -> int | None:
    """A whole number of at least 1, or None for `auto`; UsageError for anything else."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"{flag} {value}: expected a whole number of at least 1, or auto")
    return int(value)


def print_json(value: Any) -> None:
    """Print a plain form as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False))
