"""`snellen review`: a CSV that goes out, is filled in, and comes back."""

import io
import json
import subprocess
import sys

import pandas as pd
import pytest
from commands import one_line, run_cli
from hard_set import images_of, verdict_on
from looking import tree
from review_files import FISH, SHARK, filled, rows_of, set_cells, taken
from statsmodels.stats.inter_rater import cohens_kappa

from snellen.errors import DataError
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.sheet import sheet


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


def test_review_needs_no_torch(hard):
    code = (
        "import sys; sys.argv[1:] = ['review', sys.argv[1]]\n"
        "from snellen.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'timm', 'ray', 'numba', 'onnxruntime', 'openvino') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, hard], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_terminal_is_shown_text(hard, tmp_path):
    images = images_of(2)
    for k, word in enumerate(("keep", "drop")):
        reason = "[red]\x1b[31m\nred[/red]"
        append(hard, [verdict_on(images[0], word, reason=reason, reviewer=f"[b]{word}[/b]", client=k + 1)])
    shown = run_cli("review", hard).stdout
    assert "\x1b" not in shown
    assert "[b]keep[/b]: keep ([red]" in shown
