"""Who may go on with a run, and which shards count that somebody else has committed."""

import json
import random

import pytest
from simulated import Simulated
from torch import nn

from snellen.classifiers import prepare
from snellen.datasets import open_dataset
from snellen.engine.drive import drive, job_of, run_engine
from snellen.engine.held import Held
from snellen.engine.running import DEFAULTS
from snellen.engine.schedule import Schedule
from snellen.engine.worker import Task
from snellen.errors import Stopped
from snellen.locks import Lock
from snellen.store.commits import commit_path, read_commits
from snellen.store.schema import KINDS
from snellen.store.writer import commit
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(224,))
TASK = Task(3, 6, 9, fingerprint="ours")


@pytest.fixture
def run(tmp_path):
    for name in ("parts", "commits"):
        (tmp_path / "run" / name).mkdir(parents=True)
    return tmp_path / "run"


def written(run, shard=3, start=6, stop=9, **more):
    """A commit of empty tables, by the store's own writer."""
    tables = {kind: KINDS[kind].empty_table() for kind in ("samples", "predictions")}
    assert commit(run, shard, tables, {"start": start, "stop": stop, "fingerprint": "ours", **more})


def test_a_shard_that_another_command_committed_counts(run):
    written(run)
    Held(run, Lock(run)).check_committed(TASK)


@pytest.mark.parametrize("more", [{"fingerprint": "another run's"}, {"start": 5}, {"stop": 12}])
def test_a_commit_record_of_something_else_does_not_count(run, more):
    written(run, **more)
    with pytest.raises(Stopped, match=r"shard 3 of .* not this run's, or not whole; run the same command again"):
        Held(run, Lock(run)).check_committed(TASK)


@pytest.mark.parametrize("how", ["gone", "no JSON", "a file gone", "a file changed"])
def test_a_commit_that_is_not_whole_does_not_count(run, how):
    written(run)
    record = commit_path(run, 3)
    file = run / "parts" / json.loads(record.read_text())["files"]["samples"]["name"]
    {
        "gone": record.unlink,
        "no JSON": lambda: record.write_text("{"),
        "a file gone": file.unlink,
        "a file changed": lambda: file.write_bytes(file.read_bytes() + b"x"),
    }[how]()
    with pytest.raises(Stopped, match="run the same command again"):
        Held(run, Lock(run)).check_committed(TASK)


class Beaten(Simulated):
    """Workers that find one shard committed by another writer."""

    def next_event(self):
        worker, event = super().next_event()
        done = event and event["event"] == "done"
        return worker, {"event": "done", "committed": self.last.shard != 1} if done else event

    def give(self, worker, task):
        self.last = task
        super().give(worker, task)


@pytest.mark.parametrize("whose", ["ours", "another run's"])
def test_the_driver_looks_where_a_worker_was_not_the_first(run, whose):
    """Believing it would end the run with a shard missing."""
    written(run, shard=1, start=3, stop=6, fingerprint=whose)
    tasks = [Task(k, 3 * k, 3 * k + 3, fingerprint="ours") for k in range(3)]
    crew = Beaten(random.Random(0), lambda image, done: False)

    def all_done():
        drive(Schedule(tasks, 1), crew, 1, lambda views: None, print, Held(run, Lock(run)))

    if whose == "ours":
        all_done()
        assert sorted(crew.commits) == [0, 1, 2]
    else:
        with pytest.raises(Stopped, match="shard 1 of"):
            all_done()
        assert not crew.tasks, "the workers were ended"


def test_a_lease_that_was_lost_is_noticed_at_the_next_hand_out(run):
    lock = Lock(run)
    crew = Simulated(random.Random(0), lambda image, done: False)
    give = crew.give

    def lost_after_three(worker, task):
        give(worker, task)
        lock.lost = task.shard >= 2

    crew.give = lost_after_three
    with pytest.raises(Stopped, match="another process took over"):
        drive(Schedule([Task(k, k, k + 1) for k in range(9)], 2), crew, 2, lambda views: None, print, Held(run, lock))
    assert max(crew.commits) <= 2, "nothing was handed out any more"
    assert not crew.tasks


@pytest.fixture(scope="module")
def module():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    return prepare(network, backend="torch", mean=0.5, std=0.25, classes=["cat", "dog"])


def in_this_process(run, pictures, module, lock, held=Held):
    dataset = open_dataset(pictures)
    job = job_of(run, dataset.spec, dataset.fingerprint, GRID, None, False)
    tasks = [Task(k, 3 * k, 3 * k + 3, fingerprint="ours") for k in range(3)]

    def progress(views):
        lock.lost = len(read_commits(run)) >= 1

    run_engine(job, module, tasks, {**DEFAULTS, "workers": 1}, progress, held(run, lock))


def test_the_same_where_a_module_is_run_in_this_process(run, pictures, module):
    with pytest.raises(Stopped, match="another process took over"):
        in_this_process(run, pictures, module, Lock(run))
    assert sorted(read_commits(run)) == [0, 1], "the shard at hand was finished, no other begun"


def test_a_foreign_record_is_noticed_there_too(run, pictures, module):
    written(run, shard=0, start=0, stop=3, fingerprint="another run's")
    with pytest.raises(Stopped, match="shard 0 of"):
        in_this_process(run, pictures, module, Lock(run))


def test_shards_are_told_of_as_they_are_committed_there(run, pictures, module):
    told = []

    class Hearing(Held):
        def committed(self, task):
            told.append((task.shard, len(read_commits(run))))

    class Kept(Lock):
        lost = property(lambda self: False, lambda self, value: None)

    in_this_process(run, pictures, module, Kept(run), Hearing)
    assert told == [(0, 1), (1, 2), (2, 3)]
