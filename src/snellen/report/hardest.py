"""The hardest images of a run, with what the model said instead."""

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from snellen.datasets import open_dataset
from snellen.errors import DataError
from snellen.store import Run
from snellen.zoom.render import UnreadableImage, decode

THUMBNAIL = 200


@dataclass(frozen=True)
class HardImage:
    """One image: how many zooms read it, its labels' names, its most frequent wrong answers with their share of zooms.

    thumbnail: a JPEG as base64, or None where the image can no longer be read.
    """

    image_id: str
    winning: int
    zooms: int
    labels: list[str]
    wrong: list[tuple[str, float]]
    thumbnail: str | None


def hardest(run: Run, labels: str | None = None, most: int = 24) -> list[HardImage]:
    """The `most` images that the fewest zooms get right, hardest first; ties in the run's order."""
    rows = run.scored(labels)
    answers, every, correct = run.answers()[rows], run.labels(labels), run.correct(labels)
    label_sets, image_ids = [every[row] for row in rows], [run.image_ids[row] for row in rows]
    winning = correct.sum(axis=1)
    names = run.class_space.names
    try:
        dataset = open_dataset(run.data)
        places = {item.id: i for i, item in enumerate(dataset.items)}
    except DataError:
        dataset, places = None, {}
    hashes = dict(zip(run.samples["image_id"].to_pylist(), run.samples["sha256"].to_pylist(), strict=True))
    found = []
    for i in [k for k in np.argsort(winning, kind="stable").tolist() if not correct[k].all()][:most]:
        ids, counts = np.unique(answers[i][~correct[i] & (answers[i] >= 0)], return_counts=True)
        order = np.lexsort((ids, -counts))[:3]
        image_id = image_ids[i]
        data = None
        if dataset is not None and image_id in places:
            try:
                data = _thumbnail(dataset.read(places[image_id]), hashes[image_id])
            except (OSError, UnreadableImage):
                data = None
        found.append(
            HardImage(
                image_id,
                int(winning[i]),
                answers.shape[1],
                [names[k] for k in label_sets[i]],
                [(names[ids[k]], counts[k] / answers.shape[1]) for k in order],
                data,
            )
        )
    return found


def _thumbnail(data: bytes, sha256: str) -> str | None:
    """A small JPEG of the image the run saw, as base64; None where another image stands in its place now."""
    if hashlib.sha256(data).hexdigest() != sha256:
        return None
    image: Image.Image = decode(data)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return base64.b64encode(out.getvalue()).decode()
