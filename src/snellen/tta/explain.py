"""What `ZoomTTA.explain` tells: the answer of an image, and which zooms voted for what."""

from dataclasses import dataclass

from snellen.zoom.grid import ViewRule


@dataclass(frozen=True)
class Vote:
    """What one view says. `agrees`: whether it is the class of the merged answer."""

    rule: ViewRule
    answer: str
    confidence: float
    agrees: bool


@dataclass(frozen=True)
class Explanation:
    """How an image's answer came about: its class, its share of the merged scores, and every view's vote."""

    answer: str
    confidence: float
    votes: tuple[Vote, ...]

    def __str__(self) -> str:
        agree = sum(vote.agrees for vote in self.votes)
        lines = [f"{self.answer} ({self.confidence:.1%}), {agree} of {len(self.votes)} views agree"]
        for vote in self.votes:
            rule, mark = vote.rule, "=" if vote.agrees else " "
            place = (
                f"scale {rule.scale or rule.resize}, row {rule.row}, col {rule.col}{', mirrored' if rule.flip else ''}"
            )
            lines.append(f"{mark} {place}: {vote.answer} ({vote.confidence:.1%})")
        return "\n".join(lines)
