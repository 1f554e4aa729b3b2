"""The command `show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli.options import DEFAULT_MODEL, model_options, with_options
from snellen.errors import UsageError

if TYPE_CHECKING:
    from snellen.engine.running import ModelOptions
    from snellen.zoom import Zoom

ZOOMS = "all, a group (in, 224, out), a scale (256), a zoom (256/1/1), or several joined by commas"


@with_options(running=model_options)
def show(
    image: Annotated[str, typer.Argument(help="An image file, or DATA:ID, for example examples:koala.jpg.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="FILE.png: a sheet; FILE.gif or FILE.mp4: an animation.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A spec as in study.")] = DEFAULT_MODEL,
    label: Annotated[
        list[str] | None, typer.Option(help="The right class: a WordNet id, index or name; may be given again.")
    ] = None,
    zooms: Annotated[str | None, typer.Option(help=f"What a sheet shows: {ZOOMS}.")] = None,
    anchor: Annotated[str, typer.Option(help="Where an animation zooms: row,col (0 … 2), or best.")] = "best",
    scales: Annotated[str | None, typer.Option(help="From which scale to which: from:to.", show_default="32:1024")] = (
        None
    ),
    seconds: Annotated[float | None, typer.Option(help="How long an animation is.", show_default="6")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second of an animation.", show_default="GIF 10, MP4 25")
    ] = None,
    *,
    running: "ModelOptions",
) -> None:
    """Draw one image at the zooms with a model's answers: a contact sheet, or an animation."""
    import snellen
    from snellen.report.names import place_of
    from snellen.report.sheet import counts
    from snellen.show import sheet_zooms

    chosen = read_zooms(zooms) if zooms is not None else None
    seen = snellen.show(
        image,
        model,
        out=out,
        label=label,
        zooms=chosen,
        anchor=None if anchor == "best" else read_pair("--anchor", anchor, ",", "row,col (0 … 2), or best"),
        scales=None if scales is None else read_pair("--scales", scales, ":", "from:to, for example 32:1024"),
        seconds=seconds,
        fps=fps,
        **running,
    )
    if out.suffix.lower() == ".png":
        print(f"{seen.name}{'' if seen.labels else ' (no label)'}: {counts(seen, sheet_zooms(chosen))}")
        print(f"Sheet: {out}")
    else:
        if anchor == "best":
            print(f"Anchor: {place_of(seen.rules[0])} ({seen.rules[0].row},{seen.rules[0].col}), the best")
        print(f"Animation: {out}")


def read_zooms(text: str) -> "list[Zoom]":
    """The zooms that `--zooms` spells; UsageError for anything the study has not.

    >>> read_zooms("256/1/1,512/0/2")
    [Zoom(scale=256, row=1, col=1), Zoom(scale=512, row=0, col=2)]
    >>> len(read_zooms("out")), len(read_zooms("224")), len(read_zooms("all"))
    (81, 9, 324)
    """
    from snellen.zoom import SCALES, Zoom

    groups = {"all": SCALES, "in": [s for s in SCALES if s > 224], "out": [s for s in SCALES if s < 224]}
    zooms: list[Zoom] = []
    for word in text.split(","):
        scale, *place = word.strip().split("/")
        try:
            scales = list(groups[scale]) if scale in groups and not place else [int(scale)]
            rows, cols = ([int(part)] for part in place) if place else (range(3), range(3))
        except ValueError:
            raise UsageError(f"--zooms {word.strip()!r}: expected {ZOOMS}") from None
        found = [Zoom(s, row, col) for s in scales for row in rows for col in cols]
        if not all(zoom.scale in SCALES and zoom.row in range(3) and zoom.col in range(3) for zoom in found):
            for axis, value in zip(("row", "col"), place, strict=False):
                if int(value) not in range(3):
                    raise UsageError(f"--zooms {word.strip()!r}: {axis} {value} is none of 0, 1, 2")
            near = sorted(SCALES, key=lambda known: abs(known - found[0].scale))[:3]
            raise UsageError(
                f"--zooms {word.strip()!r} is no zoom of the study: the nearest scales "
                f"are {', '.join(map(str, sorted(near)))}"
            )
        zooms += found
    return zooms


def read_pair(option: str, text: str, separator: str, expected: str) -> tuple[int, int]:
    """Two whole numbers; UsageError for anything else."""
    parts = text.split(separator)
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"{option} {text}: expected {expected}")
    return int(parts[0]), int(parts[1])
