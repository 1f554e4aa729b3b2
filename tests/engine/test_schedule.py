"""The rules of handing out, against simulated workers: images that kill, deaths by chance, memory that runs short."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import Simulated

from snellen.engine.drive import drive
from snellen.engine.schedule import FRUITLESS, HOPELESS, KILLER, STARTS, GivenUp, Schedule
from snellen.engine.worker import Task
from snellen.errors import EngineError, Stopped


def simulate(sizes, workers, crew):
    """All shards of these sizes; the sum of progress, and what was noted."""
    bounds = [0, *itertools.accumulate(sizes)]
    tasks = [Task(k, a, b) for k, (a, b) in enumerate(itertools.pairwise(bounds))]
    heard, notes = [], []
    drive(Schedule(tasks, workers), crew, workers, heard.append, notes.append)
    return sum(heard), notes


@st.composite
def studies(draw):
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=7))
    images = sum(sizes)
    killers = draw(st.sets(st.integers(0, images - 1), max_size=min(images, 9)))
    return sizes, killers


@settings(max_examples=400)
@given(studies(), st.integers(1, 5), st.integers(0, 4), st.integers(0, 3), st.randoms(use_true_random=False))
def test_every_shard_is_committed_once_without_exactly_the_guilty_images(study, workers, chance, short, rng):
    sizes, killers = study
    crew = Simulated(rng, lambda image, _: image in killers, chance, short)
    try:
        heard, _ = simulate(sizes, workers, crew)
    except EngineError:
        assert len(killers) >= HOPELESS
        assert not crew.commits
        assert not crew.tries, "something was survived, so images can be told apart"
        return
    assert {shard: len(tasks) for shard, tasks in crew.commits.items()} == dict.fromkeys(range(len(sizes)), 1)
    found = {image: why for (task,) in crew.commits.values() for image, why in task.skip.items()}
    assert found == dict.fromkeys(killers, KILLER)
    assert heard == sum(sizes) - len(killers), "progress counts what is committed, and nothing twice"
    assert crew.most <= workers
    # Each guilty image ends two workers at each halving that it is in.
    guilty = sum(
        2 * len([image for image in killers if start <= image < start + size]) * (math.ceil(math.log2(size)) + 2)
        for start, size in zip(itertools.accumulate([0, *sizes]), sizes, strict=False)
    )
    assert crew.deaths <= guilty + 4


@given(st.integers(2, 60), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_shard_that_kills_by_no_image_of_its_own_ends_the_study(size, workers, rng):
    """The last image kills a worker that has done the first before it: no half has both."""
    crew = Simulated(rng, lambda image, done: image == size - 1 and 0 in done)
    with pytest.raises(EngineError, match="shard 0 keeps ending its worker, but no image of it does:\nits last words"):
        simulate([size], workers, crew)
    assert not crew.commits
    assert crew.deaths == 2 * FRUITLESS


@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_short_memory_costs_a_worker_and_blames_no_image(workers, rng):
    """Each worker but the last dies for memory at an image: nothing is tried in halves, and the last does it all."""
    crew = Simulated(rng, lambda image, _: len(crew.tasks) > 1 and image % 3 == 0, short=99)
    crew.rng = Always(rng)
    heard, notes = simulate([5, 5, 5, 5], workers, crew)
    assert heard == 20
    assert crew.tries == 0
    assert all(not task.skip for (task,) in crew.commits.values())
    assert crew.deaths == min(workers, 4) - 1
    assert len(notes) == crew.deaths
    if notes:
        assert notes[-1] == "memory is short: going on with 1 worker"


class Always:
    """Draws what another draws, except that everything with a chance happens."""

    def __init__(self, rng):
        self.choice = rng.choice

    def random(self):
        return 0.0


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_workers_that_cannot_start_end_the_study(workers):
    class Stillborn(Simulated):
        def next_event(self):
            return self._die(next(n for n in self.tasks if n not in self.dead))

    crew = Stillborn(random.Random(0), None)
    with pytest.raises(EngineError, match="worker processes die while starting:\nits last words"):
        simulate([1] * 20, workers, crew)
    assert crew.deaths == max(STARTS, workers)


def test_the_first_word_of_an_error_ends_all_workers():
    class Failing(Simulated):
        def next_event(self):
            worker, event = super().next_event()
            return (worker, event) if event["event"] != "done" else (worker, self.error)

    crew = Failing(random.Random(0), lambda image, done: False)
    crew.error = {"event": "error", "message": "the disk is gone", "exit_code": 3}
    with pytest.raises(Stopped, match="the disk is gone"):
        simulate([3, 3], 2, crew)
    assert not crew.tasks


def test_what_workers_note_as_they_get_ready_is_told_once():
    class Slow(Simulated):
        def next_event(self):
            worker, event = super().next_event()
            return worker, event | {"note": "the slow way"} if event and event["event"] == "ready" else event

    assert simulate([4] * 8, 4, Slow(random.Random(0), lambda image, _: image == 9))[1] == ["the slow way"]


def test_words_of_a_worker_that_was_replaced_are_ignored():
    class Chatty(Simulated):
        echoes = 0

        def next_event(self):
            if self.deaths and self.echoes < 5:
                self.echoes += 1
                return next(iter(self.dead)), [None, {"event": "views", "views": 1}][self.echoes % 2]
            return super().next_event()

    crew = Chatty(random.Random(1), lambda image, _: image == 4)
    assert simulate([6], 1, crew)[0] == 5
    assert crew.echoes == 5


def test_a_task_given_back_goes_out_first_and_is_blamed_for_nothing():
    schedule = Schedule([Task(0, 0, 4), Task(1, 4, 8)], workers=1)
    for _ in range(5):
        task = schedule.next()
        assert task == Task(0, 0, 4)
        schedule.returned(task)
    assert (schedule.open, schedule.left) == (2, 2)
    schedule.done(schedule.next())
    assert (schedule.open, schedule.left) == (1, 1)


def test_a_worker_that_starts_clears_the_others():
    schedule = Schedule([Task(0, 0, 4)], workers=1)
    for _ in range(3):
        for _ in range(STARTS - 1):
            schedule.died_starting()
        schedule.started()
    for _ in range(STARTS - 1):
        schedule.died_starting()
    with pytest.raises(GivenUp):
        schedule.died_starting()


def test_many_images_that_kill_are_no_images_if_nothing_was_survived():
    crew = Simulated(random.Random(0), lambda image, _: True)
    with pytest.raises(EngineError, match="whatever image is tried, its worker ends"):
        simulate([16] * 4, 1, crew)
    assert crew.deaths < 2 * (HOPELESS + 1) * 6
