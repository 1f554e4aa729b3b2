"""A run that is worked on, as its command asks about it: is it still its own, does a shard count, what is told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snellen.engine.worker import Task
from snellen.errors import Stopped
from snellen.files import entry
from snellen.locks import Lock
from snellen.store.commits import commit_path, damaged_files, read_commits


@dataclass(frozen=True)
class Held:
    """A run's directory, and the lock by which a command holds it."""

    run: Path
    lock: Lock

    def check(self) -> None:
        """Raise Stopped where the lease was lost. A store is asked nothing for it: this is for every hand-out."""
        if self.lock.lost:
            self.lock.check()

    def handed_out(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """The tasks one after the other, for as long as the run is held; who does one says when it is committed."""
        for task in tasks:
            self.check()
            yield self.briefed(task)

    def briefed(self, task: Task) -> Task:
        """A task as a worker is told it, when it is handed out."""
        return task

    def committed(self, task: Task) -> None:
        """Hear that a task's shard is committed, by whomever."""

    def check_committed(self, task: Task) -> None:
        """Raise Stopped unless a shard counts that its worker found committed already, by whomever.

        A record may have come there that is another run's, or not whole: opening the run again puts it aside.
        """
        try:
            there = entry(commit_path(self.run, task.shard))
            commit = read_commits(self.run, [there]).get(task.shard)
        except FileNotFoundError:
            commit = None
        wanted = (task.start, task.stop, task.fingerprint)
        if (
            commit is None
            or (commit.get("start"), commit.get("stop"), commit.get("fingerprint", task.fingerprint)) != wanted
            or damaged_files(self.run, commit)
        ):
            raise Stopped(
                f"shard {task.shard} of {str(self.run)!r} has a commit record that is not this run's, or not whole; "
                "run the same command again: it puts that aside and does the shard"
            )
