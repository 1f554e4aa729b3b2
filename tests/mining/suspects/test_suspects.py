"""Suspects end to end: on runs whose wrong labels, objects and blank pictures are known, by function and by command."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import one_line, run_cli
from hard_set import MadeUpImage, write_hard_set
from judged_runs import CLASSES, GRID, SPACE, judged_run, world
from PIL import Image

from snellen.datasets import open_dataset
from snellen.errors import UsageError
from snellen.labels import ClassSpace
from snellen.mining.hardset import read
from snellen.mining.mined import image_key
from snellen.mining.sheet import sheet
from snellen.mining.suspects.check import auroc
from snellen.mining.suspects.file import write_suspects
from snellen.mining.suspects.suspects import find_suspects, runs_to_doubt

IMAGES = 600


def wrong_labels(truth, share, seed=7):
    """Labels of which a share is that of another image, and which."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(truth)) < share
    given = np.where(wrong, (truth + rng.integers(1, CLASSES, len(truth))) % CLASSES, truth)
    return [[int(k)] for k in given], wrong


@pytest.fixture(scope="module")
def made():
    return world(IMAGES)


@pytest.fixture(scope="module", params=[0.03, 0.12])
def doubted(request, made, tmp_path_factory):
    """Two models' runs of images of which a share has a wrong label."""
    folder = tmp_path_factory.mktemp("doubted")
    labels, wrong = wrong_labels(made.truth, request.param)
    for model in range(2):
        judged_run(folder / f"model-{model}", made.logits[model], labels, model=f"timm/model-{model}")
    return folder, wrong, find_suspects(*runs_to_doubt([folder]))


def in_order(suspects):
    return sorted(suspects.table.to_pylist(), key=lambda row: row["image_id"])


def test_wrong_labels_are_found_and_the_score_is_a_probability(made, doubted):
    _, wrong, suspects = doubted
    rows = in_order(suspects)
    score = np.array([row["score"] for row in rows])
    assert auroc(score, wrong) > 0.995
    assert suspects.rate == pytest.approx(wrong.mean(), abs=0.02)
    assert score.mean() == pytest.approx(wrong.mean(), abs=0.02)
    assert abs(score - wrong).mean() < 0.04
    surely = score > 0.9
    assert wrong[surely].mean() > 0.9
    found = suspects.check.found
    # Labels that were wrong before count as right there: that lowers both, and the scores promise more.
    assert found.auroc.value > 0.97 - wrong.mean()
    planted = suspects.check.swapped / (suspects.check.swapped + (score >= 0.5).sum())
    assert found.precision.value == pytest.approx(planted, abs=0.1)
    assert found.precision.high < suspects.check.promised < 1
    sampling = 3 * np.sqrt(0.1 / wrong.sum())
    assert found.recall.value == pytest.approx((score[wrong] >= 0.5).mean(), abs=sampling)


def test_what_the_views_agree_on_is_proposed(made, doubted):
    _, wrong, suspects = doubted
    rows = in_order(suspects)
    found = [k for k in np.flatnonzero(wrong) if rows[k]["kind"] == "label"]
    assert len(found) > 0.8 * wrong.sum()
    first = np.array([rows[k]["proposed"][0] for k in found])
    assert (first == made.truth[found]).mean() > 0.9
    answers = made.logits.argmax(axis=3)
    for k in found:
        row = rows[k]
        assert not set(row["labels"]) & set(row["proposed"])
        agree = answers[:, k] == row["proposed"][0]
        assert row["share"] == pytest.approx(agree.mean())
        for model, its in enumerate(row["models"]):
            assert its["model"] == f"timm/model-{model}"
            assert its["zooms"] == np.flatnonzero(agree[model]).tolist()
            assert its["share"] == pytest.approx(agree[model].mean())
            assert (its["views"], its["right"]) == (len(GRID), (answers[model, k] == row["labels"][0]).sum())


def test_the_table_is_ranked_and_has_every_image(doubted):
    _, _, suspects = doubted
    scores = suspects.table["score"].to_pylist()
    assert scores == sorted(scores, reverse=True)
    assert suspects.table["id"].to_pylist() == [
        image_key(row["origin"], row["image_id"]) for row in suspects.table.to_pylist()
    ]
    assert len(set(suspects.table["id"].to_pylist())) == IMAGES
    kinds, scores = suspects.table["kind"].to_pylist(), np.array(scores)
    assert all(kind == "label" for kind, score in zip(kinds, scores, strict=True) if score >= 0.5)


