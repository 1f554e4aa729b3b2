"""The command `view`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from snellen.cli.options import Labels, Root
from snellen.errors import UsageError

# The variable of the environment that holds the token; an option can be seen by all who list processes.
TOKEN = "SNELLEN_TOKEN"


def view(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Runs (OUT), a hard set (HARD), or DATA.")],
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Write the page as a read-only site; of a hard set with all verdicts, names, times and reasons.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; off this machine, a token is asked for.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port.", show_default="8765, or one that is free")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help=f"What a browser must know; better given as ${TOKEN}, which other users do not see.",
            show_default="none on this machine, else made up",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Examples of classes: a folder DIR/<class>/<image>.")
    ] = None,
    reviewer: Annotated[str, typer.Option(help="Whose verdicts these are; without it the page asks.")] = "",
    labels: Labels = None,
    root: Root = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where what the page reads is kept.", show_default="of the user")
    ] = None,
    cache_size: Annotated[
        float, typer.Option(min=0, metavar="GB", help="What is not used goes where it takes more.")
    ] = 4.0,
    browser: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open a browser.", show_default="where there is a screen")
    ] = None,
) -> None:
    """See it: a page to browse runs or a data set, and to review a hard set."""
    from snellen.places import cache_root
    from snellen.web.site import open_target

    folder = cache or cache_root() / "view"
    opened = open_target(target, root=root, labels=labels)
    if export is not None:
        from snellen.engine.progress import reporter
        from snellen.web.export import export as write

        given = {"--host": host != "127.0.0.1", "--port": port, "--token": token, "--reviewer": reviewer}
        if strange := next((name for name, value in given.items() if value), None):
            raise UsageError(f"{strange} is of the page that is served; with --export leave it out")
        written = write(opened, export, folder, reference=reference, report=reporter(quiet=False))
        said = ", with all verdicts and who gave them" if opened.hard else ""
        print(
            f"{export}: {written.images:,} images, {written.size / 1e6:.1f} MB{said}; "
            f"see it with: python -m http.server -d {shlex.quote(str(export))}"
        )
        return
    from snellen.web.serve import Listening, serve

    token = token or os.environ.get(TOKEN) or None
    given_to = Listening(host, port, token)
    kept = int(cache_size * 1e9)
    serve(opened, given_to, folder, cache_bytes=kept, reference=reference, reviewer=reviewer, browser=browser)
