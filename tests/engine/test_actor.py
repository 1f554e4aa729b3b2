"""What an actor does on its node before it works, without Ray: where it is, and whether it has the run's model.

An actor keeps its process to a core, so each is one in a process of its own: here as on a node.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from snellen.classifiers import entries, measure, prepare
from snellen.datasets import open_dataset
from snellen.engine.actor import PROBE, prepared_here
from snellen.engine.drive import job_of
from snellen.engine.worker import Task
from snellen.errors import ModelError
from snellen.store.commits import read_commits
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(224, 256))
TASK = {"shard": 3, "start": 2, "stop": 6, "commit": True, "skip": {"4": "it kills"}}
# Calls of an actor, one a line as JSON; the answers, and the cores that the process's threads are kept to.
ACTOR = """
import contextlib, json, os, sys
from snellen.engine import actor as module
actor = module.Actor()

class Refused:
    def run(self, task, progress):
        raise MemoryError

for line in sys.stdin:
    what, *arguments = json.loads(line)
    if what == "refuse":
        actor._worker, answer = Refused(), None
    else:
        answer = getattr(actor if hasattr(actor, what) else module, what)(*arguments)
    kept = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            kept.add(tuple(sorted(os.sched_getaffinity(int(thread)))))
    print(json.dumps([answer, sorted(kept)]), flush=True)
"""


def as_an_actor(*calls):
    """What a fresh process answers to these calls of `Actor`, or of its module, one after the other."""
    given = "".join(json.dumps(call) + "\n" for call in calls)
    done = subprocess.run([sys.executable, "-c", ACTOR], input=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def loading(job):
    return ("load", json.dumps(job), 0, 0)


@pytest.fixture(scope="module")
def prepared(tiny):
    return prepare(tiny)


@pytest.fixture
def job(tmp_path, pictures, prepared):
    """A job as the driver sends it, whose run directory is there."""
    for name in ("parts", "commits"):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / PROBE).write_text("the driver's token")
    dataset = open_dataset(pictures)
    job = job_of(tmp_path / "run", dataset.spec, dataset.fingerprint, GRID, None, False)
    return job | {"model": prepared.to_json(), "own": False, "folder": str(Path.cwd()), "token": "the driver's token"}


def test_an_actor_does_a_shard_on_one_core_and_says_how_far_it_is(job, tmp_path):
    task = ("run", json.dumps(TASK))
    answers = as_an_actor(loading(job), task, ("views",), task, ("views",))
    first = [min(os.sched_getaffinity(0))]
    assert [kept for _, kept in answers] == [[first]] * 5, "every thread, at any time"
    ready, done, views, again, views_then = (answer for answer, _ in answers)
    assert json.loads(ready) == {"event": "ready"}
    assert json.loads(done) == {"event": "done", "committed": True, "views": 3 * len(GRID)}
    assert views == [1, 3 * len(GRID)]
    commit = read_commits(tmp_path / "run")[3]
    assert (commit["start"], commit["stop"], commit["errors"]) == (2, 6, 1)
    assert json.loads(again)["committed"] is False, "another was first"
    assert views_then == [2, 3 * len(GRID)]


def test_actors_of_gpus_share_the_cores_of_their_node():
    everything = sorted(os.sched_getaffinity(0))
    ((_, (first,)),) = as_an_actor(("pin", 0, 2))
    if len(everything) > 1:
        ((_, (second,)),) = as_an_actor(("pin", 1, 2))
        assert sorted(first + second) == everything
        assert not set(first) & set(second)
    ((_, (third,)),) = as_an_actor(("pin", len(everything), 0))
    assert third == everything, "more workers than cores: the system divides them"


@pytest.mark.parametrize("found", [None, "another command's token"])
def test_a_node_that_does_not_see_the_run_says_so_in_a_line(job, tmp_path, found):
    (tmp_path / "run" / PROBE).unlink()
    if found:
        (tmp_path / "run" / PROBE).write_text(found)
    ((answer, _),) = as_an_actor(loading(job))
    event = json.loads(answer)
    assert event["exit_code"] == 2
    assert "is not the folder of the command: choose an -o that all nodes see" in event["message"]


def test_what_a_worker_would_say_of_an_error_is_what_an_actor_says(job, tmp_path):
    wrong = loading(job | {"images": "other"}), loading(job | {"data": str(tmp_path / "gone")})
    answers = as_an_actor(*wrong, loading(job), ("refuse",), ("run", json.dumps(TASK)))
    changed, gone, ready, _, refused = (answer and json.loads(answer) for answer, _ in answers)
    assert (changed["event"], changed["exit_code"]) == ("error", 1)
    assert "changed while the run was going on" in changed["message"]
    assert (gone["event"], gone["exit_code"]) == ("error", 2)
    assert ready["event"] == "ready"
    assert refused["event"] == "dead"


def test_a_task_comes_through_json_as_it_was():
    task = Task(3, 5, 9, commit=False, skip={7: "it kills"})
    assert Task.from_json(json.loads(json.dumps(asdict(task)))) == task


def test_a_model_that_a_node_lacks_is_prepared_there_once_and_not_measured(prepared, tmp_path, monkeypatch):
    asked = []
    ask = entries.ask_child
    monkeypatch.setattr(entries, "ask_child", lambda *what: asked.append(what) or ask(*what))
    monkeypatch.setattr(measure, "tuned", lambda prepared: pytest.fail("the run has its batch size"))
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "node"))
    elsewhere = {key: "/nowhere" for key in ("entry", "model") if prepared.to_json()[key]}
    here = prepared_here(prepared.with_batch(7).to_json() | elsewhere, own=False)
    assert str(here.entry).startswith(str(tmp_path / "node"))
    assert here.entry.is_dir()
    assert here.batch_size == 7
    assert here.card.weights == prepared.card.weights
    assert len(asked) == 1
    assert prepared_here(prepared.to_json() | elsewhere, own=False).entry == here.entry
    assert len(asked) == 1, "the second actor of the node finds what the first made"


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
