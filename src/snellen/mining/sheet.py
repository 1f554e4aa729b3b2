"""The CSV that a reviewer fills in: three empty columns, and what is known of each image."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.labels import ClassSpace
from snellen.mining.csv_cells import write_sheet
from snellen.mining.hardset import HardImage, HardSet
from snellen.mining.log import Verdict
from snellen.mining.mined import read_rows

# In the order of columns.
TO_FILL = ("verdict", "labels", "reason")
OWN = ("your_verdict", "your_labels", "your_reason")
SAID = ("conflict", "said")
SHOWN = (
    *("image_id", "origin", "width", "height", "current_labels", "current_names"),
    *("candidate_labels", "candidate_names", "miners", "failed_zooms", "answers"),
    *("suspect", "suspect_score", "duplicate", "duplicate_of", "duplicate_score"),
)
KEYS = ("id", "sha256", "based_on", "exported_for")
# Without these a row cannot be checked.
NEEDED = (*TO_FILL, *OWN, "image_id", "origin", "current_labels", *KEYS)
BETWEEN = " | "


def sheet(hard_set: HardSet, reviewer: str | None = None, only_conflicts: bool = False) -> bytes:
    """The CSV of a hard set for one reviewer, or for anybody who has said nothing yet: a row for each mined image.

    It shows what this reviewer said before, which its verdicts will replace, and nobody else's verdicts.
    only_conflicts: the images in conflict alone, with what everybody said; its verdicts will replace all of that.

    Raises DataError where the evidence beside the images is damaged.
    """
    why: dict[str, list[str]] = defaultdict(list)
    for conflict in hard_set.conflicts:
        why[conflict.image.id].append(conflict.why)
    evidence = _evidence(hard_set.mined.folder, hard_set)
    rows = []
    for image in hard_set.images:
        key = image.mined.id
        if only_conflicts and key not in why:
            continue
        own = [verdict for verdict in image.standing if verdict.reviewer == reviewer]
        seen = image.standing if only_conflicts else own
        row = _known(image, hard_set.space, evidence[key]) | said_before(own)
        row |= {"id": key, "sha256": image.mined.sha256, "exported_for": reviewer or ""}
        row |= {"based_on": " ".join(verdict.key for verdict in seen)}
        row |= {"conflict": BETWEEN.join(why[key]), "said": BETWEEN.join(map(in_words, image.standing))}
        rows.append(row)
    return write_sheet((*TO_FILL, *OWN, *(SAID if only_conflicts else ()), *SHOWN, *KEYS), rows)


def keys_shown(labels: Iterable[int], space: ClassSpace) -> str:
    """Classes as a cell shows them."""
    return BETWEEN.join(space.keys[k] for k in labels)


def said_before(own: Sequence[Verdict]) -> dict[str, str]:
    """What a reviewer said before, as `OWN` shows it."""
    texts = (
        [one.verdict for one in own],
        [BETWEEN.join(one.labels) for one in own],
        [one.reason for one in own],
    )
    return {name: BETWEEN.join(filter(None, cells)) for name, cells in zip(OWN, texts, strict=True)}


def in_words(verdict: Verdict) -> str:
    """Who said what, on one line that does nothing to a terminal."""
    labels = f" {BETWEEN.join(verdict.labels)}" if verdict.labels else ""
    reason = f" ({' '.join(verdict.reason.split())})" if verdict.reason else ""
    text = f"{verdict.reviewer}: {verdict.verdict}{labels}{reason}"
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _known(image: HardImage, space: ClassSpace, evidence: Mapping[str, Any]) -> dict[str, str]:
    mined, suspect = image.mined, evidence["suspect"]
    # Proposed by all views together, then what each miner answers most.
    candidates = dict.fromkeys((*(suspect.get("proposed") or ()), *(answer for answer, _ in mined.answers)))
    others = [k for k in candidates if k not in mined.labels and 0 <= k < len(space)]
    return {
        "image_id": mined.image_id,
        "origin": mined.origin,
        "width": str(mined.width or ""),
        "height": str(mined.height or ""),
        "current_labels": keys_shown(mined.labels, space),
        "current_names": BETWEEN.join(space.names[k] for k in mined.labels),
        "candidate_labels": keys_shown(others, space),
        "candidate_names": BETWEEN.join(space.names[k] for k in others),
        "miners": BETWEEN.join(mined.miners),
        "failed_zooms": BETWEEN.join(map(str, mined.failed_zooms)),
        "answers": BETWEEN.join(f"{space.names[k]} ({share:.0%})" for k, share in mined.answers),
        "suspect": str(suspect.get("kind") or ""),
        "suspect_score": _number(suspect.get("score")),
        **evidence["duplicate"],
    }


def _evidence(folder: Path, hard_set: HardSet) -> dict[str, dict[str, Any]]:
    """For each image its row of suspects.parquet, and what to show of duplicates.parquet; empty where there is none."""
    duplicates = read_rows(folder, "duplicates") or []
    suspects = {row["id"]: row for row in read_rows(folder, "suspects") or []}
    kept = {row["cluster"]: row["image_id"] for row in duplicates if row["kept"]}
    found: dict[str, dict[str, Any]] = {
        image.mined.id: {"suspect": suspects.get(image.mined.id, {}), "duplicate": {}} for image in hard_set.images
    }
    for row in duplicates:
        if row["id"] in found:
            found[row["id"]]["duplicate"] = {
                "duplicate": "the one that is kept" if row["kept"] else str(row["kind"] or ""),
                "duplicate_of": "" if row["kept"] else str(kept.get(row["cluster"], "")),
                "duplicate_score": _number(row["score"]),
            }
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
