"""Doing a job: its tasks go to the workers of an engine until every shard is committed."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from snellen.classifiers import Prepared
from snellen.engine.held import Held
from snellen.engine.patience import HANGING, Patience
from snellen.engine.running import Running
from snellen.engine.schedule import ENDLESS, KILLER, GivenUp, Schedule
from snellen.engine.worker import Progress, Task, load_worker
from snellen.errors import EngineError, SnellenError, Stopped, UsageError
from snellen.labels import ClassMap
from snellen.zoom.grid import Grid

Note = Callable[[str], None]
Event = Mapping[str, Any]


class Crew(Protocol):
    """The workers of an engine, each known by a number of its own."""

    def start(self) -> int:
        """Start one more worker, without waiting for it; its first event is `ready`."""
        ...

    def give(self, worker: int, task: Task) -> None:
        """Let a worker do a task."""
        ...

    def next_event(self) -> tuple[int, Event | None] | None:
        """What a worker says next, as in docs/architecture.md; None from one that is dead.

        Nothing where all are silent for a second or so.
        """
        ...

    def bury(self, worker: int) -> bool:
        """Clear away a worker, which is ended if it is not dead; whether it died because memory was short."""
        ...

    def last_words(self) -> str:
        """What workers said outside the protocol at last, for a person."""
        ...

    def end(self) -> None:
        """End all workers: what they have not committed is dropped."""
        ...


@dataclass
class _Worker:
    ready: bool = False
    task: Task | None = None
    views: int = 0


def run_engine(
    job: Mapping[str, Any], prepared: Prepared, tasks: list[Task], running: Running, progress: Progress, held: Held
) -> None:
    """Do all tasks; `progress` hears the views done, and minus those that a dead worker had done in vain.

    running: all of the options; `workers` is a number.
    held: where the tasks are committed, and what keeps others away from there.

    Raises Stopped when interrupted or where another command took the run over, EngineError when the work itself cannot
    go on.
    """
    note = running["report"].status
    if prepared.generative:
        from snellen.engine.answering import run_answering

        run_answering(job, prepared, held.handed_out(tasks), progress, held)
        return
    if prepared.network is not None:
        if running["engine"] == "ray":
            note(f"{prepared.text} runs in this process: a module cannot be named to another")
        worker = load_worker(job, prepared)
        for task in held.handed_out(tasks):
            if not worker.run(task, progress):
                held.check_committed(task)
            held.committed(task)
        return
    workers = min(running["workers"] or 1, len(tasks))
    job = {**job, "sharing": workers}
    crew: Crew
    if running["engine"] == "ray":
        from snellen.engine.ray import RayCrew

        crew = RayCrew(job, prepared)
    else:
        from snellen.engine.local import LocalCrew

        crew = LocalCrew(job, prepared)
    drive(Schedule(tasks, workers), crew, workers, progress, note, held)


def drive(schedule: Schedule, crew: Crew, most: int, progress: Progress, note: Note, held: Held | None = None) -> None:
    """Keep up to `most` workers busy until every shard is committed; fewer once memory was short.

    held: None of a run that is only played, where nobody else can be.
    """
    patience = Patience()
    workers: dict[int, _Worker] = {}
    idle: list[int] = []
    noted: set[str] = set()
    try:
        while schedule.left:
            while len(workers) < min(most, schedule.open):
                workers[crew.start()] = _Worker()
            hangs = patience.overdue()
            heard = crew.next_event() if hangs is None else (hangs, None)
            if heard is None or heard[0] not in workers:
                continue  # all are silent; or the last words of one that was replaced
            number, event = heard
            worker = workers[number]
            if event is None:
                del workers[number]
                patience.rests(number)
                idle = [other for other in idle if other != number]
                progress(-worker.views)
                if hangs is not None:
                    note(f"a worker showed no progress for {HANGING / 60:.0f} minutes and was ended")
                if crew.bury(number) and hangs is None and workers:
                    most = len(workers)
                    note(f"memory is short: going on with {most} {'workers' if most > 1 else 'worker'}")
                    if worker.task:
                        schedule.returned(worker.task)
                elif worker.task:
                    schedule.died(worker.task, KILLER if hangs is None else ENDLESS)
                elif not worker.ready:
                    schedule.died_starting()
            elif event["event"] == "views":
                patience.awaits(number)
                worker.views += event["views"]
                progress(event["views"])
            elif event["event"] == "begun":
                patience.awaits(number)
            elif event["event"] == "error":
                raise error_of(event)
            else:
                patience.rests(number)
                if event["event"] == "done":
                    assert worker.task is not None
                    if held and worker.task.commit and not event["committed"]:
                        held.check_committed(worker.task)
                    if held and worker.task.commit:
                        held.committed(worker.task)
                    _done(schedule, worker.task, worker, progress)
                else:
                    worker.ready = True
                    schedule.started()
                    if (said := event.get("note", "")) not in noted | {""}:
                        noted.add(said)
                        note(said)
                idle.append(number)
            while idle and (task := schedule.next()):
                if held:
                    held.check()
                workers[idle[-1]].task = task
                patience.awaits(idle[-1])
                crew.give(idle.pop(), held.briefed(task) if held else task)
    except GivenUp as given_up:
        raise EngineError(f"{given_up}:\n{crew.last_words()}") from None
    finally:
        crew.end()


def _done(schedule: Schedule, task: Task, worker: _Worker, progress: Progress) -> None:
    if not task.commit:
        progress(-worker.views)  # only a try: the shard itself is still to be done
    schedule.done(task)
    worker.task, worker.views = None, 0


@contextlib.contextmanager
def manned(running: Running, device: str) -> Iterator[int]:
    """The engine, for as long as there is work: how many workers, as asked or one for each core or GPU it may use.

    A Ray cluster is left again, and one that was started for it ends.
    """
    requested = running["workers"]
    if requested is not None and requested < 1:
        raise UsageError(f"--workers {requested}: expected at least 1")
    if running["engine"] == "ray":
        from snellen.engine.cluster import capacity as places
        from snellen.engine.cluster import connected

        with connected(running["ray_address"], requested, device):
            yield requested or places(device)
        return
    from snellen.engine.local import capacity

    yield requested or capacity(device)


def job_of(run: Path, data: str, images: str, grid: Grid, classes: ClassMap | None, keep_probs: bool) -> dict[str, Any]:
    """What every worker of a run is told, besides its model: where, which images, which views, which classes."""
    return {
        "run": str(run),
        "data": data,
        "images": images,
        "grid": grid.to_json(),
        "classes": classes.to_json() if classes else None,
        "keep_probs": keep_probs,
    }


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into Stopped while the work goes on."""

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped("interrupted; run the same command again to resume") from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def error_of(event: Event) -> SnellenError:
    """The error that a worker spoke of."""
    kinds = {2: UsageError, 3: Stopped}
    return kinds.get(event["exit_code"], EngineError)(event["message"])
