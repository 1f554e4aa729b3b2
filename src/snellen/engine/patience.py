"""When a worker that says nothing is taken to hang."""

import time

# Seconds without a word, at work or while it starts, after which a worker is ended as if it had died. Nothing takes
# so long that goes on: a batch of the largest networks is minutes on one core, and so is compiling one.
HANGING = 1800.0
# Seconds between two looks at all workers; and what one look counts at most: while the command itself is suspended or
# waits for a store, nobody is to blame.
LOOK = 5.0


class Patience:
    """Since when each worker that should be saying something has been silent, by a clock that runs while this does."""

    def __init__(self) -> None:
        self._before = time.monotonic()
        self._now = self._looked = 0.0
        self._heard: dict[int, float] = {}

    def awaits(self, worker: int) -> None:
        """From now on a worker should say something, for the first time or again."""
        self._heard[worker] = self._now

    def rests(self, worker: int) -> None:
        """A worker has nothing to say any more: it is idle, or it is dead."""
        self._heard.pop(worker, None)

    def overdue(self) -> int | None:
        """One that hangs, if there is any; asked again and again."""
        clock = time.monotonic()
        self._now += min(clock - self._before, LOOK)
        self._before = clock
        if self._now - self._looked < LOOK:
            return None
        for worker, heard in self._heard.items():
            if self._now - heard > HANGING:
                return worker
        self._looked = self._now
        return None
