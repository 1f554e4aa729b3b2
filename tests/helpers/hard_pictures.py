"""A HARD folder whose images are there: every picture of some data sets, mined."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hard_set import MadeUpImage, write_hard_set

from snellen.atomic import write_atomic
from snellen.datasets import open_dataset
from snellen.labels import IMAGENET_1K, ClassSpace


def hard_pictures(
    folder: Path,
    *specs: str | Path,
    space: ClassSpace = IMAGENET_1K,
    labels: Mapping[str, Sequence[int]] | None = None,
    record: Mapping[str, object] | None = None,
    **evidence: Sequence[dict],
) -> list[MadeUpImage]:
    """Write a HARD folder of every image of these data sets, with their labels or given ones; the images."""
    images = []
    for dataset in map(open_dataset, specs):
        for k, item in enumerate(dataset.items):
            own = labels[item.id] if labels else dataset.label_sets([item.id], space)[0]
            sha256 = hashlib.sha256(dataset.read(k)).hexdigest()
            images.append(MadeUpImage(item.id, tuple(own), dataset.origin(k), sha256))
    write_hard_set(folder, images, space=space, **evidence)
    path = folder / "mine.json"
    sources = [{"spec": open_dataset(spec).spec} for spec in specs]
    write_atomic(path, json.dumps(json.loads(path.read_bytes()) | {"sources": sources} | dict(record or {})).encode())
    return images


def publish_options(*specs: str | Path, **options: object):
    """Options that leave no question open: what is undecided is kept, licences are known."""
    from snellen.mining.publish.given import Options

    licences = [f"{open_dataset(spec).name}=CC0-1.0" for spec in specs]
    return Options(**{"undecided": "keep", "licences": licences, **options})
