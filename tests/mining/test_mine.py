"""`mine` against exhaustive studies: the same images, what is told of them, what is kept and gone on with."""

import hashlib
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from small_mining import (
    GRID,
    KEYS,
    OPTIONS,
    ZOOMS,
    expected,
    hard_of,
    mine,
)

import snellen
from snellen.engine.running import completed, prepare_model
from snellen.errors import DataError
from snellen.labels import ClassSpace
from snellen.mining import miners
from snellen.mining.candidates import candidates
from snellen.mining.mined import image_key, read_mined
from snellen.mining.outcomes import Pool, taught
from snellen.report.mine import print_mining
from snellen.store.labels import encode_labels
from snellen.store.mined import mined_rows
from snellen.study import show

pytestmark = pytest.mark.usefixtures("few_zooms")


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


@pytest.mark.slow
def test_an_order_learned_from_a_study_takes_fewer_forwards(data, models, studies, tmp_path):
    alone = mine(models[0], data, tmp_path / "alone")
    taught = mine(models[0], data, tmp_path / "taught", order=[studies[0, 0].path, studies[0, 1].path])
    assert hard_of(tmp_path / "alone", data) == hard_of(tmp_path / "taught", data)
    assert taught.record["forwards"] < alone.record["forwards"]
    assert len(taught.record["order"]) == 2


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


def test_an_order_is_taught_by_the_labels_of_the_hard_set_and_by_each_run_once(data, models, studies, tmp_path):
    folder = studies[0, 0].path.parents[2]
    assert not miners.prior_runs([folder, folder / ".." / folder.name], folder / "first" / "..")
    runs = miners.prior_runs([folder, folder], tmp_path)
    assert len(runs) == len({run.path for run in runs}) == 6
    run = studies[0, 0]
    moved = [[0]] * 10
    pool = Pool(snellen.datasets.open_dataset(data[0]), None, moved)
    right, shown = taught(run, [pool])
    assert shown.all()
    assert (right == (run.answers() == 0)).all()
    assert (taught(run, [])[0] == run.correct()).all()


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
