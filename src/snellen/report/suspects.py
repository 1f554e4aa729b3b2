"""Suspects on a terminal: the likeliest wrong labels, what else is wrong, and how far the score can be trusted."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from snellen.analysis.bootstrap import Estimate
from snellen.mining.suspects.suspects import Suspects
from snellen.report.tables import percent

# Images that a terminal shows.
SHOWN = 20


def suspects_json(suspects: Suspects) -> dict[str, Any]:
    """A plain form: what was learned, and the suspects; not the images of which nothing is suspected."""
    check = suspects.check
    return {
        "images": len(suspects.table),
        "models": list(suspects.models),
        "rate": suspects.rate,
        "weights": list(suspects.weights),
        "kinds": dict(_kinds(suspects)),
        "check": check and check.to_json(),
        "suspects": [row for row in suspects.table.to_pylist() if row["kind"]],
    }


def print_suspects(suspects: Suspects, path: Path, console: Console) -> None:
    """Print the suspects with the highest score, and what the score is worth."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    kinds = _kinds(suspects)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    line(f"{len(suspects.table)} images, {len(suspects.models)} models; suspects: {counts}", "bold")
    rows = [row for row in suspects.table.to_pylist() if row["kind"]]
    if rows:
        table = Table("score", "kind", "image", "label", "rather", "views that agree, %")
        for row in rows[:SHOWN]:
            table.add_row(*map(escape, _cells(suspects, row)))
        console.print(table)
    if len(rows) > SHOWN:
        line(f"{len(rows) - SHOWN} more in {path}")
    check = suspects.check
    if check is None:
        line(
            "The score was learned elsewhere: too few of these images were shown at every zoom by a study. It ranks "
            "images; as a probability it is rough"
        )
    else:
        found = check.found
        line(
            f"Tried on {check.copies} copies of {check.images} images with {check.swapped} labels swapped: AUROC "
            f"{found.auroc.value:.4f} [{found.auroc.low:.4f} – {found.auroc.high:.4f}]; with a score of "
            f"{check.threshold:g} or more, {_share(found.recall)} % of the swapped labels are found"
        )
        line(
            f"Of what is found there, at least {_share(found.precision)} % is wrong: as many were swapped, and labels "
            f"that were wrong before count as right; the scores promise {percent(check.promised)} %. In brackets: the "
            f"95 % interval over the {check.images} images"
        )
    how = "It supposes that" if check is None else "By estimate"
    line(f"{how} {percent(suspects.rate)} % of the labels are wrong")
    line(f"All images: {path}")


def _share(estimate: Estimate) -> str:
    """A share in percent with its interval."""
    return f"{percent(estimate.value)} [{percent(estimate.low)} – {percent(estimate.high)}]"


def _kinds(suspects: Suspects) -> Counter[str]:
    return Counter(kind for kind in suspects.table["kind"].to_pylist() if kind)


def _cells(suspects: Suspects, row: dict[str, Any]) -> tuple[str, ...]:
    names = suspects.space.names
    score = "–" if row["score"] is None else f"{row['score']:.3f}"
    image = repr(row["image_id"])[1:-1]
    named = [", ".join(names[k] for k in row[column]) for column in ("labels", "proposed")]
    return score, row["kind"], image, *named, "–" if row["share"] is None else f"{100 * row['share']:.0f}"
