"""`snellen review`: a CSV that goes out, is filled in with a spreadsheet, and comes back."""

import csv
import io
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import one_line, run_cli
from hard_set import MadeUpImage, hash_of, images_of, verdict_on, write_hard_set
from looking import tree
from statsmodels.stats.inter_rater import cohens_kappa

from snellen.errors import DataError, UsageError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.review import take, verdicts_of
from snellen.mining.sheet import sheet

FISH, SHARK = "n01443537", "n01484850"  # goldfish (1), great white shark (2)


@pytest.fixture
def hard(tmp_path):
    """Twelve images: a wrong label is suspected, one is part of another, one of an image that is not among them."""
    images = images_of(12)
    train = {"id": "f" * 16, "image_id": "train/1.jpg", "origin": "train", "reference": True}
    evidence = [
        {"id": images[3].id, "cluster": 5, "kind": "flip", "kept": False, "score": 0.5},
        train | {"cluster": 5, "kind": None, "kept": True, "score": None},
        {"id": images[1].id, "cluster": 4, "kind": None, "kept": True, "score": None},
        {"id": images[2].id, "cluster": 4, "kind": "crop", "kept": False, "score": 0.9375},
    ]
    suspects = [{"id": images[0].id, "score": 0.75, "kind": "label", "proposed": [5, 0], "share": 0.5}]
    return write_hard_set(tmp_path / "hard", images, duplicates=evidence, suspects=suspects)


