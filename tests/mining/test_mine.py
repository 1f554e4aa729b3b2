"""`mine` against exhaustive studies: the same images, what is told of them, what is kept, refused and gone on with."""

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from rich.console import Console

import snellen
from snellen.engine.running import completed, prepare_model
from snellen.errors import DataError, RunMismatch, UsageError
from snellen.labels import ClassSpace
from snellen.mining import given, miners
from snellen.mining.candidates import candidates
from snellen.mining.hardset import read
from snellen.mining.mined import image_key, read_mined
from snellen.mining.outcomes import Pool, taught
from snellen.report.mine import print_mining
from snellen.store.find import find_runs
from snellen.store.labels import encode_labels
from snellen.store.mined import forwards, mined_rows
from snellen.study import show
from snellen.zoom import paper_grid

KEYS = tuple(f"kind-{k}" for k in range(5))
# Four scales in place of 36, so that studies take a second.
GRID = paper_grid(scales=(96, 192, 256, 640))
ZOOMS = len(GRID)


@pytest.fixture(scope="module", autouse=True)
def few_zooms():
    with pytest.MonkeyPatch.context() as patch:
        for module in (importlib.import_module("snellen.study"), miners):
            patch.setattr(module, "paper_grid", lambda size: GRID)
        patch.setattr(miners, "PAPER_GRID", GRID)
        yield


class Sampling(torch.nn.Module):
    """A few of the pixels, and a random projection of them."""

    seed = 1

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3 * 8 * 8, len(KEYS))
        weights = np.random.default_rng(self.seed).standard_normal((len(KEYS), 3 * 8 * 8))
        self.last.weight.data = torch.tensor(weights, dtype=torch.float32)
        # Few views are answered with a class of low bias, so that some images of these are hard.
        self.last.bias.data = torch.tensor([0.0, -41.0, -42.0, -23.0, -52.0])

    def forward(self, views):
        return self.last(views[:, :, 14::28, 14::28].flatten(1))


class Other(Sampling):
    seed = 3


class Third(Sampling):
    seed = 5


def write_images(root, count, seed):
    rng = np.random.default_rng(seed)
    for k in range(count):
        folder = root / KEYS[k % len(KEYS)]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(pixels).resize((60, 70)).save(folder / f"{k:02d}.png")
    return root


@pytest.fixture(scope="module")
def data(few_zooms, tmp_path_factory):
    """Two folders of pictures; one of the first cannot be read."""
    root = tmp_path_factory.mktemp("mined")
    first, second = write_images(root / "first", 10, 0), write_images(root / "second", 5, 1)
    (first / KEYS[1] / "06.png").write_bytes(b"no picture")
    return first, second


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return Sampling(), Other(), Third()


@pytest.fixture(scope="module")
def studies(data, models, tmp_path_factory):
    """The exhaustive studies: by model and data set."""
    out = tmp_path_factory.mktemp("studies")
    return {
        (number, place): snellen.study(model, folder, out=out, **OPTIONS)
        for number, model in enumerate(models)
        for place, folder in enumerate(data)
    }


OPTIONS = {"backend": "torch", "classes": KEYS, "batch_size": 16}


def mine(models, data, out, **options):
    return snellen.mine(models, data, out=out, **OPTIONS, **options)


def right_by_image(studies, number, place):
    """Of a model and a data set: whether each zoom is right, by image id."""
    run = studies[number, place]
    return dict(zip(run.image_ids, run.correct(), strict=True))


def expected(studies, count, places, needed):
    """The hard images, as a study of everything tells them: (data set, image id)."""
    found = set()
    for place in places:
        fails = [
            {image for image, right in right_by_image(studies, number, place).items() if not right.any()}
            for number in range(count)
        ]
        images = set(studies[0, place].image_ids)
        found |= {(place, image) for image in images if sum(image in some for some in fails) >= needed}
    return found


def hard_of(out, data):
    rows = pq.read_table(out / "candidates.parquet").to_pylist()
    names = [folder.name for folder in data]
    return {(names.index(row["origin"]), row["image_id"]) for row in rows}


