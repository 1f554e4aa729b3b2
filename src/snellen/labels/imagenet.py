"""Labels of the ImageNet validation images (the set's own and ReaL's), and the classes of ImageNet-A and ImageNet-R."""

import importlib.util
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from snellen.errors import DataError
from snellen.labels.space import IMAGENET_1K, ClassSpace

IMAGENET, REAL, BOTH = "imagenet", "real", "imagenet+real"
# The label sources of the validation images; `imagenet+real` accepts the classes of either.
SOURCES = (IMAGENET, REAL, BOTH)
VALIDATION_IMAGES = 50_000

# `imagenet_val.npy` is the class of every validation image in the order of file names, int16 [50000]: the ground
# truth of the ILSVRC 2012 development kit, as the package tensorflow-datasets lists it
# (datasets/imagenet2012/validation_labels.txt, Apache-2.0).
GROUND_TRUTH = "imagenet_val.npy"

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})(?!\d)")


def validation_name(number: int) -> str:
    """The file name of a validation image, 1 … 50,000.

    >>> validation_name(293)
    'ILSVRC2012_val_00000293.JPEG'
    """
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def validation_number(name: str) -> int | None:
    """Which validation image a path or file name is, 1 … 50,000; None where it does not say.

    >>> validation_number("val/n01440764/ILSVRC2012_val_00000293.JPEG"), validation_number("tench.jpg")
    (293, None)
    """
    found = _NUMBER.search(name.rpartition("/")[2])
    number = int(found[1]) if found else 0
    return number if 1 <= number <= VALIDATION_IMAGES else None


def validation_keys(number: int, source: str = IMAGENET) -> list[str]:
    """The WordNet ids accepted for a validation image, 1 … 50,000, by one of `SOURCES`; ReaL's may be empty.

    ReaL: Beyer et al., "Are we done with ImageNet?", arXiv 2006.07159; 3,163 images have no label there.
    """
    check_source(source, SOURCES, "the ImageNet validation images")
    own = [_ground_truth()[number - 1]] if source != REAL else []
    real = _real_labels()[number - 1] if source != IMAGENET else []
    return [IMAGENET_1K.keys[i] for i in dict.fromkeys([*own, *real])]


def validation_labels(source: str = IMAGENET, space: ClassSpace = IMAGENET_1K) -> tuple[list[str], list[list[int]]]:
    """File names and label sets of all 50,000 validation images, in the order of file names; no image is needed.

    Raises DataError for a source that is none of `SOURCES`, and for a class that `space` does not have.

    >>> names, labels = validation_labels("real")
    >>> names[1], labels[1], sum(not accepted for accepted in labels)
    ('ILSVRC2012_val_00000002.JPEG', [795, 970], 3163)
    """
    numbers = range(1, VALIDATION_IMAGES + 1)
    labels = ids_of_keys((validation_keys(number, source) for number in numbers), space)
    return [validation_name(number) for number in numbers], labels


def subset_keys(name: str) -> tuple[str, ...]:
    """The WordNet ids of the 200 classes of ImageNet-A (`a`) or ImageNet-R (`r`), ascending; timm ships the lists."""
    return tuple(sorted(_shipped_by_timm(f"imagenet_{name}_synsets.txt").read_text(encoding="utf-8").split()))


def ids_of_keys(rows: Iterable[Sequence[str]], space: ClassSpace) -> list[list[int]]:
    """The ids in `space` of each row of keys, ascending; DataError for a key that `space` does not have."""
    find = space.finder()
    return [sorted(find(key) for key in row) for row in rows]


def check_source(source: str, sources: Sequence[str], what: str) -> None:
    """DataError where `source` is none of the label sources of `what`."""
    if source not in sources:
        raise DataError(f"no labels {source!r} for {what}: there is {', '.join(sources)}")


@cache
def _ground_truth() -> list[int]:
    with files(__package__).joinpath(GROUND_TRUTH).open("rb") as file:
        labels: list[int] = np.load(file, allow_pickle=False).tolist()
    return labels


@cache
def _real_labels() -> list[list[int]]:
    labels: list[list[int]] = _read_json(_shipped_by_timm("imagenet_real_labels.json"))
    return labels


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _shipped_by_timm(name: str) -> Path:
    """A data file of the installed timm, found without importing it, which takes seconds."""
    timm = importlib.util.find_spec("timm")
    path = Path(timm.origin).parent / "data" / "_info" / name if timm and timm.origin else Path(name)
    if not path.is_file():
        raise DataError(f"the installed timm lacks data/_info/{name}; install timm 1.0.15 or later")
    return path
