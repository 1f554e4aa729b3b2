"""Learning a policy from runs: an order of views, and a stopping rule with a stated error rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.errors import UsageError
from snellen.store import Run
from snellen.tta.policy import Policy, first_settled, leads
from snellen.zoom.grid import Grid

# How many views are learned where no others are named: as many as the study has scales.
VIEWS = 36
# A view that is sure of a wrong class costs no more than log of this.
FLOOR = 1e-4
# Rows that the order is learned from at most: more change nothing but the time.
MOST = 4000
# Thresholds that are tried, from one that no image passes early on to one that every image passes at once.
THRESHOLDS = np.geomspace(36.0, 0.01, 256)


@dataclass(frozen=True)
class _Rows:
    """Images of one run that have a label: rows of its answers, and a number that is the same for the same image."""

    run: Run
    rows: NDArray[np.intp]
    images: NDArray[np.intp]


def fit(
    runs: Sequence[Run],
    *,
    rules: Grid | None = None,
    views: int = VIEWS,
    error: float = 0.05,
    confidence: float = 0.9,
    images: Sequence[str] | None = None,
    seed: int = 0,
) -> Policy:
    """Learn a policy from runs that kept all probabilities (`study --keep-probs`).

    On one half of the images the order is learned: each next view is the one that raises the mean log-probability
    of the label, in the mean of the views so far, most. On the other half the threshold is chosen: from the most
    careful on, as long as the exact binomial test says at level 1 - `confidence` that the chance of an answer other
    than that of all views lies below `error`. So with probability `confidence` over the fitted images the policy's
    error rate is at most `error`, whatever the model and the data; images of another kind are not covered.

    rules: the views that may be taken, all of them in the runs' grid; the whole grid where None.
    views: how many are taken, at most.
    images: ids of the images to learn from; all where None.
    seed: of the halves.

    An image that several runs show counts once, as wrong where any of them is. Raises UsageError where a run kept no
    probabilities, grids differ, or there are too few images for such a statement.

    Methods: fixed-sequence testing of Angelopoulos et al. 2021, "Learn then Test", arXiv 2110.01052, with the exact
    binomial p-value.
    """
    if not 0 < error < 1 or not 0 < confidence < 1:
        raise UsageError(f"error={error}, confidence={confidence}: expected numbers between 0 and 1")
    if views < 2:
        raise UsageError(f"views={views}: expected at least 2")
    grid = _common_grid(runs)
    allowed = _allowed(grid, rules)
    known = _labelled(runs, images)
    count = len({image for part in known for image in part.images.tolist()})
    _check_enough(count, error, confidence)
    halves = np.zeros(max(int(part.images.max(initial=-1)) for part in known) + 1, bool)
    numbers = np.unique(np.concatenate([part.images for part in known]))
    halves[np.random.default_rng(seed).permutation(numbers)[: count // 2]] = True
    order = allowed[_order(np.concatenate([_truth(part, halves) for part in known])[:, allowed], views)]
    found = [_paths(part, ~halves, order) for part in known]
    lead, answers, image = (np.concatenate(columns) for columns in zip(*found, strict=True))
    threshold, wrong, calibrated = _threshold(lead, answers, image, error, confidence)
    return Policy(
        grid=Grid(grid.name, tuple(grid.rules[zoom] for zoom in order)),
        threshold=threshold,
        error=error,
        confidence=confidence,
        disagreements=wrong,
        images=calibrated,
        bound=_upper(wrong, calibrated, confidence),
        forwards=float(first_settled(lead, threshold, len(order)).mean()),
        learned_on=tuple(_provenance(part) for part in known),
    )


def _common_grid(runs: Sequence[Run]) -> Grid:
    if not runs:
        raise UsageError("no run to learn from; give one that `snellen study --keep-probs` made")
    grid = runs[0].grid
    for run in runs:
        if run.grid != grid:
            raise UsageError(f"{str(run.path)!r} has another grid than {str(runs[0].path)!r}; fit runs of one grid")
        if not run.keeps_probs:
            raise UsageError(
                f"{str(run.path)!r} kept no probabilities, and a policy needs the running mean of the views; "
                "make the run again with `snellen study --keep-probs` in another -o"
            )
    return grid


def _allowed(grid: Grid, rules: Grid | None) -> NDArray[np.intp]:
    if rules is None:
        return np.arange(len(grid))
    place = {rule: zoom for zoom, rule in enumerate(grid)}
    lacking = [rule for rule in rules if rule not in place]
    if lacking:
        raise UsageError(f"the runs' grid {grid.name!r} lacks {len(lacking)} of the views of {rules.name!r}")
    return np.array([place[rule] for rule in rules], np.intp)


def _labelled(runs: Sequence[Run], images: Sequence[str] | None) -> list[_Rows]:
    """The images to learn from, numbered over all runs: the same image of the same data set has one number."""
    number: dict[tuple[str, str], int] = {}
    wanted = None if images is None else set(images)
    found = []
    for run in runs:
        data = str(run.record["fingerprint_parts"].get("images", run.path))
        rows = [row for row in run.scored().tolist() if wanted is None or run.image_ids[row] in wanted]
        numbers = [number.setdefault((data, run.image_ids[row]), len(number)) for row in rows]
        found.append(_Rows(run, np.array(rows, np.intp), np.array(numbers, np.intp)))
    return found


def _check_enough(images: int, error: float, confidence: float) -> None:
    needed = 2 * int(np.ceil(np.log(1 - confidence) / np.log(1 - error)))
    if images < needed:
        raise UsageError(
            f"{images} images with a label are too few for an error rate of {error:g} at confidence {confidence:g}: "
            f"at least {needed} are needed; use more, or a higher --error"
        )


def _truth(part: _Rows, half: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The probability of the label set at every zoom, of the images of one half: float32 `[images, zooms]`."""
    labels, wanted = part.run.labels(), set(part.rows[half[part.images]].tolist())
    found = [np.empty((0, len(part.run.grid)), np.float32)]
    for rows, probs in part.run.probabilities():
        kept = [(k, row) for k, row in enumerate(rows.tolist()) if row in wanted]
        found += [probs[k][None, :, labels[row]].astype(np.float32).sum(axis=2) for k, row in kept]
    return np.concatenate(found)