@pytest.mark.parametrize("needed", [None, 1])
def test_the_hard_set_is_that_of_exhaustive_studies_also_after_studies_completed_it(
    needed, data, models, studies, tmp_path
):
    mining = mine(models, data, tmp_path, miners_required=needed)
    hard = expected(studies, 3, (0, 1), needed or 3)
    assert 0 < len(hard) < 14
    assert hard_of(tmp_path, data) == hard
    assert mining.record["hard"] == len(hard)
    assert mining.unreadable == (("first", "kind-1/06.png", mining.unreadable[0][2]),)
    stages = mining.record["funnel"]
    assert [stage["shown"] for stage in stages[1:]] == [stage["left"] for stage in stages[:-1]]
    assert stages[0]["shown"] == 14
    assert stages[0]["unreadable"] == 1
    assert stages[-1]["left"] == len(hard)
    assert all(stage["floor"] <= stage["forwards"] < stage["exhaustive"] == 14 * ZOOMS for stage in stages)
    # Every view that was shown is counted, and is a row; each is what the study says.
    runs = snellen.store.find.find_runs(tmp_path)
    assert mining.record["forwards"] == mining.record["views"] == sum(len(mined_rows(run)) for run in runs)
    before = (tmp_path / "candidates.parquet").read_bytes()
    for model in models:
        for folder in data:
            snellen.study(model, folder, out=tmp_path, **OPTIONS)
    again = mine(models, data, tmp_path, miners_required=needed)
    assert hard_of(tmp_path, data) == hard
    if needed is None:
        assert again.record == mining.record
        assert (tmp_path / "candidates.parquet").read_bytes() == before
    else:  # there is more evidence now: of miners that were right at a zoom, and wrong at others
        differs = {name for name in again.record if again.record[name] != mining.record[name]}
        assert differs == {"candidates", "sessions"}
        assert [session["views"] for session in again.record["sessions"]] == [mining.record["views"], 0]


def test_a_finished_study_is_mined_without_a_forward(data, models, studies, tmp_path):
    shutil.copytree(studies[0, 0].path.parents[2], tmp_path / "hard")
    mining = mine(models, data, tmp_path / "hard")
    assert hard_of(tmp_path / "hard", data) == expected(studies, 3, (0, 1), 3)
    assert mining.record["forwards"] == 0
    stages = mining.record["funnel"]
    assert [stage["studied"] for stage in stages] == [stage["shown"] * ZOOMS for stage in stages]
    with Console(width=200, record=True) as console:
        print_mining(mining, console)
    assert "fewer" not in console.export_text()


def test_it_is_told_who_failed_at_how_many_zooms_with_which_answers(data, models, studies, tmp_path):
    mine(models[:2], data, tmp_path, miners_required=1)
    found = read_mined(tmp_path)
    assert [image.id for image in found.images] == [image_key(one.origin, one.image_id) for one in found.images]
    seen_failing = 0
    for image in found.images:
        place = [folder.name for folder in data].index(image.origin)
        path = data[place] / image.image_id
        assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (image.width, image.height) == (60, 70)
        assert [found.space.keys[k] for k in image.labels] == [path.parent.name]
        for number, model in enumerate(("module/Sampling", "module/Other")):
            run = studies[number, place]
            row = run.image_ids.index(image.image_id)
            right, ids = run.correct()[row], run.answers()[row]
            if model not in image.miners:
                assert right.any()  # the first view was right
                continue
            at = image.miners.index(model)
            answer, share = image.answers[at]
            assert image.answered[at][0] == answer
            if not right.any():
                seen_failing += 1
                counts = np.bincount(ids, minlength=len(KEYS))
                assert image.failed_zooms[at] == ZOOMS
                assert share == pytest.approx(counts.max() / ZOOMS)
                assert counts[answer] == counts.max()
                assert set(image.answered[at]) == set(np.flatnonzero(counts).tolist())
            else:
                assert image.failed_zooms[at] < ZOOMS
                assert set(image.answered[at]) <= set(ids[~right].tolist())
    assert seen_failing


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


