"""All the numbers of a made-up run against loops over the truth it was made from."""

import json
from collections import Counter

import numpy as np
import pytest

import snellen
from snellen.analysis.summary import summarise
from snellen.errors import UsageError
from snellen.zoom import SCALES, paper_grid

CENTRE = 9 * SCALES.index(256) + 4


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


def test_without_a_readable_image_it_is_still_valid_json(make_run):
    truth = make_run(2, bad=(0, 1))
    summary = json.loads(json.dumps(summarise(snellen.load_run(truth.path)).to_json(), allow_nan=False))
    assert (summary["images"], summary["planned"], len(summary["errors"])) == (0, 2, 2)
    assert summary["upper_bound"]["value"] is None
    assert summary["upper_bound"]["greedy_cover"] == 0


def test_another_grid_has_no_summary(make_run):
    truth = make_run(2, grid=paper_grid(224, (224,)))
    with pytest.raises(UsageError, match="not a zoom study: its grid 'paper' has no 1-crop zoom"):
        summarise(snellen.load_run(truth.path))
