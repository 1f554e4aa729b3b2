"""Accuracy of answers that are merged over a group of zooms."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.analysis.answers import Answers, rows_of


def merged_accuracy(answers: Answers, labels: str | Path | None = None) -> dict[str, dict[str, Share]]:
    """By group of zooms (and `all`) and by merge (`mean`, `max` of the softmax): the accuracy of the merged answer.

    Empty for a run that holds no merged answers. Method: arXiv 2304.05538, the aggregation table.
    """
    found: dict[str, dict[str, Share]] = {}
    for (group, merge), right in merged_right(answers, labels).items():
        found.setdefault(group, {})[merge] = share(right)
    return found


def merged_right(answers: Answers, labels: str | Path | None = None) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """By group of zooms and merge whether the merged answer is right: bool `[scored images]`."""
    merged = answers.merged
    if not merged:
        return {}
    label_sets, rows = answers.labels(labels), answers.scored(labels)
    right = answers.run.score(rows_of(np.stack(list(merged.values()), axis=1), rows), [label_sets[row] for row in rows])
    return dict(zip(merged, right.T, strict=True))
