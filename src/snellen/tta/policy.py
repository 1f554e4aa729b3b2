"""Policies: an order of views and a rule that says when an image's answer is settled, as a small JSON file."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from snellen.atomic import write_atomic, writing
from snellen.errors import UsageError
from snellen.zoom.grid import Anchor, Filter, Fit, Grid, ViewRule

FORMAT = 1
# Sides of a window and of a resized image that a policy may ask for: what a file says must not fill the memory.
LARGEST = 1 << 14


@dataclass(frozen=True)
class Policy:
    """Views in the order in which they are shown, and when to stop.

    After k of K views the answer is settled where the lead of the best class over the second, in the mean of the
    views' probabilities, is at least `threshold` x sqrt(1/k - 1/K): the lead that chance could still undo shrinks as
    the views that are left do.

    grid: the name of the grid it was learned on, and the view rules in order.
    error: the share of images whose answer may differ from that of all K views; `confidence` of the statement.
    disagreements, images: of the images the threshold was chosen on, how many were answered otherwise.
    bound: the upper confidence bound of the error that follows; at most `error`.
    forwards: the mean number of views on those images.
    learned_on: a record for each run: model, data, fingerprints, images.
    """

    grid: Grid
    threshold: float
    error: float
    confidence: float
    disagreements: int
    images: int
    bound: float
    forwards: float
    learned_on: tuple[dict[str, Any], ...] = ()

    @property
    def rules(self) -> tuple[ViewRule, ...]:
        """The view rules, in the order in which they are shown."""
        return self.grid.rules

    def __len__(self) -> int:
        return len(self.grid)

    def settled(self, total: Any, k: int) -> Any:
        """Whether each answer is settled: bool `[images]`.

        total: the sum of the probabilities of the first `k` views, `[images, classes]`, NumPy or torch.
        """
        return lead(total / k) >= self.threshold * spread(k, len(self))

    def stops(self, probs: NDArray[np.floating[Any]], budget: int | None = None) -> NDArray[np.intp]:
        """After how many views each image's answer is settled: intp `[images]`, 1 … K or `budget`.

        probs: of all views in the policy's order, `[images, K, classes]`.
        """
        last = len(self) if budget is None else min(budget, len(self))
        return first_settled(leads(probs[:, :last]), self.threshold, len(self))

    def to_json(self) -> dict[str, Any]:
        """The plain form that the file holds."""
        return {
            "format": FORMAT,
            "kind": "snellen policy",
            "rule": {"name": "lead", "threshold": self.threshold},
            "error": self.error,
            "confidence": self.confidence,
            "fitted": {
                "disagreements": self.disagreements,
                "images": self.images,
                "bound": self.bound,
                "forwards": self.forwards,
            },
            "learned_on": list(self.learned_on),
            "grid": self.grid.to_json(),
        }

    def save(self, path: Path) -> None:
        """Write the file; one that is there is replaced."""
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(self.to_json(), indent=1).encode())


def lead(means: Any) -> Any:
    """The best class's lead over the second: `[images]` of `[images, classes]`, NumPy or torch."""
    xp = array_api_compat.array_namespace(means)
    ordered = xp.sort(means, axis=-1)
    return ordered[..., -1] - ordered[..., -2]


def leads(probs: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The lead in the mean of the first k views, for every k: float32 `[images, k]` of `[images, views, classes]`."""
    found = np.empty(probs.shape[:2], np.float32)
    total = np.zeros((probs.shape[0], probs.shape[2]), np.float32)
    for k in range(probs.shape[1]):
        total += probs[:, k]
        best = np.partition(total, -2, axis=1)[:, -2:]
        found[:, k] = (best[:, 1] - best[:, 0]) / (k + 1)
    return found


def spread(k: int, views: int) -> float:
    """What the mean of the first `k` of `views` can still stray from the mean of all, as a share of its deviation."""
    return math.sqrt(1 / k - 1 / views)


def first_settled(found: NDArray[np.float32], threshold: float, views: int) -> NDArray[np.intp]:
    """How many views each image needs: intp `[images]` of its leads `[images, views shown]`; the last ends it anyway.

    views: how many there would be in all.
    """
    needed = threshold * np.array([spread(k + 1, views) for k in range(found.shape[1])])
    settled = found >= needed
    settled[:, -1] = True
    return np.asarray(settled.argmax(axis=1) + 1, np.intp)


def read_policy(path: str | Path) -> Policy:
    """The policy that a file holds; UsageError where it is none, damaged or of another format."""
    what = f"policy {str(path)!r}"
    try:
        record = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {error.strerror}; `snellen fit RUN -o {path}` makes one") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} is damaged: no JSON ({error}); fit it again") from error
    if not isinstance(record, dict) or record.get("kind") != "snellen policy":
        raise UsageError(f"{what} is no policy; `snellen fit RUN -o FILE` makes one")
    if record.get("format") != FORMAT:
        raise UsageError(f"{what} is of format {record.get('format')!r}, not {FORMAT}; fit it again")
    try:
        fitted = record["fitted"]
        policy = Policy(
            grid=Grid.from_json(record["grid"]),
            threshold=float(record["rule"]["threshold"]),
            error=float(record["error"]),
            confidence=float(record["confidence"]),
            disagreements=int(fitted["disagreements"]),
            images=int(fitted["images"]),
            bound=float(fitted["bound"]),
            forwards=float(fitted["forwards"]),
            learned_on=tuple(dict(run) for run in record["learned_on"]),
        )
        whole = record["rule"]["name"] == "lead" and _sound(policy)
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise UsageError(f"{what} is damaged: fields are missing or make no sense; fit it again")
    return policy


def _sound(policy: Policy) -> bool:
    rules = policy.rules
    return (
        len(rules) > 0
        and len(set(rules)) == len(rules)
        and len({rule.size for rule in rules}) == 1
        and all(_possible(rule) for rule in rules)
        and math.isfinite(policy.threshold)
        and policy.threshold > 0
        and 0 < policy.error < 1
        and 0 < policy.confidence < 1
    )


def _possible(rule: ViewRule) -> bool:
    numbers = (rule.resize, rule.row, rule.col, rule.size, rule.scale)
    return (
        all(type(number) is int for number in numbers)
        and 1 <= rule.resize <= LARGEST
        and 1 <= rule.size <= LARGEST
        and rule.row in (0, 1, 2)
        and rule.col in (0, 1, 2)
        and rule.filter in get_args(Filter)
        and rule.anchor in get_args(Anchor)
        and rule.fit in get_args(Fit)
        and isinstance(rule.flip, bool)
    )


def check_size(policy: Policy, size: int) -> None:
    """Raise UsageError where the policy's views are of another size than the model is shown."""
    if policy.grid.size != size:
        raise UsageError(
            f"the policy is of another grid: its views are {policy.grid.size} pixels wide, this model's {size}; "
            "fit one on a run of this model"
        )
