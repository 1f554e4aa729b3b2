"""Workers for `drive` that are only counted."""

import itertools
import random
from dataclasses import dataclass, field

from snellen.engine.worker import Task


@dataclass
class Simulated:
    """Workers that are only counted. Each image is one view; which worker says something next is drawn.

    kills: whether a worker dies of an image, having done those before it in the same task.
    chance: how many workers die for nothing; never twice at the same task, which would be taken for a reason.
    short: how many deaths of these are for lack of memory.
    """

    rng: random.Random
    kills: object
    chance: int = 0
    short: int = 0
    numbers: itertools.count = field(default_factory=itertools.count)
    tasks: dict[int, Task | None] = field(default_factory=dict)
    ready: set[int] = field(default_factory=set)
    done: dict[int, list[int]] = field(default_factory=dict)
    dead: dict[int, bool] = field(default_factory=dict)
    commits: dict[int, list[Task]] = field(default_factory=dict)
    tries: int = 0
    deaths: int = 0
    most: int = 0
    spared: set = field(default_factory=set)

    def start(self):
        number = next(self.numbers)
        self.tasks[number] = None
        self.most = max(self.most, len(self.tasks))
        return number

    def give(self, worker, task):
        assert worker in self.ready
        assert self.tasks[worker] is None
        self.tasks[worker], self.done[worker] = task, []

    def next_event(self):
        able = [n for n in self.tasks if n not in self.dead and (n not in self.ready or self.tasks[n] is not None)]
        assert able, "nobody has anything to do, and yet shards are open"
        worker = self.rng.choice(able)
        task = self.tasks[worker]
        what = task and (task.shard, task.start, task.stop, task.commit)
        if self.chance and what not in self.spared and self.rng.random() < 0.2:
            self.chance -= 1
            self.spared.add(what)
            return self._die(worker)
        if worker not in self.ready:
            self.ready.add(worker)
            return worker, {"event": "ready"}
        done = self.done[worker]
        left = [image for image in range(task.start, task.stop) if image not in task.skip and image not in done]
        if not left:
            if task.commit:
                self.commits.setdefault(task.shard, []).append(task)
            self.tries += not task.commit
            self.tasks[worker] = None
            return worker, {"event": "done", "committed": task.commit}
        if self.kills(left[0], done):
            return self._die(worker)
        done.append(left[0])
        return worker, {"event": "views", "views": 1}

    def _die(self, worker):
        self.deaths += 1
        self.dead[worker] = self.short > 0 and self.rng.random() < 0.5
        self.short -= self.dead[worker]
        return worker, None

    def bury(self, worker):
        del self.tasks[worker]
        return self.dead[worker]

    def last_words(self):
        return "its last words"

    def end(self):
        self.tasks.clear()
