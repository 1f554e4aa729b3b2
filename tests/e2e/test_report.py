"""`snellen report` as a user calls it: the files it writes, what it says, what it refuses."""

import csv
import json
import shutil

import pytest
from commands import one_line, run_cli
from looking import tree
from photo_runs import paint, photo_run
from two_runs import rename, right, runs_of

from snellen.report.write import KINDS, chosen_kinds
from snellen.zoom import paper_grid

TABLES = ("table1", "groups", "locations", "bias", "covers", "transfer", "luck", "merging")
LONG = ("zooms", "scales", "oracle", "confidence")
FIGURES = ("table1", "locations", "tiles", "oracle", "cover", "groups", "luck")


@pytest.fixture
def out(tmp_path):
    """The OUT of a study of two label sources by one model."""
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(9)])
    photo_run(tmp_path / "out" / "photos" / "m" / "paper-fp32", photos, sources=("own", "real"), ease=0.6)
    return tmp_path / "out"


def expected_files(kinds, labels=("",)):
    """All that a report of that run has."""
    stems = [f"photos{label}" for label in labels]
    files = {"html": ["index.html"], "md": ["tables.md"], "tex": [f"{name}.tex" for name in TABLES]}
    files["csv"] = [f"{name}.csv" for name in (*TABLES, *LONG)] + [f"{stem}_made-up_images.csv" for stem in stems]
    figures = [f"{stem}_{kind}" for stem in stems for kind in (*FIGURES, "made-up_scales", "made-up_zooms")]
    written = {name for kind in kinds for name in files.get(kind) or [f"{figure}.{kind}" for figure in figures]}
    return written | {"report.json"}


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_is_there_and_the_same_the_next_time(out):
    first = run_cli("report", out)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert f"Report: {out / 'report' / 'index.html'}" in first.stdout
    before = tree(out / "report")
    assert before.keys() == expected_files(KINDS)
    (out / "report" / "note.txt").write_text("a user's own")
    again = run_cli("report", out)
    assert again.stdout == first.stdout
    assert tree(out / "report") == before | {"note.txt": tree(out / "report")["note.txt"]}
    value = next(row for row in read(out / "report" / "table1.csv") if row["measure"] == "1-crop")
    shown = (
        f"{100 * float(value['value']):.2f} [{100 * float(value['ci_low']):.1f}, {100 * float(value['ci_high']):.1f}]"
    )
    assert shown in first.stdout
    assert shown in (out / "report" / "tables.md").read_text()


@pytest.mark.parametrize("kinds", ["csv", "md,tex", "png,html"])
def test_only_what_was_asked_for_is_written(out, kinds, tmp_path):
    done = run_cli("report", out, "-f", kinds, "--to", tmp_path / "to" / "here", "-q", "--resamples", 9)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert tree(tmp_path / "to" / "here").keys() == expected_files(kinds.split(","))
    assert not (out / "report").exists()


def test_several_label_sources(out):
    done = run_cli("report", out, "--labels", "own,real", "-f", "csv,svg", "-q", "--resamples", 9)
    assert done.returncode == 0, done.stderr
    assert tree(out / "report").keys() == expected_files(("csv", "svg"), ("_own", "_real"))
    rows = {
        row["labels"]: float(row["value"]) for row in read(out / "report" / "table1.csv") if row["measure"] == "1-crop"
    }
    assert rows["own"] > rows["real"]


def test_the_exact_cover_and_the_errata(out):
    done = run_cli("report", out, "--exact-cover", 5, "--errata", "-f", "csv,md", "--resamples", 9)
    assert done.returncode == 0, done.stderr
    sizes = {row["measure"]: row["value"] for row in read(out / "report" / "covers.csv")}
    assert float(sizes["lower bound"]) <= float(sizes["best found"]) <= float(sizes["greedy cover"])
    assert float(sizes["gap"]) == float(sizes["best found"]) - float(sizes["lower bound"])
    measures = {row["measure"] for row in read(out / "report" / "groups.csv")}
    assert measures == {"upper bound", "alone", "upper bound, published way", "alone, published way"}
    assert "published way" in (out / "report" / "tables.md").read_text()


def test_many_runs_in_one_report(make_run, tmp_path):
    """Compared where they may be; one in progress, one without images and one of other views are said to be so."""
    small = paper_grid(224, (192, 224, 256))
    truths = runs_of(make_run, tmp_path / "out", 2, 12, grid=small)
    part = make_run(4, path=tmp_path / "out" / "part", shards=(0, 2, 4), left_out=(1,), seed=5, grid=small)
    rename(part.path, "kind/part", data="/data/of/its-own")
    empty = make_run(2, path=tmp_path / "out" / "empty", bad=(0, 1), grid=small)
    rename(empty.path, "kind/empty", data="nothing")
    own = make_run(2, path=tmp_path / "out" / "own", grid=paper_grid(224, (224,)))
    rename(own.path, "kind/own")
    done = run_cli("report", tmp_path / "out", "--resamples", 9)
    assert done.returncode == 0, done.stderr
    assert "in progress: its numbers are of 2 of 4 images" in done.stdout
    assert "has no 1-crop zoom" in done.stdout
    report = tmp_path / "out" / "report"
    (difference,) = [
        row for row in read(report / "comparison.csv") if (row["measure"], row["what"]) == ("upper bound", "difference")
    ]
    solved = [right(truth, truths[0].labels).any(axis=1).mean() for truth in truths]
    assert float(difference["value"]) == pytest.approx(solved[0] - solved[1])
    figures = {path.stem for path in report.glob("*.png")}
    assert {"made-up-data_scales", "its-own_locations", "its-own_part_zooms"} <= figures
    assert not any(name.startswith("nothing") for name in figures)
    assert (report / "nothing_empty_images.csv").read_text().count("\n") == 1


