"""What was mined, on a terminal: the funnel, its forwards, and each miner on what the others mine."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from snellen.report.tables import percent

if TYPE_CHECKING:
    from snellen.mining.mine import Mining

# Unreadable images that a terminal shows.
SHOWN = 10
COUNTS = ("shown", "read", "failed", "left", "unreadable", "forwards")
# Columns that are there only where they tell of anything.
SELDOM = {"unanswered": "without an answer", "studied": "in studies"}


def print_mining(mining: "Mining", console: Console) -> None:
    """Print a mined hard set."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    record = mining.record
    images = sum(source["images"] for source in record["sources"])
    needed, miners = record["miners_required"], len(record["funnel"])
    who = "every miner is" if needed == miners else f"at least {needed} of {miners} miners are"
    if miners == 1:
        who = f"{record['funnel'][0]['miner']} is"
    line(f"{mining.path}: {record['hard']:,} of {images:,} images are hard: {who} wrong at each zoom", "bold")
    if len(record["sources"]) > 1 or any(source["unlabelled"] for source in record["sources"]):
        table = Table(_names("data"), *("images", "without label", "unreadable", "hard"))
        for source in record["sources"]:
            cells = [f"{source[name]:,}" for name in ("images", "unlabelled", "unreadable", "hard")]
            table.add_row(escape(source["spec"]), *cells)
        console.print(table)
    _print_funnel(record["funnel"], console)
    studied = record["studied"]
    compared = f"{record['forwards']:,} forwards where exhaustive studies take {record['exhaustive']:,}"
    fewer = _times(record["exhaustive"], record["forwards"])
    line(f"{compared}; {studied:,} views were in studies already" if studied else f"{compared}: {fewer} times fewer")
    if mining.outdated:
        line("What --leave-one-out told before was of other miners or images and is dropped; give it again", "yellow")
    if record["leave_one_out"]:
        _print_left_out(record["leave_one_out"], console)
        further, crops = record["leave_one_out"]["forwards"], record["leave_one_out"]["one_crop_forwards"]
        line(
            f"Accuracy in percent with its 95 % interval. It took {further:,} further forwards, and {crops:,} of 1-crop"
        )
    hard = shlex.quote(str(mining.path))
    line(f"Next: `snellen suspects {hard}`, `snellen duplicates {hard}`, `snellen review {hard} --export FILE`")
    for data, image, why in mining.unreadable[:SHOWN]:
        line(f"Cannot be read: {data} {image!r}: {why}")
    if len(mining.unreadable) > SHOWN:
        line(f"… and {len(mining.unreadable) - SHOWN:,} more that cannot be read")


def _print_funnel(stages: Sequence[Mapping[str, Any]], console: Console) -> None:
    seldom = [name for name in SELDOM if any(stage[name] for stage in stages)]
    ratios = "studied" not in seldom
    heads = [*COUNTS, *(SELDOM[name] for name in seldom), *(["times the fewest"] if ratios else []), "exhaustive"]
    table = Table(_names("miner"), *heads, *(["fewer, times"] if ratios else []))
    for stage in stages:
        times = [_times(stage["forwards"], stage["floor"]), _times(stage["exhaustive"], stage["forwards"])]
        cells = [f"{stage[name]:,}" for name in (*COUNTS, *seldom)]
        middle = [*times[:1], f"{stage['exhaustive']:,}", *times[1:]] if ratios else [f"{stage['exhaustive']:,}"]
        table.add_row(escape(stage["miner"]), *cells, *middle)
    console.print(table)


def _names(head: str) -> Column:
    """A column of names, which are told in full however narrow the terminal is."""
    return Column(head, overflow="fold", min_width=16)


def _print_left_out(record: Mapping[str, Any], console: Console) -> None:
    sets = ("hard without it", "1-crop there", "any zoom there", "hard without it and zooms", "1-crop there")
    table = Table(_names("miner"), "1-crop on all images", *sets)
    for row in record["miners"]:
        shares = [_share(row[name]) for name in ("all", "hard", "any_zoom", "zoom_free")]
        cells = (shares[0], f"{row['hard']['n']:,}", *shares[1:3], f"{row['zoom_free']['n']:,}", shares[3])
        table.add_row(escape(row["miner"]), *cells)
    console.print(table)


def _share(share: Mapping[str, Any]) -> str:
    if not share["n"]:
        return "–"
    return f"{percent(share['value'])} ({percent(share['low'])} – {percent(share['high'])})"


def _times(many: int, few: int) -> str:
    return f"{many / few:.2f}" if few else "–"
