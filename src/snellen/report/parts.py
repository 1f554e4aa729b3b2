"""What the tables of a report share: how rows are named, published numbers beside ours, what is as good as the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share
from snellen.analysis.compare import groups
from snellen.analysis.cover import TOP_K
from snellen.analysis.published import lookup
from snellen.analysis.summary import Summary
from snellen.analysis.survey import Survey
from snellen.report.names import DataGroup, data_groups
from snellen.report.table import Number, number

# What names the row of a run; its spec and precision stand in the CSV alone, for `model` tells runs apart.
RUN_KEYS = ("data", "labels", "model", "spec", "precision")
HIDDEN = ("spec", "precision")
TIES = (
    "Bold: the best, and all that cannot be told apart from it (paired McNemar tests on the same images, "
    "Holm-corrected, 5 %)."
)


@dataclass(frozen=True)
class Parts:
    """A survey as its tables see it."""

    survey: Survey

    @property
    def summaries(self) -> list[Summary]:
        """The runs by each label source."""
        return self.survey.summaries

    @cached_property
    def groups(self) -> list[DataGroup]:
        """Which of them may be compared."""
        return data_groups(self.summaries)

    @cached_property
    def order(self) -> list[int]:
        """Places of the summaries, those that may be compared beside each other."""
        return [place for group in self.groups for place in group.members]

    def names(self, place: int) -> tuple[str, ...]:
        """What names the row of a summary: a text for each of `RUN_KEYS`."""
        summary = self.summaries[place]
        return summary.data_name, summary.labels, self.survey.names[place], summary.model, summary.precision

    def number(self, place: int, share: Share | None, metric: str = "", best: bool = False) -> Number | None:
        """A share of a summary with what is published for it by that metric; None where there is no share."""
        if share is None:
            return None
        published, source = self.published(place, metric)
        return number(share, published=None if published is None else published / 100, source=source, best=best)

    def published(self, place: int, metric: str) -> tuple[float | None, str]:
        """What is published for a number of a summary, in percent or a count, and where; None where nothing is."""
        summary = self.summaries[place]
        found = lookup(summary.data_name, summary.labels, summary.model, metric)
        return (found[0].value, found[0].source) if found else (None, "")

    @cached_property
    def best(self) -> "Best":
        """Which runs are best at what."""
        return Best(self)


class Best:
    """Which runs are best at something, or cannot be told apart from the best.

    What is unpacked of a run is a bit for each image and each measure, once.
    """

    def __init__(self, parts: Parts) -> None:
        self._places: dict[int, NDArray[np.intp]] = {}
        self._right: dict[int, dict[str, NDArray[np.bool_]]] = {}
        for group in parts.groups:
            some = [parts.summaries[place] for place in group.members]
            if len(some) > 1:
                lists = [summary.scored_ids for summary in some]
                common = set(lists[0]).intersection(*lists[1:])
                for place, ids in zip(group.members, lists, strict=True):
                    order = sorted((image, row) for row, image in enumerate(ids) if image in common)
                    self._places[place] = np.array([row for _, row in order], np.intp)
                    self._right[place] = measures(parts.summaries[place])

    def of(self, members: Sequence[int], measure: str) -> set[int]:
        """Of some summaries of one data set by one label source those that are as good as the best.

        Paired on the images that all of them have. Empty where there is one alone, or no such image.
        """
        there = [place for place in members if measure in self._right.get(place, {})]
        if len(there) < 2 or not len(self._places[there[0]]):
            return set()
        letters = groups({str(place): self._right[place][measure][self._places[place]] for place in there})
        best = set(next(iter(letters.values())))
        return {int(place) for place, mine in letters.items() if best & set(mine)}


def measures(summary: Summary) -> dict[str, NDArray[np.bool_]]:
    """Whether a run is right on each scored image, bool `[images]`, at each measure that has a best run."""
    kinds: dict[str, Sequence[int]] = {"upper_bound": range(summary.zooms), f"top_{TOP_K}": summary.cover[:TOP_K]}
    kinds |= {} if summary.grid.one_crop is None else {"one_crop": [summary.grid.one_crop]}
    kinds |= {f"groups.{name}": zooms.tolist() for name, zooms in summary.grid.groups.items()}
    correct = summary.correct
    found = {name: np.any(correct[:, list(zooms)], axis=1) for name, zooms in kinds.items()}
    return found | {f"merged.{group}.{merge}": right for (group, merge), right in summary.merged_right.items()}