@pytest.mark.slow
def test_more_miners_data_images_extend_a_hard_set_and_its_ids_stay(data, models, studies, tmp_path):
    mine(models[0], data[0], tmp_path, limit=9)
    first = {image.image_id: image.id for image in read_mined(tmp_path).images}
    mine(models[0], data[0], tmp_path)
    mine(models[:2], data[0], tmp_path)
    mining = mine(models[:2], data, tmp_path)
    assert hard_of(tmp_path, data) == expected(studies, 2, (0, 1), 2)
    assert len(mining.record["sessions"]) == 4
    assert all(session["views"] > 0 for session in mining.record["sessions"])
    assert sum(session["views"] for session in mining.record["sessions"]) == mining.record["views"]
    for image in read_mined(tmp_path).images:
        assert first.get(image.image_id, image.id) == image.id
    fresh = mine(models[:2], data, tmp_path / "fresh")
    assert pq.read_table(tmp_path / "candidates.parquet") == pq.read_table(fresh.path / "candidates.parquet")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"models": 1}, "miners: module/Sampling, module/Other there, module/Sampling here"),
        ({"data": 1}, "data: .*first.*second.* there, .*first.* here"),
        ({"miners_required": 1}, "miners_required: all there, 1 here"),
        ({"limit": 5}, "limit: all images there, 5 here"),
        ({"precision": "bf16"}, "precision: fp32 there, bf16 here"),
    ],
)
def test_a_hard_set_that_was_mined_otherwise_is_refused_and_left_as_it_is(change, what, data, models, mined, tmp_path):
    out = shutil.copytree(mined, tmp_path / "hard")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    chosen, folders = models[: change.pop("models", 2)], data[: change.pop("data", 2)]
    with pytest.raises(RunMismatch, match=f"mined otherwise .{what}"):
        mine(chosen, folders, out, **change)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def mined(data, models, tmp_path_factory):
    """A mined hard set of two miners."""
    out = tmp_path_factory.mktemp("hard")
    mine(models[:2], data, out)
    return out


def test_where_no_image_is_hard_a_line_says_so_and_nothing_is_written_over(data, models, studies, mined, tmp_path):
    class Knowing(torch.nn.Module):
        """Answers every class at some view."""

        def forward(self, views):
            return torch.nn.functional.one_hot((views.sum(dim=(1, 2, 3)) * 1000).long() % len(KEYS), len(KEYS)).float()

    out = shutil.copytree(mined, tmp_path / "hard")
    before = {name: (out / name).read_bytes() for name in ("candidates.parquet", "mine.json")}
    with pytest.raises(UsageError, match=r"^no image of .* is hard: after module/Knowing none of 14 is left"):
        mine((*models[:2], Knowing()), data, out)
    assert {name: (out / name).read_bytes() for name in before} == before
    with pytest.raises(UsageError, match="no hard set was written"):
        mine(Knowing(), data, tmp_path / "new")
    with pytest.raises(UsageError, match=r"holds no hard set: no image of .* is hard: after module/Knowing"):
        read(tmp_path / "new")
    # What the message advises can be done: there is nothing to protect. A hard set that is there is protected.
    mining = mine(models[:2], data[0], tmp_path / "new", miners_required=1)
    assert hard_of(tmp_path / "new", data) == expected(studies, 2, (0,), 1)
    assert "refused" not in mining.record
    assert mining.record["configuration"]["miners"] == ["module/Sampling", "module/Other"]
    with pytest.raises(RunMismatch, match="mined otherwise"):
        mine(models[:1], data[0], tmp_path / "new", miners_required=1)


def test_where_all_images_are_hard_a_line_says_so_and_nothing_is_written_over(data, mined, tmp_path):
    class Stubborn(torch.nn.Module):
        """Answers a class that no image has."""

        def forward(self, views):
            return torch.eye(6)[5].expand(len(views), 6)

    with pytest.raises(UsageError, match=r"^all 14 images of .* are hard, and no hard set was written"):
        snellen.mine(Stubborn(), data, out=tmp_path, backend="torch", classes=(*KEYS, "none"))
    assert not (tmp_path / "candidates.parquet").exists()


