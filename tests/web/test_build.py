"""The data files in the cache: made once, kept, made anew when a study goes on, and right after a kill."""

import json
import shutil
import time

import numpy as np
import pytest
from hard_set import images_of, write_hard_set
from judged_runs import GRID, judged_run, world
from photo_runs import paint, photo_run

import snellen.web.build as build
import snellen.web.made as made
from snellen.errors import SnellenError
from snellen.store.find import find_runs
from snellen.web.answers import CHUNK
from snellen.web.build import Builder
from snellen.web.index import UNREADABLE, read_index
from snellen.web.site import open_target
from snellen.zoom import PAPER_GRID

NAMES = [f"kind-{k % 3}/{k:02d}.jpg" for k in range(12)]


@pytest.fixture
def out(tmp_path):
    pictures = paint(tmp_path / "pictures", NAMES)
    for k in range(2):
        photo_run(tmp_path / "out" / "p" / f"model-{k}" / "g", pictures, model=f"timm/model_{k}", seed=k)
    return tmp_path / "out"


@pytest.fixture
def open_builder(tmp_path):
    """Opens builders over one cache; all are closed at the end."""
    opened = []

    def open_one(place):
        opened.append(Builder(open_target(str(place)), tmp_path / "cache"))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def read(builder, url):
    return json.loads(builder.path(url).read_bytes())


def test_all_files(out, open_builder):
    builder = open_builder(out)
    assert read(builder, "data/s0/images.json")["n"] == 12  # waited for
    builder.finish()
    site = builder.site()
    (one,) = site["sets"]
    assert (site["kind"], one["images"], one["chunk"], one["ready"]) == ("runs", 12, CHUNK, True)
    assert [(model["key"], model["ready"], model["complete"], model["images"]) for model in one["models"]] == [
        ("m0", True, True, 12),
        ("m1", True, True, 12),
    ]
    (grid,) = {model["grid"] for model in one["models"]}
    rules = read(builder, f"data/grid-{grid}.json")
    assert len(rules) == 324
    assert rules[112] | {"scale": 256, "row": 1, "col": 1, "resize": 256, "group": "zoom-in"} == rules[112]
    assert len(json.dumps(site)) < 2500  # it is asked for every few seconds
    assert len(read(builder, f"data/classes-{one['space']}.json")["keys"]) == 12
    assert read(builder, "data/s0/m1.json")["n"] == 12
    assert builder.path("data/s0/m0/answers/0.bin").stat().st_size == 12 * 324 * 21


def test_no_other_files(out, open_builder):
    builder = open_builder(out)
    builder.finish()
    answers = ("1.bin", "-1.bin", "../x.bin", "0.json.bin", "../../../../x.bin")
    strange = [f"data/s0/m0/answers/{name}" for name in answers]
    strange += ["data/s1/images.json", "data/s0/m7.json", "data/../run.json", "data/s0/../../x.json", "/etc/passwd"]
    strange += [
        "data/grid-.json",
        "data/grid-0123456789abcdef.json",
        "data/classes-nothing.json",
        "data/classes-../x.json",
        "data/s0/images.txt",
        "",
        "data/site.json",
    ]
    assert {url for url in strange if builder.path(url) is not None} == set()


def test_warm_start_reads_nothing(out, open_builder, monkeypatch):
    first = open_builder(out)
    first.finish()
    before = read(first, "data/s0/m0.json")
    answers = first.path("data/s0/m0/answers/0.bin").read_bytes()
    first.close()
    for part in out.glob("**/*.parquet"):  # whoever reads one now fails
        part.write_bytes(b"")
    monkeypatch.setattr(Builder, "_run", lambda *_: pytest.fail("a child was started"))
    second = open_builder(out)
    assert all(model["ready"] for model in second.site()["sets"][0]["models"])
    assert read(second, "data/s0/m0.json") == before
    assert second.path("data/s0/m0/answers/0.bin").read_bytes() == answers


def test_cache_that_is_removed(out, open_builder, tmp_path):
    """It may be at any time, also under a running server."""
    builder = open_builder(out)
    builder.finish()
    before = {url: read(builder, url) for url in ("data/s0/images.json", "data/s0/m0.json")}
    for path in (tmp_path / "cache" / "data").rglob("*.*"):
        path.unlink()
    assert read(builder, "data/s0/images.json") == before["data/s0/images.json"]
    assert builder.path("data/s0/m0.json") is None
    builder.finish()
    assert read(builder, "data/s0/m0.json") == before["data/s0/m0.json"]


