"""What decides the rows of a run, and whether a run that is there was made of the same."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.classifiers import Prepared
from snellen.classifiers.base import same_probe
from snellen.datasets import DataSet
from snellen.errors import RunMismatch
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace
from snellen.redact import redacted
from snellen.zoom.grid import Grid
from snellen.zoom.render import render_plain


def fingerprint(
    dataset: DataSet, prepared: Prepared, grid: Grid, classes: ClassMap | None, keep_probs: bool
) -> dict[str, Any]:
    """Everything that decides what a run's rows hold, by name; labels, limit, batch and workers do not."""
    card = prepared.card
    return {
        "images": dataset.fingerprint,
        "border": dataset.border,
        "grid": _grid_sha256(grid.to_json()),
        "rendered views": _rendered_sha256(grid),
        "model": card.source,
        "weights": card.weights,
        "options": dict(redacted(f"{key}={value}").split("=", 1) for key, value in sorted(prepared.options.items())),
        "class space": _described(card.class_space, classes),
        "inputs": dict(card.inputs),
        "normalisation": {"mean": list(card.mean), "std": list(card.std)},
        "precision": prepared.precision,
        "backend": prepared.backend,
        "all probabilities": keep_probs,
    }


def check_same(path: Path, record: dict[str, Any], parts: dict[str, Any], prepared: Prepared) -> None:
    """Raise RunMismatch, which says what differs, where the run at `path` has another fingerprint than `parts`.

    Also where its run.json is no longer what its own fingerprint says, since it was edited or damaged.
    """
    before = record["fingerprint_parts"]
    changed = [key for key in {**before, **parts} if before.get(key) != parts.get(key)]
    if not changed and not same_probe(record["model"]["card"].get("probe", ()), prepared.card.probe):
        raise RunMismatch(
            f"{str(path)!r} holds a run of something else (the network's code: other logits on the same noise); "
            "choose another -o or move it away"
        )
    if changed:
        what = "; ".join(f"{key}: {_short(before.get(key))} there, {_short(parts.get(key))} here" for key in changed)
        raise RunMismatch(f"{str(path)!r} holds a run of something else ({what}); choose another -o or move it away")
    edited = [key for key, value in _of_record(record).items() if value != parts[key]]
    if whole_fingerprint(parts) != record["fingerprint"] or edited:
        what = f"its {', '.join(edited)}" if edited else "its fingerprint"
        raise RunMismatch(
            f"{str(path / 'run.json')!r} is damaged ({what} is not what it was made with); "
            "put the file back as it was, or move the directory away"
        )


def whole_fingerprint(parts: dict[str, Any]) -> str:
    """One sha256 for all parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _of_record(record: dict[str, Any]) -> dict[str, Any]:
    """The parts of a fingerprint that can be told from the rest of a run.json."""
    model, card = record["model"], record["model"]["card"]
    space = IMAGENET_1K if card["space"] == IMAGENET_1K.name else ClassSpace.of_names(card["keys"], card["space"])
    classes = ClassMap.from_json(record["classes"]) if record.get("classes") else None
    return {
        "grid": _grid_sha256(record["grid"]),
        "model": card.get("source"),
        "weights": card.get("weights"),
        "class space": _described(space, classes),
        "inputs": dict(card.get("inputs", ())),
        "normalisation": {"mean": card.get("mean"), "std": card.get("std")},
        "precision": model["precision"],
        "backend": model.get("backend"),
    }


def _grid_sha256(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def _described(space: ClassSpace, classes: ClassMap | None) -> str:
    mask = f", masked to {classes.name} {classes.fingerprint}" if classes else ""
    return f"{space.name} {space.fingerprint}{mask}"


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:8]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _rendered_sha256(grid: Grid) -> str:
    """sha256 of the pixels this Pillow makes of fixed pictures, so that another Pillow's rounding is noticed.

    One is small and wide. The other is tall, and shown at the smallest scale, to which it shrinks: of such a picture
    Pillow 13 resizes the columns before the rows, and the versions before it do not. All views have the pixels of
    Pillow's whole resizes, however they are cut; these do without numba.
    """
    smallest = min(rule.resize for rule in grid.rules)
    shrinking = [rule for rule in grid.rules if rule.resize == smallest]
    digest = hashlib.sha256(render_plain(_picture(36, 24), grid.rules).tobytes())
    width = smallest + smallest // 4 + 1
    digest.update(render_plain(_picture(width, 5 * width // 2), shrinking).tobytes())
    return digest.hexdigest()


def _picture(width: int, height: int) -> Image.Image:
    x, y, c = np.arange(width, dtype=np.int32), np.arange(height, dtype=np.int32)[:, None], np.arange(3, dtype=np.int32)
    pixels: NDArray[np.uint8] = (((x * x + 7 * y * x)[..., None] + 13 * y[..., None] * c) % 251).astype(np.uint8)
    return Image.fromarray(pixels)
