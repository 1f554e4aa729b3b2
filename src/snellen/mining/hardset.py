"""The hard set: a pure function of what was mined and of what people said, whatever the order it was said in.

A verdict stands until another names it in `based_on`. An image's verdicts that stand decide over it where they say the
same. `unsure` decides nothing and contradicts nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from snellen.labels import ClassSpace
from snellen.mining.agreement import Agreements, Decision, agreements
from snellen.mining.log import DROP, KEEP, RELABEL, UNSURE, WORDS, Verdict, read_log
from snellen.mining.mined import Mined, MinedImage, read_mined

Status = Literal["kept", "dropped", "relabelled", "undecided"]
STATUSES: tuple[Status, ...] = ("kept", "dropped", "relabelled", "undecided")
STATUS_OF: Mapping[str, Status] = {KEEP: "kept", DROP: "dropped", RELABEL: "relabelled"}

# Why verdicts on an image need a look.
DISAGREE, STALE = "reviewers disagree", "stale"
CHANGED, NO_CLASS = "the image has changed", "unknown class"


@dataclass(frozen=True)
class HardImage:
    """One mined image and what was decided about it.

    labels: ids of the classes that are right: as mined, or as relabelled.
    standing: its verdicts that no other replaces, ordered by time; also those that do not count, see `Conflict`.
    """

    mined: MinedImage
    status: Status
    labels: tuple[int, ...]
    standing: tuple[Verdict, ...]

    @property
    def read_by(self) -> tuple[str, ...]:
        """The miners that are right at a zoom now that the image is relabelled: for them it is not hard any more.

        Of an image whose answers were not all kept, those whose most frequent answer is right.
        """
        answered = self.mined.answered or [(answer,) for answer, _ in self.mined.answers]
        told = zip(self.mined.miners, answered, strict=False)
        return tuple(
            miner for miner, classes in told if self.status == "relabelled" and not set(classes).isdisjoint(self.labels)
        )


@dataclass(frozen=True)
class Conflict:
    """Verdicts on one image that do not decide over it, and why.

    why: `DISAGREE` (reviewers say different things), `STALE` (one was given without having seen the other, by the same
    reviewer or on the same verdict), `CHANGED` (they are of other bytes than the image has now) or `NO_CLASS` (a label
    is none of the classes).
    """

    image: MinedImage
    why: str
    verdicts: tuple[Verdict, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        said = [
            {"reviewer": one.reviewer, "verdict": one.verdict, "labels": list(one.labels), "time": one.time}
            | ({"reason": one.reason} if one.reason else {})
            for one in self.verdicts
        ]
        return {"id": self.image.id, "image_id": self.image.image_id, "why": self.why, "verdicts": said}


@dataclass(frozen=True)
class HardSet:
    """Every mined image in the order of candidates.parquet, with its status; and what needs a look.

    verdicts: the whole log. conflicts: by image, in the same order. elsewhere: verdicts on images that are not mined
    (any more). torn: files of the log whose last line was cut off.
    """

    mined: Mined
    images: tuple[HardImage, ...]
    conflicts: tuple[Conflict, ...]
    verdicts: tuple[Verdict, ...]
    elsewhere: tuple[Verdict, ...]
    torn: tuple[str, ...] = ()

    @property
    def space(self) -> ClassSpace:
        """The classes that labels index."""
        return self.mined.space

    @property
    def counts(self) -> dict[Status, int]:
        """How many images have each status."""
        found = Counter(image.status for image in self.images)
        return {status: found[status] for status in STATUSES}

    @cached_property
    def by_id(self) -> dict[str, HardImage]:
        """Each image by its id."""
        return {image.mined.id: image for image in self.images}

    @cached_property
    def reviewers(self) -> tuple[str, ...]:
        """Everybody who gave a verdict, by name."""
        return tuple(sorted({verdict.reviewer for verdict in self.verdicts}))

    @cached_property
    def ratings(self) -> dict[str, dict[str, Decision]]:
        """By reviewer and image, what they said of it last without sight of another's verdict.

        Sight is inherited: who replaces a verdict of their own has seen what that one had seen.

        Left out: one who said two things and replaced neither; verdicts on images that are not mined, or were others.
        """
        saw = _seen(self.verdicts)
        found: dict[str, dict[str, list[Verdict]]] = {reviewer: defaultdict(list) for reviewer in self.reviewers}
        for verdict in self.verdicts:
            image = self.by_id.get(verdict.id)
            if image and verdict.sha256 == image.mined.sha256 and saw[verdict.key] <= {verdict.reviewer}:
                found[verdict.reviewer][verdict.id].append(verdict)
        return {
            reviewer: {
                image: last[0].decision
                for image, given in images.items()
                if (last := standing(given)) and len({one.decision for one in last}) == 1
            }
            for reviewer, images in found.items()
        }

    @cached_property
    def agreement(self) -> Agreements:
        """How the reviewers agree."""
        return agreements(self.ratings, WORDS)


def read(hard: Path) -> HardSet:
    """The hard set of a HARD folder, of this machine or of a store.

    Raises UsageError where it is none, DataError where it is damaged or a line of the log is no verdict, Stopped
    where its store cannot be reached.
    """
    mined, log = read_mined(hard), read_log(hard)
    return resolve(mined, log.verdicts, log.torn)


def resolve(mined: Mined, verdicts: Sequence[Verdict], torn: Sequence[str] = ()) -> HardSet:
    """The hard set that verdicts make of mined images; `verdicts` are each there once, ordered by time."""
    find = {key: k for k, key in enumerate(mined.space.keys)}
    said: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        said[verdict.id].append(verdict)
    images, conflicts = [], []
    for one in mined.images:
        image, found = _decided(one, said.pop(one.id, []), find)
        images.append(image)
        conflicts += found
    elsewhere = tuple(verdict for verdict in verdicts if verdict.id in said)
    return HardSet(mined, tuple(images), tuple(conflicts), tuple(verdicts), elsewhere, tuple(torn))


def standing(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those verdicts on one image that no other of them replaces; all where they replace each other in a circle."""
    replaced = {key for verdict in verdicts for key in verdict.based_on}
    return [verdict for verdict in verdicts if verdict.key not in replaced] or list(verdicts)


