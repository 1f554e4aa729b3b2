"""Where the evidence comes from: several runs of one model, runs without any answer, views that mining left, memory."""

import tracemalloc

import judged_runs
import numpy as np
import pytest
from judged_runs import CLASSES, GRID, judged_run, world

from snellen.labels import ClassSpace
from snellen.mining.suspects.evidence import gather, views_of, whole
from snellen.mining.suspects.features import opinion_of
from snellen.mining.suspects.kinds import objects
from snellen.mining.suspects.suspects import find_suspects
from snellen.zoom import paper_grid

IMAGES = 150
MANY = paper_grid(scales=(224, *range(240, 480, 20)))


@pytest.fixture(scope="module")
def made():
    return world(IMAGES, 2, seed=5)


def labels_of(made):
    labels = [[int(k)] for k in made.truth]
    labels[::20] = [[int(k + 3) % CLASSES] for k in made.truth[::20]]
    return labels


@pytest.mark.parametrize("study_first", [True, False])
def test_a_model_judges_an_image_once(made, study_first, tmp_path):
    """`snellen suspects OUT HARD`: a study, what mining left of the same images, and a run in another precision."""
    labels, rng = labels_of(made), np.random.default_rng(0)
    study = judged_run(tmp_path / "out", made.logits[0], labels)
    mined = judged_run(tmp_path / "hard", made.logits[0], labels, shown=rng.random((IMAGES, len(GRID))) < 0.5)
    other = judged_run(tmp_path / "other", made.logits[1], labels, model="timm/other")
    alone = find_suspects([study, other])
    runs = [study, mined, other] if study_first else [mined, study, other]
    together = find_suspects(runs)
    assert together.models == alone.models == ("timm/made_up", "timm/other")
    assert together.table.equals(alone.table)
    assert {one["views"] for row in together.table.to_pylist() for one in row["models"]} == {len(GRID)}


def test_it_is_the_run_that_showed_it_most(made, tmp_path):
    labels, rng = labels_of(made), np.random.default_rng(0)
    shown = rng.random((2, IMAGES, len(GRID))) < rng.random((2, IMAGES, 1))
    shown[0, 3], shown[1, 4] = True, True
    runs = [judged_run(tmp_path / f"{k}", made.logits[k], labels, shown=shown[k]) for k in range(2)]
    gathered = gather([(run, None) for run in runs])
    (judge,) = gathered.judges
    counts = shown.sum(axis=2)
    fuller = counts.argmax(axis=0)
    assert judge.views.tolist() == counts.max(axis=0).tolist()
    assert not whole(gathered).any()
    answers = np.where(shown, made.logits.argmax(axis=3), -1)
    right = views_of(judge, CLASSES, made.truth[:, None])[:, 0]
    own = answers[fuller, np.arange(IMAGES)]
    assert right.tolist() == (own == made.truth[:, None]).sum(axis=1).tolist()
    rows = sorted(find_suspects(runs).table.to_pylist(), key=lambda row: row["image_id"])
    doubted = [k for k, row in enumerate(rows) if row["kind"] and row["proposed"]]
    assert len(doubted) > 2
    for k in doubted:
        (model,) = rows[k]["models"]
        assert model["zooms"] == np.flatnonzero(own[k] == rows[k]["proposed"][0]).tolist()


def wordless(monkeypatch):
    """From now on made-up models have no answer to any view."""
    real = judged_runs.prediction_table

    def none(*arguments):
        table = real(*arguments)
        for k, name in enumerate(table.column_names):
            if name.startswith("id") or name == "raw_id0":
                table = table.set_column(k, table.schema.field(k), [np.full(len(table), -1, np.int32)])
        return table

    monkeypatch.setattr(judged_runs, "prediction_table", none)


def test_a_model_that_answers_nothing_says_nothing(made, tmp_path, monkeypatch):
    labels = labels_of(made)
    good = judged_run(tmp_path / "good", made.logits[0], labels)
    wordless(monkeypatch)
    mute = judged_run(tmp_path / "mute", made.logits[1], labels, model="timm/mute")
    alone, both = find_suspects([mute]), find_suspects([good, mute])
    for found, models in ((alone, 1), (both, 2)):
        for row in found.table.to_pylist():
            assert len(row["models"]) == models
            said = row["models"][-1]
            assert (said["views"], said["right"], said["zooms"]) == (len(GRID), 0, [])
    assert not any(alone.table["proposed"].to_pylist())
    wrong = {f"{k:04d}.jpg" for k in range(0, IMAGES, 20)}
    assert set(both.table["image_id"].to_pylist()[: len(wrong)]) == wrong


def test_an_object_is_one_of_the_views_that_were_shown(tmp_path):
    """Mining shows some views only: of image 0 a third of those at two places are sure, of image 1 one view each."""
    logits = np.zeros((2, len(MANY), CLASSES), np.float32)
    place = np.array([3 * rule.row + rule.col for rule in MANY])
    zoomed = np.array([rule.scale > 224 for rule in MANY])
    shown = np.zeros((2, len(MANY)), bool)
    for anchor, k in ((0, 1), (8, 2)):
        views = np.flatnonzero(zoomed & (place == anchor))
        assert len(views) == 12
        logits[0, views[:2], k] = logits[1, views[0], k + 10] = 9
        shown[0, views[:6]] = shown[1, views[0]] = True
    run = judged_run(tmp_path / "run", logits, [[1], [1]], shown=shown, grid=MANY)
    gathered = gather([(run, None)])
    assert objects(gathered, opinion_of(gathered)) == {0: (1, 2)}


def test_memory_holds_what_is_kept_but_once(tmp_path):
    """Of eight data sets, whose pairs of an image and a class are gathered one after another."""
    rng = np.random.default_rng(0)
    space, runs = ClassSpace.of_names([f"class-{k}" for k in range(500)], "large"), []
    for k in range(8):
        logits = rng.normal(0, 1, (60, len(GRID), 500)).astype(np.float32)
        runs.append((judged_run(tmp_path / str(k), logits, [[1]] * 60, data=f"data-{k}", space=space), None))
    gather(runs[:1])
    tracemalloc.start()
    gathered = gather(runs)
    opinion = opinion_of(gathered)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (judge,) = gathered.judges
    pairs = len(judge.pairs.keys)
    assert pairs > 20_000
    assert len(opinion.keys) == pairs
    kept = sum(getattr(judge.pairs, name).nbytes for name in ("keys", "total", "peak", "first", "spots", "sure"))
    assert kept / pairs < 19
    assert peak / pairs < 120
