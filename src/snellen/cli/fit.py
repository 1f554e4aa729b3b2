"""The command `fit`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import AsJson, print_json
from snellen.errors import UsageError
from snellen.files import is_folder
from snellen.places import place


def fit(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=place, metavar="RUNS", help="Studies made with --keep-probs, or folders above them."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=place, metavar="PATH", help="The policy's file or URL; one that is there is replaced."
        ),
    ],
    views: Annotated[
        str | None, typer.Option(help="Choose among these: paper:centre, top36@RUN, …; default all.")
    ] = None,
    count: Annotated[
        int, typer.Option(min=2, help="How many views are learned; every image is shown at least 2.")
    ] = 12,
    error: Annotated[
        float, typer.Option(help="The chance that the answer differs from that of all views; 0.08 is 8 %.")
    ] = 0.08,
    seed: Annotated[
        int, typer.Option(help="Draws the images that the order is learned from; the rule is set on the others.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Learn from runs in which order to look at views, and when an image's answer is settled."""
    from snellen.store.find import find_runs
    from snellen.tta.fit import fit as fit_policy
    from snellen.tta.views import view_set

    if is_folder(out):
        raise UsageError(f"-o {out} is a folder; give the file of the policy, such as {out / 'policy.json'}")
    found = [run for path in runs for run in find_runs(path)]
    among = view_set(views, found[0].grid.size) if views is not None else None
    policy = fit_policy(found, among=among, views=count, error=error, seed=seed)
    policy.save(out)
    if len(policy) < count:
        print(f"{len(policy)} views are all there are to learn, not --count {count}", file=sys.stderr)
    if as_json:
        print_json(policy.to_json())
        return
    print(
        f"{out}: {policy.forwards:.1f} of {len(policy)} views an image; it answers otherwise than all of them at a "
        f"rate of at most {policy.error:.1%} ({policy.disagreements} of the {policy.images} images it was set on)"
    )
