"""Learning a policy from runs: an order of views, and a stopping rule with a stated error rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.learned import joined
from snellen.errors import UsageError
from snellen.store import Run
from snellen.tta.policy import Policy, first_settled, lead_paths
from snellen.tta.split import Labelled, drawn, labelled
from snellen.tta.views import ViewSet
from snellen.zoom.grid import Grid

# How many views are learned where nothing else is said. A third of the study's scales: the best views come first, and
# in the mean of more the label's probability falls (`benchmarks/anytime.py`).
VIEWS = 12
# A view that is sure of a wrong class costs no more than log of this.
FLOOR = 1e-4
# Rows that the order is learned from at most: more change nothing but the time.
MOST = 4000
# The lowest error rate that may be asked for; a billion images are more than anybody has.
LOWEST_ERROR = 1e-9
# Thresholds that are tried, down to one that every image passes at once.
STEPS, LOWEST = 256, 0.01


@dataclass(frozen=True)
class _Paths:
    """What images answer after each view, `[images, views]`.

    lead: `lead_paths`; answers: the best class of the mean so far; final: each view's probability of the answer of
    all views; image: the images' numbers.
    """

    lead: NDArray[np.float32]
    answers: NDArray[np.intp]
    final: NDArray[np.float32]
    image: NDArray[np.intp]


def fit(
    runs: Sequence[Run],
    *,
    among: ViewSet | None = None,
    views: int = VIEWS,
    error: float = 0.08,
    images: Sequence[str] | None = None,
    seed: int = 0,
) -> Policy:
    """Learn a policy from runs that kept all probabilities (`study --keep-probs`).

    From three eighths of the images, drawn by `seed`, the order is learned. Which views: each next one raises the mean
    log-probability of the label, in the mean of the views so far, most. Then they are put in the order that raises it,
    and that of the answer of all of them, fastest. From the other images the threshold is chosen: the lowest at which
    (images answered otherwise + 1) / (images + 1) is at most `error`, an image being counted from the first threshold,
    going down, at which it is. So an image like these is answered otherwise than by all views with a chance of at most
    `error`, however few they are, by the models of the runs at their precision; images of another kind are not covered.

    among: the views that may be taken, all of them in the runs' grid; the whole grid where None. Images that these
        were learned from (`top36@RUN`) are not among those that the threshold is chosen on.
    views: how many are taken, at most.
    images: ids of the images to learn from; all where None.

    An image that several runs show, or one run several times, counts once by its sha256, as answered otherwise where
    any of them does. Raises UsageError where a run kept no probabilities, grids differ, or there are too few images for
    such a statement.

    Method: Angelopoulos, Bates, Fisch, Lei, Schuster 2022, "Conformal Risk Control", arXiv 2208.02814, theorem 1.
    """
    if not LOWEST_ERROR <= error < 1:
        hint = f"; {error:g} % is {error / 100:g}" if 1 <= error < 100 else ""
        raise UsageError(f"error={error:g}: expected a number from {LOWEST_ERROR:g} to less than 1{hint}")
    if views < 2:
        raise UsageError(f"views={views}: expected at least 2")
    grid = _common_grid(runs)
    allowed = _allowed(grid, among)
    known, keys = labelled(runs, images)
    learning = drawn(keys, among, error, seed)
    truth = _some(np.concatenate([_truth(part, learning) for part in known]))
    chosen = allowed[_order([truth[:, allowed]], views)]
    final = _some(np.concatenate([_paths(part, learning, chosen).final for part in known]))
    order = chosen[_order([truth[:, chosen], final], views)]
    paths = [_paths(part, ~learning, order) for part in known]
    threshold, wrong, images_used, forwards = _threshold(paths, error)
    return Policy(
        grid=Grid(grid.name, tuple(grid.rules[zoom] for zoom in order)),
        threshold=threshold,
        error=error,
        disagreements=wrong,
        images=images_used,
        forwards=forwards,
        learned_on=tuple(_provenance(part) for part in known),
        learned_from=joined([*keys, *(among.images.split() if among else ())]),
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


def _allowed(grid: Grid, among: ViewSet | None) -> NDArray[np.intp]:
    if among is None:
        return np.arange(len(grid))
    place = {rule: zoom for zoom, rule in enumerate(grid)}
    lacking = [rule for rule in among.rules if rule not in place]
    if lacking:
        raise UsageError(f"the runs' grid {grid.name!r} lacks {len(lacking)} of the views of {among.name!r}")
    return np.array([place[rule] for rule in among.rules], np.intp)


def _truth(part: Labelled, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The probability of the label set at every zoom, of some of the images: float32 `[images, zooms]`."""
    labels = part.run.labels()
    found = [np.empty((0, len(part.run.grid)), np.float32)]
    for rows, probs in part.run.probabilities():
        for k, row in part.among(rows, wanted):
            found.append(probs[k][None, :, labels[row]].sum(axis=2))
    return np.concatenate(found)


