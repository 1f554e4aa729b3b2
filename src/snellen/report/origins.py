"""Where the images of a data set come from, and what is published of it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from snellen.analysis.published import Published, published_origins
from snellen.store import Run


@dataclass(frozen=True)
class Origin:
    """How many images come from one place, and the published count where there is one."""

    name: str
    images: int
    published: Published | None


def image_origins(runs: Sequence[Run]) -> dict[str, list[Origin]]:
    """For each data set the places that its images come from, most images first.

    Counted in the run that knows most of its images. A published place that no image comes from counts 0. Data sets of
    one place alone are left out, and those of which no image is done yet.
    """
    largest: dict[str, Run] = {}
    for run in runs:
        if run.data_name not in largest or len(run.samples) > len(largest[run.data_name].samples):
            largest[run.data_name] = run
    found = {data: _origins(data, run) for data, run in largest.items()}
    return {data: origins for data, origins in found.items() if len(origins) > 1 and origins[0].images}


def _origins(data: str, run: Run) -> list[Origin]:
    counts = Counter(run.samples["origin"].to_pylist())
    stated = {_key(name): (name, one) for name, one in published_origins(data).items()}
    ours = [Origin(name, count, stated.pop(_key(name), ("", None))[1]) for name, count in counts.items()]
    ours += [Origin(name, 0, one) for name, one in stated.values()]
    return sorted(ours, key=lambda origin: (-origin.images, origin.name))


def _key(name: str) -> str:
    """What two spellings of a place have in common.

    >>> _key("imagenet_sketch") == _key("ImageNet-Sketch"), _key("imagenet-c/zoom_blur/3") == _key("C-zoom_blur")
    (True, True)
    """
    letters = re.sub(r"[^a-z0-9+]", "", name.lower())
    short = re.sub(r"^(imagenet(?!$|\+))", "", letters)
    return re.sub(r"^(c\D+)\d$", r"\1", short)
