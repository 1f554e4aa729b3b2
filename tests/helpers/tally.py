"""Counting faults: how many were tried, how many were survived, how many rows were lost."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Case:
    """One fault, or `times` of them in one go; `lost` is set by the test that causes it."""

    times: int = 1
    lost: int = 0


@dataclass
class Tally:
    """Faults by name: tried, survived, rows lost."""

    counts: dict[str, list[int]] = field(default_factory=dict)

    @contextlib.contextmanager
    def fault(self, name: str, times: int = 1) -> Iterator[Case]:
        """A fault that is survived if the block ends, and nothing was lost by then."""
        count = self.counts.setdefault(name, [0, 0, 0])
        case = Case(times)
        try:
            yield case
        except BaseException:
            count[0] += case.times
            count[2] += case.lost
            raise
        count[0] += case.times
        count[1] += case.times if not case.lost else 0
        count[2] += case.lost
        assert not case.lost, f"{case.lost} rows lost"

    def write(self, path: Path) -> None:
        """Keep the counts as JSON."""
        path.write_text(json.dumps(self.counts, indent=1))
