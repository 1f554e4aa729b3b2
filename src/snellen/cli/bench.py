"""The command `bench`."""

from typing import Annotated

import typer

from snellen.cli.options import DEFAULT_MODEL, AsJson, Device, Quiet, Workers, print_json, whole, wide_console


def bench(
    model: Annotated[str, typer.Argument(help="A spec as in study.")] = DEFAULT_MODEL,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, fp16 or int8; may be given again.", show_default="fp32 and bf16"),
    ] = None,
    device: Device = "auto",
    workers: Workers = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure the backends on this machine and how they agree; --backend auto means the best from then on."""
    from snellen.bench import PRECISIONS
    from snellen.bench import bench as measure
    from snellen.engine.progress import reporter
    from snellen.report.bench import print_bench

    measured = measure(
        model,
        precisions=precision or PRECISIONS,
        device=device,
        workers=whole("--workers", workers),
        report=reporter(quiet or as_json),
    )
    if as_json:
        print_json(measured.to_json())
    else:
        print_bench(measured, wide_console())