def test_published_numbers_beside_ours(out, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\nsource = "here"\ncommands = []\n[models]\nM = "timm/made_up"\n'
        f'[expect."{tmp_path / "photos"}"]\none_crop = {{ M = 50.0 }}\n'
    )
    done = run_cli("report", out, "-f", "csv,html", "--expect", path, "-q", "--resamples", 9)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Report: {out / 'report' / 'index.html'}\n"
    page = (out / "report" / "index.html").read_text()
    assert "Expected: Mine" in page
    assert "Published: here." in page
    table1 = next(row for row in read(out / "report" / "table1.csv") if row["measure"] == "1-crop")
    (row,) = read(out / "report" / "expected.csv")
    assert (row["measure"], row["published"], row["value"]) == ("one_crop", "0.5", table1["value"])
    assert (row["ci_low"], row["n"]) == (table1["ci_low"], table1["n"])
    path.write_text(path.read_text().replace("one_crop", "one_corp"))
    done = run_cli("report", out, "-f", "md,tex", "--expect", path, "--resamples", 9)
    for text in (done.stdout, (out / "report" / "tables.md").read_text().replace("\\_", "_")):
        assert "Expected: Mine" in text
        assert "No measure of what was run is called 'one_corp'." in text
    assert "Expected: Mine" in (out / "report" / "expected.tex").read_text()


def test_files_of_an_earlier_report_are_named(out):
    run_cli("report", out, "-f", "csv", "-q", "--resamples", 9)
    old = tree(out / "report")
    (out / "report" / "mine.csv").write_text("a user's own")
    done = run_cli("report", out, "-f", "md", "-q", "--resamples", 9)
    names = sorted(old.keys() - {"report.json"})
    more = f"{', '.join(names[:3])} and {len(names) - 3} more in {out / 'report'}"
    assert done.stdout.splitlines()[1:] == [f"Of an earlier report, not written anew: {more}"]
    assert tree(out / "report").keys() == {*old, "mine.csv", "tables.md"}
    (out / "report" / names[0]).unlink()
    again = run_cli("report", out, "-f", "md", "-q", "--resamples", 9).stdout.splitlines()[1]
    assert again.startswith(f"Of an earlier report, not written anew: {names[1]}")


def test_nothing_of_a_users_own_is_written_over(out, tmp_path):
    """Neither a file that no report wrote, nor one of a report whose list is lost; and no other file is begun."""
    for name, kind in (("tables.md", "md"), ("index.html", "html"), ("table1.csv", "csv"), ("table1.tex", "tex")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / name).write_text("a user's own")
        failed = run_cli("report", out, "-f", kind, "-q", "--resamples", 9, "--to", folder)
        assert (
            one_line(failed)
            == f"snellen: {str(folder / name)!r} is no report's: nothing is written over; choose another --to"
        )
        assert {path.name: path.read_text() for path in folder.iterdir()} == {name: "a user's own"}
    run_cli("report", out, "-f", "md", "-q", "--resamples", 9, "--to", tmp_path / "lost")
    (tmp_path / "lost" / "report.json").write_text("{")
    assert "is no report's" in one_line(run_cli("report", out, "-f", "md", "-q", "--to", tmp_path / "lost"))


def test_wrong_calls_cost_one_line(out, tmp_path, make_run):
    (tmp_path / "file").write_text("a user's own")
    other = make_run(2, path=tmp_path / "other", grid=paper_grid(224, (224,)))
    for arguments, words in (
        (("-f", "docx"), "no format 'docx'; expected some of html,md,csv,tex,png,svg,pdf, joined by commas"),
        (("-f", ""), "no format ''"),
        (("--labels", "unheard-of"), "unheard-of"),
        (("--labels", "own,"), "--labels is blank"),
        (("--to", tmp_path / "file"), "cannot write below"),
        (("--resamples", "0"), "--resamples"),
        (("--exact-cover", "-1"), "--exact-cover"),
        (("--expect", tmp_path / "none.toml"), "no expected numbers at"),
    ):
        assert words in one_line(run_cli("report", out, *arguments)), arguments
    assert "no directory" in one_line(run_cli("report", tmp_path / "nowhere"))
    assert "file' is a file; give the OUT of a study" in one_line(run_cli("report", tmp_path / "file"))
    for words in ("no study in", "results.csv", "`snellen compare`"):
        assert words in one_line(run_cli("report", other.path))
    assert "`snellen --help`" in one_line(run_cli("reprot", out))
    assert "`snellen report --help`" in one_line(run_cli("report", out, "--nonsense"))
    assert (tmp_path / "file").read_text() == "a user's own"
    assert not (out / "report").exists()


def test_a_damaged_run_costs_one_line(out, tmp_path):
    copy = shutil.copytree(out, tmp_path / "copy")
    (predictions,) = copy.glob("**/parts/*predictions*")
    predictions.write_bytes(predictions.read_bytes()[:100])
    assert "cannot be read" in one_line(run_cli("report", copy))
    (record,) = copy.glob("**/run.json")
    record.write_text(json.dumps({"format": 1}))
    assert "is damaged" in one_line(run_cli("report", copy))


def test_formats_are_understood_as_people_write_them():
    assert chosen_kinds(None) == KINDS
    assert chosen_kinds(" CSV, .png,csv") == ("csv", "png")
