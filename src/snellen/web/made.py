"""A data file that is made now and then: how far it is, and when it is due."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from snellen.errors import SnellenError
from snellen.web.listing import Standing

# Seconds between two times that a file is made while a study goes on; and so many times what making it takes.
AGAIN, SPARED = 15.0, 20.0


@dataclass
class Made:
    """A file that the page reads: the name it has now, the name it should have, and why it could not be made.

    before: the names that it had until now, the latest last. last: whether nothing more is to come, so that there is
    nothing to wait for.
    """

    name: str | None = None
    wanted: str = ""
    error: SnellenError | None = None
    before: list[str] = field(default_factory=list)
    last: bool = False
    _not_until: float = float("-inf")

    @property
    def standing(self) -> Standing:
        """What the page is told of it."""
        version = Path(self.name or self.wanted).stem.rpartition("-")[2]
        error = str(self.error) if self.error else None
        return Standing(version, self.name is not None, error, self.name == self.wanted)

    @property
    def due(self) -> bool:
        """Whether it should be made: at once where there is none or it is the last, else not too often."""
        at_once = (self.name is None or self.last) and self.error is None
        return self.name != self.wanted and (at_once or time.monotonic() > self._not_until)

    def done(self, name: str, seconds: float, error: SnellenError | None) -> None:
        """Take in that making it took so long, and how it ended."""
        self._not_until, self.error = time.monotonic() + max(AGAIN, SPARED * seconds), error
        if error is None:
            self.before += [self.name] if self.name else []
            self.name = name

    def outdated(self) -> list[str]:
        """Names that nobody asks for any more; that before the present one may still be on its way to a page."""
        gone, self.before = self.before[:-1], self.before[-1:]
        return gone
