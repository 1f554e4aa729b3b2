"""Runs of `tta` read by image, and paired tests of their methods, against the rows that were written."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
from commands import one_line, run_cli
from statsmodels.stats.contingency_tables import mcnemar as reference

import snellen
from snellen.analysis.learned import DIGITS, joined
from snellen.analysis.tta_runs import compare_methods, compare_two_methods
from snellen.engine.samples import SAMPLES
from snellen.errors import UsageError
from snellen.labels import ClassSpace
from snellen.store.labels import encode_labels
from snellen.store.schema import METHODS, TOP
from snellen.store.writer import commit
from snellen.tta.methods import parse_methods
from snellen.tta.views import union

CLASSES, IMAGES = 4, 60


def made(path, methods, seed, first=0):
    """A run of methods on disk with made-up answers, and these: int `[images, methods]`; the truth of image k is k % 4.

    first: its images are those from this one on.
    """
    for folder in ("parts", "commits"):
        (path / folder).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    numbers = np.arange(first, first + IMAGES)
    answers = np.where(
        rng.random((IMAGES, len(methods))) < 0.6, numbers[:, None] % 4, rng.integers(-1, 4, (IMAGES, len(methods)))
    )
    names = [f"{k:04d}.png" for k in numbers]
    samples = [
        dict.fromkeys(SAMPLES.names)
        | {"image": k, "image_id": name, "origin": "x", "sha256": hashlib.sha256(name.encode()).hexdigest()}
        for k, name in enumerate(names)
    ]
    empty = {f"id{k}": -1 for k in range(TOP)} | {f"p{k}": None for k in range(TOP)}
    rows = [
        empty | {"image": k, "method": method, "id0": int(answers[k, m]), "forwards": m + 1, "ms": 2.0, "views_ms": 1.0}
        for k in range(IMAGES)
        for m, method in enumerate(methods)
    ]
    tables = {
        "samples": pa.Table.from_pylist(samples, schema=SAMPLES),
        "methods": pa.Table.from_pylist(rows, schema=METHODS),
    }
    mark = f"{seed:064x}"
    assert commit(path, 0, tables, {"start": 0, "stop": IMAGES, "fingerprint": mark, "images": IMAGES})
    parsed = parse_methods(methods)
    space = ClassSpace.of_names([f"kind-{k}" for k in range(CLASSES)], "made-up")
    record = {
        "format": 1,
        "fingerprint": mark,
        "fingerprint_parts": {"images": "made-up", "weights": "b" * 64},
        "batch_size": 4,
        "sessions": [],
        "data": {"spec": "made-up-data", "name": "made-up", "images": IMAGES},
        "model": {
            "spec": f"timm/model-{seed}",
            "precision": "fp32",
            "card": {"space": space.name, "keys": list(space.keys)},
        },
        "grid": union([method.rules for method in parsed])[0].to_json(),
        "methods": [method.to_json() for method in parsed],
        "shards": [0, IMAGES],
    }
    (path / "run.json").write_text(json.dumps(record))
    (path / "labels.csv").write_bytes(encode_labels(names, [[k % 4] for k in numbers], space))
    return answers


def test_what_was_written_is_read(tmp_path):
    answers = made(tmp_path / "a", ["center", "5crop"], 1)
    run = snellen.load_tta(tmp_path)
    right = answers == (np.arange(IMAGES) % 4)[:, None]
    assert run.methods == ("center", "5crop")
    assert np.array_equal(run.answers, answers)
    assert np.array_equal(run.correct(), right)
    assert run.labels()[:5] == [[0], [1], [2], [3], [0]]
    assert run.forwards[0].tolist() == [1, 2]
    assert (run.ms == 2).all()
    assert (run.views_ms == 1).all()
    rows = run.frame().to_pylist()
    assert [(row["image_id"], row["method"]) for row in rows[:3]] == [
        ("0000.png", "center"),
        ("0000.png", "5crop"),
        ("0001.png", "center"),
    ]
    assert [row["correct"] for row in rows] == right.ravel().tolist()
    assert [row["class"] for row in rows] == [None if k < 0 else f"kind-{k}" for k in answers.ravel()]


def test_paired_tests_are_statsmodels(tmp_path):
    """Of two methods of a run, and of two runs that share 40 images."""
    one = made(tmp_path / "a", ["center", "5crop"], 1)
    two = made(tmp_path / "b", ["5crop", "10crop"], 2, first=20)
    a, b = snellen.load_tta(tmp_path / "a"), snellen.load_tta(tmp_path / "b")
    truth = np.arange(80) % 4
    cases = [
        (compare_two_methods(a, ("center", "5crop")), one[:, 0] == truth[:60], one[:, 1] == truth[:60], "top-1"),
        (compare_methods(a, b), one[20:, 1] == truth[20:60], two[:40, 0] == truth[20:60], "5crop"),
    ]
    for pair, x, y, what in cases:
        (row,) = pair.differences
        assert row.what == what
        assert pair.images == len(x)
        assert (row.a.hits, row.b.hits) == (x.sum(), y.sum())
        counts = [[(x & y).sum(), (x & ~y).sum()], [(~x & y).sum(), (~x & ~y).sum()]]
        assert row.test.p == pytest.approx(reference(counts, exact=True).pvalue)
    assert cases[1][0].agreement.single.hits == (one[20:, 1] == two[:40, 0]).sum()
    with pytest.raises(UsageError, match=r"no method '10crop'; it has center, 5crop"):
        compare_methods(a, b, ["10crop"])


def test_what_a_reader_must_know_is_said(tmp_path):
    """Of a run in progress, images without an answer, and methods learned from images that are compared."""
    one = made(tmp_path / "a", ["center", "5crop"], 1)
    two = made(tmp_path / "b", ["5crop"], 2, first=20)
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    record["shards"].append(IMAGES + 10)
    record["methods"][1]["learned_from"] = joined(
        hashlib.sha256(f"{k:04d}.png".encode()).hexdigest()[-DIGITS:] for k in range(15, 25)
    )
    (tmp_path / "a" / "run.json").write_text(json.dumps(record))
    a, b = snellen.load_tta(tmp_path / "a"), snellen.load_tta(tmp_path / "b")
    lost = (one < 0).sum(axis=0)
    assert lost.all()
    assert compare_two_methods(a, ("center", "5crop")).notes == [
        "the run is in progress: 60 of 70 images are done",
        f"center has no answer to {lost[0]} of these 60 images, which count as wrong",
        f"5crop has no answer to {lost[1]} of these 60 images, which count as wrong",
        "5crop was learned from 10 of these 60 images: its accuracy here is optimistic",
    ]
    pair = compare_methods(a, b)
    lost = (one[20:, 1] < 0).sum(), (two[:40, 0] < 0).sum()
    assert all(lost)
    assert pair.notes == [
        "model-1 is in progress: 60 of 70 images are done",
        f"5crop of model-1 has no answer to {lost[0]} of these 40 images, which count as wrong",
        "5crop of model-1 was learned from 5 of these 40 images: its accuracy here is optimistic",
        f"5crop of model-2 has no answer to {lost[1]} of these 40 images, which count as wrong",
    ]
    assert pair.left_out == {"only in model-1": 20, "only in model-2": 20}


def test_answers_that_are_none_of_the_classes_are_damage(tmp_path):
    made(tmp_path, ["center"], 1)
    record = json.loads((tmp_path / "run.json").read_text())
    record["model"]["card"]["keys"].pop()
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="it has answers outside its 3 classes"):
        snellen.load_tta(tmp_path)


def test_the_command(tmp_path):
    made(tmp_path / "a", ["center", "5crop"], 1)
    made(tmp_path / "b", ["center"], 2)
    done = run_cli("compare", tmp_path / "a", tmp_path / "b", "--json")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["differences"]) == ["center"]
    done = run_cli("compare", tmp_path / "a", "--method", "center", "--method", "5crop")
    assert done.returncode == 0, done.stderr
    assert "top-1" in done.stdout
    assert "or one of tta with two --method" in one_line(run_cli("compare", tmp_path / "a"))
    assert "snellen.load_tta" in one_line(run_cli("report", tmp_path))
    with pytest.raises(UsageError, match="holds 2 runs of tta"):
        snellen.load_tta(tmp_path)
    record = json.loads((tmp_path / "b" / "run.json").read_text())
    del record["methods"]  # as a run of views has none
    (tmp_path / "b" / "run.json").write_text(json.dumps(record))
    for pair in ("ab", "ba"):
        assert "no answers of methods in" in one_line(run_cli("compare", *(tmp_path / name for name in pair)))
