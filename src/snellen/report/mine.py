"""What was mined, on a terminal: the funnel, its forwards, and each miner on what the others mine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.report.tables import percent

if TYPE_CHECKING:
    from snellen.mining.mine import Mining

# Unreadable images that a terminal shows.
SHOWN = 10
COUNTS = ("shown", "read", "failed", "left", "unreadable", "forwards")


def print_mining(mining: "Mining", console: Console) -> None:
    """Print a mined hard set."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    record = mining.record
    images = sum(source["images"] for source in record["sources"])
    needed, miners = record["miners_required"], len(record["funnel"])
    who = "every miner is" if needed == miners else f"{needed} of {miners} miners are"
    line(f"{mining.path}: {record['hard']:,} of {images:,} images are hard: {who} wrong at each zoom", "bold")
    if len(record["sources"]) > 1 or any(source["unlabelled"] for source in record["sources"]):
        table = Table("data", *("images", "without label", "unreadable", "hard"))
        for source in record["sources"]:
            cells = [f"{source[name]:,}" for name in ("images", "unlabelled", "unreadable", "hard")]
            table.add_row(escape(source["spec"]), *cells)
        console.print(table)
    table = Table("miner", *COUNTS, "times the fewest", "exhaustive", "fewer, times")
    for stage in record["funnel"]:
        times = _times(stage["forwards"], stage["floor"]), _times(stage["exhaustive"], stage["forwards"])
        cells = [f"{stage[name]:,}" for name in COUNTS]
        table.add_row(escape(stage["miner"]), *cells, times[0], f"{stage['exhaustive']:,}", times[1])
    console.print(table)
    fewer = _times(record["exhaustive"], record["forwards"])
    line(f"{record['forwards']:,} forwards where exhaustive studies take {record['exhaustive']:,}: {fewer} times fewer")
    if record["leave_one_out"]:
        _print_left_out(record["leave_one_out"], console)
        further, crops = record["leave_one_out"]["forwards"], record["leave_one_out"]["one_crop_forwards"]
        line(
            f"Accuracy in percent with its 95 % interval. It took {further:,} further forwards, and {crops:,} of 1-crop"
        )
    for data, image, why in mining.unreadable[:SHOWN]:
        line(f"Cannot be read: {data} {image!r}: {why}")
    if len(mining.unreadable) > SHOWN:
        line(f"… and {len(mining.unreadable) - SHOWN:,} more that cannot be read")


def _print_left_out(record: Mapping[str, Any], console: Console) -> None:
    sets = ("hard without it", "1-crop there", "any zoom there", "hard without it and zooms", "1-crop there")
    table = Table("miner", "1-crop on all images", *sets)
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
