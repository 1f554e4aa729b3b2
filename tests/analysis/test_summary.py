"""All the numbers of a made-up run against loops over the truth it was made from."""

import json
from collections import Counter

import numpy as np
import pytest
from scipy.stats import entropy

import snellen
from snellen.analysis.answers import Answers, read_answers
from snellen.analysis.summary import summarise
from snellen.errors import UsageError
from snellen.zoom import SCALES, paper_grid

CENTRE = 9 * SCALES.index(256) + 4
# The cells of a 3 x 3 map around its centre.
AROUND = [(row, col) for row in range(3) for col in range(3) if (row, col) != (1, 1)]


@pytest.fixture
def truth(make_run):
    return make_run(40, bad=(5, 21), shards=(0, 16, 32, 40), classes=400)


def right(truth):
    return [[int(answer) in accepted for answer in row] for row, accepted in zip(truth.ids, truth.labels, strict=True)]


def any_of(rows, zooms):
    return sum(any(row[z] for z in zooms) for row in rows)


def test_every_number(truth):
    rows, n = right(truth), 38
    summary = summarise(snellen.load_run(truth.path)).to_json()
    assert (summary["model"], summary["data"], summary["precision"]) == ("made-up-model", "made-up-data", "fp32")
    assert (summary["images"], summary["planned"], summary["fingerprint"]) == (n, 40, "f" * 64)
    assert [(error["image_id"], error["error"]) for error in summary["errors"]] == truth.errors

    def counted(share):
        assert share["n"] == n
        assert share["value"] == share["hits"] / n
        assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1
        return share["hits"]

    counts = [sum(row[z] for row in rows) for z in range(324)]
    best = counts.index(max(counts))
    assert counted(summary["one_crop"]) == counts[CENTRE]
    assert counted(summary["best_single_zoom"]) == counts[best]
    assert [summary["best_single_zoom"][key] for key in ("scale", "row", "col")] == [
        SCALES[best // 9],
        best % 9 // 3,
        best % 3,
    ]
    assert counted(summary["upper_bound"]) == any_of(rows, range(324))
    assert summary["upper_bound"]["zooms"] == 324

    cover, left = [], [row for row in rows if any(row)]
    while left:
        solved = Counter(z for row in left for z in range(324) if row[z])
        cover.append(min(solved, key=lambda z: (-solved[z], z)))
        left = [row for row in left if not row[cover[-1]]]
    assert summary["upper_bound"]["greedy_cover"] == len(cover)
    assert counted(summary["top_36"]) == any_of(rows, cover[:36])

    groups = {
        "zoom-out": [z for z in range(324) if SCALES[z // 9] < 224],
        "zoom-224": [z for z in range(324) if SCALES[z // 9] == 224],
        "zoom-in": [z for z in range(324) if SCALES[z // 9] > 224],
    }
    assert summary["groups"].keys() == groups.keys()
    for name, zooms in groups.items():
        others = [z for z in range(324) if z not in zooms]
        assert counted(summary["groups"][name]["upper_bound"]) == any_of(rows, zooms)
        only = sum(any(row[z] for z in zooms) and not any(row[z] for z in others) for row in rows)
        assert counted(summary["groups"][name]["exclusive"]) == only

    for place, cell in enumerate(cell for line in summary["locations"] for cell in line):
        assert counted(cell) == any_of(rows, range(place, 324, 9))
    for k, scale in enumerate(summary["scales"]):
        assert scale["scale"] == sorted(SCALES)[k]
        assert counted(scale["centre"]) == counts[9 * k + 4]
        assert counted(scale["upper_bound"]) == any_of(rows, range(9 * k, 9 * k + 9))
    assert summary["random_baseline"] == {"top_36": 36 / 400, "upper_bound": 324 / 400}


def test_numbers_of_every_zoom_and_image(truth):
    rows = right(truth)
    found = summarise(snellen.load_run(truth.path))
    summary = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert found.correct.tolist() == rows
    assert found.right.shape == (38, 41)
    assert found.scored_ids == truth.image_ids
    assert len(found.grid) == 324
    counts = [sum(row[z] for row in rows) for z in range(324)]
    assert [zoom["hits"] for zoom in summary["per_zoom"]] == [one.hits for one in found.per_zoom] == counts
    assert [(zoom["scale"], zoom["row"], zoom["col"]) for zoom in summary["per_zoom"]] == [
        (SCALES[z // 9], z % 9 // 3, z % 3) for z in range(324)
    ]
    assert [one.hits for one in found.oracle] == [any_of(rows, found.cover[: k + 1]) for k in range(324)]
    lengths = [1, 2, 4, 9, 18, 36, 72, 162, 324]
    assert {key: share["hits"] for key, share in summary["oracle"].items()} == {
        str(k): found.oracle[k - 1].hits for k in lengths
    }
    assert (summary["oracle"]["36"], summary["oracle"]["324"]["hits"]) == (summary["top_36"], found.upper.hits)
    assert summary["cover"] == list(found.cover)
    assert summary["exact_cover"] is None

    stats = found.image_stats
    assert stats.winning.tolist() == [sum(row) for row in rows]
    agreed = 0
    for ids, row, accepted, share, bits in zip(
        truth.ids, rows, truth.labels, stats.consensus_share, stats.sensitivity, strict=True
    ):
        answers = Counter(ids.tolist())
        best = min(answers, key=lambda k: (-answers[k], k))
        agreed += best in accepted
        assert share == pytest.approx(answers[best] / 324)
        assert bits == pytest.approx(entropy(list(answers.values()), base=2), abs=1e-5)
        assert any(row) or best not in accepted
    assert (summary["consensus"]["hits"], summary["consensus"]["n"]) == (agreed, 38)
    assert summary["per_image"]["winning_zooms"]["mean"] == pytest.approx(np.mean(stats.winning))

    assert summary["luck"]["images"] == 38
    assert summary["luck"]["confident"]["0.5"]["hits"] == found.upper.hits  # every answer of the run has 0.5
    assert summary["luck"]["confident"]["0.6"]["hits"] == 0
    for one in summary["luck"]["permuted"]:
        assert 0 <= one["low"] <= one["mean"] <= one["high"] <= 1
    for part in summary["transfer"]:
        assert part["oracle"]["n"] == part["transferred"]["n"] == 19
    assert summary["centre_bias"]["value"] == pytest.approx(
        found.locations[1][1].value - np.mean([found.locations[r][c].value for r, c in AROUND])
    )
    assert summary["centre_bias"]["low"] <= summary["centre_bias"]["value"] <= summary["centre_bias"]["high"]
    for tiles, places in zip(summary["tiles"], summary["locations"], strict=True):
        for tile, place in zip(tiles, places, strict=True):
            assert place["hits"] <= tile["hits"] <= found.upper.hits  # its own anchor's windows see a tile


def test_a_cover_longer_than_36(make_run):
    """Every image needs a zoom of its own: the top 36 reach 36 of 50."""
    best = np.zeros((50, 324), np.int32)
    best[np.arange(50), np.arange(50) * 6] = 1
    truth = make_run(50, classes=3, best=best)
    path = truth.path / "own.csv"
    path.write_text("image_id,labels\n" + "".join(f"{i},{truth.space.keys[1]}\n" for i in truth.image_ids))
    summary = summarise(snellen.load_run(truth.path), str(path))
    assert (summary.top_k.hits, summary.upper.hits, summary.cover_size) == (36, 50, 50)
    assert summary.random == (1.0, 1.0)


def test_other_labels_change_the_scores_alone(truth, tmp_path):
    run = snellen.load_run(truth.path)
    path = tmp_path / "all.csv"
    path.write_text("image_id,labels\n" + "".join(f"{i},{'|'.join(truth.space.keys)}\n" for i in truth.image_ids))
    own, other = summarise(run), summarise(run, str(path))
    assert own.upper.hits < other.upper.hits == other.one_crop.hits == 38
    assert other.cover_size == 1
    assert (own.model, own.errors, own.fingerprint) == (other.model, other.errors, other.fingerprint)


def answers_of(run, ids, p=0.5):
    return Answers(run, ids.astype(np.int16), np.full(ids.shape, p, np.float32))


def plain(summary):
    return json.loads(json.dumps(summary.to_json(), allow_nan=False))


def test_one_reading_serves_every_label_source(truth, tmp_path):
    run = snellen.load_run(truth.path)
    path = tmp_path / "one.csv"
    path.write_text("image_id,labels\n" + "".join(f"{i},{truth.space.keys[3]}\n" for i in truth.image_ids))
    alone = [plain(summarise(run, source)) for source in (None, str(path))]
    answers = read_answers(run)
    for part in truth.path.glob("parts/*.predictions.parquet"):
        part.unlink()
    assert [plain(summarise(run, source, answers)) for source in (None, str(path))] == alone
    assert alone[0]["upper_bound"] != alone[1]["upper_bound"]


def test_no_resamples_leave_out_the_interval_alone(truth):
    run = snellen.load_run(truth.path)
    many, none = plain(summarise(run, resamples=100)), plain(summarise(run, resamples=0))
    bias = many.pop("centre_bias"), none.pop("centre_bias")
    assert many == none
    assert bias[0]["value"] == bias[1]["value"]
    assert (bias[0]["resamples"], bias[1]["resamples"]) == (100, 0)
    assert bias[1]["low"] is bias[1]["high"] is None


@pytest.mark.parametrize("good", [True, False])
def test_all_right_and_all_wrong(good, truth):
    run = snellen.load_run(truth.path)
    ids = np.array([[row[0] if good else min(set(range(400)) - set(row))] * 324 for row in truth.labels])
    summary = summarise(run, answers=answers_of(run, ids))
    hits = 38 if good else 0
    shares = [summary.one_crop, summary.best_single, summary.top_k, summary.upper, summary.consensus]
    shares += [*summary.per_zoom, *summary.oracle, *(cell for line in summary.locations for cell in line)]
    assert {(one.hits, one.n) for one in shares} == {(hits, 38)}
    assert summary.cover == ((0,) if good else ())
    assert set(summary.image_stats.winning.tolist()) == {324 if good else 0}
    assert set(summary.image_stats.sensitivity.tolist()) == {0.0}
    assert summary.centre_bias.value == 0
    assert plain(summary)["upper_bound"]["value"] == (1.0 if good else 0.0)


def test_no_answers_are_wrong_ones(truth):
    """As a generative model leaves them: no class, no confidence."""
    run = snellen.load_run(truth.path)
    ids = np.where(np.arange(324) % 2, truth.ids, -1)
    summary = summarise(run, answers=answers_of(run, ids, np.nan))
    rows = [[good and z % 2 for z, good in enumerate(row)] for row in right(truth)]
    assert summary.upper.hits == any_of(rows, range(324))
    assert summary.one_crop.hits == 0
    assert [level for level, _ in summary.luck.confident] == [0.0]
    assert (summary.image_stats.consensus >= 0).all()
    nothing = summarise(run, answers=answers_of(run, np.full_like(ids, -1), np.nan))
    assert nothing.upper.hits == nothing.consensus.hits == nothing.cover_size == 0
    assert set(nothing.image_stats.consensus.tolist()) == {-1}
    plain(summary), plain(nothing)


def test_a_run_that_is_going_on(make_run):
    truth = make_run(30, bad=(3,), shards=(0, 10, 20, 30), left_out=(1,), classes=50)
    summary = summarise(snellen.load_run(truth.path))
    rows = right(truth)
    assert (summary.images, summary.done, summary.planned) == (19, 20, 30)
    assert summary.upper.hits == any_of(rows, range(324))
    assert summary.scored_ids == truth.image_ids
    assert summary.correct.tolist() == rows
    plain(summary)


@pytest.mark.parametrize("labelled", [0, 1, 7])
def test_images_without_a_label_are_left_out(labelled, make_run, tmp_path):
    truth = make_run(12, classes=5)
    path = tmp_path / "some.csv"
    keys = truth.space.keys
    path.write_text(
        "image_id,labels\n"
        + "".join(f"{i},{keys[k % 5] if k < labelled else ''}\n" for k, i in enumerate(truth.image_ids))
    )
    summary = summarise(snellen.load_run(truth.path), str(path))
    rows = [[answer == k % 5 for answer in truth.ids[k]] for k in range(labelled)]
    assert (summary.images, summary.unlabelled) == (labelled, 12 - labelled)
    assert summary.upper.hits == any_of(rows, range(324))
    assert summary.scored_ids == truth.image_ids[:labelled]
    assert summary.correct.tolist() == rows
    record = plain(summary)
    assert record["luck"]["images"] == record["consensus"]["n"] == labelled


@pytest.mark.parametrize("seed", range(3))
def test_one_crop_is_at_most_the_best_zoom_and_that_at_most_the_upper_bound(seed, make_run):
    rng = np.random.default_rng(seed)
    truth = make_run(15, classes=9, best=rng.integers(0, 9, (15, 324)))
    summary = summarise(snellen.load_run(truth.path), resamples=0)
    chain = [summary.one_crop, summary.best_single, summary.top_k, summary.upper]
    assert [one.hits for one in chain] == sorted(one.hits for one in chain)
    assert summary.consensus.hits <= summary.upper.hits
    assert max(bound.hits for bound, _ in summary.groups.values()) <= summary.upper.hits


def test_the_smallest_cover_where_it_is_asked_for(make_run):
    truth = make_run(10, classes=3)
    summary = summarise(snellen.load_run(truth.path), exact_cover=20.0)
    assert summary.exact_cover.size <= summary.cover_size
    assert summary.correct[:, list(summary.exact_cover.zooms)].any(axis=1).sum() == summary.upper.hits
    assert plain(summary)["exact_cover"]["time_limit"] == 20.0


def test_without_a_readable_image_it_is_still_valid_json(make_run):
    truth = make_run(2, bad=(0, 1))
    summary = json.loads(json.dumps(summarise(snellen.load_run(truth.path)).to_json(), allow_nan=False))
    assert (summary["images"], summary["planned"], len(summary["errors"])) == (0, 2, 2)
    assert summary["upper_bound"]["value"] is None
    assert summary["upper_bound"]["greedy_cover"] == 0
    assert {share["value"] for share in summary["oracle"].values()} == {None}
    assert summary["centre_bias"]["value"] is None
    assert summary["per_image"]["sensitivity_bits"]["mean"] is None
    assert summary["per_zoom"][0]["n"] == summary["luck"]["images"] == 0


def test_another_grid_has_no_summary(make_run):
    truth = make_run(2, grid=paper_grid(224, (224,)))
    with pytest.raises(UsageError, match="not a zoom study: its grid 'paper' has no 1-crop zoom"):
        summarise(snellen.load_run(truth.path))