def test_wrong_calls_are_told_before_anything_is_shown(data, models, tmp_path):
    def refused(error, match, *given, **options):
        with pytest.raises(error, match=match):
            mine(*given, tmp_path / "hard", **options)
        assert not (tmp_path / "hard").exists()

    refused(UsageError, "--miners-required 3: expected 1 … 2", models[:2], data, miners_required=3)
    refused(UsageError, "--miners-required 0", models[:2], data, miners_required=0)
    refused(UsageError, "at least two miners", models[0], data, leave_one_out=True)
    refused(UsageError, "limit=0", models[0], data, limit=0)
    refused(UsageError, "no directory", models[0], data, order=[tmp_path / "nothing"])
    refused(UsageError, "at least one data set", models[0], [])
    twin = shutil.copytree(data[1], tmp_path / "elsewhere" / data[1].name)
    refused(DataError, "both have an image 'kind-0/00.png' of 'second'", models[0], [data[1], twin])
    with pytest.raises(UsageError, match="the miners of a hard set have the same classes"):
        snellen.mine(["embedded/efficientnet_lite0", models[0]], data, out=tmp_path / "hard", **OPTIONS)


@pytest.mark.slow
def test_an_order_learned_from_a_study_takes_fewer_forwards(data, models, studies, tmp_path):
    alone = mine(models[0], data, tmp_path / "alone")
    taught = mine(models[0], data, tmp_path / "taught", order=[studies[0, 0].path, studies[0, 1].path])
    assert hard_of(tmp_path / "alone", data) == hard_of(tmp_path / "taught", data)
    assert taught.record["forwards"] < alone.record["forwards"]
    assert len(taught.record["order"]) == 2


def test_a_candidates_file_that_mine_json_does_not_name_is_told(mined, tmp_path):
    out = shutil.copytree(mined, tmp_path / "hard")
    table = pq.read_table(out / "candidates.parquet")
    pq.write_table(table.slice(0, 1), out / "candidates.parquet")
    with pytest.raises(UsageError, match=r"is not what mine\.json names"):
        read(out)


