"""The table of methods: shares, costs, fronts and tests against slower ways to get them."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from statsmodels.stats.contingency_tables import mcnemar as reference
from statsmodels.stats.multitest import multipletests

from snellen.analysis.methods import PUBLISHED, Answered, method_results, pareto
from snellen.analysis.published import lookup
from snellen.report.tta import memo_ratios, print_methods, write_methods
from snellen.store import load_run
from snellen.tta.methods import check_method

points = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8)


@given(points)
def test_front_is_what_no_other_beats(given_points):
    front = pareto([cost for cost, _ in given_points], [value for _, value in given_points])
    for on, (cost, value) in zip(front, given_points, strict=True):
        beaten = any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in given_points)
        assert on == (not beaten)


def test_unknown_costs_are_on_no_front():
    assert pareto([math.nan, 2.0], [0.9, 0.5]).tolist() == [False, True]


@pytest.fixture
def table(make_run):
    made = make_run(60, classes=4, bad=(7,), seed=2)
    run = load_run(made.path)
    rng = np.random.default_rng(0)
    first = np.array([labels[0] for labels in made.labels], np.int32)

    def method(share, forwards, ms):
        ids = np.where(rng.random(len(first)) < share, first, (first + 1) % 4).astype(np.int32)
        cost = np.full(len(ids), ms, np.float32)
        return Answered(ids, np.full(len(ids), forwards, np.int32), cost, cost / 2)

    answered = {"5crop": method(0.9, 5, 50), "center": method(0.5, 1, 10), "vote:10crop": method(0.6, 10, 100)}
    # Images 50 … 69 by what is in their files: 10 of them are here.
    learned = " ".join(f"{k:012x}" for k in range(50, 70))
    return run, made, answered, method_results(run, answered, learned_from={"vote:10crop": learned})


def test_against_statsmodels(table):
    run, made, answered, results = table
    right = {
        name: np.array([i in labels for i, labels in zip(a.ids, made.labels, strict=True)])
        for name, a in answered.items()
    }
    rows = {row.method: row for row in results.rows}
    assert rows["center"].test is None
    p = []
    for name in ("5crop", "vote:10crop"):
        a, b = right[name], right["center"]
        counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        p.append(reference(counts, exact=True).pvalue)
        assert rows[name].test.p == pytest.approx(p[-1])
        assert rows[name].baseline == "center"
    assert [rows[name].p for name in ("5crop", "vote:10crop")] == pytest.approx(multipletests(p, method="holm")[1])
    for name, row in rows.items():
        assert (row.accuracy.hits, row.accuracy.n) == (right[name].sum(), 59)
    assert rows["5crop"].forwards == 5
    assert rows["5crop"].views_ms == 25
    assert rows["5crop"].front == (True, True)
    assert rows["vote:10crop"].front == (False, False)
    assert results.errors == run.errors == made.errors


def test_images_that_a_method_was_learned_from_are_counted(table):
    _, _, _, results = table
    assert {row.method: row.learned_here for row in results.rows} == {"5crop": 0, "center": 0, "vote:10crop": 10}
    printed = io.StringIO()
    print_methods(results, Console(file=printed, width=200))
    assert "vote:10crop was learned from 10 of these 59 images: its accuracy here is optimistic" in printed.getvalue()
    assert printed.getvalue().count("optimistic") == 1


def test_one_method_alone_is_compared_with_none_and_a_short_cover_is_told(table):
    _, _, _, results = table
    short = replace(next(row for row in results.rows if row.method == "5crop"), method="mean:top9@out")
    printed = io.StringIO()
    print_methods(replace(results, rows=[short]), Console(file=printed, width=200))
    assert "mean:top9@out: 5 of 9 zooms" in printed.getvalue()
    assert "p (Holm)" not in printed.getvalue()
    assert "McNemar" not in printed.getvalue()


def test_times_of_memo_are_compared_where_as_many_views_are_made(table):
    run, _, answered, _ = table
    ids = answered["center"].ids

    def memo(forwards, ms, views_ms):
        counts = np.full(len(ids), forwards, np.int32)
        return Answered(ids, counts, np.full(len(ids), ms, np.float32), np.full(len(ids), views_ms, np.float32))

    costs = {
        "memo-augmix": (17, 200, 60),
        "memo-rrc,k=64": (65, 500, 40),
        "memo-rrc": (17, 160, 20),
        "memo-rrc,seed=1": (17, 100, 20),
    }
    lines = memo_ratios(method_results(run, {name: memo(*cost) for name, cost in costs.items()}).rows)
    assert len(lines) == 2
    assert lines[0].startswith("memo-augmix takes 1.25 x the time of memo-rrc (published: 1.77 x), its views 3.0 x")
    assert lines[0].endswith("adapting 140 and 140 ms an image")
    assert lines[1].startswith("memo-augmix takes 2.00 x the time of memo-rrc,seed=1 ")
    assert memo_ratios(method_results(run, {"memo-rrc": memo(17, 160, 20)}).rows) == []


def test_without_center_the_first_is_the_baseline(table):
    run, _, answered, _ = table
    del answered["center"]
    assert {row.baseline for row in method_results(run, answered).rows} == {"5crop"}


def test_answers_that_are_missing_are_told(table):
    run, _, answered, before = table
    lost = replace(answered["5crop"], ids=np.where(np.arange(59) < 3, -1, answered["5crop"].ids).astype(np.int32))
    results = method_results(run, answered | {"5crop": lost})
    rows = {row.method: row for row in results.rows}
    assert {name: row.unanswered for name, row in rows.items()} == {"5crop": 3, "center": 0, "vote:10crop": 0}
    assert rows["5crop"].accuracy.hits < before.rows[0].accuracy.hits
    assert rows["5crop"].to_json()["unanswered"] == 3
    told = io.StringIO()
    print_methods(results, Console(file=told, width=200))
    assert told.getvalue().count("has no answer to") == 1
    assert "5crop has no answer to 3 of 59 images" in told.getvalue()


def test_figure_names_every_method_and_is_the_same_each_time(table, tmp_path):
    _, _, _, results = table
    path = write_methods(results, tmp_path / "one")
    assert path.read_bytes() == write_methods(results, tmp_path / "two").read_bytes()
    assert all(row.method in path.read_text() for row in results.rows)
    assert (tmp_path / "one" / "methods.png").read_bytes().startswith(b"\x89PNG")


def test_published_numbers_stand_beside_methods():
    for method in PUBLISHED:
        check_method(method)
    assert "center" not in PUBLISHED, "the published top-1 is that of the model's own transform"
    assert PUBLISHED["own"] == "top1"
    (found,) = lookup("imagenet-a", None, "torchvision/resnet50:IMAGENET1K_V1", PUBLISHED["memo-rrc"])
    assert found.value == 1.31
    (found,) = lookup("imagenet-a", None, "torchvision/vit_b_32:IMAGENET1K_V1", PUBLISHED["max:paper:in"])
    assert found.value == 24.69
    (found,) = lookup("imagenet", None, "torchvision/vit_b_32:IMAGENET1K_V1", PUBLISHED["10crop"])
    assert found.value == 77.87
