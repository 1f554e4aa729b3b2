"""The command `publish`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from snellen.cli.options import AsJson, Device, Quiet, Root, print_json
from snellen.errors import UsageError
from snellen.places import is_remote, place

if TYPE_CHECKING:
    from snellen.mining.publish.upscale import Network

Form = Literal["parquet", "folder", "webdataset", "coco", "fiftyone"]
Choice = Literal["keep", "drop"]


def publish(
    hard: Annotated[Path, typer.Argument(parser=place, metavar="HARD", help="What `mine` wrote, a folder or a URL.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=place, metavar="DIR", help="Where to put it, a new folder or URL.")
    ],
    form: Annotated[Form, typer.Option("--format", help="The layout of the files.")] = "parquet",
    undecided: Annotated[Choice | None, typer.Option(help="What to do with images that nobody decided on.")] = None,
    duplicates: Annotated[Choice, typer.Option(help="What to do with images that are another's copy.")] = "drop",
    licence: Annotated[
        list[str] | None,
        typer.Option(help="ORIGIN=SPDX, or a file with a line of this form for each; may be given again."),
    ] = None,
    run: Annotated[list[str] | None, typer.Option(help="Runs for the table of accuracy; may be given again.")] = None,
    previous: Annotated[str | None, typer.Option(help="An earlier version: a folder, or hub/ORG/NAME.")] = None,
    upscale: Annotated[str | None, typer.Option(help="Enlarge the images: 4k, or a width in pixels.")] = None,
    upscaler: Annotated[Path | None, typer.Option(help="The network that does it; without it Lanczos.")] = None,
    device: Device = "auto",
    convert: Annotated[
        bool, typer.Option("--convert", help="Make PNG of what no browser shows as it was mined.")
    ] = False,
    data: Annotated[
        list[str] | None, typer.Option(help="The data sets that were mined, where they lie elsewhere now.")
    ] = None,
    root: Root = None,
    repo: Annotated[str | None, typer.Option(help="Push it to this data set of the Hub, ORG/NAME.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Publish a hard set: a data set that the Hub shows, with its card."""
    from snellen.engine.progress import reporter
    from snellen.mining.publish.given import Options
    from snellen.mining.publish.hub import check_repository, push
    from snellen.mining.publish.publish import publish as write

    if repo:
        check_repository(repo)
        if is_remote(out):
            raise UsageError("--repo pushes a folder of this machine; give one with -o")
    wide = _width(upscale)
    options = Options(
        form=form,
        undecided=undecided,
        duplicates=duplicates,
        licences=licence or (),
        runs=run or (),
        previous=previous,
        wide=wide,
        convert=convert,
        data=data or (),
        root=root,
    )
    found = write(hard, out, options, _network(upscaler, wide, device), reporter(quiet or as_json))
    url = push(out, repo, f"{found.record['images']} images", found.record["files"]) if repo else None
    if as_json:
        record = {key: value for key, value in found.record.items() if key not in ("treated", "cards", "files")}
        print_json({**record, "written": found.written, "notes": list(found.notes), "pushed": url})
        return
    for note in found.notes:
        print(f"Note: {note}")
    said = {"all": "written", "card": "its data was there; the card is new", "nothing": "was there already"}
    print(f"{out}: {found.record['images']} images; {said[found.written]}")
    if url:
        print(f"Pushed: {url}")


def _width(text: str | None) -> int | None:
    from snellen.mining.publish.upscale import WIDTHS

    if text is None or text.lower() in WIDTHS:
        return WIDTHS[text.lower()] if text else None
    if not text.isdecimal() or not 1 <= int(text) <= 2 * max(WIDTHS.values()):
        most = 2 * max(WIDTHS.values())
        raise UsageError(f"--upscale {text}: expected {', '.join(WIDTHS)}, or a width of 1 to {most} pixels")
    return int(text)


def _network(file: Path | None, wide: int | None, device: str) -> "Network | None":
    if file is None:
        return None
    if wide is None:
        raise UsageError("--upscaler is of --upscale; give both")
    from snellen.mining.publish.upscale_network import load_network

    return load_network(file, device)
