"""A run that is read some shards at a time, against the same one read at once."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from projecting import KEYS, KINDS, exhaustive, mine, model, running, write_labels

from snellen.datasets import open_dataset
from snellen.engine.worker import Task
from snellen.mining import cascade, outcomes
from snellen.mining.candidates import candidates
from snellen.mining.funnel import FAILED
from snellen.mining.miners import Miners
from snellen.mining.outcomes import Pool, outcome, taught
from snellen.store import mined
from snellen.store.mined import mined_samples, passes, seen_in_turn, seen_zooms


def pool_of(folder, labels=None):
    return Pool.of(open_dataset(folder), labels, None, model().card.class_space)


@pytest.mark.parametrize("at_once", [1, 4])
def test_portions_are_the_whole(at_once, folder, tmp_path, monkeypatch):
    """Of some shards that a study has, and others that two passes have."""
    out = tmp_path / "out"
    begun = exhaustive(folder, out)
    for record in sorted((begun.path / "commits").iterdir())[::2]:
        record.unlink()
    mine(folder, out)
    names = [item.id for item in open_dataset(folder).items]
    moved = {name: [(KEYS.index(name.split("/")[0]) + 1) % KINDS] for name in names}
    labels = write_labels(tmp_path / "moved.csv", moved)
    run = mine(folder, out, labels=labels)
    assert run.commits
    assert passes(run.path) == [0, 1]
    whole, pools = seen_zooms(run), (pool_of(folder), pool_of(folder, labels))
    told = [outcome(run, pool) for pool in pools]
    monkeypatch.setattr(mined, "AT_ONCE", at_once)
    parts = list(seen_in_turn(run))
    assert len(parts) >= 3
    assert pa.concat_tables([part.samples for part in parts]).equals(whole.samples)
    assert whole.samples.equals(mined_samples(run))
    assert frozenset().union(*(part.failed for part in parts)) == whole.failed == {5}
    for name in ("images", "shown", "answers"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    for pool, expected in zip(pools, told, strict=True):
        found = outcome(run, pool)
        assert all(np.array_equal(getattr(found, one.name), getattr(expected, one.name)) for one in fields(found))
        assert (found.told == FAILED).any()
    # What is finished by either labels is not shown again.
    for given in (None, labels):
        again = model()
        mine(folder, out, prepared=again, labels=given)
        assert not again.options["asked"]


@pytest.mark.usefixtures("few_zooms")
def test_the_hard_set_does_not_depend_on_them(folder, tmp_path, monkeypatch):
    tables = []
    for at_once in (2**16, 1):
        monkeypatch.setattr(mined, "AT_ONCE", at_once)
        some = Miners(tmp_path / str(at_once), [model()], [pool_of(folder)], running())
        some.funnel(1)
        assert len(some.runs[0, 0].record["shards"]) > 3
        hard = some.usable(0) & (some.told(0)[0] == FAILED)
        tables.append(candidates(some, [hard]))
    assert len(tables[0]) >= 2
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_of_a_long_run_an_order_learns_from_images_all_over_it(at_once, folder, truth, monkeypatch):
    """Of 13 that can be read every fourth, which are at least three, and of those three."""
    monkeypatch.setattr(mined, "AT_ONCE", at_once)
    monkeypatch.setattr(outcomes, "TEACHERS", 3)
    right, shown = taught(truth, [pool_of(folder)])
    assert shown.all()
    assert len(truth.correct()) == 13
    assert np.array_equal(right, truth.correct()[[0, 4, 12]])


@pytest.mark.parametrize(("images", "step"), [(1, 1), (2, 2), (7, 7)])
def test_of_new_shards_some_are_drawn_where_they_showed_too_many_images(images, step, monkeypatch):
    """However many images the shards have that were not to be shown."""
    monkeypatch.setattr(cascade, "TEACHERS", 40)
    learner = cascade.Learner(SimpleNamespace(path=None, lock=None), None, None)
    told = [{"shard": k, "start": 100 * k, "pass": k % 3, "images": list(range(images))} for k in range(40)]
    for some in (told[:10], told[10:]):
        learner.committed(Task(0, 0, 4000, told={"shards": some}))
    drawn = learner._drawn()
    assert sorted((k, number) for number, shards in drawn.items() for k in shards) == [
        (k, k % 3) for k in range(0, 40, step)
    ]