def _order(truth: NDArray[np.float32], views: int) -> NDArray[np.intp]:
    """Greedy forward selection for the running mean's log-probability of the truth, ties to the lowest zoom."""
    truth = truth[np.linspace(0, len(truth) - 1, min(len(truth), MOST)).astype(int)].T.copy()
    left = np.arange(len(truth))
    total = np.zeros(truth.shape[1], np.float32)
    chosen = []
    for k in range(min(views, len(truth))):
        gains = np.log((total + truth[left]) / (k + 1) + FLOOR).mean(axis=1)
        best = left[gains.argmax()]
        chosen.append(best)
        total += truth[best]
        left = left[left != best]
    return np.array(chosen, np.intp)


def _paths(
    part: _Rows, half: NDArray[np.bool_], order: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """Leads and answers of the running mean after each view, `[images, views]`, and the images' numbers."""
    numbers = dict(zip(part.rows.tolist(), part.images.tolist(), strict=True))
    lead = [np.empty((0, len(order)), np.float32)]
    answers, images = [np.empty((0, len(order)), np.intp)], []
    for rows, probs in part.run.probabilities(order):
        kept = [k for k, row in enumerate(rows.tolist()) if row in numbers and half[numbers[row]]]
        shown = probs[kept].astype(np.float32)
        lead.append(leads(shown))
        answers.append(np.cumsum(shown, axis=1).argmax(axis=2))
        images += [numbers[row] for row in rows[kept].tolist()]
    return np.concatenate(lead), np.concatenate(answers), np.array(images, np.intp)


def _threshold(
    lead: NDArray[np.float32],
    answers: NDArray[np.intp],
    image: NDArray[np.intp],
    error: float,
    confidence: float,
) -> tuple[float, int, int]:
    """The boldest threshold before the first that the test does not let pass; its disagreements, and of how many."""
    from scipy.special import bdtr

    views, numbers = lead.shape[1], np.unique(image)
    found = (float(THRESHOLDS[0]), 0)
    for threshold in THRESHOLDS.tolist():
        stops = first_settled(lead, threshold, views)
        differs = np.take_along_axis(answers, stops[:, None] - 1, 1)[:, 0] != answers[:, -1]
        wrong = len(np.unique(image[differs]))
        if bdtr(wrong, len(numbers), error) > 1 - confidence:
            break
        found = (threshold, wrong)
    return *found, len(numbers)


def _upper(wrong: int, images: int, confidence: float) -> float:
    """The exact one-sided upper confidence bound of a share (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    return 1.0 if wrong >= images else float(betaincinv(wrong + 1, images - wrong, confidence))


def _provenance(part: _Rows) -> dict[str, Any]:
    record = part.run.record
    return {
        "model": part.run.model,
        "data": part.run.data_name,
        "run": record["fingerprint"],
        "images_fingerprint": record["fingerprint_parts"].get("images", ""),
        "weights": record["fingerprint_parts"].get("weights", ""),
        "grid": record["grid"]["name"],
        "images": len(part.rows),
    }
