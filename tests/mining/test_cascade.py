"""A cascade against the exhaustive study of the same model: what is shown, what is kept, what a study makes of it."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from cascades import foreign_rows, hard
from projecting import (
    GRID,
    KEYS,
    KINDS,
    ZOOMS,
    Given,
    exhaustive,
    mine,
    model,
    running,
    same_rows,
    tables,
    write_labels,
)

import snellen
from snellen.datasets import open_dataset
from snellen.engine.worker import NOT_NUMBERS
from snellen.errors import DataError, UsageError
from snellen.mining.cascade_images import next_counts
from snellen.mining.funnel import FAILED, READ
from snellen.mining.order import Order
from snellen.mining.outcomes import Pool, outcome
from snellen.store import Run
from snellen.store.mined import forwards, mined_rows, mined_samples, passes, seen_zooms
from snellen.study import show
from snellen.zoom.render import decode, render


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
