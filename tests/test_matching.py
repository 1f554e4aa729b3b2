"""Which image a row is of: every way to name one, and names that say too little."""

import pytest
from guesses import FOLDERS, WNIDS, hits, make_folder, some_right, write_csv

import snellen
from snellen.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def truth(folder):
    return make_folder(folder)


NAMES = {
    "relative path": lambda name: name,
    "with ./": lambda name: f"./{name}",
    "absolute path": lambda name: f"/data/val/{name}",
    "Windows path": lambda name: "C:\\data\\" + name.replace("/", "\\"),
    "base name": lambda name: name.rpartition("/")[2],
    "stem": lambda name: name.rpartition("/")[2].removesuffix(".JPEG"),
    "other ending": lambda name: name.replace(".JPEG", ".png"),
    "base name in another folder": lambda name: "elsewhere/" + name.rpartition("/")[2],
}


@pytest.mark.parametrize("write", NAMES.values(), ids=NAMES)
def test_every_way_to_name_an_image(folder, truth, tmp_path, write):
    rows = [(write(name), k) for name, k in some_right(truth).items()]
    path = write_csv(tmp_path / "p.csv", ["image", "class"], rows[::-1])
    scores = snellen.score(path, folder)
    assert hits(scores) == (7, 12)
    assert any(note.startswith("rows are matched by") for note in scores.notes)


@pytest.fixture
def repeating(tmp_path):
    """Files that are called the same in every folder, as ImageNet-V2's are."""
    root = tmp_path / "again"
    for k in FOLDERS:
        (root / WNIDS[k]).mkdir(parents=True)
        for j in range(3):
            (root / WNIDS[k] / f"{j}.jpeg").touch()
    return root


@pytest.mark.parametrize("write", ["{0}/{1}.jpeg", "/mnt/x/{0}/{1}.jpeg", "{0}/{1}", "/mnt/{0}/{1}.JPG"])
def test_base_names_that_repeat_need_their_folder(repeating, tmp_path, write):
    rows = [(write.format(WNIDS[k], j), k if j else 0) for k in FOLDERS for j in range(3)]
    path = write_csv(tmp_path / "p.csv", ["image", "class"], rows)
    assert hits(snellen.score(path, repeating)) == (8, 12)


def test_base_names_that_repeat_match_nothing_alone(repeating, tmp_path):
    path = write_csv(tmp_path / "p.csv", ["image", "class"], [(f"{j}.jpeg", 1) for j in range(3)])
    with pytest.raises(DataError, match=r"no row is of an image of the data set: a row says '0.jpeg', an image is"):
        snellen.score(path, repeating)


def test_rows_may_be_numbered_by_place(folder, truth, tmp_path):
    rows = [(place, k) for place, k in enumerate(some_right(truth).values())]
    path = write_csv(tmp_path / "p.csv", ["id", "class"], rows[::-1])
    assert hits(snellen.score(path, folder)) == (7, 12)


def test_numbers_are_names_first(tmp_path):
    """Files 00001.jpg, 00002.jpg: a CSV reader would make numbers of them, and places of those."""
    root = tmp_path / "numbers"
    for k, name in ((1, "00002"), (2, "00001"), (3, "00000")):
        (root / WNIDS[k]).mkdir(parents=True)
        (root / WNIDS[k] / f"{name}.jpg").touch()
    path = write_csv(tmp_path / "p.csv", ["image", "class"], [("00000", 3), ("00001", 2), ("00002", 0)])
    assert hits(snellen.score(path, root)) == (2, 3)


def test_rows_without_names_are_in_order(folder, truth, tmp_path):
    path = write_csv(tmp_path / "p.csv", ["pred"], [[k] for k in some_right(truth).values()])
    scores = snellen.score(path, folder)
    assert hits(scores) == (7, 12)
    first = list(truth)[:2]
    assert f"rows are taken to be in the order of the data set: {first[0]!r}, {first[1]!r}, …" in scores.notes
    write_csv(path, ["pred"], [[0]] * 11)
    with pytest.raises(DataError, match="11 rows without file names, but the data set has 12 images"):
        snellen.score(path, folder)
