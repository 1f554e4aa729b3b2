"""What `ZoomTTA.explain` tells: the answer of an image, and which zooms voted for what."""

from dataclasses import dataclass

from snellen.zoom.grid import ViewRule


@dataclass(frozen=True)
class Vote:
    """What one view says.

    rule: how it is cut. answer: the name of its best class; confidence: that class's probability.
    agrees: whether it is the class of the merged answer.
    counts: whether the merge looks at it: `confident-k` and `zero` leave views out.
    """

    rule: ViewRule
    answer: str
    confidence: float
    agrees: bool
    counts: bool = True


@dataclass(frozen=True)
class Explanation:
    """How an image's answer came about.

    answer: the name of the class. confidence: its share of the merged scores, which sum to 1: of `mean` and
        `confident-k` a mean probability, of `vote` and `zero` a share of votes.
    votes: of every view that was looked at. merge: its name.
    """

    answer: str
    confidence: float
    votes: tuple[Vote, ...]
    merge: str = "mean"

    def __str__(self) -> str:
        counted = [vote for vote in self.votes if vote.counts]
        agree = f"{sum(vote.agrees for vote in counted)} of {len(counted)} views"
        some = f" that count, of {len(self.votes)}," if len(counted) < len(self.votes) else ""
        lines = [f"{self.answer} ({self.merge} {self.confidence:.1%}), {agree}{some} agree"]
        for vote in self.votes:
            mark = ("=" if vote.agrees else " ") if vote.counts else "x"
            lines.append(f"{mark} {_where(vote.rule)}: {vote.answer} ({vote.confidence:.1%})")
        return "\n".join(lines)


def _where(rule: ViewRule) -> str:
    """A view in words; what is not as the study's zooms are is added."""
    others: list[str] = [rule.filter] if rule.filter != "bicubic" else []
    others += ["crop"] if rule.anchor != "thirds" else []
    others += ["squashed"] if rule.fit == "squash" else []
    others += ["mirrored"] if rule.flip else []
    place = f"scale {rule.scale or rule.resize}, row {rule.row}, col {rule.col}"
    return f"{place}, {' '.join(others)}" if others else place