def test_neither_the_order_of_runs_nor_of_data_sets_matters(made, tmp_path):
    labels, _ = wrong_labels(made.truth, 0.1)
    runs = []
    for part, rows in (("a", slice(0, 350)), ("b", slice(350, IMAGES))):
        for model in range(2):
            path = tmp_path / part / f"model-{model}"
            its = {"model": f"timm/model-{model}", "data": part}
            runs.append(judged_run(path, made.logits[model][rows], labels[rows], **its))
    one, other = find_suspects(runs), find_suspects(runs[::-1])
    assert one.models == ("timm/model-0", "timm/model-1")
    one, other = ({row["id"]: row["score"] for row in found.table.to_pylist()} for found in (one, other))
    assert one.keys() == other.keys()
    # Folds and swaps are drawn anew.
    pairs = np.array([(one[key], other[key]) for key in one])
    assert np.abs(pairs[:, 0] - pairs[:, 1]).mean() < 0.01


def test_what_else_may_be_wrong(tmp_path):
    """A folder in which one picture is grey, one tiny, one no image at all, and one shows two things."""
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    made = world(150, 1, seed=1)
    logits, sizes = made.logits[0], []
    for k in range(150):
        pixels = rng.integers(0, 256, (60, 80, 3), np.uint8)
        if k == 0:
            pixels[:] = 128
        side = (80, 60) if k != 1 else (30, 200)
        sizes.append(side)
        folder = data / SPACE.keys[made.truth[k]]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize(side).save(folder / f"{k:04d}.jpg", quality=90)
    dataset = open_dataset(data)
    ids = [item.id for item in dataset.items]
    order = [int(name.rsplit("/", 1)[1][:4]) for name in ids]
    logits[0] = -9
    logits[0, :, (made.truth[0] + 3) % CLASSES] = 0  # never right, so that its pixels are looked at
    left = np.array([rule.col < 2 for rule in GRID])
    logits[3] = 0
    logits[3, left, made.truth[3]], logits[3, ~left, (made.truth[3] + 7) % CLASSES] = 9, 9
    bad = [order.index(2)]
    its = {"data": dataset.spec, "ids": ids, "sizes": [sizes[k] for k in order], "bad": bad}
    run = judged_run(tmp_path / "run", logits[order], [[int(made.truth[k])] for k in order], **its)
    rows = {int(row["image_id"][-8:-4]): row for row in find_suspects([run]).table.to_pylist()}
    assert {k: rows[k]["kind"] for k in range(4)} == {0: "blank", 1: "too small", 2: "unreadable", 3: "several objects"}
    assert rows[2]["score"] is None
    assert rows[2]["models"] == []
    assert rows[3]["proposed"][0] == (made.truth[3] + 7) % CLASSES
    assert rows[3]["score"] < 0.5
    assert [k for k, row in rows.items() if row["kind"] in ("blank", "too small", "unreadable")] == [0, 1, 2]
    # Once the pictures are gone, nothing is blank, and nothing fails.
    for path in data.rglob("*.jpg"):
        path.unlink()
    kinds = [row["kind"] for row in find_suspects([run]).table.to_pylist()]
    assert "blank" not in kinds
    assert "too small" in kinds


def as_mined(made, labels, model):
    """Which zooms a miner shows: in order, until one is right; all of those it never reads."""
    right = made.logits[model].argmax(axis=2) == np.array(labels)
    first = np.where(right.any(axis=1), right.argmax(axis=1), len(GRID))
    return np.arange(len(GRID)) <= first[:, None], ~right.any(axis=1)


