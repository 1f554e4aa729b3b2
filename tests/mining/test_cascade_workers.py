"""The worker of a cascade: several of one shard, of a GPU, with little memory; what ends it, and what is damaged."""

import json
import shutil
from collections import Counter

from cascades import hard
from projecting import (
    GRID,
    KEYS,
    KINDS,
    ZOOMS,
    Given,
    exhaustive,
    mine,
    model,
    same_rows,
    tables,
)

import snellen
from snellen.datasets import open_dataset
from snellen.engine.gpu import GpuWorker
from snellen.engine.worker import Task, Worker
from snellen.files import make_folder
from snellen.labels import ClassMap
from snellen.mining import cascade_worker
from snellen.mining.cascade import together
from snellen.mining.cascade_worker import CascadeWorker
from snellen.store import Run
from snellen.store.mined import mined_rows, mined_samples, pass_folder


def test_of_two_workers_of_a_shard_the_first_counts(folder, truth, tmp_path):
    run = mine(folder, tmp_path / "mined")
    commit = json.loads((pass_folder(run.path, 0) / "commits" / "00000.json").read_text())
    files = sorted((pass_folder(run.path, 0) / "parts").iterdir())
    told = {"shard": 0, "start": commit["start"], "stop": commit["stop"], "pass": 0, "images": [0], "labels": [[0]]}
    task = Task(
        0, 0, commit["stop"], fingerprint=commit["fingerprint"], told={"shards": [{**told, "shown": {}}], "order": [5]}
    )
    other = worker(folder, run.path)
    assert not other.run(task, lambda images: None)
    assert not other.classifier.options["asked"], "what is committed is not done again"
    shard = other._shard(task.told["shards"][0], task)
    assert not other._commit(shard, task)
    assert sorted((pass_folder(run.path, 0) / "parts").iterdir()) == files


def test_a_shard_that_another_committed_meanwhile_is_completed_in_the_next_pass(folder, truth, tmp_path):
    """A worker of a command that died commits an image of the first shard after the next command has planned it."""
    out = tmp_path / "mined"
    begun = mine(folder, out, images=[13])

    def late():
        bounds = begun.record["shards"]
        told = {"shard": 0, "start": 0, "stop": bounds[1], "pass": 0, "images": [0], "labels": [[0]], "shown": {}}
        zooms = Given().order
        task = Task(0, 0, bounds[1], fingerprint=begun.record["fingerprint"], told={"shards": [told], "order": zooms})
        assert worker(folder, begun.path).run(task, lambda images: None)

    run = mine(folder, out, Given(then=late), model(2))
    assert hard(run) == hard(truth)
    same_rows(run, truth)


def worker(folder, path, **options):
    for kind in ("parts", "commits"):
        make_folder(pass_folder(path, 0) / kind)
    return CascadeWorker(path, open_dataset(folder), model(), GRID, options.pop("batch", 4), **options)


def by_worker(folder, path, one, sets, skip=None):
    """The run that a worker makes of all images as one shard."""
    told = {"shard": 0, "start": 0, "stop": 14, "pass": 0, "images": list(range(14)), "labels": sets, "shown": {}}
    task = Task(0, 0, 14, fingerprint="f", skip=skip or {}, told={"shards": [told], "order": Given().order})
    heard = []
    assert one.run(task, heard.append)
    assert sum(heard) == 14 * ZOOMS
    return by_shard(path)


def by_shard(path):
    """The run in a folder, of all images as one shard."""
    card = {"space": "kinds", "keys": KEYS}
    return Run(path, {"grid": GRID.to_json(), "shards": [0, 14], "fingerprint": "f", "model": {"card": card}})


def test_classes_that_mask_the_head_decide_what_is_right(folder, tmp_path):
    """Two ids are one class, and one takes no part: rows are those of a study's worker with the same map."""
    classes = ClassMap("some", ((0, 2), (3,)), KINDS)
    sets = [([0, 2], [3], [1])[k % 3] for k in range(14)]
    run = by_worker(folder, tmp_path / "a", worker(folder, tmp_path / "a", classes=classes), sets)
    for kind in ("parts", "commits"):
        (tmp_path / "b" / kind).mkdir(parents=True)
    plain = Worker(tmp_path / "b", open_dataset(folder), model(), GRID, 4, classes=classes)
    assert plain.run(Task(0, 0, 14, fingerprint="f"), lambda views: None)
    same_rows(run, by_shard(tmp_path / "b"))
    rows = mined_rows(run)
    right = {i for i, best in zip(rows["image"].to_pylist(), rows["id0"].to_pylist(), strict=True) if best in sets[i]}
    counts = Counter(rows["image"].to_pylist())
    assert {i for i in counts if i not in right} == {i for i in counts if counts[i] == ZOOMS} - right
    assert 1 not in set(rows["id0"].to_pylist()) <= {0, 2, 3}
    assert 0 < len(right) < 13


