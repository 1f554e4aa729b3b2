"""The hardest and the most zoom-sensitive images of a run: what the model said, and the zoom that fixes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.summary import Summary
from snellen.report.pictures import ImageKey
from snellen.store import Run
from snellen.store.parts import read_part
from snellen.store.schema import KINDS
from snellen.zoom.grid import ViewRule

# Wrong answers that are named.
WRONG = 3


@dataclass(frozen=True)
class Answer:
    """A class by its name, and how often or how surely it was answered: a share in 0 … 1, nan where not known."""

    name: str
    share: float


@dataclass(frozen=True)
class Fix:
    """The zoom that fixes an image: of those that are right, the one whose confidence is highest.

    zoom: its index in the run's grid; answer: what it says, with its confidence.
    """

    zoom: int
    rule: ViewRule
    answer: Answer


@dataclass(frozen=True)
class Case:
    """One image of a list.

    labels: names of the classes that count as right.
    winning, zooms: how many zooms are right, of how many.
    sensitivity: the entropy of its answers over the zooms, in bits.
    wrong: the most frequent wrong answers with their share of the zooms.
    one_crop: what 1-crop answers, with its confidence, None where it has no answer.
    one_crop_right: whether that is right.
    fix: None where no zoom is right.
    """

    key: ImageKey
    labels: tuple[str, ...]
    winning: int
    zooms: int
    sensitivity: float
    wrong: tuple[Answer, ...]
    one_crop: Answer | None
    one_crop_right: bool
    fix: Fix | None


@dataclass(frozen=True)
class Lists:
    """The two lists of a run, each with the most telling image first."""

    hardest: tuple[Case, ...] = ()
    sensitive: tuple[Case, ...] = ()


def choose(summary: Summary, most: int) -> tuple[list[int], list[int]]:
    """Rows of the `most` hardest and of the `most` most zoom-sensitive scored images.

    Hardest: the fewest zooms are right, those that none reads first; where that is equal, the surer the wrong
    answer (the larger the share of zooms that agree) the earlier, then in the run's order. Images that every zoom reads
    are left out. Most zoom-sensitive: the highest entropy of answers among images that some zoom reads, ties in the
    run's order; images that get one answer at every zoom are left out.
    """
    stats = summary.image_stats
    hard = np.lexsort((-stats.consensus_share, stats.winning))
    hard = hard[stats.winning[hard] < summary.zooms]
    sensitive = np.argsort(-stats.sensitivity, kind="stable")
    sensitive = sensitive[(stats.winning[sensitive] > 0) & (stats.sensitivity[sensitive] > 0)]
    return hard[:most].tolist(), sensitive[:most].tolist()


def find_cases(run: Run, summary: Summary, labels: str | None, most: int) -> Lists:
    """The two lists of a run, `most` images each, scored as `summary` is; only the answers of these images are read."""
    hard, sensitive = choose(summary, most)
    rows = sorted({*hard, *sensitive})
    scored = run.scored(labels)[rows]
    label_sets = run.labels(labels)
    ids, confidence = _answers_of(run, run.images[scored])
    correct = np.unpackbits(summary.right[rows], axis=1, count=summary.zooms).astype(bool)
    shas = dict(zip(run.samples["image_id"].to_pylist(), run.samples["sha256"].to_pylist(), strict=True))
    cases = {}
    for place, (row, answer_row) in enumerate(zip(rows, scored.tolist(), strict=True)):
        image_id = summary.scored_ids[row]
        cases[row] = _case(
            run.class_space.names,
            ImageKey(run.data, image_id, str(shas[image_id])),
            label_sets[answer_row],
            float(summary.image_stats.sensitivity[row]),
            ids[place],
            confidence[place],
            correct[place],
            summary.grid.rules,
            summary.grid.one_crop or 0,
        )
    return Lists(tuple(cases[row] for row in hard), tuple(cases[row] for row in sensitive))


def wanted_pictures(lists: Sequence[Lists]) -> dict[ImageKey, set[ViewRule]]:
    """Every image of some lists with the views that the page shows of it."""
    wanted: dict[ImageKey, set[ViewRule]] = {}
    for one in lists:
        for case in (*one.hardest, *one.sensitive):
            rules = wanted.setdefault(case.key, set())
            if case.fix:
                rules.add(case.fix.rule)
    return wanted


def frame(rule: ViewRule, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where a rule's window lies in an image of `size` (width, height): left, top, width, height in its pixels.

    It may reach outside the image, where the view is black.

    >>> frame(ViewRule(resize=448, row=1, col=1), (896, 1344))
    (222.0, 448.0, 448.0, 448.0)
    """
    width, height = rule.resized(*size)
    left, top = rule.window(width, height)
    across, down = size[0] / width, size[1] / height
    return left * across, top * down, rule.size * across, rule.size * down


def _case(
    names: Sequence[str],
    key: ImageKey,
    label_set: Sequence[int],
    sensitivity: float,
    ids: NDArray[np.int32],
    confidence: NDArray[np.float32],
    right: NDArray[np.bool_],
    rules: Sequence[ViewRule],
    one_crop: int,
) -> Case:
    found, counts = np.unique(ids[~right & (ids >= 0)], return_counts=True)
    order = np.lexsort((found, -counts))[:WRONG]
    fix = None
    if right.any():
        zoom = int(np.where(right, np.nan_to_num(confidence, nan=0.0), -1.0).argmax())
        fix = Fix(zoom, rules[zoom], Answer(names[ids[zoom]], float(confidence[zoom])))
    return Case(
        key,
        tuple(names[k] for k in label_set),
        int(right.sum()),
        len(right),
        sensitivity,
        tuple(Answer(names[found[k]], float(counts[k] / len(ids))) for k in order),
        Answer(names[ids[one_crop]], float(confidence[one_crop])) if ids[one_crop] >= 0 else None,
        bool(right[one_crop]),
        fix,
    )


def _answers_of(run: Run, images: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Best class and confidence at each zoom of some images, by index: `[images, zooms]`, -1 and nan for no answer.

    Reads the files of their shards alone: the lists of a large run cost little.
    """
    ids = np.full((len(images), len(run.grid)), -1, np.int32)
    confidence = np.full(ids.shape, np.nan, np.float32)
    for commit in run.commits.values():
        if "predictions" not in commit["files"] or not ((images >= commit["start"]) & (images < commit["stop"])).any():
            continue
        path = run.path / "parts" / commit["files"]["predictions"]["name"]
        part = read_part(path, KINDS["predictions"], ["image", "zoom", "id0", "p0"])
        image, zoom, best, p = (part[name].to_numpy() for name in ("image", "zoom", "id0", "p0"))
        wanted = np.isin(image, images)
        rows = np.searchsorted(images, image[wanted])
        ids[rows, zoom[wanted]], confidence[rows, zoom[wanted]] = best[wanted], p[wanted]
    return ids, confidence