@pytest.mark.parametrize("kill", ["before candidates.parquet", "between", "after mine.json"])
def test_a_kill_at_any_step_of_the_end_leaves_no_hard_set_that_loads_by_half(
    kill, data, models, studies, mined, tmp_path
):
    """A first mining that dies at each write of its end; then the same command, or another one, goes on."""
    code = (
        "import os, sys, runpy\n"
        "from snellen.mining import record\n"
        "write, kill = record.write_atomic, sys.argv[1]\n"
        "def dying(path, data):\n"
        "    if kill.startswith('before') and path.name == 'candidates.parquet': os.kill(os.getpid(), 9)\n"
        "    write(path, data)\n"
        "    if kill == 'between' and path.name == 'candidates.parquet': os.kill(os.getpid(), 9)\n"
        "    if kill.startswith('after') and path.name == 'mine.json': os.kill(os.getpid(), 9)\n"
        "record.write_atomic = dying\n"
        "from pathlib import Path\n"
        "import json, pyarrow.parquet as pq\n"
        "whole, out = Path(sys.argv[2]), Path(sys.argv[3])\n"
        "done = json.loads((whole / 'mine.json').read_text())\n"
        "done.pop('candidates')\n"
        "table = pq.read_table(whole / 'candidates.parquet')\n"
        "begun = {**done, 'sessions': [], 'funnel': []}\n"
        "with record.open_hard(out, begun, print) as (before, lock):\n"
        "    record.finish(out, lock, before, done, table, {'views': 1})\n"
    )
    out = tmp_path / "hard"
    done = subprocess.run([sys.executable, "-c", code, kill, str(mined), str(out)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert (out / "candidates.parquet").exists() == (kill != "before candidates.parquet")
    if kill == "after mine.json":
        assert read(out).images
        return
    with pytest.raises(UsageError, match=r"mining has not finished .*; let `snellen mine"):
        read(out)
    mine(models[0], data, out)  # otherwise than what died: there is nothing to protect
    assert hard_of(out, data) == expected(studies, 1, (0, 1), 1)
    assert len(read(out).images) == len(hard_of(out, data))


def test_a_damaged_part_of_a_miner_is_mined_again_and_one_of_another_model_is_passed_over(
    data, models, mined, tmp_path
):
    out = shutil.copytree(mined, tmp_path / "hard")
    whole = hard_of(out, data)
    mine(models[2], data, tmp_path / "other")
    for run in find_runs(tmp_path / "other"):
        shutil.copytree(run.path, out / run.path.relative_to(tmp_path / "other"))
    damaged = 0
    for part in out.glob("*/*/*/mined/0/parts/*.predictions.parquet"):
        if "Third" in str(part) or not damaged:
            part.write_bytes(part.read_bytes()[:-9])
            damaged += "Third" not in str(part)
    before = json.loads((out / "mine.json").read_text())
    mining = mine(models[:2], data, out)
    assert hard_of(out, data) == whole
    assert damaged == 1
    (session,) = mining.record["sessions"][len(before["sessions"]) :]
    assert 0 < session["views"] < mining.record["views"]
    assert mining.record["views"] == sum(forwards(run) for run in find_runs(out) if "Third" not in run.model)
    assert mine(models[:2], data, out).record == mining.record


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


def test_the_same_in_other_words_is_the_same_hard_set(data, models, tmp_path, monkeypatch):
    names = [item.id for item in snellen.datasets.open_dataset(data[0]).items]
    csv = tmp_path / "labels.csv"
    csv.write_bytes(encode_labels(names, [[k % 3] for k in range(len(names))], ClassSpace.of_names(KEYS, "kinds")))
    out = tmp_path / "hard"
    monkeypatch.chdir(tmp_path)
    first = mine(models[:2], data[0], out, labels="labels.csv")
    again = mine(models[:2], data[0], out, labels=csv, miners_required=2)
    assert {**again.record, "configuration": 0, "sources": 0, "sessions": 0} == {
        **first.record,
        "configuration": 0,
        "sources": 0,
        "sessions": 0,
    }
    with pytest.raises(RunMismatch, match="miners_required: 2 there, 1 here"):
        mine(models[:2], data[0], out, labels=csv, miners_required=1)


def test_several_labels_and_k_of_several_miners_are_those_of_brute_force(data, models, studies, tmp_path):
    """Two labels an image, none for some; at least two of three miners must fail."""
    names = [item.id for item in snellen.datasets.open_dataset(data[0]).items]
    answers = [
        dict(zip(studies[number, 0].image_ids, studies[number, 0].answers(), strict=True)) for number in range(3)
    ]

    def drawn(seed):
        rng = np.random.default_rng(seed)
        sets = {name: [] if k == 2 else rng.choice(5, 2, replace=False).tolist() for k, name in enumerate(names)}
        fails = {name: [not np.isin(one[name], sets[name]).any() for one in answers] for name in answers[0]}
        counts = {name: sum(some) for name, some in fails.items() if sets[name]}
        return sets, counts

    # Labels by which some images are failed by two, others by three.
    sets, counts = next(found for seed in range(500) if {2, 3} <= set((found := drawn(seed))[1].values()))
    hard = {name for name, count in counts.items() if count >= 2}
    csv = tmp_path / "labels.csv"
    csv.write_bytes(encode_labels(list(sets), list(sets.values()), ClassSpace.of_names(KEYS, "kinds")))
    mining = mine(models, data[0], tmp_path / "hard", labels=csv, miners_required=2)
    found = read_mined(tmp_path / "hard").images
    assert {image.image_id for image in found} == hard
    assert all(image.labels == tuple(sorted(sets[image.image_id])) for image in found)
    (source,) = mining.record["sources"]
    assert (source["unlabelled"], source["unreadable"]) == (1, 1)
    # In a study of all, images without a label are looked at; they are none of those that cannot be read.
    assert [image for _, image, _ in mining.unreadable] == ["kind-1/06.png"]


def test_labels_that_there_are_not_and_a_miner_twice_are_refused(data, models, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no labels 'reel': first has own; or give a CSV"):
        mine(models[0], data[0], tmp_path / "hard", labels="reel")
    other = type("Sampling", (Other,), {})()
    with pytest.raises(UsageError, match="two miners are called module/Sampling"):
        mine([models[0], other], data[0], tmp_path / "hard")
    # A copy of a checkpoint under another name is the same network; with another normalisation it is another.
    made = prepare_model(models[0], completed("mine", OPTIONS))
    copies = {"a": {}, "b": {"source": "b", "notes": ("copied",)}, "c": {"mean": (0.1, 0.1, 0.1)}}
    monkeypatch.setattr(given, "expand_models", lambda text: [text])
    monkeypatch.setattr(
        given, "prepare_model", lambda text, _: replace(made, text=text, card=replace(made.card, **copies[text]))
    )
    assert [one.text for one in given.ready_models(["a", "c", "a"], completed("mine", {}))] == ["a", "c"]
    with pytest.raises(UsageError, match="b and a are the same network"):
        mine(["a", "c", "b"], data[0], tmp_path / "hard")
    assert not (tmp_path / "hard").exists()


def test_an_order_is_taught_by_the_labels_of_the_hard_set_and_by_each_run_once(data, models, studies, tmp_path):
    folder = studies[0, 0].path.parents[2]
    assert not miners.prior_runs([folder, folder / ".." / folder.name], folder / "first" / "..")
    runs = miners.prior_runs([folder, folder], tmp_path)
    assert len(runs) == len({run.path for run in runs}) == 6
    run = studies[0, 0]
    moved = [[0]] * 10
    pool = Pool(snellen.datasets.open_dataset(data[0]), None, moved)
    right, shown = taught(run, dict(zip(pool.names, moved, strict=True)))
    assert shown.all()
    assert (right == (run.answers() == 0)).all()
    assert (taught(run, {})[0] == run.correct()).all()


def test_a_data_set_of_some_classes_is_mined_within_them_and_labels_outside_are_refused(data, models, tmp_path):
    """Two ids of the head are one class and one takes no part: against the study of the same data set."""
    dataset = snellen.datasets.open_dataset(data[0])
    dataset.classes = ((KEYS[0], KEYS[2]), (KEYS[1],), (KEYS[4],))
    space = ClassSpace.of_names(KEYS, "kinds")
    names = [item.id for item in dataset.items]

    def labels(name, *sets):
        path = tmp_path / f"{name}.csv"
        path.write_bytes(encode_labels(names, [sets[k % len(sets)] for k in range(len(names))], space))
        return path

    csv = labels("inside", [0, 2], [1], [4])
    with pytest.raises(DataError, match=r"the label 'kind-3' of '.*' is none of the 3 classes of first"):
        Pool.of(dataset, labels("outside", [0, 2], [3]), None, space)
    pool = Pool.of(dataset, csv, None, space)
    prepared = prepare_model(models[0], completed("mine", OPTIONS))
    options = completed("mine", {"workers": 1})
    study = show(dataset, prepared, GRID, tmp_path / "study", options)
    some = miners.Miners(tmp_path / "mined", [prepared], [pool], options)
    some.funnel(1)
    hard = some.usable(0) & (some.told(0)[0] == 0)
    right = dict(zip(study.image_ids, study.correct(csv).any(axis=1), strict=True))
    expected = [name in right and not right[name] for name in names]
    assert hard.tolist() == expected
    assert 0 < sum(expected) < len(right)
    assert study.class_map is not None
    table = candidates(some, [hard])
    assert 3 not in {k for classes in table["answered"].to_pylist() for told in classes for k in told}