def _seen(verdicts: Sequence[Verdict]) -> dict[str, set[str]]:
    """By verdict, whose verdicts it is based on, near or far; also where the log has verdicts in a circle."""
    by_key = {verdict.key: verdict for verdict in verdicts}
    found: dict[str, set[str]] = {}
    for verdict in verdicts:
        reached: set[str] = set()
        left = list(verdict.based_on)
        while left:
            key = left.pop()
            if key in by_key and key not in reached:
                reached.add(key)
                left += by_key[key].based_on
        found[verdict.key] = {by_key[key].reviewer for key in reached}
    return found


def _decided(image: MinedImage, said: Sequence[Verdict], find: Mapping[str, int]) -> tuple[HardImage, list[Conflict]]:
    conflicts = []
    stand = standing(said)
    changed = [verdict for verdict in stand if verdict.sha256 != image.sha256]
    strange = [verdict for verdict in stand if verdict not in changed and not all(k in find for k in verdict.labels)]
    for why, verdicts in ((CHANGED, changed), (NO_CLASS, strange)):
        if verdicts:
            conflicts.append(Conflict(image, why, tuple(verdicts)))
    deciding = [verdict for verdict in stand if verdict.verdict != UNSURE and verdict not in (*changed, *strange)]
    status: Status = "undecided"
    labels = image.labels
    if len({verdict.decision for verdict in deciding}) > 1:
        conflicts.append(Conflict(image, STALE if _stale(deciding) else DISAGREE, tuple(deciding)))
    elif deciding and not strange:
        status = STATUS_OF[deciding[0].verdict]
        if status == "relabelled":
            labels = tuple(sorted({find[key] for key in deciding[0].labels}))
    return HardImage(image, status, labels, tuple(stand)), conflicts


def _stale(verdicts: Sequence[Verdict]) -> bool:
    """Whether two differing verdicts are of one reviewer, or replace the same verdict."""
    return any(
        a.decision != b.decision and (a.reviewer == b.reviewer or not set(a.based_on).isdisjoint(b.based_on))
        for k, a in enumerate(verdicts)
        for b in verdicts[:k]
    )
