"""A cascade against the exhaustive study of the same model: what is shown, what is kept, what a study makes of it."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from cascades import foreign_rows, hard
from PIL import Image

import snellen
from snellen.classifiers import Prepared
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets import open_dataset
from snellen.engine.gpu import GpuWorker
from snellen.engine.running import completed
from snellen.engine.worker import NOT_NUMBERS, Task, Worker
from snellen.errors import DataError, UsageError
from snellen.files import make_folder
from snellen.labels import ClassMap
from snellen.mining import cascade_worker
from snellen.mining.cascade import cascade, together
from snellen.mining.cascade_images import next_counts
from snellen.mining.cascade_worker import CascadeWorker
from snellen.mining.funnel import FAILED, READ
from snellen.mining.order import Order
from snellen.mining.outcomes import Pool, outcome
from snellen.store import Run
from snellen.store.mined import forwards, mined_rows, mined_samples, pass_folder, passes, seen_zooms
from snellen.study import show
from snellen.zoom import paper_grid
from snellen.zoom.render import decode, render

GRID = paper_grid(scales=(96, 192, 256, 640))
ZOOMS = len(GRID)
KINDS = 4
KEYS = tuple(f"kind-{k}" for k in range(KINDS))


class Projecting(Prepared):
    """A prepared model, run in this process, whose logits depend on every pixel of a view alone."""

    def classifier(self):
        return self

    def logits(self, views):
        self.options["asked"].append(len(views))
        if not hasattr(Projecting, "weights"):
            Projecting.weights = np.random.default_rng(3).standard_normal((KINDS, 56 * 56 * 3)).astype(np.float32)
        pixels = views[:, ::4, ::4].reshape(len(views), -1).astype(np.float32) / 255 - 0.5
        logits = np.stack([(self.weights * one).sum(axis=1) for one in pixels])  # the same sums in any batch
        logits += np.array([0, -40, -15, 0], np.float32)
        logits[views[:, 112, 112, 0] == self.options.get("overflows", -1)] = np.inf
        return logits

    def logits_on_device(self, views):
        return torch.from_numpy(self.logits(views.numpy()))


def model(batch=4, **options):
    card = ModelCard("proj", "0" * 64, 224, OwnTransform(224, 256, "bicubic"), (0.5,), (0.5,), "kinds", KEYS, 1, 0)
    options = {"asked": [], **options}
    return Projecting("module/projecting", card, "torch", "cpu", "fp32", batch, 30.0, options, network=object())


@dataclass
class Given:
    """An order that never changes; it notes what it hears, and may do something when it is asked."""

    order: list[int] = field(default_factory=lambda: np.random.default_rng(1).permutation(ZOOMS).tolist())
    heard: list[tuple] = field(default_factory=list)
    then: object = None

    def zooms(self):
        if self.then:
            self.then, then = None, self.then
            then()
        return np.array(self.order, np.int32)

    def add(self, correct, shown):
        assert not (correct & ~shown).any()
        self.heard.append((correct, shown))


@pytest.fixture
def folder(tmp_path):
    """14 pictures in four folders, of some classes that the model hardly ever answers; the sixth cannot be read."""
    rng = np.random.default_rng(5)
    for k in range(14):
        place = tmp_path / "data" / f"kind-{k % KINDS}"
        place.mkdir(parents=True, exist_ok=True)
        size = tuple(rng.integers(60, 120, 2).tolist())
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(size).save(place / f"{k:02d}.png")
    (tmp_path / "data" / "kind-1" / "05.png").write_bytes(b"no picture")
    return tmp_path / "data"


@pytest.fixture
def truth(folder, tmp_path):
    """The exhaustive study."""
    return exhaustive(folder, tmp_path / "exhaustive")


def running(**given):
    return completed("mine", {"workers": 1, **given})


def exhaustive(folder, out, **options):
    return show(open_dataset(folder), model(), GRID, out, running(**options))


def mine(folder, out, order=None, prepared=None, **given):
    options = {key: given.pop(key) for key in ("limit",) if key in given}
    path = cascade(open_dataset(folder), prepared or model(), GRID, out, running(**options), order or Given(), **given)
    return snellen.load_run(path)


def same_rows(rows_of, study):
    """How many rows there are; AssertionError unless each is a row of the study, to the bit, and there once."""
    assert not foreign_rows(rows_of, study)
    return len(mined_rows(rows_of))


def tables(run):
    return {kind: run.table(kind) for kind in ("samples", "predictions", "merged")}


@pytest.mark.parametrize("batch", [1, 4, 9, 50])
def test_the_hard_set_and_each_row_are_those_of_the_exhaustive_study(batch, folder, truth, tmp_path):
    order, prepared = Given(), model(batch)
    run = mine(folder, tmp_path / "mined", order, prepared)
    expected = hard(truth)
    assert 2 <= len(expected) <= 9
    assert hard(run) == expected
    count = same_rows(run, truth)
    assert sum(prepared.options["asked"]) == count == forwards(run), "views that were computed are views that are kept"
    assert all(asked <= batch for asked in prepared.options["asked"])
    # Each is shown the first zooms of the order: up to the first that is right, and half as many again at most.
    seen, right = seen_zooms(run), dict(zip(truth.image_ids, truth.correct(), strict=True))
    names = mined_samples(run)["image_id"].to_pylist()
    for name, image, shown in zip(names, seen.images, seen.shown, strict=True):
        if image in seen.failed:
            assert name == "kind-1/05.png"
            assert not shown.any()
            continue
        place = order.order.index
        zooms = sorted(np.flatnonzero(shown).tolist(), key=place)
        assert zooms == order.order[: len(zooms)]
        needed = next((k for k, zoom in enumerate(order.order, 1) if right[name][zoom]), ZOOMS)
        assert needed <= len(zooms) <= max(needed, needed - 1 + max(1, (needed - 1) // 2))
    assert not run.commits, "a cascade commits no shard of the study"


def test_batches_are_full_while_images_are_left(folder, tmp_path):
    prepared = model(3)
    mine(folder, tmp_path / "mined", prepared=prepared)
    asked = prepared.options["asked"]
    assert np.mean(np.array(asked) == 3) > 0.6
    assert next_counts([0, 1, 2, 3], 9) == [1, 1, 1, 1], "what may still be read next is not shown more at once"
    assert next_counts([9, 40], 12) == [1, 11]
    assert next_counts([9, 12], 12) == [4, 6]


def test_a_study_takes_what_was_shown_at_every_zoom_and_makes_the_rows_of_a_study(folder, truth, tmp_path):
    run = mine(folder, tmp_path / "mined")
    count = len(hard(run))
    whole = exhaustive(folder, tmp_path / "mined")
    assert whole.path == run.path
    for kind, table in tables(truth).items():
        assert whole.table(kind).equals(table), kind
    assert sum(commit["views"] for commit in whole.commits.values()) == (13 - count) * ZOOMS
    again = snellen.load_run(run.path)
    assert hard(again) == hard(truth)
    assert mined_rows(again).equals(truth.frame().sort_by([("image", "ascending"), ("zoom", "ascending")]))
    assert mined_samples(again).equals(truth.samples)
    # And what a study has done is nothing to be mined.
    prepared = model()
    mine(folder, tmp_path / "mined", prepared=prepared)
    assert not prepared.options["asked"]
    assert passes(run.path) == [0]


def test_part_of_a_study_is_not_mined_again(folder, truth, tmp_path):
    begun = exhaustive(folder, tmp_path / "out")
    for record in sorted((begun.path / "commits").iterdir())[::2]:
        record.unlink()
    left = Run(begun.path, begun.record)
    prepared = model()
    run = mine(folder, tmp_path / "out", prepared=prepared)
    assert hard(run) == hard(truth)
    outside = set(range(14)) - {i for c in left.commits.values() for i in range(c["start"], c["stop"])}
    parts = [pq.read_table(path) for path in (run.path / "mined").glob("*/parts/*.predictions.parquet")]
    assert {image for part in parts for image in part["image"].to_pylist()} <= outside
    same_rows(run, truth)


def write_labels(path, sets):
    lines = [f'"{name}","{"|".join(KEYS[k] for k in labels)}"' for name, labels in sets.items()]
    path.write_text("\n".join(['"image_id","labels"', *lines]) + "\n")
    return path


def test_other_labels_show_only_what_is_missing_and_no_row_becomes_wrong(folder, truth, tmp_path):
    out = tmp_path / "mined"
    first = mine(folder, out)
    names = [item.id for item in open_dataset(folder).items]
    moved = {name: [(KEYS.index(name.split("/")[0]) + 1) % KINDS] for name in names}
    before = {path: path.read_bytes() for path in (first.path / "mined").rglob("*.*")}
    shown = forwards(first)
    prepared = model()
    second = mine(folder, out, prepared=prepared, labels=write_labels(tmp_path / "moved.csv", moved))
    assert passes(second.path) == [0, 1]
    assert hard(second, moved) == hard(truth, moved)
    assert hard(second) == hard(truth)
    assert forwards(second) - shown == sum(prepared.options["asked"])
    assert {path: path.read_bytes() for path in before} == before, "what was committed is never changed"
    same_rows(second, truth)
    # With labels that something shown is right by already, nothing is missing; nor with the first again.
    both = {name: sorted({*moved[name], KEYS.index(name.split("/")[0])}) for name in names}
    for labels in (None, write_labels(tmp_path / "both.csv", both)):
        again = model()
        mine(folder, out, prepared=again, labels=labels)
        assert not again.options["asked"]
    whole = exhaustive(folder, out)
    for kind, table in tables(truth).items():
        assert whole.table(kind).equals(table), kind


def test_images_are_those_asked_for_and_others_can_follow(folder, truth, tmp_path):
    out = tmp_path / "mined"
    run = mine(folder, out, images=[2, 3, 9])
    assert mined_samples(run)["image"].to_pylist() == [2, 3, 9]
    run = mine(folder, out, images=[3, 4, 10], limit=11)
    assert mined_samples(run)["image"].to_pylist() == [2, 3, 4, 9, 10]
    run = mine(folder, out)
    assert hard(run) == hard(truth)
    same_rows(run, truth)
    with pytest.raises(UsageError, match="images has 14"):
        mine(folder, out, images=[0, 14])


def test_images_without_a_label_are_never_shown(folder, tmp_path):
    names = [item.id for item in open_dataset(folder).items]
    sets = {name: [] if k % 2 else [0] for k, name in enumerate(names)}
    run = mine(folder, tmp_path / "mined", labels=write_labels(tmp_path / "half.csv", sets))
    assert mined_samples(run)["image"].to_pylist() == list(range(0, 14, 2))
    none = write_labels(tmp_path / "none.csv", {name: [] for name in names})
    with pytest.raises(DataError, match=r"no image of .* has a label"):
        mine(folder, tmp_path / "none", labels=none)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_view_that_is_not_answered_in_numbers_is_wrong_whatever_the_order(seed, folder, truth, tmp_path):
    """Against every view of every image: which are bad, and whether another is right, decides and nothing else."""
    names, right = truth.image_ids, truth.correct()
    views = {name: render(decode(folder / name), GRID.rules) for name in names}
    pixel = int(views["kind-0/00.png"][Given().order[0], 112, 112, 0])
    bad = np.array([views[name][:, 112, 112, 0] == pixel for name in names])
    read = (right & ~bad).any(axis=1)
    assert (bad.any(axis=1) & ~read).any()
    order = Given(np.random.default_rng(seed).permutation(ZOOMS).tolist())
    prepared = model(overflows=pixel)
    run = mine(folder, tmp_path / "mined", order, prepared)
    errors = {row["image_id"]: row["error"] for row in mined_samples(run).to_pylist() if row["error"]}
    assert "not an image" in errors.pop("kind-1/05.png")
    assert errors == dict.fromkeys(np.array(names)[bad.any(axis=1) & ~read].tolist(), NOT_NUMBERS)
    # Of other views of such an image all rows are kept, none of a bad one, and what was computed is counted.
    assert forwards(run) == sum(prepared.options["asked"])
    assert not foreign_rows(run, truth)
    seen, at = seen_zooms(run), {name: row for row, name in enumerate(mined_samples(run)["image_id"].to_pylist())}
    for name, row in zip(names, bad, strict=True):
        shown = seen.shown[at[name]]
        assert not (shown & row).any()
        if name in errors:
            assert (shown == ~row).all()
    pool = Pool.of(open_dataset(folder), None, None, prepared.card.class_space)
    told = outcome(run, pool)
    expected = dict(zip(names, np.where(read, READ, FAILED).tolist(), strict=True))
    images = {item.id: k for k, item in enumerate(pool.dataset.items)}
    assert {name: told.told[images[name]] for name in names} == expected
    assert {pool.dataset.items[image].id for image in told.unanswered} == errors.keys()
    assert list(told.unreadable) == [images["kind-1/05.png"]]
    # What is finished is not tried again, and a study believes nothing of an image with a bad view.
    again = model(overflows=pixel)
    mine(folder, tmp_path / "mined", prepared=again)
    assert not again.options["asked"]
    study = show(open_dataset(folder), again, GRID, tmp_path / "mined", running())
    left = {name for name, row in zip(names, bad, strict=True) if not row.any()}
    assert set(study.image_ids) == left


def test_the_order_hears_of_every_image_once_and_is_renewed(folder, truth, tmp_path, monkeypatch):
    monkeypatch.setattr("snellen.mining.cascade.LEARNING", 1e9)  # learns before each task, however slow that is
    order = Given()
    run = mine(folder, tmp_path / "mined", order)
    seen, samples = seen_zooms(run), mined_samples(run)
    assert not len(order.heard[0][0]), "there was nothing to hear of at the start"
    assert len(order.heard) > 2
    # It hears of whole shards before each task, in their order: all images but those of the last task, each once.
    heard = [(tuple(a), tuple(b)) for correct, shown in order.heard for a, b in zip(correct, shown, strict=True)]
    right = dict(zip(truth.image_ids, truth.correct(), strict=True))
    told = [
        (tuple(shown & right.get(name, False)), tuple(shown))
        for name, shown in zip(samples["image_id"].to_pylist(), seen.shown, strict=True)
    ]
    assert heard == told[: len(heard)]
    assert len(heard) in run.record["shards"][-4:-1]
    later = Given()
    mine(folder, tmp_path / "mined", later)
    correct, shown = later.heard[0]
    assert np.array_equal(shown, seen.shown)
    assert correct.any(axis=1).sum() == 13 - len(hard(run))


def test_a_learned_order_reads_the_same_hard_set_with_fewer_views(folder, truth, tmp_path):
    worst = Given(np.argsort(truth.correct().sum(axis=0), kind="stable").tolist())
    slow = forwards(mine(folder, tmp_path / "worst", worst))
    run = mine(folder, tmp_path / "learned", Order.learn([(truth.correct(), np.ones((13, ZOOMS), bool))], GRID))
    assert hard(run) == hard(truth)
    assert forwards(run) < slow


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
