"""What an actor does on its node before it works, without Ray: where it is, and whether it has the run's model."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from snellen.classifiers import prepare
from snellen.datasets import open_dataset
from snellen.engine.actor import PROBE, Actor, pin, prepared_here
from snellen.engine.drive import job_of
from snellen.engine.worker import Task
from snellen.errors import ModelError
from snellen.store.commits import read_commits
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(224, 256))


@pytest.fixture(scope="module")
def prepared(tiny):
    return prepare(tiny)


@pytest.fixture
def job(tmp_path, pictures, prepared, unpinned):
    """A job as the driver sends it, whose run directory is there."""
    for name in ("parts", "commits"):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / PROBE).write_text("the driver's token")
    dataset = open_dataset(pictures)
    job = job_of(tmp_path / "run", dataset.spec, dataset.fingerprint, GRID, None, False)
    return job | {"model": prepared.to_json(), "own": False, "folder": str(Path.cwd()), "token": "the driver's token"}


@pytest.fixture
def unpinned():
    """This process may use all its cores again afterwards."""
    cores = os.sched_getaffinity(0)
    yield sorted(cores)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def test_an_actor_does_a_shard_on_one_core_and_says_how_far_it_is(job, tmp_path, unpinned):
    actor = Actor()
    assert json.loads(actor.load(json.dumps(job), 0, 0)) == {"event": "ready"}
    for thread in Path("/proc/self/task").iterdir():
        assert os.sched_getaffinity(int(thread.name)) == {unpinned[0]}
    task = {"shard": 3, "start": 2, "stop": 6, "commit": True, "skip": {"4": "it kills"}}
    assert json.loads(actor.run(json.dumps(task))) == {"event": "done", "committed": True, "views": 3 * len(GRID)}
    assert actor.views() == (1, 3 * len(GRID))
    commit = read_commits(tmp_path / "run")[3]
    assert (commit["start"], commit["stop"], commit["errors"]) == (2, 6, 1)
    assert json.loads(actor.run(json.dumps(task)))["committed"] is False, "another was first"
    assert actor.views() == (2, 3 * len(GRID))


def test_actors_of_gpus_share_the_cores_of_their_node(unpinned):
    everything = set(unpinned)
    shares = []
    for slot in range(2):
        pin(slot, 2)
        shares.append(os.sched_getaffinity(0))
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), everything)
    if len(unpinned) > 1:
        assert shares[0] | shares[1] == everything
        assert not shares[0] & shares[1]
    pin(len(unpinned), 0)
    assert os.sched_getaffinity(0) == everything, "more workers than cores: the system divides them"


@pytest.mark.parametrize("found", [None, "another command's token"])
def test_a_node_that_does_not_see_the_run_says_so_in_a_line(job, tmp_path, found):
    (tmp_path / "run" / PROBE).unlink()
    if found:
        (tmp_path / "run" / PROBE).write_text(found)
    event = json.loads(Actor().load(json.dumps(job), 0, 0))
    assert event["exit_code"] == 2
    assert "is not the folder of the command: choose an -o that all nodes see" in event["message"]


def test_what_a_worker_would_say_of_an_error_is_what_an_actor_says(job, tmp_path):
    changed = json.loads(Actor().load(json.dumps(job | {"images": "other"}), 0, 0))
    assert (changed["event"], changed["exit_code"]) == ("error", 1)
    assert "changed while the run was going on" in changed["message"]
    gone = json.loads(Actor().load(json.dumps(job | {"data": str(tmp_path / "gone")}), 0, 0))
    assert (gone["event"], gone["exit_code"]) == ("error", 2)
    actor = Actor()
    actor.load(json.dumps(job), 0, 0)

    class Refused:
        def run(self, task, progress):
            raise MemoryError

    actor._worker = Refused()
    task = {"shard": 0, "start": 0, "stop": 1, "commit": True, "skip": {}}
    assert json.loads(actor.run(json.dumps(task)))["event"] == "dead"


def test_a_task_comes_through_json_as_it_was():
    task = Task(3, 5, 9, commit=False, skip={7: "it kills"})
    assert Task.from_json(json.loads(json.dumps(asdict(task)))) == task


def test_a_model_that_a_node_lacks_is_prepared_there(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "node"))
    elsewhere = {key: "/nowhere" for key in ("entry", "model") if prepared.to_json()[key]}
    here = prepared_here(prepared.with_batch(7).to_json() | elsewhere, own=False)
    assert str(here.entry).startswith(str(tmp_path / "node"))
    assert here.entry.is_dir()
    assert here.batch_size == 7
    assert here.card.weights == prepared.card.weights
    began = time.monotonic()
    assert prepared_here(prepared.to_json() | elsewhere, own=False).entry == here.entry
    assert time.monotonic() - began < 5, "the second actor of the node finds what the first made"


def test_a_node_with_other_weights_is_refused(prepared, tiny_weights, tmp_path, monkeypatch):
    from safetensors.torch import load_file, save_file

    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "node"))
    weights = load_file(tiny_weights)
    name = next(key for key in weights if key.endswith("weight"))
    weights[name] = weights[name] + 1
    save_file(weights, tmp_path / "other.safetensors")
    text = prepared.text.replace(str(tiny_weights), str(tmp_path / "other.safetensors"))
    assert text != prepared.text
    record = replace(prepared, text=text, entry=tmp_path / "nowhere").to_json()
    with pytest.raises(ModelError, match="is another network than the run's"):
        prepared_here(record, own=False)


def test_a_module_of_another_machine_cannot_be_prepared(prepared, tmp_path):
    record = replace(prepared, text="module/Net", entry=tmp_path / "nowhere").to_json()
    with pytest.raises(ModelError, match="set SNELLEN_CACHE to a folder that all nodes see"):
        prepared_here(record, own=False)