def begun(out):
    """A study between its run.json and its first shard."""
    path = out / "p" / "m" / "g"
    photo_run(path, paint(out.parent / "pictures", NAMES))
    for folder in ("commits", "parts"):
        shutil.rmtree(path / folder)
        (path / folder).mkdir()
    return path


def test_study_that_has_just_begun(tmp_path, open_builder):
    begun(tmp_path / "out")
    builder = open_builder(tmp_path / "out")
    builder.finish()
    (one,) = builder.site()["sets"]
    (model,) = one["models"]
    assert (one["images"], one["error"]) == (12, None)
    assert (model["images"], model["ready"], model["complete"], model["error"]) == (0, True, False, None)
    assert len(read(builder, "data/s0/images.json")["id"]) == 12
    columns = read(builder, "data/s0/m0.json")
    assert (columns["summary"], columns["crop"], columns["winning"]) == ({}, [-1] * 12, [-1] * 12)
    record = np.frombuffer(builder.path("data/s0/m0/answers/0.bin").read_bytes(), np.uint8).reshape(12, 324 * 21)
    assert (record[:, 324 * 20 :] == 2).all()  # not shown


def test_the_end_of_a_study_is_not_waited_for(tmp_path, open_builder, monkeypatch):
    """However long the files took before: the page asks until it has the last numbers, and has them soon."""
    monkeypatch.setattr(build, "LOOK", 0.0)
    monkeypatch.setattr(made, "AGAIN", 1000.0)
    pictures = paint(tmp_path / "pictures", NAMES)
    path = tmp_path / "out" / "p" / "m" / "g"
    photo_run(path, pictures, done=5)
    builder = open_builder(tmp_path / "out")
    builder.finish()
    shutil.rmtree(path)
    photo_run(path, pictures)
    end = time.monotonic() + 60
    while not (model := builder.site()["sets"][0]["models"][0])["complete"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert model["images"] == 12
    columns = read(builder, "data/s0/m0.json")
    assert columns["summary"]["1-crop"]["n"] == 12
    assert min(columns["crop"]) >= 0


def test_old_versions_are_removed():
    one = made.Made()
    gone = []
    for k in range(4):
        one.wanted = f"images-{k}.json"
        assert one.due
        one.done(one.wanted, 0.0, None)
        gone += one.outdated()
        one._not_until = 0.0
    assert gone == ["images-0.json", "images-1.json"]  # a page may be on its way to the last but one


def test_study_that_goes_on(tmp_path, open_builder, monkeypatch):
    monkeypatch.setattr(build, "LOOK", 0.0)
    monkeypatch.setattr(made, "AGAIN", 0.2)
    monkeypatch.setattr(made, "SPARED", 0.0)
    pictures = paint(tmp_path / "pictures", NAMES)
    path = tmp_path / "out" / "p" / "m" / "g"
    whole = photo_run(tmp_path / "whole", pictures)
    photo_run(path, pictures, done=5)
    builder = open_builder(tmp_path / "out")
    builder.finish()
    model = builder.site()["sets"][0]["models"][0]
    assert (model["complete"], model["images"]) == (False, 5)
    first = read(builder, "data/s0/m0.json")
    assert first["crop"][5:] == [-1] * 7
    assert read(builder, "data/s0/images.json")["n"] == 12
    shutil.rmtree(path)
    shutil.copytree(whole.path, path)
    deadline = time.monotonic() + 30
    while (now := builder.site()["sets"][0]["models"][0])["version"] == model["version"]:
        assert time.monotonic() < deadline, "the new images were not taken in"
        time.sleep(0.1)
    assert (now["key"], now["complete"], now["images"]) == ("m0", True, 12)
    again = read(builder, "data/s0/m0.json")
    assert again["crop"][:5] == first["crop"][:5]
    assert -1 not in again["crop"]


def test_run_that_comes_later(out, open_builder, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LOOK", 0.0)
    builder = open_builder(out)
    builder.finish()
    keys = {model["spec"]: model["key"] for model in builder.site()["sets"][0]["models"]}
    photo_run(out / "p" / "a-first" / "g", tmp_path / "pictures", model="timm/earlier", seed=5)
    photo_run(out / "other" / "m" / "g", paint(tmp_path / "other", ["x/1.jpg"]), model="timm/other")
    one, other = builder.site()["sets"]
    now = {model["spec"]: model["key"] for model in one["models"]}
    assert now == keys | {"timm/earlier": "m2"}  # links to the others stay true
    assert (other["key"], other["images"]) == ("s1", 1)
    builder.finish()
    assert read(builder, "data/s1/m0.json")["n"] == 1


def test_a_run_that_is_removed_leaves_its_key_to_no_other(out, open_builder, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LOOK", 0.0)
    builder = open_builder(out)
    builder.finish()
    path = out / "p" / "model-0" / "g"
    path.rename(tmp_path / "away")
    assert [(one["key"], one["spec"]) for one in builder.site()["sets"][0]["models"]] == [("m1", "timm/model_1")]
    assert builder.path("data/s0/m0.json") is None
    # Another model, also at the same place, and then the first one again.
    photo_run(path, tmp_path / "pictures", model="timm/other", seed=9)
    (out / "p" / "back").mkdir()
    (tmp_path / "away").rename(out / "p" / "back" / "g")
    builder.finish()
    found = {one["key"]: one["spec"] for one in builder.site()["sets"][0]["models"]}
    assert found == {"m1": "timm/model_1", "m2": "timm/model_0", "m3": "timm/other"}
    builder.finish()
    runs = {run.model: run for run in find_runs(out)}
    for key, spec in found.items():
        answers = runs[spec].answers()[:, PAPER_GRID.one_crop]
        assert read(builder, f"data/s0/{key}.json")["crop"] == answers.tolist()


def test_a_hard_set_that_is_mined_again_keeps_its_positions(tmp_path, open_builder, monkeypatch):
    """Else a page that is open shows one image and gives its verdict on another."""
    monkeypatch.setattr(build, "LOOK", 0.0)
    monkeypatch.setattr(made, "AGAIN", 0.0)
    images = images_of(5)
    hard = write_hard_set(tmp_path / "HARD", images[2:])
    builder = open_builder(hard)
    before, version = read(builder, "data/s0/images.json"), builder.site()["sets"][0]["version"]
    suspects = [{"id": images[4].id, "score": 0.5, "kind": "label", "proposed": [3], "share": 0.5}]
    write_hard_set(hard, images, suspects=suspects)
    again = open_builder(hard)  # over the same cache
    deadline = time.monotonic() + 30
    while not (error := builder.site()["sets"][0]["error"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "mined again" in error
    assert read(builder, "data/s0/images.json") == before
    assert [builder.target.sets["s0"].sha256(k) for k in range(3)] == before["sha256"]
    assert read(again, "data/s0/images.json")["key"] == [image.id for image in images]
    assert builder.shows(version)
    assert not again.shows(version)
    assert again.shows(again.site()["sets"][0]["version"])


def test_how_a_hard_set_was_mined(tmp_path, open_builder):
    hard = write_hard_set(tmp_path / "HARD", images_of(2))
    numbers = {"shown": 9, "read": 6, "failed": 3, "unanswered": 1, "left": 2, "unreadable": 0}
    numbers |= {"forwards": 900, "studied": 4, "exhaustive": 2916}
    source = {"images": 10, "unlabelled": 1, "unreadable": 0, "hard": 2}
    record = json.loads((hard / "mine.json").read_bytes()) | {"miners_required": 1, "zooms": 324}
    record["funnel"] = [{"miner": "timm/x@/home/someone/w.pth", **numbers, "floor": 1}, {"miner": "y", "shown": "<b>"}]
    record["sources"] = [{"name": "/home/someone/photos", "spec": "/home/someone/photos", **source}]
    (hard / "mine.json").write_text(json.dumps(record))
    (one,) = open_builder(hard).site()["sets"]
    assert one["mining"] == {
        "required": 1,
        "zooms": 324,
        "funnel": [{"miner": "timm/x@w.pth", **numbers}, {"miner": "y", **dict.fromkeys(numbers)}],
        "sources": [{"name": "photos", **source}],
    }


@pytest.mark.parametrize("name", ["suspects", "duplicates"])
def test_evidence_that_comes_later(tmp_path, open_builder, monkeypatch, name):
    monkeypatch.setattr(build, "LOOK", 0.0)
    monkeypatch.setattr(made, "AGAIN", 0.0)
    monkeypatch.setattr(made, "SPARED", 0.0)
    images = images_of(3)
    hard = write_hard_set(tmp_path / "HARD", images)
    builder = open_builder(hard)
    before, version = read(builder, "data/s0/images.json"), builder.site()["sets"][0]["version"]
    column = {"suspects": "suspect"}.get(name, name)
    assert column not in before
    cluster = {"cluster": 0, "kind": "exact", "score": 1.0}
    rows = {
        "suspects": [{"id": images[1].id, "score": 0.5, "kind": "label", "proposed": [3], "share": 0.5}],
        "duplicates": [{"id": image.id, "kept": k == 0} | cluster for k, image in enumerate(images[:2])],
    }
    write_hard_set(hard, images, **{name: rows[name]})
    deadline = time.monotonic() + 30
    while builder.site()["sets"][0]["version"] == version:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = read(builder, "data/s0/images.json")[column]
    assert found == {"suspects": [None, 0.5, None], "duplicates": {"0": [1], "1": [0]}}[name]
    assert builder.shows(version)  # the positions are the same: what a page has is right


def test_labels_that_are_corrected(out, open_builder, monkeypatch):
    monkeypatch.setattr(build, "LOOK", 0.0)
    monkeypatch.setattr(made, "AGAIN", 0.0)
    monkeypatch.setattr(made, "SPARED", 0.0)
    builder = open_builder(out)
    builder.finish()
    before = builder.path("data/s0/m0/answers/0.bin")
    labels = out / "p" / "model-0" / "g" / "labels.csv"
    header, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([header, *(row.rpartition(",")[0] + ',"kind-11"' for row in rows)]) + "\n")
    deadline = time.monotonic() + 30
    (out / "p" / "model-0" / "g" / "labels.csv").touch()
    run = next(run for run in find_runs(out) if run.model == "timm/model_0")
    expected = (run.answers() == 11).sum(axis=1).tolist()
    while read(builder, "data/s0/images.json")["labels"] != [[11]] * 12:
        builder.site()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while read(builder, "data/s0/m0.json")["winning"] != expected:
        builder.site()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert builder.path("data/s0/m0/answers/0.bin") != before


def test_an_index_that_is_cut_off_is_made_again(out, open_builder, tmp_path):
    first = open_builder(out)
    first.finish()
    first.close()
    for k, path in enumerate(sorted((tmp_path / "cache" / "data").rglob("*.npz"))):
        path.write_bytes(path.read_bytes()[: 100 * (k % 2)])
    for size in (0, 100):
        (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04"[:size])
        with pytest.raises(UNREADABLE):
            read_index(tmp_path / "cut.npz")
    second = open_builder(out)
    second.finish()
    assert read(second, "data/s0/images.json")["n"] == 12
    assert second.target.sets["s0"].sha256(0)


def test_mining_that_goes_on(tmp_path, open_builder):
    """Until `mine` has finished its folder is one of runs, and its models are not complete."""
    found = world(6, 1)
    shown = np.zeros((6, len(GRID)), bool)
    shown[:3, GRID.one_crop] = True
    labels = [[int(k)] for k in found.truth]
    judged_run(tmp_path / "HARD" / "made-up" / "m" / "paper", found.logits[0], labels, shown=shown)
    record = {"format": 1, "space": "imagenet-1k", "keys": [], "miners": ["timm/made_up"]}
    (tmp_path / "HARD" / "mine.json").write_text(json.dumps(record))
    builder = open_builder(tmp_path / "HARD")
    builder.finish()
    site = builder.site()
    assert site["kind"] == "runs"
    (model,) = site["sets"][0]["models"]
    assert (model["early_exit"], model["complete"]) == (True, False)
    assert read(builder, "data/s0/m0.json")["shown"] == [1, 1, 1, 0, 0, 0]


def test_damage_is_told(out, open_builder):
    samples = next(out.glob("p/model-0/**/*.samples.parquet"))
    samples.write_bytes(samples.read_bytes()[:50])
    builder = open_builder(out)
    with pytest.raises(SnellenError, match="cannot be read"):
        builder.path("data/s0/images.json")
    assert "cannot be read" in builder.site()["sets"][0]["error"]


def test_killed_child(out, open_builder, monkeypatch):
    """A child that is killed leaves no part of a file, and the next start makes it."""
    monkeypatch.setattr(build, "child_command", lambda _: ["sh", "-c", "kill -9 $$"])
    builder = open_builder(out)
    with pytest.raises(SnellenError, match="died"):
        builder.path("data/s0/images.json")
    builder.close()
    monkeypatch.undo()
    again = open_builder(out)
    again.finish()
    assert read(again, "data/s0/images.json")["n"] == 12
