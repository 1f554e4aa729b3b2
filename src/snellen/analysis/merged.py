"""Accuracy of answers that are merged over a group of zooms."""

import numpy as np
import pyarrow.compute as pc

from snellen.analysis.accuracy import Share, share
from snellen.labels import correct_by_labels
from snellen.store import Run


def merged_accuracy(run: Run, labels: str | None = None) -> dict[str, dict[str, Share]]:
    """By group of zooms (and `all`) and by merge (`mean`, `max` of the softmax): the accuracy of the merged answer.

    Empty for a run that holds no merged answers. Method: arXiv 2304.05538, the aggregation table.
    """
    table = run.table("merged", ["image", "group", "merge", "id0"])
    label_sets, rows = run.labels(labels), run.scored(labels)
    kept = [label_sets[row] for row in rows]
    found: dict[str, dict[str, Share]] = {}
    for group in dict.fromkeys(table["group"].to_pylist()):
        for merge in dict.fromkeys(table["merge"].to_pylist()):
            part = table.filter(pc.and_(pc.equal(table["group"], group), pc.equal(table["merge"], merge)))
            answers = np.full(len(run.images), -1, np.int32)
            answers[np.searchsorted(run.images, part["image"].to_numpy())] = part["id0"].to_numpy()
            right = correct_by_labels(answers[rows], kept, len(run.class_space))
            found.setdefault(group, {})[merge] = share(right)
    return found