def _some(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most `MOST` rows, evenly spread."""
    return np.asarray(rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST)).astype(int)])


def _order(wanted: Sequence[NDArray[np.float32]], views: int) -> NDArray[np.intp]:
    """Greedy forward selection of views for the running mean's log-probability, ties to the lowest: intp `[views]`.

    wanted: of each thing whose probability is to be raised, alike in weight, `[images, zooms]`.
    """
    columns = [each.T.copy() for each in wanted]
    totals = [np.zeros(each.shape[1], np.float32) for each in columns]
    left = np.arange(len(columns[0]))
    chosen = []
    for k in range(min(views, len(left))):
        gains = [
            np.log((total + each[left]) / (k + 1) + FLOOR).mean(axis=1)
            for total, each in zip(totals, columns, strict=True)
        ]
        best = left[np.sum(gains, axis=0).argmax()]
        chosen.append(best)
        totals = [total + each[best] for total, each in zip(totals, columns, strict=True)]
        left = left[left != best]
    return np.array(chosen, np.intp)


def _paths(part: Labelled, wanted: NDArray[np.bool_], order: NDArray[np.intp]) -> _Paths:
    """What some of a run's images answer as they are shown view after view."""
    shape = (0, len(order))
    lead, answers, final = [np.empty(shape, np.float32)], [np.empty(shape, np.intp)], [np.empty(shape, np.float32)]
    images: list[int] = []
    classes = part.run.class_map
    for rows, probs in part.run.probabilities(order):
        places = [k for k, _ in part.among(rows, wanted)]
        shown = probs[places]
        best = np.cumsum(shown, axis=1).argmax(axis=2)
        lead.append(lead_paths(shown, len(order)))
        answers.append(best if classes is None else classes.of_id[best].astype(np.intp))
        final.append(np.take_along_axis(shown, best[:, -1:, None], axis=2)[:, :, 0])
        images += [part.number[int(row)] for row in rows[places]]
    return _Paths(np.concatenate(lead), np.concatenate(answers), np.concatenate(final), np.array(images, np.intp))


def _threshold(paths: Sequence[_Paths], error: float) -> tuple[float, int, int, float]:
    """The lowest threshold that keeps the rate; its disagreements, of how many images, and the mean number of views."""
    lead, answers, image = (
        np.concatenate([getattr(path, name) for path in paths]) for name in ("lead", "answers", "image")
    )
    views, images = lead.shape[1], len(np.unique(image))
    # The z of a lead stays below the number of views: the first threshold stops no image early.
    thresholds = np.geomspace(views, LOWEST, STEPS)
    chosen, wrong = float(thresholds[0]), 0
    otherwise: NDArray[np.bool_] = np.zeros(len(lead), bool)
    for threshold in thresholds.tolist():
        stops = first_settled(lead, threshold)
        otherwise |= np.take_along_axis(answers, stops[:, None] - 1, 1)[:, 0] != answers[:, -1]
        count = len(np.unique(image[otherwise]))
        if (count + 1) / (images + 1) > error:
            break
        chosen, wrong = threshold, count
    return chosen, wrong, images, float(first_settled(lead, chosen).mean())


def _provenance(part: Labelled) -> dict[str, Any]:
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
