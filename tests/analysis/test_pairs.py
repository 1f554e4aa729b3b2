"""The comparison of two made-up runs against loops over what they were made from."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest, fisher_exact
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from two_runs import rename, right, runs_of

import snellen
from snellen.analysis.bias import bias_difference, centre_bias, location_hits
from snellen.analysis.pairs import compare_runs
from snellen.errors import DataError, UsageError
from snellen.zoom import SCALES, Grid, paper_grid

CENTRE = 9 * SCALES.index(256) + 4
ROWS = ["1-crop", "top-36 (oracle)", "upper bound", "zoom-in", "zoom-224", "zoom-out"]


def load(truths):
    return [snellen.load_run(truth.path) for truth in truths]


def greedy(rows):
    """The greedy cover by sets."""
    solves = [{i for i, row in enumerate(rows) if row[zoom]} for zoom in range(rows.shape[1])]
    left, cover = set().union(*solves), []
    while left:
        cover.append(max(range(len(solves)), key=lambda zoom: (len(solves[zoom] & left), -zoom)))
        left -= solves[cover[-1]]
    return cover


def measures(rows, cover):
    """Whether each image is solved, by the name of the row."""
    scale = np.repeat(SCALES, 9)
    return {
        "1-crop": rows[:, CENTRE],
        "top-36 (oracle)": rows[:, cover[:36]].any(axis=1),
        "upper bound": rows.any(axis=1),
        "zoom-in": rows[:, scale > 224].any(axis=1),
        "zoom-224": rows[:, scale == 224].any(axis=1),
        "zoom-out": rows[:, scale < 224].any(axis=1),
    }


def table(a, b):
    return [[int((a & b).sum()), int((a & ~b).sum())], [int((b & ~a).sum()), int((~a & ~b).sum())]]


def ones(truth, folder):
    """A label source that accepts class 1 for every image."""
    path = folder / "ones.csv"
    path.write_text("image_id,labels\n" + "".join(f"folder/{k:03d}.jpg,{truth.space.keys[1]}\n" for k in range(60)))
    return str(path)


def test_every_number(make_run, tmp_path):
    rng = np.random.default_rng(0)
    ease = rng.choice([0, 0.01, 0.5, 1], (2, 60, 1)) * rng.random((60, 1))  # some are hard for one, some for both
    best = np.where(rng.random((2, 60, 324)) < ease, 1, rng.choice([0, 2, 3], (2, 60, 324))).astype(np.int32)
    truths = runs_of(make_run, tmp_path, images=60, best=list(best), bad=[(5,), (5, 21)], shards=(0, 16, 60))
    found = compare_runs(*load(truths), ones(truths[0], tmp_path), resamples=500)
    kept = [k for k in range(60) if k not in (5, 21)]
    rows_a, rows_b = (best[k][truth.images] == 1 for k, truth in enumerate(truths))
    a, b = best[:, kept] == 1
    assert (found.a, found.b, found.images) == ("model-0", "model-1", 58)
    assert found.left_out == {"could not be read": 2}
    assert found.notes == []

    covers = greedy(rows_a), greedy(rows_b)
    mine, theirs = measures(a, covers[0]), measures(b, covers[1])
    assert [row.what for row in found.differences] == ROWS == list(mine)
    p = []
    for row in found.differences:
        x, y = mine[row.what], theirs[row.what]
        assert (row.a.hits, row.b.hits, row.a.n, row.b.n) == (x.sum(), y.sum(), 58, 58)
        assert row.value == pytest.approx(x.mean() - y.mean())
        assert row.low <= row.value <= row.high
        assert (row.test.only_a, row.test.only_b) == ((x & ~y).sum(), (y & ~x).sum())
        p.append(their_mcnemar(table(x, y), exact=True).pvalue if (x != y).any() else 1.0)
        assert row.test.p == pytest.approx(p[-1], abs=1e-9)
    assert [row.p for row in found.differences] == pytest.approx(multipletests(p, method="holm")[1], abs=1e-9)
    assert list(found.consistency) == ["1-crop", "upper bound"]
    for what, kappa in found.consistency.items():
        assert kappa.kappa == pytest.approx(cohens_kappa(table(mine[what], theirs[what])).kappa, abs=1e-9)

    hard = ~mine["upper bound"], ~theirs["upper bound"]
    assert hard[0].sum() > 3 < hard[1].sum()
    assert (found.hard.a, found.hard.b, found.hard.both) == (hard[0].sum(), hard[1].sum(), (hard[0] & hard[1]).sum())
    assert found.hard.p == pytest.approx(fisher_exact(table(*hard)).pvalue, abs=1e-9)
    assert (found.union.hits, found.union.n) == ((~(hard[0] & hard[1])).sum(), 58)

    ids_a, ids_b = np.full((2, 60, 324), -9)
    ids_a[truths[0].images], ids_b[truths[1].images] = truths[0].ids, truths[1].ids
    equal = ids_a[kept] == ids_b[kept]
    assert found.agreement.all == pytest.approx(equal.mean())
    assert found.agreement.answers == equal.size
    assert found.agreement.single.hits == equal[:, CENTRE].sum()
    assert found.agreement.confidence is None

    wanted = []
    for names, x, y, cover in ((("model-0", "model-1"), a, b, covers[0]), (("model-1", "model-0"), b, a, covers[1])):
        for k in sorted({min(36, len(cover)), len(cover)}):
            hits = [int(rows[:, cover[:k]].any(axis=1).sum()) for rows in (x, y)]
            wanted.append((*names, k, *hits))
    assert [
        (one.learned_on, one.tested_on, one.zooms, one.oracle.hits, one.transferred.hits) for one in found.transfer
    ] == wanted

    grid = truths[0].grid
    biases = [centre_bias(location_hits(rows, grid)).value for rows in (a, b)]
    drawn = bias_difference(location_hits(a, grid), location_hits(b, grid), 500)
    assert (found.bias.a, found.bias.b) == pytest.approx(biases)
    assert found.bias.value == pytest.approx(biases[0] - biases[1]) == pytest.approx(drawn.value)
    assert (found.bias.low, found.bias.high, found.bias.p) == (drawn.low, drawn.high, drawn.p)
    json.dumps(found.to_json(), allow_nan=False)


def negated(one, other):
    there, back = (one.value, one.low, one.high), (-other.value, -other.high, -other.low)
    return there == pytest.approx(back, abs=1e-12) or one.value == other.value == 0


def test_swapping_the_runs_negates_every_difference(make_run, tmp_path):
    runs = load(runs_of(make_run, tmp_path, images=40, classes=50))
    there, back = compare_runs(*runs, resamples=200), compare_runs(*runs[::-1], resamples=200)
    assert all(negated(*rows) for rows in zip(there.differences, back.differences, strict=True))
    assert there.bias.value == pytest.approx(-back.bias.value)
    assert (there.bias.low, there.bias.high) == pytest.approx((-back.bias.high, -back.bias.low), abs=0.03)
    assert [row.p for row in there.differences] == [row.p for row in back.differences]
    assert (there.consistency, there.agreement, there.union) == (back.consistency, back.agreement, back.union)
    assert (there.hard.a, there.hard.b, there.hard.both) == (back.hard.b, back.hard.a, back.hard.both)
    assert sorted(map(str, there.transfer)) == sorted(map(str, back.transfer))


def test_a_run_against_itself(make_run, tmp_path):
    (truth,) = runs_of(make_run, tmp_path, 1, classes=50)
    run = snellen.load_run(truth.path)
    found = compare_runs(run, run)
    assert (found.a, found.b) == ("model-0", "model-0 (no. 2)")
    for row in found.differences:
        assert (row.value, row.low, row.high, row.p, row.significant) == (0, 0, 0, 1, False)
    assert all(kappa.kappa == 1 for kappa in found.consistency.values())
    assert (found.agreement.all, found.agreement.single.value, found.agreement.confidence) == (1, 1, 0)
    assert (found.bias.value, found.bias.p) == (0, 1)
    assert found.hard.both == found.hard.a == found.hard.b


@pytest.mark.parametrize(("answer", "share"), [("right", 1), ("wrong", 0)])
def test_all_right_and_all_wrong(answer, share, make_run, tmp_path):
    best = np.full((10, 324), 1 if answer == "right" else 2, np.int32)
    truths = runs_of(make_run, tmp_path, images=10, best=best)
    found = compare_runs(*load(truths), ones(truths[0], tmp_path))
    assert [row.a.value for row in found.differences] == [row.b.value for row in found.differences] == [share] * 6
    assert all(np.isnan(kappa.kappa) for kappa in found.consistency.values())
    assert found.hard.both == 10 * (1 - share)
    assert found.hard.p == 1
    assert [one.zooms for one in found.transfer] == [share] * 2
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_single_view_the_rest_is_there(seed, make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=3 + 4 * seed, classes=4 + seed, grid=paper_grid(224, (128, 224, 512)))
    found = compare_runs(*load(truths), resamples=50, seed=seed)
    assert [row.what for row in found.differences] == ["top-36 (oracle)", "upper bound", *ROWS[3:]]
    rows = [right(truth, truths[0].labels) for truth in truths]
    solved = [one.any(axis=1) for one in rows]
    assert found.union.hits == (solved[0] | solved[1]).sum()
    assert (found.differences[1].a.hits, found.differences[1].b.hits) == tuple(one.sum() for one in solved)
    assert found.differences[4].a.hits == rows[0][:, :9].any(axis=1).sum()
    assert list(found.consistency) == ["upper bound"]
    assert found.agreement.single is None
    assert found.agreement.all == pytest.approx((truths[0].ids == truths[1].ids).mean())


def own_grid(resize):
    rule = paper_grid(224, (256,)).rules[4]
    return Grid("own", (type(rule)(resize, 1, 1, anchor="spread"),))


def test_benchmark_runs_have_one_row(make_run, tmp_path):
    """Each model with its own transform: other resizes, the same thing to compare."""
    truths = runs_of(make_run, tmp_path, images=40, classes=3, grid=[own_grid(256), own_grid(232)])
    found = compare_runs(*load(truths))
    assert [row.what for row in found.differences] == ["own transform"]
    a, b = (right(truth, truths[0].labels)[:, 0] for truth in truths)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert found.differences[0].p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue, abs=1e-9)
    assert (found.hard, found.union, found.bias, found.transfer, found.notes) == (None, None, None, [], [])
    assert found.agreement.single.value == found.agreement.all


def test_of_other_grids_only_the_single_views_are_compared(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=30, grid=[paper_grid(), own_grid(256)])
    found = compare_runs(*load(truths))
    assert [row.what for row in found.differences] == ["1-crop / own transform"]
    assert found.differences[0].a.hits == right(truths[0], truths[0].labels)[:, CENTRE].sum()
    assert found.differences[0].b.hits == right(truths[1], truths[0].labels)[:, 0].sum()
    assert found.notes == ["the grids differ (paper, own): only the single views are compared"]
    assert (found.agreement.all, found.hard) == (None, None)


def test_the_same_zooms_at_another_size_are_the_same_zooms(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=10, grid=[paper_grid(), paper_grid(336)])
    assert [row.what for row in compare_runs(*load(truths), resamples=10).differences] == ROWS


def test_one_model_at_two_precisions(make_run, tmp_path):
    """The second run gives another answer at three places, and is a little less sure at all."""
    truths = runs_of(make_run, tmp_path, images=20)
    first, second = (truth.path for truth in truths)
    shutil.rmtree(second)
    shutil.copytree(first, second)
    rename(second, "kind/model-0", precision="bf16")
    part = next(second.glob("parts/*.predictions.parquet"))
    table = pq.read_table(part)
    ids, p = table["id0"].to_numpy().copy(), table["p0"].to_numpy().copy()
    ids[[5, 500, 5000]] += 1
    p[1000] -= 0.125
    for name, values in (("id0", ids), ("p0", p)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), [values])
    pq.write_table(table, part)
    found = compare_runs(*load(truths), resamples=10)
    assert (found.a, found.b) == ("model-0 (fp32)", "model-0 (bf16)")
    assert found.agreement.all == pytest.approx(1 - 3 / (20 * 324))
    assert found.agreement.confidence == 0.125


def test_images_are_paired_by_id_and_content(make_run, tmp_path):
    """Other shards, so another number of images; other bytes of one, another without a label."""
    truths = runs_of(make_run, tmp_path, images=30, shards=(0, 20, 30), left_out=[(), (1,)], bad=[(3,), ()])
    part = next(truths[1].path.glob("parts/*.samples.parquet"))
    table = pq.read_table(part)
    hashes = table["sha256"].to_pylist()
    hashes[7] = "0" * 64
    pq.write_table(table.set_column(4, table.schema.field(4), [hashes]), part)
    labels = (truths[0].path / "labels.csv").read_text().splitlines()
    labels[1 + 9] = labels[1 + 9].rpartition(",")[0] + ","
    for truth in truths:
        (truth.path / "labels.csv").write_text("\n".join(labels))
    found = compare_runs(*load(truths))
    kept = [k for k in range(20) if k not in (3, 7, 9)]
    assert found.images == len(kept)
    assert found.left_out == {
        "only in model-0": 10,
        "have other bytes under the same id": 1,
        "could not be read": 1,
        "have no label": 1,
    }
    assert found.notes == ["model-1 is in progress: 20 of 30 images are done"]
    a = dict(zip(truths[0].images, right(truths[0], truths[0].labels), strict=True))
    every_label = dict(zip(truths[0].images, truths[0].labels, strict=True)) | {3: []}
    b = right(truths[1], [every_label[k] for k in truths[1].images])
    mine = np.array([a[k].any() for k in kept])
    theirs = np.array([b[k].any() for k in kept])
    upper = found.differences[2]
    assert (upper.a.hits, upper.b.hits) == (mine.sum(), theirs.sum())
    assert (upper.test.only_a, upper.test.only_b) == ((mine & ~theirs).sum(), (theirs & ~mine).sum())


def other_labels(truths):
    text = (truths[1].path / "labels.csv").read_text().replace("kind-1", "kind-2")
    (truths[1].path / "labels.csv").write_text(text)


def other_bytes(truths):
    part = next(truths[1].path.glob("parts/*.samples.parquet"))
    table = pq.read_table(part)
    pq.write_table(table.set_column(4, table.schema.field(4), [["f" * 64] * len(table)]), part)


def other_source(truths):
    path = truths[1].path / "run.json"
    record = json.loads(path.read_text())
    record["data"]["label_sources"] = ["real", "own"]
    path.write_text(json.dumps(record))


WRONG = [
    ({}, other_labels, "images have other labels in model-0 than in model-1 .first 'folder/.*give one CSV"),
    ({}, other_bytes, "no image in common: .*12 have other bytes under the same id"),
    ({}, other_source, "model-0 is scored by 'own', model-1 by 'real'"),
    ({"classes": [5, 6]}, None, r"different classes: model-0 has made-up \(5\), model-1 has made-up \(6\)"),
    ({"grid": [paper_grid(), paper_grid(224, (224, 512))]}, None, "have different zooms, and not a single view each"),
    ({"left_out": [(0,), ()]}, None, "no image in common: model-0 has 0 images of .* model-1 has 12"),
    ({"bad": [range(12), ()]}, None, "no image in common: .*12 could not be read"),
]


@pytest.mark.parametrize(("options", "change", "message"), WRONG)
def test_what_cannot_be_compared(options, change, message, make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=12, **options)
    if change:
        change(truths)
    with pytest.raises(UsageError, match=message):
        compare_runs(*load(truths))


def test_labels_that_a_run_lacks(make_run, tmp_path):
    with pytest.raises(DataError, match="no labels 'real'"):
        compare_runs(*load(runs_of(make_run, tmp_path)), "real")