def test_what_mining_left_is_ranked(tmp_path):
    """Beside wrong labels there are right ones that nothing reads, though views find them more likely than others."""
    made = world(IMAGES, seed=11)
    labels, wrong = wrong_labels(made.truth, 0.05)
    unread = np.flatnonzero(~wrong)[:20]
    for logits in made.logits:
        logits[unread[:, None], np.arange(len(GRID)), made.truth[unread][:, None] ^ 1] += 8
    hard = np.ones(IMAGES, bool)
    for model in range(2):
        shown, never = as_mined(made, labels, model)
        judged_run(
            tmp_path / f"{model}", made.logits[model], labels, model=f"timm/{model}", shown=shown & hard[:, None]
        )
        hard &= never
    assert hard[unread].sum() > 5
    found = find_suspects(*runs_to_doubt([tmp_path]))
    assert (found.check, found.rate) == (None, 0.05)
    rows = in_order(found)
    score = np.array([row["score"] for row in rows])
    assert auroc(score, wrong) > 0.96
    assert np.median(score[~hard]) < 0.01 < np.median(score[hard & wrong])
    assert all(sum(one["right"] for one in rows[k]["models"]) == 1 for k in np.flatnonzero(~hard))
    # Weights from elsewhere: those of nothing say of each image what is supposed of all.
    supposed = find_suspects(*runs_to_doubt([tmp_path]), start=(0, 0, 0))
    assert supposed.weights == (0, 0, 0)
    np.testing.assert_allclose(supposed.table["score"].to_numpy(), 0.05, rtol=1e-6)


def test_images_without_a_label_have_no_score(made, tmp_path):
    labels, _ = wrong_labels(made.truth, 0.05)
    labels[5] = []
    run = judged_run(tmp_path / "run", made.logits[0], labels)
    row = in_order(find_suspects([run]))[5]
    assert (row["score"], row["kind"], row["labels"]) == (None, None, [])
    assert row["proposed"][0] == made.truth[5]


def test_several_labels_are_wrong_only_if_all_are(made, tmp_path):
    """Every image has two labels; of some the second is the right one, of some neither."""
    rng = np.random.default_rng(3)
    wrong = rng.random(IMAGES) < 0.1
    other = (made.truth + rng.integers(1, CLASSES, IMAGES)) % CLASSES
    third = (made.truth + 11) % CLASSES
    labels = [
        sorted({int(a), int(b if is_wrong else t)} - ({int(t)} if is_wrong else set()))
        for a, b, t, is_wrong in zip(other, third, made.truth, wrong, strict=True)
    ]
    run = judged_run(tmp_path / "run", made.logits[0], labels)
    score = np.array([row["score"] for row in in_order(find_suspects([run]))])
    assert auroc(score, wrong) > 0.98


def test_other_label_sources(made, tmp_path):
    labels, wrong = wrong_labels(made.truth, 0.05)
    run = judged_run(tmp_path / "run", made.logits[0], [[int(k)] for k in made.truth])
    rows = [f'"{k:04d}.jpg","{SPACE.keys[own[0]]}"' for k, own in enumerate(labels)]
    (tmp_path / "given.csv").write_text("\n".join(['"image_id","labels"', *rows]))
    score = np.array([row["score"] for row in in_order(find_suspects([run], tmp_path / "given.csv"))])
    assert auroc(score, wrong) > 0.98
    by_spec = find_suspects([run], {"made-up": str(tmp_path / "given.csv")})
    assert np.array_equal(score, [row["score"] for row in in_order(by_spec)])


def test_models_of_different_classes_are_refused(made, tmp_path):
    labels = [[0]] * 20
    other = ClassSpace.of_names([f"kind-{k}" for k in range(CLASSES)], "other")
    runs = [judged_run(tmp_path / "a", made.logits[0][:20], labels, model="timm/a")]
    runs.append(judged_run(tmp_path / "b", made.logits[1][:20], labels, model="timm/b", space=other))
    with pytest.raises(UsageError, match="have different classes"):
        find_suspects(runs)
    with pytest.raises(UsageError, match="no run to look at"):
        find_suspects([])


