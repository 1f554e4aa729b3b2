"""The CSV of `snellen review` through a spreadsheet, and names of classes as people write them."""

import csv
import io

import numpy as np
import pytest
from hard_set import MadeUpImage, hash_of, images_of, write_hard_set
from review_files import FISH, SHARK, filled, rows_of, set_cells, taken

from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.hardset import read
from snellen.mining.sheet import sheet


def spreadsheet(rows, path, *, delimiter=";", encoding="utf-8-sig"):
    """A CSV as spreadsheets of many countries save it: semicolons, and numbers as they show them."""

    def shown(cell):
        try:
            number = float(cell)
        except ValueError:
            return cell
        if not np.isfinite(number):  # larger than the largest is text
            return cell
        return f"{number:.5E}" if number >= 1e11 else f"{number:.10g}"

    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow([shown(cell) for cell in row.values()])
        writer.writerow([""] * len(rows[0]))


def images_with_ids_like_numbers():
    """Images whose ids a spreadsheet takes for numbers: digits alone, and digits with an e."""
    found, k = [], 0
    while len(found) < 3:
        image = MadeUpImage(f"{k:06d}", sha256=hash_of(0))
        kind = "e" if len(found) < 2 else ""
        digits, _, power = image.id.partition("e")
        if (digits + power).isdecimal() and digits and kind in image.id and float(image.id) < 1e300:
            found.append(image)
        k += 1
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_through_a_spreadsheet(delimiter, tmp_path):
    images = [*images_with_ids_like_numbers(), *images_of(3)]
    hard = write_hard_set(tmp_path / "hard", images)
    rows = rows_of(sheet(read(hard)))
    for row in rows:
        row["verdict"] = "keep"
    path = tmp_path / "a.csv"
    spreadsheet(rows, path, delimiter=delimiter)
    text = io.StringIO(path.read_text(encoding="utf-8-sig"))
    changed = [row["id"] for row in csv.DictReader(text, delimiter=delimiter)][:3]
    assert not set(changed) & {image.id for image in images}, "the spreadsheet spoils them"
    rows[0]["image_id"] = "other"
    if delimiter == ";":
        spreadsheet(rows, tmp_path / "b.csv")
        with pytest.raises(DataError, match="row 2: there is no image"):
            taken(hard, tmp_path / "b.csv")
    assert taken(hard, path) == 6
    assert {image.status for image in read(hard).images} == {"kept"}


def test_a_name_is_no_formula(tmp_path):
    names = ["=HYPERLINK(1)", "+1.jpg", "-1.jpg", "@x", "'quoted'", "'=x", "a=b"]
    hard = write_hard_set(tmp_path / "hard", [MadeUpImage(name) for name in names])
    rows = rows_of(sheet(read(hard)))
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    path = filled(hard, tmp_path / "a.csv", {row["image_id"]: ("drop", "", "=1") for row in rows})
    assert taken(hard, path) == len(names)
    found = read(hard)
    assert [image.status for image in found.images] == ["dropped"] * len(names)
    assert {verdict.reason for verdict in found.verdicts} == {"=1"}
    assert rows_of(sheet(found, "ada"))[0]["your_reason"] == "'=1"


def test_class_names_of_every_kind(hard):
    names = {"n02012849": "crane (n02012849)", SHARK: "2", FISH: "Carassius auratus", "n01491361": " n01491361 "}
    path = filled(hard, hard.parent / "a.csv", {"kind/000.jpg": ("relabel", "|".join(names.values()))})
    assert taken(hard, path) == 1
    assert {IMAGENET_1K.keys[k] for k in read(hard).images[0].labels} == set(names)


def test_keys_that_are_numbers(tmp_path):
    """A key that lost its zeros is not taken for an index."""
    space = ClassSpace.of_names(["0003", "0002", "0001", "0000"], "numbers")
    hard = write_hard_set(tmp_path / "hard", [MadeUpImage("a.jpg", (1,), answers=())], space=space)
    path = filled(hard, tmp_path / "a.csv", {"a.jpg": ("relabel", "3")}, change=set_cells(2, current_labels="2"))
    with pytest.raises(DataError, match="row 2: unknown class '3'"):
        taken(hard, path)
    assert taken(hard, filled(hard, tmp_path / "b.csv", {"a.jpg": ("relabel", "0003")})) == 1
    assert read(hard).images[0].labels == (0,)
