"""Duplicates on a terminal: how many of each kind, how many images leave, and the pairs."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from snellen.mining.duplicates.duplicates import Duplicates

# Pairs, and unreadable images, that a terminal shows.
SHOWN, SHOWN_UNREADABLE = 20, 10
KINDS = ("bytes", "pixels", "copy", "crop", "flip", "rotation")


def duplicates_json(found: "Duplicates") -> dict[str, Any]:
    """A plain form: the counts, and a pair for each image that leaves."""
    rows = found.table.to_pylist()
    pairs = _pairs(rows)
    return {
        "images": found.images,
        "reference": found.reference,
        "clusters": len({row["cluster"] for row in rows}),
        "leave": len(pairs),
        "in_reference": len({row["cluster"] for row in rows if row["reference"]}),
        "kinds": _kinds(pairs),
        "pairs": pairs,
        "unreadable": [list(one) for one in found.unreadable],
    }


def print_duplicates(found: "Duplicates", path: Path, console: Console) -> None:
    """Print what was found, the pairs that are least alike first."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    told = duplicates_json(found)
    compared = f"{found.images:,} images" + (f" and {found.reference:,} of the reference" if found.reference else "")
    with_reference = f", {told['in_reference']:,} of them with the reference" if found.reference else ""
    line(
        f"{compared}: {told['clusters']:,} clusters of one picture{with_reference}; {told['leave']:,} images leave",
        "bold",
    )
    pairs = told["pairs"]
    if pairs:
        table = Table("kind", "clusters", "images")
        for kind, counts in told["kinds"].items():
            table.add_row(kind, f"{counts['clusters']:,}", f"{counts['images']:,}")
        console.print(table)
        table = Table("score", "kind", "image that leaves", "is the picture of")
        several = len({row[name] for row in pairs for name in ("origin", "twin_origin")}) > 1
        for row in pairs[:SHOWN]:
            one = _named(row["origin"], row["image_id"], several)
            other = _named(row["twin_origin"], row["twin_image_id"], several)
            table.add_row(f"{row['score']:.3f}", row["kind"], one, other)
        console.print(table)
    if len(pairs) > SHOWN:
        line(f"{len(pairs) - SHOWN:,} more in {path}")
    for origin, image, why in found.unreadable[:SHOWN_UNREADABLE]:
        line(f"Cannot be read: {origin} {image!r}: {why}")
    if len(found.unreadable) > SHOWN_UNREADABLE:
        line(f"… and {len(found.unreadable) - SHOWN_UNREADABLE:,} more that cannot be read")
    line(f"All clusters: {path}")


def _pairs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each image that leaves and its twin, the least alike first."""
    names = {row["id"]: (row["origin"], row["image_id"]) for row in rows}
    pairs = []
    for row in rows:
        if not (row["kept"] or row["reference"]):
            told = {name: row[name] for name in ("kind", "score", "cluster", "id", "origin", "image_id", "twin")}
            origin, image = names[row["twin"]]
            pairs.append({**told, "twin_origin": origin, "twin_image_id": image})
    return sorted(pairs, key=lambda row: row["score"])


def _kinds(pairs: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Of each kind there is, how many images leave by it, and in how many clusters."""
    found: dict[str, list[int]] = defaultdict(list)
    for pair in pairs:
        found[pair["kind"]].append(pair["cluster"])
    return {kind: {"clusters": len(set(found[kind])), "images": len(found[kind])} for kind in KINDS if found[kind]}


def _named(origin: str, image: str, several: bool) -> str:
    text = repr(image)[1:-1]
    return escape(f"{origin}: {text}" if several else text)