def rows_of(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def filled(hard, path, said, *, reviewer=None, only_conflicts=False, change=None):
    """The sheet, filled in: by image id, verdict and labels and reason. `change` gets the rows last."""
    rows = rows_of(sheet(read(hard), reviewer, only_conflicts))
    for row in rows:
        words = said.get(row["image_id"], ())
        row |= dict(zip(("verdict", "labels", "reason"), words, strict=False))
    if change:
        change(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def taken(hard, path, reviewer="ada"):
    """Import a file: how many verdicts are new."""
    found = verdicts_of(path, read(hard), reviewer)
    assert not found or append(hard, found)
    return len(found)


def test_what_a_reviewer_sees(hard):
    rows = pd.read_csv(io.BytesIO(sheet(read(hard))), dtype=str, keep_default_na=False)
    assert rows["image_id"].tolist() == [f"kind/{k:03d}.jpg" for k in range(12)]
    assert (rows[["verdict", "labels", "reason", "your_verdict", "based_on", "exported_for"]] == "").all(axis=None)
    assert not {"said", "conflict"} & set(rows.columns)
    first, second, third = rows.to_dict("records")[:3]
    assert (first["current_labels"], first["current_names"]) == ("n01440764", "tench")
    # Proposed by all views, but for what it has already; then what each miner answers most.
    assert first["candidate_labels"] == "n01496331 | n01514668 | n01514859"
    assert first["candidate_names"] == "electric ray | cock | hen"
    assert (first["suspect"], first["suspect_score"], first["duplicate"]) == ("label", "0.75", "")
    assert first["answers"] == "cock (50%) | hen (25%)"
    assert (second["duplicate"], second["duplicate_of"]) == ("the one that is kept", "")
    assert (third["duplicate"], third["duplicate_of"], third["duplicate_score"]) == ("crop", "kind/001.jpg", "0.9375")
    assert (rows["duplicate"][3], rows["duplicate_of"][3]) == ("flip", "train/1.jpg")
    assert third["suspect"] == ""


def test_a_review_by_two(hard, tmp_path):
    """The state of the hard set, the agreement, the conflicts; and how they are decided."""
    ada = {f"kind/{k:03d}.jpg": ("keep" if k % 2 else "drop",) for k in range(10)}
    ada["kind/004.jpg"] = ("relabel", f"{FISH}|great white shark", "beides, «Fisch»")
    bob = ada | {"kind/003.jpg": ("drop",), "kind/005.jpg": ("unsure",), "kind/004.jpg": ("Relabel ", "1 | 2 | 1")}
    path = tmp_path / "ada.csv"
    done = run_cli("review", hard, "--export", path, "--reviewer", "ada")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == sheet(read(hard), "ada")
    filled(hard, path, ada, reviewer="ada")
    done = run_cli("review", hard, "--import", path, "--reviewer", "ada")
    assert done.returncode == 0, done.stderr
    assert "10 new verdicts of ada" in done.stdout
    assert taken(hard, filled(hard, tmp_path / "bob.csv", bob, reviewer="bob"), "bob") == 10
    status = [image.status for image in read(hard).images]
    expected = ["dropped", "kept", "dropped", "undecided", "relabelled", "kept"]
    assert status == [*expected, "dropped", "kept", "dropped", "kept", "undecided", "undecided"]
    assert read(hard).images[4].labels == (1, 2)
    done = run_cli("review", hard, "--json")
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("kept", "dropped", "relabelled", "undecided")} == {
        "kept": 4,
        "dropped": 4,
        "relabelled": 1,
        "undecided": 3,
    }
    (conflict,) = found["conflicts"]
    assert (conflict["image_id"], conflict["why"]) == ("kind/003.jpg", "reviewers disagree")
    assert [(one["reviewer"], one["verdict"]) for one in conflict["verdicts"]] == [("ada", "keep"), ("bob", "drop")]
    (pair,) = found["agreement"]["pairs"]
    # keep, drop, relabel, unsure: both; ada keep and bob drop or unsure.
    kappa = cohens_kappa([[3, 1, 0, 1], [0, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).kappa
    assert pair["kappa"]["value"] == pytest.approx(kappa)
    assert (pair["kappa"]["n"], pair["same_labels"]["hits"], pair["same_labels"]["n"]) == (10, 1, 1)
    shown = run_cli("review", hard).stdout
    assert "12 images: 4 kept, 4 dropped, 1 relabelled, 3 undecided" in shown
    assert f"{kappa:.2f}" in shown
    assert "bob: drop" in shown

    path = tmp_path / "conflicts.csv"
    done = run_cli("review", hard, "--export", path, "--conflicts")
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(path.read_bytes())
    assert (row["image_id"], row["conflict"]) == ("kind/003.jpg", "reviewers disagree")
    assert row["said"] == "ada: keep | bob: drop"
    filled(hard, path, {"kind/003.jpg": ("keep", "", "it is one")}, only_conflicts=True)
    done = run_cli("review", hard, "--import", path, "--reviewer", "cy", "--json")
    decided = json.loads(done.stdout)
    assert (decided["kept"], decided["conflicts"]) == (5, [])
    assert decided["agreement"] == found["agreement"], "who saw what others said is no witness of agreement"
    assert "no image is in conflict" in one_line(
        run_cli("review", hard, "--export", tmp_path / "none.csv", "--conflicts")
    )


def test_importing_twice_is_harmless(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/000.jpg": ("drop", "", "blank"), "kind/001.jpg": ("keep",)})
    assert taken(hard, path) == 2
    before = tree(hard)
    done = run_cli("review", hard, "--import", path, "--reviewer", "ada")
    assert done.returncode == 0, done.stderr
    assert "nothing new" in done.stdout
    # Saved again by a spreadsheet, and with one row more.
    more = filled(
        hard,
        tmp_path / "b.csv",
        dict.fromkeys(("kind/001.jpg", "kind/005.jpg"), ("keep",)) | {"kind/000.jpg": ("drop", "", "blank")},
    )
    assert tree(hard) == before
    assert taken(hard, more) == 1
    assert len(read(hard).verdicts) == 3
    # After she changed her mind the first file says nothing new either.
    changed = filled(hard, tmp_path / "c.csv", {"kind/000.jpg": ("keep",)}, reviewer="ada")
    assert taken(hard, changed) == 1
    assert taken(hard, path) == 0
    assert [image.status for image in read(hard).images[:2]] == ["kept", "kept"]
    # She says once more what she said.
    again = filled(hard, tmp_path / "d.csv", {"kind/000.jpg": ("keep",)}, reviewer="ada")
    assert taken(hard, again) == 0


def set_cells(row, **cells):
    def change(rows):
        rows[row - 2] |= cells

    return change


def swap_ids(rows):
    for name in ("image_id", "origin"):
        rows[0][name], rows[1][name] = rows[1][name], rows[0][name]


def twice(rows):
    rows.append(dict(rows[1]))


def without(column):
    def change(rows):
        for row in rows:
            del row[column]

    return change


GONE = MadeUpImage("gone.jpg").id


@pytest.mark.parametrize(
    ("said", "change", "words"),
    [
        (("kepp",), None, "row 3: the verdict 'kepp' is none of keep, drop, relabel, unsure; perhaps keep is meant"),
        (("relabel", "goldfisch"), None, "row 3: unknown class 'goldfisch' in imagenet-1k .* nearest is 'goldfish'"),
        (("relabel", "crane"), None, "row 3: class 'crane' is ambiguous: .*; use the key instead"),
        (("relabel", "1000"), None, "row 3: unknown class '1000'"),
        (("relabel", ""), None, "row 3: relabel, but no labels"),
        (("relabel", " | "), None, "row 3: relabel, but no labels"),
        (("relabel", "goldfish"), None, "row 3: relabel, but 'goldfish' is what the image has; write keep"),
        (("drop", "goldfish"), None, "row 3: labels, but the verdict drop; labels go with relabel"),
        (("", "tench"), None, "row 3: labels, but no verdict"),
        (("", "", "blurred"), None, "row 3: a reason, but no verdict"),
        (("keep", "", "x" * 10_001), None, "row 3: a reason of 10001 characters"),
        (("keep",), set_cells(3, id=GONE), f"row 3: there is no image '{GONE}' in the hard set"),
        (("keep",), set_cells(3, id=""), "row 3: there is no image ''"),
        (("keep",), set_cells(3, image_id="x"), "row 3: '[0-9a-f]{16}' is the id of 'kind/001.jpg', not of 'x'"),
        (("keep",), swap_ids, "row 2: .* sort rows as a whole; nothing was written; also wrong: row 3"),
        (("keep",), set_cells(3, sha256="0" * 63 + "7"), "row 3: 'kind/001.jpg' has changed since this was exported"),
        (
            ("keep",),
            set_cells(3, current_labels=SHARK),
            "row 3: current_labels says .*, the image has .* column labels",
        ),
        ((), set_cells(3, current_labels=SHARK), "row 3: current_labels says"),
        (("keep",), twice, "row 14: 'kind/001.jpg' is in row 3 too"),
        (("keep",), set_cells(3, based_on="x/1"), "row 3: based_on names 'x/1', which is no verdict here"),
        (("keep",), set_cells(3, exported_for="bob"), "row 3: it was exported for 'bob'; export again, for 'ada'"),
        (("keep",), without("sha256"), "a.csv' has no column 'sha256'; give a CSV that --export wrote"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_written(said, change, words, hard, tmp_path):
    """A right row beside it is not taken either."""
    good = {"kind/004.jpg": ("drop",)}
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": said} | good, change=change)
    before = tree(hard)
    with pytest.raises(DataError, match=words) as told:
        taken(hard, path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
    assert tree(hard) == before


def test_every_wrong_row_is_named(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("no",) for k in range(12)})
    before = tree(hard)
    line = one_line(run_cli("review", hard, "--import", path, "--reviewer", "ada"))
    assert f"{path}', row 2: the verdict 'no' is none of keep, drop, relabel, unsure; nothing was written" in line
    assert line.endswith("also wrong: rows 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …")
    assert tree(hard) == before


def test_a_file_that_is_older_than_a_verdict(hard, tmp_path):
    old = filled(hard, tmp_path / "old.csv", {"kind/001.jpg": ("drop",), "kind/002.jpg": ("drop",)}, reviewer="ada")
    new = filled(hard, tmp_path / "new.csv", {"kind/001.jpg": ("keep", "", "sharp")}, reviewer="ada")
    taken(hard, new)
    with pytest.raises(DataError, match=r"row 3: the file is older than .* \(ada: keep \(sharp\)\); export again"):
        taken(hard, old)
    # What somebody else said meanwhile is no reason: they judge without sight of each other.
    other = filled(hard, tmp_path / "bob.csv", {"kind/001.jpg": ("drop",)}, reviewer="bob")
    assert taken(hard, other, "bob") == 1
    # A file of conflicts is about what everybody said; that may be old, too.
    path = filled(hard, tmp_path / "both.csv", {"kind/001.jpg": ("keep",)}, only_conflicts=True)
    changed = filled(hard, tmp_path / "bob2.csv", {"kind/001.jpg": ("unsure",)}, reviewer="bob")
    assert taken(hard, changed, "bob") == 1
    with pytest.raises(DataError, match=r"older than .* \(bob: unsure\)"):
        taken(hard, path, "cy")


def test_what_was_said_before_is_not_written_over(hard, tmp_path):
    said = {"kind/001.jpg": ("relabel", SHARK, "a shark,\nno doubt")}
    taken(hard, filled(hard, tmp_path / "a.csv", said, reviewer="ada"))
    shown = rows_of(sheet(read(hard), "ada"))[1]
    before = [shown[name] for name in ("your_verdict", "your_labels", "your_reason")]
    assert before == ["relabel", SHARK, "a shark,\nno doubt"]
    path = filled(hard, tmp_path / "b.csv", {}, reviewer="ada", change=set_cells(3, your_verdict="drop"))
    with pytest.raises(DataError, match="row 3: your_verdict says 'drop', but only shows what was said"):
        taken(hard, path)
    assert taken(hard, filled(hard, tmp_path / "c.csv", {"kind/001.jpg": ("drop",)}, reviewer="ada")) == 1
    assert read(hard).images[1].status == "dropped"
    assert rows_of(sheet(read(hard), "bob"))[1]["your_verdict"] == ""


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column 'verdict'"),
        (b"id,verdict\r\n", "has no column 'labels'"),
        ("verdict;labels;reason;größe".encode("latin-1"), "is not UTF-8; let the spreadsheet save it as `CSV UTF-8`"),
        (b'id,"verdict\r\n', "is no CSV"),
    ],
)
def test_a_file_of_something_else(content, words, hard, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        taken(hard, path)


def test_cells_that_moved(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("keep",)})
    lines = path.read_text().splitlines()
    lines[2] = f'keep,,"sharp", and close{lines[2][5:]}'
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="row 3 has more cells than the header"):
        taken(hard, path)


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


def test_an_image_that_is_not_mined_any_more(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    write_hard_set(hard, images_of(6))
    assert taken(hard, path) == 1, "rows that say nothing of it are passed over"


def test_names_of_reviewers(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    taken(hard, path, "Ada L")
    for name in ("ada l", "AdaL", "Ada  L"):
        with pytest.raises(UsageError, match="there is a reviewer 'Ada L'"):
            taken(hard, path, name)
    for name in ("", " ", "a\nb", "x" * 101, " ada"):
        with pytest.raises(UsageError, match="a reviewer's name is 1 to 100 characters"):
            taken(hard, path, name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--import", "a.csv"], "--import needs --reviewer NAME"),
        (["--import", "a.csv", "--export", "b.csv"], "--export and --import: give one of them"),
        (["--conflicts"], "--conflicts is of --export FILE"),
        (["--reviewer", "ada"], "--reviewer is of --export or --import"),
        (["--import", "nothing.csv", "--reviewer", "ada"], "no file 'nothing.csv'"),
        (["--export", "no/folder/a.csv"], "cannot write below 'no/folder/a.csv'"),
    ],
)
def test_a_wrong_call_is_one_line(options, words, hard):
    assert words in one_line(run_cli("review", hard, *options, cwd=hard.parent))


def test_an_export_writes_over_nothing(hard, tmp_path):
    path = filled(hard, tmp_path / "a.csv", {"kind/001.jpg": ("drop",)})
    before = path.read_bytes()
    assert "there is a file" in one_line(run_cli("review", hard, "--export", path))
    assert path.read_bytes() == before
    assert "is no hard set" in one_line(run_cli("review", tmp_path, "--export", tmp_path / "b.csv"))


def test_a_log_that_is_wrong_stops_everything(hard, tmp_path):
    (image, *_) = images_of(1)
    append(hard, [verdict_on(image, "keep")])
    (hard / "verdicts" / "copied.jsonl").write_bytes(b'{"verdict": "keep"}\n')
    path = tmp_path / "a.csv"
    for options in ([], ["--export", path]):
        line = one_line(run_cli("review", hard, *options))
        assert "verdicts/copied.jsonl, line 1 is no verdict: it has no 'id'" in line
    assert not path.exists()


def import_at_once(hard, *given):
    """Import files, each (path, reviewer), by processes that run at once; the exit code and stderr of each."""
    command = [sys.executable, "-m", "snellen.cli", "review", hard, "--import"]
    processes = [
        subprocess.Popen(
            [*command, path, "--reviewer", reviewer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for path, reviewer in given
    ]
    return [(process.communicate()[1], process.returncode)[::-1] for process in processes]


def test_two_imports_at_once(hard, tmp_path):
    """Whoever is first: each file is taken as a whole, once, or refused as a whole with a line that says why."""
    same = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("keep",) for k in range(12)})
    other = filled(hard, tmp_path / "b.csv", {"kind/000.jpg": ("drop",), "kind/001.jpg": ("keep",)})
    ended = import_at_once(hard, (same, "ada"), (same, "ada"), (other, "ada"))
    refused = [told for code, told in ended if code]
    assert all(code in (0, 2) for code, _ in ended)
    assert all("the file is older than what was said" in told and told.count("\n") == 1 for told in refused)
    kept, dropped = any(code == 0 for code, _ in ended[:2]), ended[2][0] == 0
    assert kept or dropped
    found = read(hard)
    assert len({verdict.key for verdict in found.verdicts}) == len(found.verdicts) == 12 * kept + 2 * dropped
    assert [image.status for image in found.images[1:]] == ["kept"] + ["kept" if kept else "undecided"] * 10
    if kept and dropped:  # neither had seen the other
        assert (found.images[0].status, found.conflicts[0].why) == ("undecided", "stale")
    else:
        assert found.images[0].status == ("kept" if kept else "dropped")


def test_imports_that_did_not_see_each_other(hard, tmp_path):
    """Both have read the log before either writes: nothing is lost, and what they disagree on is a conflict."""
    twelve = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("keep",) for k in range(12)})
    two = filled(hard, tmp_path / "b.csv", {"kind/000.jpg": ("drop",), "kind/001.jpg": ("keep",)})
    for name, other in (("ada", "stale"), ("bob", "reviewers disagree")):
        copy = Path(shutil.copytree(hard, tmp_path / name))
        before = [read(copy) for _ in range(3)]
        counts = [
            take(path, seen, who)
            for path, seen, who in zip((twelve, twelve, two), before, ("ada", "ada", name), strict=True)
        ]
        assert counts == [12, 0, 2]
        found = read(copy)
        assert len(found.verdicts) == 14
        assert [image.status for image in found.images] == ["undecided"] + ["kept"] * 11
        assert [(one.image.image_id, one.why) for one in found.conflicts] == [("kind/000.jpg", other)]


def test_reviewers_who_import_at_once(hard, tmp_path):
    said = {"ada": "keep", "bob": "drop", "cleo": "unsure"}
    sheets = [
        (filled(hard, tmp_path / f"{name}.csv", {f"kind/{k:03d}.jpg": (word,) for k in range(6)}), name)
        for name, word in said.items()
    ]
    assert [code for code, _ in import_at_once(hard, *sheets)] == [0, 0, 0]
    found = read(hard)
    assert len(found.verdicts) == 18
    for image in found.images[:6]:
        assert {verdict.reviewer: verdict.verdict for verdict in image.standing} == said
    assert [one.why for one in found.conflicts] == ["reviewers disagree"] * 6


@pytest.mark.parametrize(("how", "ending"), [("kill", -9), ("power", -9), ("ENOSPC", 3), ("EIO", 3)])
def test_an_import_disturbed_at_every_step(how, ending, hard, tmp_path):
    """Its verdicts are there as a whole or not at all; importing again leaves each once."""
    append(hard, [verdict_on(image, reviewer="bob", client=9, seq=k) for k, image in enumerate(images_of(12))])
    path = filled(hard, tmp_path / "a.csv", {f"kind/{k:03d}.jpg": ("drop",) for k in range(5)})
    (tmp_path / "steps").mkdir()
    program = Path(__file__).with_name("stepwise_import.py")
    done = subprocess.run(
        [sys.executable, program, hard, path, tmp_path / "steps", how], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 4
    assert [step["ended"] for step in steps if step["ended"] != ending] in ([0], [0, 0])
    assert {tuple(step["between"]) for step in steps} == {(12, 0), (17, 5)}
    assert {step["again"] for step in steps} == {0}
    assert {tuple(step["after"]) for step in steps} == {(17, 5)}


def test_review_needs_no_torch(hard):
    code = (
        "import sys; sys.argv[1:] = ['review', sys.argv[1]]\n"
        "from snellen.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'timm', 'ray', 'numba', 'onnxruntime', 'openvino') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, hard], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def mutated(data, rng):
    """Some bytes of a file changed, doubled, moved or gone."""
    text = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start, length = rng.randrange(len(text) + 1), rng.choice([1, 2, 8, 64])
        piece = rng.choice(
            [bytes([rng.randrange(256)]), text[start : start + length] * 2, b"", b'"', b"\n", b"9" * 5000]
        )
        text[start : start + rng.choice([0, length])] = piece
    return bytes(text)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_cost_one_line(seed, hard, tmp_path):
    """Whatever a CSV or a log became, it is read or refused; nothing else is raised and nothing written."""
    rng = random.Random(seed)
    said = {f"kind/{k:03d}.jpg": ("relabel", "tench | 5") for k in range(1, 5)}
    whole = filled(hard, tmp_path / "a.csv", said).read_bytes()
    append(hard, [verdict_on(image, seq=k, reason="é") for k, image in enumerate(images_of(12)[6:])])
    good = read(hard)
    log = next((hard / "verdicts").iterdir())
    lines, path = log.read_bytes(), tmp_path / "b.csv"
    refused = []
    for _ in range(100):
        path.write_bytes(mutated(whole, rng))
        try:
            assert len(verdicts_of(path, good, "bob")) <= 12
        except DataError as error:
            refused.append(str(error))
        log.write_bytes(mutated(lines, rng))
        try:
            assert len(read(hard).images) == 12
        except DataError as error:
            refused.append(str(error))
    assert 40 < len(refused) < 200
    assert not [text for text in refused if "\n" in text]


def test_a_terminal_is_shown_text(hard, tmp_path):
    images = images_of(2)
    for k, word in enumerate(("keep", "drop")):
        reason = "[red]\x1b[31m\nred[/red]"
        append(hard, [verdict_on(images[0], word, reason=reason, reviewer=f"[b]{word}[/b]", client=k + 1)])
    shown = run_cli("review", hard).stdout
    assert "\x1b" not in shown
    assert "[b]keep[/b]: keep ([red]" in shown
