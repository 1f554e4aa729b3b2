"""What the page reads of runs, hard sets and data sets, recounted from the runs' long tables one row at a time."""

import json
import math
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_set import MadeUpImage, images_of, write_hard_set
from judged_runs import GRID, SPACE, judged_run, world
from photo_runs import CLASSES, paint, photo_run

from snellen.errors import DataError, UsageError
from snellen.mining.mined import image_key
from snellen.mining.suspects.file import SUSPECTS, write_suspects
from snellen.store.mined import mined_rows
from snellen.web.answers import CHUNK, NOT_SHOWN, chunk_bytes, parts_of
from snellen.web.columns import images_of as columns_of
from snellen.web.listing import Standing, set_entry
from snellen.web.models import model_columns, nearest_first
from snellen.web.site import open_target
from snellen.zoom import PAPER_GRID, Grid

NAMES = [f"kind-{k % 3}/{k:02d}.jpg" for k in range(40)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two runs of 40 pictures, the second of 30 of them so far; two pictures cannot be read."""
    folder = tmp_path_factory.mktemp("columns")
    pictures = paint(folder / "pictures", NAMES)
    ease = np.linspace(0, 1, len(NAMES))
    for k, done in enumerate((None, 30)):
        path = folder / "out" / "pictures" / f"model-{k}" / "paper-fp32"
        photo_run(path, pictures, model=f"timm/model_{k}", ease=ease, bad=(3, 17), done=done, seed=k)
    return folder / "out"


def set_of(place, **options):
    (one,) = open_target(str(place), **options).sets.values()
    return one


def rows_of(table):
    """By image and zoom: the ids, the probabilities."""
    return {
        (row["image"], row["zoom"]): ([row[f"id{k}"] for k in range(5)], [row[f"p{k}"] for k in range(5)])
        for row in table.to_pylist()
    }


def check_model(columns, rows, labels, grid, one_crop):
    """Every column of a model against its rows."""
    for position, own in enumerate(labels):
        seen = {zoom: ids[0] for zoom in range(len(grid)) if (ids := rows.get((position, zoom), [None])[0])}
        winning = [zoom for zoom, answer in seen.items() if answer in own]
        if one_crop in seen:
            assert columns["crop"][position] == seen[one_crop]
            assert columns["right"][position] == (seen[one_crop] in own if own else -1)
            assert columns["crop_p"][position] == pytest.approx(rows[position, one_crop][1][0], abs=1e-4)
        else:
            assert (columns["crop"][position], columns["right"][position]) == (-1, -1)
            assert columns["crop_p"][position] is None
        assert columns["winning"][position] == (len(winning) if seen and own else -1)
        best = columns["best"][position]
        assert (
            best == -1
            if not winning
            else best in winning and _steps(grid, best) == min(_steps(grid, zoom) for zoom in winning)
        )
        if len(seen) < len(grid):
            assert (columns["consensus"][position], columns["sensitivity"][position]) == (-1, None)
            continue
        counts = Counter(seen.values())
        most = min(k for k, count in counts.items() if count == max(counts.values()))
        assert columns["consensus"][position] == most
        assert columns["consensus_share"][position] == pytest.approx(counts[most] / len(grid), abs=1e-4)
        assert columns["consensus_right"][position] == ((most in own) if own else -1)
        shares = [count / len(grid) for count in counts.values()]
        assert columns["sensitivity"][position] == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-3)


def _steps(grid, zoom):
    scales = sorted({rule.scale for rule in grid})
    rule = grid.rules[zoom]
    return abs(scales.index(rule.scale) - scales.index(256)) + abs(rule.row - 1) + abs(rule.col - 1)


def test_images_of_runs(out):
    one = set_of(out)
    columns, index = columns_of(one)
    assert (columns["n"], len(one), len(index)) == (40, 40, 40)
    assert columns["id"] == sorted(NAMES)
    assert columns["error"] == dict.fromkeys(("3", "17"), "not an image <b>at all</b>")
    run = one.models[0].run
    labels = iter(run.labels())
    expected = [next(labels) if k not in (3, 17) else columns["labels"][k] for k in range(40)]
    assert columns["labels"] == expected
    hashes = dict(zip(run.samples["image"].to_pylist(), run.samples["sha256"].to_pylist(), strict=True))
    assert [index.sha256(k) for k in range(40)] == [hashes[k] for k in range(40)]
    assert [columns["origins"][k] for k in columns["origin"]] == ["made-up"] * 40
    json.dumps(columns, allow_nan=False)


def test_models_of_runs(out, tmp_path):
    one = set_of(out)
    columns, index = columns_of(one)
    for model in one.models:
        found = model_columns(model, index, tmp_path)
        check_model(found, rows_of(model.run.frame()), columns["labels"], PAPER_GRID, PAPER_GRID.one_crop)
        correct = model.run.correct()
        assert found["zooms"] == {"k": correct.sum(axis=0).tolist(), "n": len(correct)}
        summary = found["summary"]
        assert summary["1-crop"]["k"] == correct[:, PAPER_GRID.one_crop].sum()
        assert summary["upper bound"]["k"] == correct.any(axis=1).sum()
        assert summary["best zoom"]["k"] == correct.sum(axis=0).max()
        assert summary["1-crop"]["n"] == len(correct) == (38 if model.key == "m0" else 28)
        corner = [zoom for zoom, rule in enumerate(PAPER_GRID) if (rule.row, rule.col) == (0, 2)]
        assert found["map"][0][2]["k"] == correct[:, corner].any(axis=1).sum()
        assert model_columns(model, index, tmp_path) == found  # from what the shards left
        json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("chunk", [0, 1])
def test_answers(out, chunk):
    one = set_of(out)
    columns, index = columns_of(one)
    for model in one.models:
        rows, zooms = rows_of(model.run.frame()), len(PAPER_GRID)
        data = chunk_bytes(model, index, chunk, parts_of(model, index, chunk))
        size = zooms * 21
        count = min(CHUNK, 40 - CHUNK * chunk)
        assert len(data) == size * count
        for k in range(count):
            record, position = data[k * size : (k + 1) * size], CHUNK * chunk + k
            ids = np.frombuffer(record, "<i2", zooms * 5).reshape(zooms, 5)
            shares = np.frombuffer(record, "<u2", zooms * 5, zooms * 10).reshape(zooms, 5) / 65535
            right = np.frombuffer(record, np.uint8, zooms, zooms * 20)
            for zoom in range(0, zooms, 7):
                if (position, zoom) not in rows:
                    assert right[zoom] == NOT_SHOWN
                    assert (ids[zoom] == -1).all()
                    assert not shares[zoom].any()
                    continue
                expected, p = rows[position, zoom]
                assert ids[zoom].tolist() == expected
                assert shares[zoom] == pytest.approx(p, abs=1e-5)
                assert right[zoom] == (expected[0] in columns["labels"][position])


def test_early_exit(tmp_path):
    """A mined run: images leave at their first right answer, so that not all zooms of all are known."""
    made = world(50, 1, seed=3, hard=0.3)
    labels = [[int(k)] for k in made.truth]
    shown = np.zeros((50, len(GRID)), bool)
    order = nearest_first(GRID)
    for image in range(50):
        for zoom in order:
            shown[image, zoom] = True
            if made.logits[0, image, zoom].argmax() == made.truth[image]:
                break
    run = judged_run(tmp_path / "out" / "made-up" / "m" / "paper", made.logits[0], labels, shown=shown, bad=(4,))
    one = set_of(tmp_path / "out")
    _, index = columns_of(one)
    found = model_columns(one.models[0], index)
    check_model(found, rows_of(mined_rows(run)), labels, GRID, GRID.one_crop)
    assert found["early_exit"]
    assert found["shown"] == [0 if k == 4 else int(row.sum()) for k, row in enumerate(shown)]
    read = [(made.logits[0, k].argmax(axis=1) == made.truth[k]).any() for k in range(50) if k != 4]
    assert (found["summary"]["upper bound"]["k"], found["summary"]["upper bound"]["n"]) == (sum(read), 49)
    assert not {"zooms", "map"} & found.keys()
    assert not {"best zoom", "top-36"} & found["summary"].keys()
    right = chunk_bytes(one.models[0], index, 1, parts_of(one.models[0], index, 1))[-len(GRID) :]
    assert [code != NOT_SHOWN for code in right] == shown[49].tolist()


def test_own_grid(tmp_path):
    made = world(10, 1)
    grid = Grid("own", (GRID.rules[GRID.one_crop],))
    labels = [[int(k)] for k in made.truth]
    labels[2] = []
    judged_run(tmp_path / "made-up" / "m" / "own", made.logits[0][:, :1], labels, grid=grid)
    one = set_of(tmp_path)
    found = model_columns(one.models[0], columns_of(one)[1])
    answers = made.logits[0][:, 0].argmax(axis=1)
    assert found["crop"] == answers.tolist()
    assert found["right"] == [
        -1 if k == 2 else int(a == t) for k, (a, t) in enumerate(zip(answers, made.truth, strict=True))
    ]
    assert "winning" not in found
    assert found["summary"].keys() == {"1-crop"}


def test_hard_set(tmp_path):
    images = images_of(5)
    suspects = [{"id": images[1].id, "score": 0.75, "kind": "label", "proposed": [3, 1], "share": 0.5}]
    duplicates = [
        {"id": images[0].id, "cluster": 0, "kept": True},
        {"id": images[4].id, "cluster": 0, "kept": False, "kind": "crop", "score": 0.9, "twin": images[0].id},
        {"id": "0" * 16, "origin": "ref", "image_id": "x", "reference": True, "cluster": 0, "kept": False},
    ]
    one = set_of(write_hard_set(tmp_path / "HARD", images, suspects=suspects, duplicates=duplicates))
    columns, index = columns_of(one)
    assert columns["key"] == [image.id for image in images]
    assert columns["id"] == [image.image_id for image in images]
    assert columns["sha256"] == [image.sha256 for image in images] == [index.sha256(k) for k in range(5)]
    assert columns["labels"] == [list(image.labels) for image in images]
    assert columns["suspect"] == [None, 0.75, None, None, None]
    assert columns["kind"][1] == "label"
    assert columns["candidates"] == [[7, 8], [3, 7, 8], [7, 8], [7, 8], [7, 8]]  # none of its own labels
    assert columns["duplicates"] == {"0": [4], "4": [0]}
    assert columns["evidence"]["failed_zooms"] == [[324, 324]] * 5
    with pytest.raises(DataError, match="names no data set"):
        one.image(0)  # nothing says where it lies


CHOSEN = (("beta", 11), ("alpha", 2), ("beta", 0))


def answers_of(name):
    """The logits of twelve made-up images of one of two data sets."""
    made = world(12, 1, seed=5)
    return np.roll(made.logits[0], name == "beta", axis=2), [[int(k)] for k in made.truth]


@pytest.fixture
def two_sources(tmp_path):
    """A hard set of two data sets with a run of the miner on each."""
    hard, labels = tmp_path / "HARD", answers_of("alpha")[1]
    images = [MadeUpImage(f"{k:04d}.jpg", tuple(labels[k]), origin) for origin, k in CHOSEN]
    write_hard_set(hard, images, space=SPACE)
    sources = [{"spec": name, "fingerprint": name} for name in ("alpha", "beta")]
    record = json.loads((hard / "mine.json").read_text()) | {"sources": sources, "miners": ["timm/made_up"]}
    (hard / "mine.json").write_text(json.dumps(record))
    for name in ("alpha", "beta"):
        path = hard / name / "m" / "paper-fp32"
        judged_run(path, *answers_of(name), data=name)
        parts = {"images": name, "border": 2 if name == "beta" else 0}
        (path / "run.json").write_text(
            json.dumps(json.loads((path / "run.json").read_text()) | {"fingerprint_parts": parts})
        )
    return hard


def test_hard_set_of_two_sources(two_sources):
    """Miners' runs of two data sets are one model; positions are those of candidates.parquet."""
    one = set_of(two_sources)
    columns, index = columns_of(one)
    for one.index in (None, index):  # of the 24 images of its runs it was made of 3
        (told,) = set_entry(one, Standing("1", True, None), {"m0": Standing("1", True, None)})["models"]
        assert (told["images"], told["complete"]) == (3, True)
    names = zip(columns["origin"], columns["id"], strict=True)
    assert [image_key(columns["origins"][origin], name) for origin, name in names] == columns["key"]
    assert columns["row"] == [11, 2, 0]
    (model,) = one.models
    found = model_columns(model, index)
    answers = {name: answers_of(name)[0].argmax(axis=2) for name in ("alpha", "beta")}
    assert found["crop"] == [int(answers[name][k, GRID.one_crop]) for name, k in CHOSEN]
    data = np.frombuffer(chunk_bytes(model, index, 0, parts_of(model, index, 0)), np.uint8).reshape(3, -1)
    for row, (name, k) in zip(data, CHOSEN, strict=True):
        ids = np.frombuffer(row[: len(GRID) * 10].tobytes(), "<i2").reshape(-1, 5)
        assert ids[:, 0].tolist() == answers[name][k].tolist()


def test_suspects_beside_runs(tmp_path):
    pictures = paint(tmp_path / "pictures", NAMES[:6])
    photo_run(tmp_path / "out" / "p" / "m" / "g", pictures, ease=0.5)
    rows = [{"id": image_key("made-up", sorted(NAMES[:6])[k]), "score": k / 8, "kind": None} for k in (5, 2)]
    rows = [row | {"proposed": [1], "labels": [0], "origin": "made-up", "image_id": "", "models": []} for row in rows]
    write_suspects(pa.Table.from_pylist(rows, schema=SUSPECTS), tmp_path / "out" / "suspects.parquet")
    columns, _ = columns_of(set_of(tmp_path / "out"))
    assert columns["suspect"] == [None, None, 0.25, None, None, 0.625]


def test_data_sets(tmp_path):
    one = set_of("examples")
    columns, _ = columns_of(one)
    assert (one.kind, columns["n"], columns["labels"][2]) == ("data", 16, [281, 282, 285])
    assert one.image(0)[:2] == b"\xff\xd8"
    assert one.sha256(0) is None
    own = set_of(paint(tmp_path / "own", ["cat/1.jpg", "dog/2.jpg", "dog/deep/3.jpg"]))
    found, _ = columns_of(own)
    assert (own.space.keys, found["labels"]) == (("cat", "dog"), [[0], [1], [1]])
    flat = set_of(paint(tmp_path / "flat", ["1.jpg", "2.jpg"]))
    found, _ = columns_of(flat)
    assert found["labels"] == [[], []]
    assert found["unlabelled"]
    image = {"bytes": (tmp_path / "flat" / "1.jpg").read_bytes(), "path": None}
    pq.write_table(pa.table({"image": [image] * 3, "label": [7, 1, 999]}), tmp_path / "rows.parquet")
    found, _ = columns_of(set_of(f"parquet/{tmp_path}/rows.parquet"))
    assert found["labels"] == [[7], [1], [999]]


def test_labels_option(tmp_path):
    pictures = paint(tmp_path / "pictures", NAMES[:6])
    photo_run(tmp_path / "out" / "p" / "m" / "g", pictures, sources=("own", "real"))
    (first,) = open_target(str(tmp_path / "out")).sets.values()
    (other,) = open_target(str(tmp_path / "out"), labels="real").sets.values()
    own, real = columns_of(first)[0]["labels"], columns_of(other)[0]["labels"]
    assert real == [[(row[0] + 1) % len(CLASSES)] for row in own]
    with pytest.raises(DataError, match="no labels 'fake'"):
        open_target(str(tmp_path / "out"), labels="fake")


def test_images_that_lie_elsewhere_now(out, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(out, tmp_path / "out")
    shutil.copytree(out.parent / "pictures", moved)
    for file in (tmp_path / "out").glob("**/run.json"):
        file.write_text(file.read_text().replace(str(out.parent / "pictures"), "/nowhere/pictures"))
    lost, found = set_of(tmp_path / "out"), set_of(tmp_path / "out", root=moved)
    with pytest.raises(DataError, match="no data set '/nowhere/pictures'"):
        lost.image(1)
    assert found.image(1) == (moved / sorted(NAMES)[1]).read_bytes()


def test_borders_of_a_hard_set(two_sources):
    """Of each image that of its own data set."""
    one = set_of(two_sources)
    _, one.index = columns_of(one)
    assert [one.border_at(k) for k in range(3)] == [2, 0, 2]


@pytest.mark.parametrize("what", ["nothing", "empty", "file", "tta"])
def test_nothing_to_view(tmp_path, what):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    run = photo_run(tmp_path / "tta" / "m", paint(tmp_path / "pictures", NAMES[:2]))
    (run.path / "run.json").write_text(json.dumps(run.record | {"methods": []}))
    with pytest.raises(UsageError) as told:
        open_target(str(tmp_path / what))
    assert len(str(told.value).splitlines()) == 1
    assert str(tmp_path / what) in str(told.value)
