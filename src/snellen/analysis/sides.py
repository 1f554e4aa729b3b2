"""One run as comparisons need it, and the images that two have in common."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.answers import Answers
from snellen.analysis.bits import packed
from snellen.analysis.cover import greedy_cover
from snellen.errors import UsageError
from snellen.store import Run
from snellen.zoom.grid import Grid


@dataclass(frozen=True, eq=False)
class Side:
    """One run by one label source, as comparisons need it.

    name: short, unlike any other's that it is compared with (`short_names.short_names`).
    contents: the sha256 of every image by its id; None where it could not be read.
    labels: the label set of each image that is scored, by its id.
    rows: where `ids` and `confidence` hold these: int `[scored images]`.
    ids: the class of each answer, -1 where there is none: `[images, zooms]`.
    confidence: float32 `[images, zooms]`; None where it was not kept.
    right: the scored images that each zoom gets right, as `bits.packed` gives them.
    cover: the greedy cover of this run.
    """

    name: str
    run: Run
    source: str
    grid: Grid
    contents: dict[str, str | None] = field(repr=False)
    labels: dict[str, list[int]] = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    ids: NDArray[np.integer[Any]] = field(repr=False)
    confidence: NDArray[np.float32] | None = field(repr=False)
    right: NDArray[np.uint64] = field(repr=False)
    cover: tuple[int, ...] = field(repr=False)
    _solved: dict[tuple[int, ...], NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    @cached_property
    def single(self) -> tuple[str, int] | None:
        """The one view that counts where there is one answer an image: what it is called, and its index."""
        if len(self.grid) == 1:
            return ("own transform" if self.grid.name == "own" else "the only view"), 0
        return None if self.grid.one_crop is None else ("1-crop", self.grid.one_crop)

    @cached_property
    def zooms(self) -> list[tuple[int, int, int]]:
        """What its zooms are at any size of view: scale, row and column; nothing where there is one view."""
        return [(rule.scale, rule.row, rule.col) for rule in self.grid] if len(self.grid) > 1 else []

    @cached_property
    def digest(self) -> bytes:
        """sha256 of the images, in order, and of the labels: two sides with the same one need no matching."""
        text = repr((list(self.contents.items()), list(self.labels.items())))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    @cached_property
    def locations(self) -> NDArray[np.bool_]:
        """Whether any scale at each anchor is right: bool `[scored images, 9]`, as `bias.location_hits`."""
        anchors = [[zoom for zoom, rule in enumerate(self.grid) if 3 * rule.row + rule.col == at] for at in range(9)]
        return np.stack([self.solved(zooms) for zooms in anchors], axis=1)

    def solved(self, zooms: Sequence[int]) -> NDArray[np.bool_]:
        """Whether any of some zooms is right: bool `[scored images]`; kept, since every pair of a run asks again."""
        key = tuple(zooms)
        if key not in self._solved:
            bits = np.bitwise_or.reduce(self.right[list(key)], axis=0)
            self._solved[key] = np.unpackbits(bits.view(np.uint8), count=len(self.rows)).view(bool)
        return self._solved[key]


def answered(answers: Answers) -> NDArray[np.integer[Any]]:
    """The class of each answer, -1 where there is none: `[images, zooms]`; where several ids are one class, that."""
    ids, classes = answers.ids, answers.run.class_map
    return np.where(ids >= 0, classes.of_id[ids], -1).astype(ids.dtype) if classes else ids


def side(
    answers: Answers,
    name: str,
    labels: str | None = None,
    *,
    correct: NDArray[np.bool_] | None = None,
    cover: Sequence[int] | None = None,
    ids: NDArray[np.integer[Any]] | None = None,
    confidence: bool = True,
) -> Side:
    """A run's side of comparisons by one label source.

    correct, cover, ids: what is known already; ids as `answered` gives them.
    confidence: whether to keep the answers' confidence, which only runs of one model are compared by.
    """
    run = answers.run
    rows, every = answers.scored(labels), answers.labels(labels)
    correct = answers.correct(labels) if correct is None else correct
    return Side(
        name=name,
        run=run,
        source=labels or run.label_sources[0],
        grid=run.grid,
        contents=_contents(run),
        labels={run.image_ids[row]: every[row] for row in rows},
        rows=rows,
        ids=answered(answers) if ids is None else ids,
        confidence=answers.confidence if confidence else None,
        right=packed(correct),
        cover=tuple(map(int, greedy_cover(correct) if cover is None else cover)),
    )


def matched(a: Side, b: Side) -> tuple[NDArray[np.intp], NDArray[np.intp], dict[str, int]]:
    """The images to compare, as places in `rows` of each side, and how many images are left out, by reason.

    An image is the same where its id and its bytes are. Raises UsageError where the label sources, their labels or the
    classes differ, and where no image is in common.
    """
    if a.source != b.source:
        raise UsageError(f"{a.name} is scored by {a.source!r}, {b.name} by {b.source!r}: name one label source")
    spaces = a.run.class_space, b.run.class_space
    if spaces[0].keys != spaces[1].keys:
        names = [f"{one.name} has {space.name} ({len(space)})" for one, space in zip((a, b), spaces, strict=True)]
        raise UsageError(f"different classes: {', '.join(names)}; only models of the same classes can be compared")
    if a.labels and a.digest == b.digest:
        every, unread = np.arange(len(a.rows)), len(a.contents) - len(a.ids)
        return every, every, _counted(a, b, [0, 0, 0, unread, len(a.ids) - len(every)])
    shared = [image for image in a.contents if image in b.contents]
    read = [image for image in shared if a.contents[image] is not None and b.contents[image] is not None]
    same = [image for image in read if a.contents[image] == b.contents[image]]
    ids = [image for image in same if image in a.labels and image in b.labels]
    lost = [len(a.contents) - len(shared), len(b.contents) - len(shared)]
    lost += [len(read) - len(same), len(shared) - len(read), len(same) - len(ids)]
    left_out = _counted(a, b, lost)
    if not ids:
        sizes = ", ".join(f"{one.name} has {len(one.contents)} images of {one.run.data_name!r}" for one in (a, b))
        why = f" ({', '.join(f'{count} {reason}' for reason, count in left_out.items())})" if left_out else ""
        raise UsageError(f"no image in common: {sizes}{why}; compare runs on the same images")
    unlike = [image for image in ids if set(a.labels[image]) != set(b.labels[image])]
    if unlike:
        raise UsageError(
            f"{len(unlike)} images have other labels in {a.name} than in {b.name} (first {unlike[0]!r}): "
            "give one CSV of labels for both"
        )
    places = [{image: place for place, image in enumerate(one.labels)} for one in (a, b)]
    at_a, at_b = (np.array([place[image] for image in ids]) for place in places)
    return at_a, at_b, left_out


def _counted(a: Side, b: Side, counts: Sequence[int]) -> dict[str, int]:
    """How many images are left out, by reason; without those that none is left out for."""
    other = "have other bytes under the same id"
    reasons = (f"only in {a.name}", f"only in {b.name}", other, "could not be read", "have no label")
    return {reason: count for reason, count in zip(reasons, counts, strict=True) if count}


def _contents(run: Run) -> dict[str, str | None]:
    """The sha256 of each image by its id; None where it could not be read."""
    columns = (run.samples[name].to_pylist() for name in ("image_id", "sha256", "error"))
    return {image: None if error is not None else sha256 for image, sha256, error in zip(*columns, strict=True)}
