"""Which task a worker is given next, what a worker's death means, and when all is done: no processes, only decisions.

A shard whose worker dies is given out again. One that kills twice is tried in halves, without being committed, until
the images that kill are found; then it is done once more without them, and the run lists them.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from snellen.engine.worker import Task
from snellen.errors import EngineError

KILLER = "reading or classifying it ends the worker process"
ENDLESS = "reading or classifying it does not come to an end"
# Workers that cannot even start, this many in a row or one for each there is, say that no worker can.
STARTS = 3
# Times that a shard comes under suspicion until no image is to blame: each half was survived, and yet it kills.
FRUITLESS = 3
# Deaths after which a task is suspected: one may be chance.
DEATHS = 2
# Guilty images, with nothing survived before, after which it is not the images.
HOPELESS = 5


class GivenUp(EngineError):
    """The work cannot be done, whatever is tried."""


@dataclass
class _Suspect:
    """A shard that killed: how many parts of it are still being tried, and which images were found guilty."""

    task: Task
    trying: int = 0
    guilty: dict[int, str] = field(default_factory=dict)


class Schedule:
    """The tasks of a run, handed out one by one until every shard is committed.

    Every task that `next` gives comes back by one of `done`, `died` and `returned`.

    >>> schedule = Schedule([Task(0, 0, 4), Task(1, 4, 8)], workers=2)
    >>> first = schedule.next()
    >>> schedule.died(first)  # once: it is given out again
    >>> schedule.next() == first
    True
    >>> schedule.died(first)  # twice: its halves are tried
    >>> [(task.start, task.stop, task.commit) for task in (schedule.next(), schedule.next())]
    [(2, 4, False), (0, 2, False)]
    """

    def __init__(self, tasks: Iterable[Task], workers: int) -> None:
        self._todo = deque(tasks)
        self._starts = max(STARTS, workers)
        self.left = len(self._todo)
        """Shards without a commit."""
        self._out = 0
        self._deaths: Counter[tuple[int, int, int, bool]] = Counter()
        self._fruitless: Counter[int] = Counter()
        self._suspects: dict[int, _Suspect] = {}
        self._failed_starts = 0
        self._survived = False
        self._guilty = 0

    @property
    def open(self) -> int:
        """How many workers could be busy now: tasks that wait, and those that were handed out."""
        return len(self._todo) + self._out

    def next(self) -> Task | None:
        """The next task for a worker, if any waits."""
        if not self._todo:
            return None
        self._out += 1
        return self._todo.popleft()

    def done(self, task: Task) -> None:
        """A task is finished: its shard is committed, or it was survived if it was only tried."""
        self._out -= 1
        self._survived = True
        if task.commit:
            self.left -= 1
        else:
            self._settle(task)

    def returned(self, task: Task) -> None:
        """A task comes back undone, and not for its own fault."""
        self._out -= 1
        self._todo.appendleft(task)

    def died(self, task: Task, why: str = KILLER) -> None:
        """A task's worker died of it, or by chance, or was ended since it hung; `why`: what the run says of its image.

        Raises GivenUp where its shard kills without a guilty image.
        """
        self._out -= 1
        what = (task.shard, task.start, task.stop, task.commit)
        self._deaths[what] += 1
        if self._deaths[what] < DEATHS:
            self._todo.appendleft(task)
            return
        del self._deaths[what]
        if task.commit:
            self._fruitless[task.shard] += 1
            if self._fruitless[task.shard] >= FRUITLESS:
                raise GivenUp(f"shard {task.shard} keeps ending its worker, but no image of it does")
            self._suspects[task.shard] = _Suspect(task, guilty=dict(task.skip))
            self._split(task)
        elif task.stop - task.start == 1:
            self._suspects[task.shard].guilty[task.start] = why
            self._guilty += 1
            if self._guilty >= HOPELESS and not self._survived:
                raise GivenUp("whatever image is tried, its worker ends")
            self._settle(task)
        else:
            self._split(task)
            self._settle(task)

    def started(self) -> None:
        """A worker is ready for its first task."""
        self._failed_starts = 0

    def died_starting(self) -> None:
        """A worker died before it was ready. Raises GivenUp where that goes on."""
        self._failed_starts += 1
        if self._failed_starts >= self._starts:
            raise GivenUp("worker processes die while starting")

    def _split(self, task: Task) -> None:
        middle = (task.start + task.stop) // 2
        bounds = [(a, b) for a, b in ((task.start, middle), (middle, task.stop)) if a < b]
        self._suspects[task.shard].trying += len(bounds)
        self._todo.extendleft(replace(task, start=a, stop=b, commit=False) for a, b in bounds)

    def _settle(self, tried: Task) -> None:
        """A try has its verdict; when all have, the shard is done again without the guilty images."""
        suspect = self._suspects[tried.shard]
        suspect.trying -= 1
        if not suspect.trying:
            whole = self._suspects.pop(tried.shard).task
            self._todo.appendleft(replace(whole, skip=suspect.guilty))
