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
from snellen.files import make_folder, read_bytes
from snellen.places import place
from snellen.zoom.grid import Anchor, Filter, Fit, Grid, ViewRule

FORMAT = 1
RULE = "z of the lead"
# Views that an image is shown at least.
LEAST = 2
# Sides of a window and of a resized image that a policy may ask for: what a file says must not fill the memory.
LARGEST = 1 << 14


@dataclass(frozen=True)
class Policy:
    """Views in the order in which they are shown, and when to stop.

    After k of K views the answer is settled where the best two classes, of mean probability p and q over these views,
    have (p - q) / sqrt((p + q) (1/k - 1/K)) >= `threshold`: the sign test's z of the lead, where the views are drawn
    without replacement, so that it grows without bound as fewer are left that could undo the lead. At least two are
    shown.

    grid: the name of the grid it was learned on, and the view rules in order.
    error: the chance of an answer other than that of all K views, for an image like those it was learned from, by the
        model and at the precision of the runs it was learned from. Of a `budget` below K it says nothing: an image that
        is still open then is answered as it stands.
    disagreements, images: of the images the threshold was chosen on, how many it or a higher one answers otherwise.
    forwards: the mean number of views on those images.
    learned_on: a record for each run: model, data, fingerprints, images.
    learned_from: the images of all of them, as `analysis/learned.py` joins them.
    """

    grid: Grid
    threshold: float
    error: float
    disagreements: int
    images: int
    forwards: float
    learned_on: tuple[dict[str, Any], ...] = ()
    learned_from: str = ""

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
        return settled(total, k, len(self), self.threshold)

    def to_json(self) -> dict[str, Any]:
        """The plain form that the file holds."""
        return {
            "format": FORMAT,
            "kind": "snellen policy",
            "rule": {"name": RULE, "threshold": self.threshold},
            "error": self.error,
            "fitted": {
                "disagreements": self.disagreements,
                "images": self.images,
                "forwards": self.forwards,
            },
            "learned_on": list(self.learned_on),
            "learned_from": self.learned_from,
            "grid": self.grid.to_json(),
        }

    def save(self, path: Path) -> None:
        """Write the file; one that is there is replaced."""
        with writing(path.parent):
            make_folder(path.parent)
            write_atomic(path, json.dumps(self.to_json(), indent=1).encode())


def lead_z(total: Any, k: int, views: int) -> Any:
    """How sure the lead of the best class is, in deviations: `[images]`; infinite once all views are shown.

    One view says nothing of what the next may say: its lead is never sure, and -infinite here. Where several ids of a
    head are one class they are rivals all the same: such an image may be shown more views than it needs, never fewer.

    total: the sum of the probabilities of the first `k` of `views` views, `[images, classes]`, NumPy or torch.
    """
    xp = array_api_compat.array_namespace(total)
    ordered = xp.sort(total, axis=-1) / k
    first, second = ordered[..., -1], ordered[..., -2]
    if k < min(LEAST, views) or k == views:
        return xp.full_like(first, xp.inf if k == views else -xp.inf)
    return (first - second) / xp.sqrt((first + second) * (1 / k - 1 / views))


def settled(total: Any, k: int, views: int, threshold: float) -> Any:
    """Whether each answer is settled after `k` of `views` views: bool `[images]`, of what `lead_z` takes."""
    return lead_z(total, k, views) >= threshold


def lead_paths(probs: NDArray[np.floating[Any]], views: int) -> NDArray[np.float32]:
    """`lead_z` after each view: float32 `[images, shown]` of `[images, shown, classes]`, of `views` in all."""
    found = np.empty(probs.shape[:2], np.float32)
    total = np.zeros((probs.shape[0], probs.shape[2]), np.float32)
    for k in range(probs.shape[1]):
        total += probs[:, k]
        found[:, k] = lead_z(np.partition(total, -2, axis=1)[:, -2:], k + 1, views)
    return found


def first_settled(paths: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """After how many views `settled` holds first: intp `[images]` of `lead_paths`; the last shown ends it anyway."""
    done = paths >= threshold
    done[:, -1] = True
    return np.asarray(done.argmax(axis=1) + 1, np.intp)


def read_policy(path: str | Path) -> Policy:
    """The policy that a file holds; UsageError where it is none, damaged or of another format."""
    what = f"policy {str(path)!r}"
    try:
        record = json.loads(read_bytes(place(path)))
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
            disagreements=int(fitted["disagreements"]),
            images=int(fitted["images"]),
            forwards=float(fitted["forwards"]),
            learned_on=tuple(dict(run) for run in record["learned_on"]),
            learned_from=str(record["learned_from"]),
        )
        whole = record["rule"]["name"] == RULE and _sound(policy)
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
