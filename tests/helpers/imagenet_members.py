"""The ImageNet family for tests: classes, names of files, what the released sets count, labels by image."""

import importlib.util
from pathlib import Path

from snellen.labels import IMAGENET_1K, ClassSpace

WNID = IMAGENET_1K.keys
TENCH, GOLDFISH, SHARK = WNID[:3]
# Of ImageNet-A and of ImageNet-R, by their own lists.
STINGRAY, GOLDFINCH = "n01498041", "n01531178"
# Where timm keeps the lists of the family's classes.
INFO = Path(importlib.util.find_spec("timm").origin).parent / "data" / "_info"
# The same classes, last to first.
TURNED = ClassSpace.of_names(WNID[::-1], "turned")


def val(number):
    """How a validation image is called."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def labels_of(dataset, source=None, space=IMAGENET_1K):
    """The class ids of every image, by its id."""
    ids = [item.id for item in dataset.items]
    return dict(zip(ids, dataset.label_sets(ids, space, source), strict=True))


# Images of the released sets, as their papers count them; the others have 10,000 (V2) or 50,000.
OFFICIAL = {"imagenet-a": 7_500, "imagenet-r": 30_000, "imagenet-sketch": 50_889, "imagenet-hard": 10_980}
OFFICIAL["imagenet-hard-4k"] = OFFICIAL["imagenet-hard"]
