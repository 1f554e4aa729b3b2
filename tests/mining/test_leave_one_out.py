"""`--leave-one-out`: each miner on the hard set mined without it, against studies and against plain counting."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console
from small_mining import OPTIONS, ZOOMS, hard_of, mine

import snellen
from snellen.mining.order import Order
from snellen.report.mine import print_mining
from snellen.store.mined import mined_rows

pytestmark = pytest.mark.usefixtures("few_zooms")


def test_each_miner_without_itself_is_scored_on_what_the_others_mine(data, models, studies, tmp_path):
    plain = mine(models, data, tmp_path / "plain")
    mining = mine(models, data, tmp_path / "hard", leave_one_out=True)
    left_out = mining.record["leave_one_out"]
    # When the order is learned anew, and so how many views that takes, depends on how fast this machine is.
    funnels = [[row | {"forwards": None} for row in one.record["funnel"]] for one in (mining, plain)]
    assert funnels[0] == funnels[1]
    assert mining.record["views"] == mining.record["forwards"] + left_out["forwards"] + left_out["one_crop_forwards"]
    # 1-crop is among what most images were shown. It is shown by itself where it was not, and nowhere twice.
    with_crop = [len(set(rows["image"].to_pylist())) for rows in crop_rows(tmp_path / "hard")]
    assert sum(with_crop) == 3 * 14
    assert 0 < left_out["one_crop_forwards"] < 14
    rights = [
        np.concatenate([studies[number, place].correct() for place in range(2)]) for number in range(3)
    ]  # all images have a label
    crop = studies[0, 0].grid.one_crop
    for number, row in enumerate(left_out["miners"]):
        others = [other for other in range(3) if other != number]
        hard = ~np.any([rights[other].any(axis=1) for other in others], axis=0)
        free = ~np.any([rights[other][:, crop] for other in others], axis=0)
        own = rights[number]
        assert (row["hard"]["n"], row["hard"]["hits"]) == (hard.sum(), own[hard, crop].sum())
        assert row["any_zoom"]["hits"] == own[hard].any(axis=1).sum()
        assert (row["zoom_free"]["n"], row["zoom_free"]["hits"]) == (free.sum(), own[free, crop].sum())
        assert (row["all"]["n"], row["all"]["hits"]) == (14, own[:, crop].sum())
    assert sum(row["any_zoom"]["hits"] for row in left_out["miners"]), "else nothing was tested"
    # The same command without the option keeps what is known, and so does the same once more.
    assert mine(models, data, tmp_path / "hard").record == mining.record
    assert mine(models, data, tmp_path / "hard", leave_one_out=True).record == mining.record


def counted(rights, order, crop, needed):
    """One image at a time: the forwards of the funnel, those of leaving each out, and those of 1-crop alone.

    rights: of each miner, bool `[images, zooms]`. needed: how many miners must fail; fewer where one is left out.
    """
    funnel = further = crops = 0
    miners = range(len(rights))
    fewer = min(needed, len(rights) - 1)
    for image in range(len(rights[0])):
        reads = [bool(right[image].any()) for right in rights]
        takes = [next((k for k, zoom in enumerate(order, 1) if right[image, zoom]), ZOOMS) for right in rights]
        known = {}

        def could_fail(some, known=known):
            failed = sum(known.get(miner) is False for miner in some)
            return failed, failed + sum(miner not in known for miner in some)

        for miner in miners:
            if could_fail(miners)[1] >= needed:
                known[miner] = reads[miner]
                funnel += takes[miner]
        for miner in miners:
            if miner in known:
                continue
            for left_out in miners:
                fewest, most = could_fail([one for one in miners if one != left_out])
                if left_out != miner and fewest < fewer <= most:
                    known[miner] = reads[miner]
                    further += takes[miner]
                    break
        crops += sum(miner not in known or order.index(crop) >= takes[miner] for miner in miners)
    return funnel, further, crops


@pytest.mark.parametrize("needed", [None, 2])
def test_its_forwards_are_counted_image_by_image_and_its_sets_are_those_that_the_others_mine(
    needed, data, models, studies, tmp_path, monkeypatch
):
    """In an order that learns nothing, one view at a time, so that every forward is known beforehand."""
    order, real = np.random.default_rng(4).permutation(ZOOMS).astype(np.int32), Order.zooms
    grid = studies[0, 0].grid
    monkeypatch.setattr(Order, "zooms", lambda self: order if self._objects.shape[1] == ZOOMS else real(self))
    options = OPTIONS | {"batch_size": 1}
    mining = snellen.mine(models, data, out=tmp_path / "hard", leave_one_out=True, miners_required=needed, **options)
    rights = [np.concatenate([studies[number, place].correct() for place in range(2)]) for number in range(3)]
    names = [(place, image) for place in range(2) for image in studies[0, place].image_ids]
    funnel, further, crops = counted(rights, order.tolist(), grid.one_crop, needed or 3)
    left_out = mining.record["leave_one_out"]
    found = mining.record["forwards"], left_out["forwards"], left_out["one_crop_forwards"]
    assert found == (funnel, further, crops)
    assert (further > 0) == (needed is None), "where two of three must fail, the funnel asks all that are asked here"
    # Each miner on the set that the others mine by themselves, from all that studies know of them.
    for number, row in enumerate(left_out["miners"]):
        others = [model for place, model in enumerate(models) if place != number]
        out = tmp_path / f"without-{number}"
        shutil.copytree(studies[0, 0].path.parents[2], out)
        mine(others, data, out, miners_required=left_out["needed"])
        hard = [names.index(one) for one in hard_of(out, data)]
        own = rights[number][hard]
        assert (row["hard"]["n"], row["hard"]["hits"]) == (len(hard), own[:, grid.one_crop].sum())
        assert (row["any_zoom"]["n"], row["any_zoom"]["hits"]) == (len(hard), own.any(axis=1).sum())


def crop_rows(out):
    """The rows at 1-crop of each data set and model."""
    found = {}
    for run in snellen.store.find.find_runs(out):
        rows = mined_rows(run)
        rows = rows.filter(pc.equal(rows["zoom"], run.grid.one_crop))
        found.setdefault((run.data, run.model), []).append(rows.select(["image"]))
    tables = {key: pa.concat_tables(rows) for key, rows in found.items()}
    assert all(len(set(rows["image"].to_pylist())) == len(rows) for rows in tables.values())
    return list(tables.values())


def test_what_leaving_one_out_told_of_fewer_miners_is_dropped_aloud_and_views_never_fall(data, models, tmp_path):
    first = mine(models[:2], data[0], tmp_path, leave_one_out=True)
    assert not first.outdated
    more = mine(models, data[0], tmp_path)
    assert more.outdated
    assert more.record["leave_one_out"] is None
    again = mine(models, data[0], tmp_path)
    assert not again.outdated
    assert again.record == more.record
    last = mine(models, data[0], tmp_path, leave_one_out=True)
    views = [mining.record["views"] for mining in (first, more, last)]
    assert views == sorted(views)
    sessions = last.record["sessions"]
    assert len(sessions) == 3
    assert [sum(one["views"] for one in sessions[:k]) for k in (1, 2, 3)] == views
    with Console(width=200, record=True) as console:
        print_mining(more, console)
    assert "--leave-one-out" in console.export_text()