def test_the_command(made, tmp_path):
    labels, wrong = wrong_labels(made.truth, 0.05)
    out = tmp_path / "out"
    judged_run(out / "made-up" / "model", made.logits[0], labels)
    done = run_cli("suspects", out)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out / "suspects.parquet").to_pylist()
    assert len(rows) == IMAGES
    labelled = [row for row in rows if row["kind"] == "label"]
    assert f"{len(labelled)} label" in done.stdout
    assert rows[0]["image_id"] in done.stdout
    assert SPACE.names[rows[0]["proposed"][0]] in done.stdout
    told = json.loads(run_cli("suspects", out, "--json", "-o", tmp_path / "elsewhere.parquet").stdout)
    assert [row["id"] for row in told["suspects"]] == [row["id"] for row in rows if row["kind"]]
    assert (tmp_path / "elsewhere.parquet").read_bytes() == (out / "suspects.parquet").read_bytes()
    assert told["rate"] == pytest.approx(wrong.mean(), abs=0.02)
    check = told["check"]
    assert check["auroc"]["low"] <= check["auroc"]["value"] <= check["auroc"]["high"] <= 1
    assert check["precision"]["low"] < check["precision"]["value"] < check["promised"]
    written = " ".join(done.stdout.split())
    assert f"AUROC {check['auroc']['value']:.4f} [{check['auroc']['low']:.4f} – " in written
    assert f"at least {100 * check['precision']['value']:.2f} [{100 * check['precision']['low']:.2f} – " in written
    assert f"the scores promise {100 * check['promised']:.2f} %" in written
    assert f"over the {IMAGES} images" in written


def test_nothing_but_a_table_of_suspects_is_replaced(made, tmp_path):
    labels, _ = wrong_labels(made.truth, 0.05)
    run = judged_run(tmp_path / "hard" / "made-up" / "model", made.logits[0], labels)
    write_hard_set(tmp_path / "hard", [MadeUpImage("0000.jpg", (0,))], space=SPACE)
    candidates = tmp_path / "hard" / "candidates.parquet"
    before = candidates.read_bytes()
    done = run_cli("suspects", tmp_path / "hard", "-o", candidates)
    assert done.returncode == 2
    assert "is there and no table of suspects" in one_line(done)
    assert candidates.read_bytes() == before
    table = find_suspects([run]).table
    (tmp_path / "notes.txt").write_text("mine")
    for path, said in (
        (candidates, "no table of suspects"),
        (tmp_path / "notes.txt", "no table of suspects"),
        (tmp_path / "hard", "is a folder"),
    ):
        with pytest.raises(UsageError, match=said):
            write_suspects(table, path)
    assert candidates.read_bytes() == before
    assert (tmp_path / "notes.txt").read_text() == "mine"
    write_suspects(table.slice(0, 2), tmp_path / "table.parquet")
    write_suspects(table, tmp_path / "table.parquet")
    assert pq.read_table(tmp_path / "table.parquet").equals(table)


@pytest.mark.parametrize("given", ["nothing", "no run", "no folder"])
def test_where_there_is_nothing_a_line_says_so(given, tmp_path):
    (tmp_path / "empty").mkdir()
    places = {"nothing": [], "no run": [tmp_path / "empty"], "no folder": [tmp_path / "none"]}[given]
    done = run_cli("suspects", *places)
    assert done.returncode == 2
    if places:
        assert one_line(done)
    assert not (tmp_path / "empty" / "suspects.parquet").exists()


def test_the_reviewers_sheet_shows_them(made, tmp_path):
    """A hard set beside its runs: the command writes where the review looks."""
    labels, wrong = wrong_labels(made.truth, 0.05)
    judged_run(tmp_path / "hard" / "made-up" / "model", made.logits[0], labels)
    chosen = np.flatnonzero(wrong)[:3].tolist()
    images = [MadeUpImage(f"{k:04d}.jpg", tuple(labels[k])) for k in chosen]
    write_hard_set(tmp_path / "hard", images, space=SPACE)
    done = run_cli("suspects", tmp_path / "hard")
    assert done.returncode == 0, done.stderr
    text = sheet(read(tmp_path / "hard"), None, False).decode("utf-8-sig")
    for k in chosen:
        line = next(line for line in text.splitlines() if f"{k:04d}.jpg" in line)
        assert "label" in line
        assert SPACE.keys[made.truth[k]] in line


def test_nothing_heavy_is_imported(made, tmp_path):
    labels, _ = wrong_labels(made.truth, 0.05)
    judged_run(tmp_path / "run", made.logits[0], labels)
    code = (
        "import sys; from snellen.cli import app; "
        f"app(['suspects', {str(tmp_path)!r}], standalone_mode=False); "
        "print([name for name in ('torch', 'timm', 'ray', 'numba', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
