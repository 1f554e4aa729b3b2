"""`mine` against exhaustive studies: the same images, what is told of them, what is kept, refused and gone on with."""

import hashlib
import importlib
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import snellen
from snellen.errors import DataError, RunMismatch, UsageError
from snellen.mining import miners
from snellen.mining.hardset import read
from snellen.mining.mined import image_key, read_mined
from snellen.store.mined import mined_rows
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
    assert {**again.record, "candidates": ""} == {**mining.record, "candidates": ""}
    if needed is None:  # else there is more evidence now: of miners that were right at a zoom, and wrong at others
        assert (tmp_path / "candidates.parquet").read_bytes() == before


def test_a_finished_study_is_mined_without_a_forward(data, models, studies, tmp_path):
    shutil.copytree(studies[0, 0].path.parents[2], tmp_path / "hard")
    mining = mine(models, data, tmp_path / "hard")
    assert hard_of(tmp_path / "hard", data) == expected(studies, 3, (0, 1), 3)
    assert mining.record["forwards"] == 0


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
    assert left_out["one_crop_forwards"] == 3 * 14
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


def test_where_no_image_is_hard_a_line_says_so_and_nothing_is_written_over(data, models, mined, tmp_path):
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
    with pytest.raises(UsageError, match="has no candidates"):
        read(tmp_path / "new")


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
    record = json.loads((out / "mine.json").read_text())
    del record["candidates"]
    (out / "mine.json").write_text(json.dumps(record))
    assert len(read(out).images) == 1