def test_the_worker_of_a_gpu_takes_what_was_shown_at_every_zoom_too(folder, truth, tmp_path):
    names = [item.id for item in open_dataset(folder).items]
    by_worker(folder, tmp_path, worker(folder, tmp_path), [[KEYS.index(name.split("/")[0])] for name in names])
    for kind in ("parts", "commits"):
        (tmp_path / kind).mkdir()
    gpu = GpuWorker(tmp_path, open_dataset(folder), model(), GRID, 4, device="cpu", decoders=1)
    assert gpu.run(Task(0, 0, 14, fingerprint="f", told={"passes": [0]}), lambda views: None)
    run = by_shard(tmp_path)
    for kind, table in tables(truth).items():
        assert run.table(kind).equals(table), kind
    assert run.commits[0]["views"] == (13 - len(hard(truth))) * ZOOMS


def test_little_memory_and_many_threads_change_no_row(folder, truth, tmp_path, monkeypatch):
    names = [item.id for item in open_dataset(folder).items]
    sets = [[KEYS.index(name.split("/")[0])] for name in names]
    plain = by_worker(folder, tmp_path / "a", worker(folder, tmp_path / "a", batch=1), sets)
    threaded = by_worker(folder, tmp_path / "b", worker(folder, tmp_path / "b", batch=1, threads=3), sets)
    monkeypatch.setattr(cascade_worker, "HELD_BYTES", 1)
    short = worker(folder, tmp_path / "c", batch=5)
    held = by_worker(folder, tmp_path / "c", short, sets)
    for one in (plain, threaded, held):
        same_rows(one, truth)
        assert mined_samples(one).equals(truth.samples)
    assert mined_rows(plain).equals(mined_rows(threaded))
    assert short.classifier.options["asked"][:3] == [1, 1, 1], "one image at a time"


def test_an_image_that_ends_workers_is_listed_and_a_try_commits_nothing(folder, tmp_path):
    one = worker(folder, tmp_path)
    told = {"shard": 0, "start": 0, "stop": 14, "pass": 0, "images": [1, 4, 8], "labels": [[0]] * 3, "shown": {}}
    task = Task(0, 2, 9, commit=False, fingerprint="f", told={"shards": [told], "order": Given().order})
    heard = []
    assert not one.run(task, heard.append)
    assert sum(heard) == 2 * ZOOMS, "of a try only its own images are done"
    assert not list((pass_folder(tmp_path, 0) / "parts").iterdir())
    sets = [[0]] * 14
    run = by_worker(folder, tmp_path, one, sets, skip={3: "it kills"})
    assert mined_samples(run)["error"].to_pylist()[3] == "it kills"
    assert 3 not in mined_rows(run)["image"].to_pylist()


def test_a_damaged_part_is_put_aside_and_its_shard_is_mined_again(folder, truth, tmp_path):
    out = tmp_path / "mined"
    run = mine(folder, out)
    record = json.loads((pass_folder(run.path, 0) / "commits" / "00001.json").read_text())
    part = pass_folder(run.path, 0) / "parts" / record["files"]["predictions"]["name"]
    part.write_bytes(part.read_bytes()[:-7])
    prepared = model()
    again = mine(folder, out, prepared=prepared)
    assert sum(prepared.options["asked"]) > 0
    assert hard(again) == hard(truth)
    same_rows(again, truth)
    assert [path.name for path in (pass_folder(run.path, 0) / "damaged").iterdir()] == ["00001.json.0"]
    # A study does not believe a damaged part either.
    record = json.loads((pass_folder(run.path, 0) / "commits" / "00001.json").read_text())
    part = pass_folder(run.path, 0) / "parts" / record["files"]["merged"]["name"]
    part.write_bytes(part.read_bytes()[:-7])
    whole = exhaustive(folder, out)
    for kind, table in tables(truth).items():
        assert whole.table(kind).equals(table), kind


def test_a_pass_copied_from_another_run_counts_nothing(folder, truth, tmp_path):
    run = mine(folder, tmp_path / "mined")
    other = mine(folder, tmp_path / "other", images=[0])
    for record in (pass_folder(run.path, 0) / "commits").iterdir():
        text = json.loads(record.read_text())
        record.write_text(json.dumps(text | {"fingerprint": "0" * 64}))
    shutil.rmtree(other.path / "mined")
    shutil.copytree(run.path / "mined", other.path / "mined")
    assert not len(mined_rows(snellen.load_run(other.path)))
    assert hard(mine(folder, tmp_path / "other")) == hard(truth)


def test_shards_are_handed_out_together_until_batches_are_full():
    shards = [{"shard": k, "start": 2 * k, "stop": 2 * k + 2, "images": [2 * k]} for k in range(40)]
    groups = [[told["shard"] for told in task.told["shards"]] for task in together(shards, 2, 1, "f")]
    assert [len(group) for group in groups] == [8] * 5
    assert [shard for group in groups for shard in group] == list(range(40))
    assert len(together(shards, 300, 2, "f")) == 8
    assert [(task.shard, task.start, task.stop) for task in together(shards[:1], 300, 2, "f")] == [(0, 0, 2)]
