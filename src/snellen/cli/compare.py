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
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Of runs of `tta`: compare by this method; given again for more, all that both have if left out. Of "
            "one run: the two methods to compare."
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Score by this label source, or CSV (image_id, labels).")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of the bootstraps.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstraps.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two runs on the same images, by paired tests; of `tta` also two methods of one run."""
    from snellen.report.compare import print_pair, verdict
    from snellen.store.find import of_methods_alone

    methods = tuple(dict.fromkeys(method or ()))
    two_methods = len(runs) == 1 and len(methods) == 2
    if len(runs) != 2 and not two_methods:
        given = f"{len(runs)} run{'s' if len(runs) != 1 else ''}"
        other = "or one of tta with two --method" if len(runs) == 1 else "`snellen report` makes the matrix of many"
        raise UsageError(f"{given}: compare takes two; {other}")
    source = check_labels([labels])[0] if labels is not None else None
    if methods or any(map(of_methods_alone, runs)):
        from snellen.analysis.tta_runs import compare_methods, compare_two_methods, load_tta

        loaded = [load_tta(path) for path in runs]
        a, b = loaded[0].run, loaded[-1].run
        if two_methods:
            pair = compare_two_methods(loaded[0], (methods[0], methods[1]), source, resamples=resamples, seed=seed)
        else:
            pair = compare_methods(loaded[0], loaded[1], methods, source, resamples=resamples, seed=seed)
    else:
        from snellen.analysis.pairs import compare_runs
        from snellen.store import load_run

        a, b = (load_run(path) for path in runs)
        pair = compare_runs(a, b, source, resamples=resamples, seed=seed)
    if as_json:
        paths = [{"model": run.model, "run": str(run.path), "fingerprint": run.record["fingerprint"]} for run in (a, b)]
        print_json({"verdict": verdict(pair), **pair.to_json(), "runs": paths, "resamples": resamples, "seed": seed})
        return
    print_pair(pair, (a.path, b.path), wide_console(), resamples=resamples, seed=seed)
