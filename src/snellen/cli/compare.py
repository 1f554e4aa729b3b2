"""The command `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import AsJson, check_labels, print_json, wide_console
from snellen.errors import UsageError
from snellen.places import place


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=place, metavar="RUN_A RUN_B", help="Run directories, or folders above exactly one run."),
    ],
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of the bootstraps.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstraps.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two runs on the same images, by paired tests."""
    from snellen.analysis.pairs import compare_runs
    from snellen.report.compare import print_pair, verdict
    from snellen.store import load_run

    if len(runs) != 2:
        given = f"{len(runs)} run{'s' if len(runs) != 1 else ''}"
        raise UsageError(f"{given}: compare takes two; `snellen report` makes the matrix of many")
    a, b = (load_run(path) for path in runs)
    source = check_labels([labels])[0] if labels is not None else None
    pair = compare_runs(a, b, source, resamples=resamples, seed=seed)
    if as_json:
        paths = [{"model": run.model, "run": str(run.path), "fingerprint": run.record["fingerprint"]} for run in (a, b)]
        print_json({"verdict": verdict(pair), **pair.to_json(), "runs": paths, "resamples": resamples, "seed": seed})
        return
    print_pair(pair, (a.path, b.path), wide_console(), resamples=resamples, seed=seed)
