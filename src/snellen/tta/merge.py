"""From the answers of several views of an image to one: mean, max, gmean, vote, confident-k, zero.

Written for the Python array API: NumPy arrays and torch tensors alike.
"""

import re
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from snellen.errors import UsageError
from snellen.labels import ClassMap

MERGES = ("mean", "max", "gmean", "vote", "confident-k", "zero")
# The share of views that ZERO keeps: its released code's `gamma`.
ZERO_SHARE = 0.3


@dataclass(frozen=True)
class Merge:
    """How the views' answers become one. `name`: one of MERGES; `k`: the views that confident-k keeps, else 0.

    >>> str(parse_merge("confident-8"))
    'confident-8'
    """

    name: str
    k: int = 0

    def __str__(self) -> str:
        return f"confident-{self.k}" if self.k else self.name

    def check(self, views: int) -> None:
        """Raise UsageError where there are fewer views than it keeps."""
        if self.k > views:
            raise UsageError(f"{self}: there are only {views} views; give a number from 1 to {views}")


def parse_merge(text: str) -> Merge:
    """The merge that `text` names; UsageError where it names none."""
    found = re.fullmatch(r"confident-(\d+)", text)
    if found and int(found[1]) > 0:
        return Merge("confident-k", int(found[1]))
    if text in MERGES and text != "confident-k":
        return Merge(text)
    raise UsageError(f"unknown merge {text!r}; expected {', '.join(MERGES)} (k from 1 on: confident-8)")


def merged(probs: Any, merge: Merge, classes: ClassMap | None = None) -> Any:
    """One answer an image: scores `[images, classes]` of probabilities `[images, views, classes]`, same kind of array.

    `mean`: the mean of the probabilities. `max`: the highest of each class, as published not scaled to sum to 1.
    `gmean`: the geometric mean, scaled to sum to 1 (the softmax of the mean logits).
    `vote`: each view votes for its arg-max, the mean probability is one vote more, shared out by class: so the class
        with most views wins, a tie goes to the larger mean, and the scores sum to 1.
    `confident-k`: the mean over the k views whose highest probability is highest, ties to the earlier view.
    `zero`: the vote of the 30 % of views (at least one) whose entropy is lowest, ties to the earlier view.

    classes: where several ids of a head are one class, their votes count together, under the class's first id; ids
        that take no part have probability 0 in `probs` and score 0.
    Equal scores are for the caller to order; `engine/answers.py` takes the lowest id.

    Methods: mean and max, arXiv 2304.05538, the aggregation table; zero, Farina et al. 2024, "Frustratingly Easy
    Test-Time Adaptation of Vision-Language Models", arXiv 2405.18330 (a softmax of temperature zero is a vote).

    >>> views = np.array([[[0.6, 0.4], [0.4, 0.6], [0.1, 0.9]]])
    >>> merged(views, Merge("max")).tolist(), merged(views, Merge("vote")).round(3).tolist()
    ([[0.6, 0.9]], [[0.342, 0.658]])
    """
    xp = array_api_compat.array_namespace(probs)
    merge.check(probs.shape[1])
    if merge.name == "mean":
        return xp.mean(probs, axis=1)
    if merge.name == "max":
        return xp.max(probs, axis=1)
    if merge.name == "gmean":
        return _gmean(xp, probs)
    if (order := kept_views(probs, merge)) is not None:
        probs = probs[xp.arange(probs.shape[0], device=array_api_compat.device(probs))[:, None], order]
    return xp.mean(probs, axis=1) if merge.name == "confident-k" else _vote(xp, probs, classes)


def kept_views(probs: Any, merge: Merge) -> Any | None:
    """Which views count where a merge looks at some alone: whole numbers `[images, kept]`; None where all count.

    probs: `[images, views, classes]`.
    """
    xp = array_api_compat.array_namespace(probs)
    if merge.name == "confident-k":
        confidence, k = xp.max(probs, axis=2), merge.k
    elif merge.name == "zero":
        confidence, k = -_entropy(xp, probs), max(1, int(ZERO_SHARE * probs.shape[1]))
    else:
        return None
    return xp.argsort(confidence, axis=1, descending=True, stable=True)[:, :k]


def _gmean(xp: Any, probs: Any) -> Any:
    tiny = xp.finfo(probs.dtype).smallest_normal
    there = xp.max(probs, axis=1, keepdims=True) > 0  # a class that takes no part is 0 in every view
    return geometric_mean(xp.where(there, xp.log(xp.where(probs < tiny, tiny, probs)), -xp.inf))


def geometric_mean(logs: Any) -> Any:
    """The merge `gmean` of natural-log probabilities `[images, views, classes]`: scores `[images, classes]`.

    -inf in every view for ids that take no part.
    """
    xp = array_api_compat.array_namespace(logs)
    logs = xp.mean(logs, axis=1)
    powers = xp.exp(logs - xp.max(logs, axis=1, keepdims=True))
    return powers / xp.sum(powers, axis=1, keepdims=True)


def _entropy(xp: Any, probs: Any) -> Any:
    return -xp.sum(probs * xp.log(xp.where(probs > 0, probs, 1.0)), axis=2)


def _vote(xp: Any, probs: Any, classes: ClassMap | None) -> Any:
    shares = xp.mean(probs, axis=1)
    choice = xp.argmax(probs, axis=2)
    if classes is not None and classes.many_to_one:
        firsts = classes.members[:, 0]
        lead = xp.asarray(np.where(classes.of_id >= 0, firsts[classes.of_id], 0), device=array_api_compat.device(probs))
        choice = lead[choice]
        best = [xp.max(shares[:, ids], axis=1) for ids in map(list, classes.ids)]
        shares = xp.zeros_like(shares)
        for first, value in zip(firsts.tolist(), best, strict=True):
            shares[:, first] = value
    numbers = xp.arange(probs.shape[2], device=array_api_compat.device(probs))
    votes = xp.sum(xp.astype(choice[:, :, None] == numbers, probs.dtype), axis=1)
    return (votes + shares) / (probs.shape[1] + 1)
