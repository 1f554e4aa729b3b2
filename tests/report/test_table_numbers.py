"""The tables of a report against counts over the truth that runs were made from."""

import csv
import io
import json

import numpy as np
from photo_runs import paint, photo_run
from rich.console import Console
from table_reading import SMALL, hits, lines_of, tables_of
from two_runs import rename, right, runs_of

import snellen
from snellen.analysis.survey import survey
from snellen.analysis.tiles import tile_hits
from snellen.report.table import as_csv, shown
from snellen.report.write import images_csv, make_tables
from snellen.report.writers import as_latex, print_tables
from snellen.zoom import paper_grid


def test_table_1_and_the_groups(three):
    truths, runs = three
    tables = tables_of(runs)
    rows = {f"kind/model-{k}": right(truth, truths[0].labels) for k, truth in enumerate(truths)}
    zooms = {(rule.scale, rule.row, rule.col): k for k, rule in enumerate(SMALL)}
    found = {(line["measure"], line["spec"]): line for line in lines_of(tables["table1"])}
    for spec, correct in rows.items():
        assert hits(found["1-crop", spec]) == correct[:, zooms[256, 1, 1]].sum()
        assert hits(found["upper bound", spec]) == correct.any(axis=1).sum()
        assert found["top-36 (oracle)", spec]["n"] == "40"
    random = {line["model"]: float(line["value"]) for line in lines_of(tables["table1"]) if line["measure"] == "random"}
    assert random == {"36 zooms": 1.0}  # nine classes; and this grid has as many zooms as the top-36
    groups = {"zoom-in": slice(18, 36), "zoom-224": slice(9, 18), "zoom-out": slice(0, 9)}
    for line in lines_of(tables["groups"]):
        correct = rows[line["spec"]]
        inside = correct[:, groups[line["group"]]].any(axis=1)
        others = [correct[:, zooms].any(axis=1) for name, zooms in groups.items() if name != line["group"]]
        expected = inside if line["measure"] == "upper bound" else inside & ~np.logical_or(*others)
        assert hits(line) == expected.sum(), line


def test_the_long_tables(three):
    truths, runs = three
    tables = tables_of(runs)
    rows = {f"kind/model-{k}": right(truth, truths[0].labels) for k, truth in enumerate(truths)}
    lines = lines_of(tables["zooms"])
    assert len(lines) == 3 * len(SMALL)
    for line in lines:
        rule = SMALL.rules[int(line["zoom"])]
        assert [int(line[key]) for key in ("scale", "row", "col")] == [rule.scale, rule.row, rule.col]
        assert hits(line) == rows[line["spec"]][:, int(line["zoom"])].sum()
    for line in lines_of(tables["scales"]):
        zooms = [k for k, rule in enumerate(SMALL) if rule.scale == int(line["scale"])]
        zooms = zooms[4:5] if line["measure"] == "centre anchor" else zooms
        assert hits(line) == rows[line["spec"]][:, zooms].any(axis=1).sum()
    taken = {spec: [] for spec in rows}
    for line in lines_of(tables["oracle"]):
        taken[line["spec"]] += [int(line["zoom"])] if line["zoom"] else []
        assert hits(line) == rows[line["spec"]][:, taken[line["spec"]]].any(axis=1).sum()
    for line in lines_of(tables["locations"]):
        if line["map"] == "any scale at the anchor":
            place = 3 * ["top", "centre", "bottom"].index(line["row"]) + ["left", "centre", "right"].index(line["col"])
            assert hits(line) == rows[line["spec"]][:, place::9].any(axis=1).sum()
    covers = {(line["spec"], line["measure"]): float(line["value"]) for line in lines_of(tables["covers"])}
    assert {spec: covers[spec, "greedy cover"] for spec in rows} == {spec: len(some) for spec, some in taken.items()}
    assert not tables["zooms"].listed
    assert tables["table1"].listed


def test_maps_of_the_cover_count_its_windows_alone(three):
    _, runs = three
    found = survey(runs, resamples=20)
    what = "any window of the cover on the tile"
    cells = iter([line for line in lines_of(tables_of(runs)["locations"]) if line["map"] == what])
    for summary, run in zip(found.summaries, runs, strict=True):
        sizes = (run.samples.filter(run.samples["error"].is_null())[side].to_numpy() for side in ("width", "height"))
        expected = tile_hits(run.correct(), run.grid, *sizes, summary.cover).sum(axis=0)
        assert [hits(next(cells)) for _ in range(9)] == expected.tolist()
        assert (expected <= [cell.hits for line in summary.tiles for cell in line]).all()
    assert next(cells, None) is None


def test_label_sources_stand_beside_each_other(tmp_path):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(9)])
    run = photo_run(tmp_path / "run", photos, sources=("own", "real"), ease=0.9)
    tables = tables_of([run], ["own", "real"])
    assert tables["table1"].columns == ((str(photos), "own"), (str(photos), "real"))
    found = {(line["measure"], line["labels"]): float(line["value"]) for line in lines_of(tables["table1"])}
    assert found["1-crop", "own"] == run.accuracy("own").value > found["1-crop", "real"] == run.accuracy("real").value
    assert [head[-1] for head in shown(tables["table1"]).heads] == ["photos", "labels real"]


def test_a_run_without_images_and_one_in_progress(tmp_path, make_run):
    empty = make_run(3, path=tmp_path / "out-e" / "d" / "empty" / "paper-fp32", bad=(0, 1, 2))
    part = make_run(4, path=tmp_path / "out-p" / "d" / "part" / "paper-fp32", shards=(0, 2, 4), left_out=(1,), seed=1)
    rename(part.path, "kind/part")
    runs = [snellen.load_run(truth.path) for truth in (empty, part)]
    found = survey(runs, resamples=20)
    tables = {table.name: table for table in make_tables(found, runs)}
    lines = {(line["measure"], line["spec"]): line for line in lines_of(tables["table1"])}
    assert [lines["1-crop", spec]["n"] for spec in ("made-up-model", "kind/part")] == ["0", "2"]
    assert lines["1-crop", "made-up-model"]["value"] == ""
    text = io.StringIO()
    print_tables(list(tables.values()), found.notes, Console(file=text, width=120))
    assert "in progress: its numbers are of 2 of 4 images" in text.getvalue()
    assert "nan" not in text.getvalue() + "".join(as_latex(table) + as_csv(table) for table in tables.values())


def test_grids_that_differ(tmp_path, make_run):
    truths = runs_of(make_run, tmp_path, 2, 8, grid=[SMALL, paper_grid(224, (224, 256))])
    tables = tables_of([snellen.load_run(truth.path) for truth in truths])
    random = {line["model"] for line in lines_of(tables["table1"]) if line["measure"] == "random"}
    assert random == {"18 zooms", "36 zooms"}
    empty = [line for line in lines_of(tables["groups"]) if line["spec"] == "kind/model-1"]
    assert {line["group"] for line in empty} == {"zoom-in", "zoom-224"}
    assert {line["measure"] for line in lines_of(tables["comparison"])} == {"1-crop"}


def test_the_images_of_a_run(three):
    truths, runs = three
    (summary,) = survey(runs[:1], resamples=20).summaries
    lines = list(csv.DictReader(io.StringIO(images_csv(summary))))
    correct = right(truths[0], truths[0].labels)
    assert [line["image_id"] for line in lines] == truths[0].image_ids
    assert [int(line["winning"]) for line in lines] == correct.sum(axis=1).tolist()
    one_crop = [k for k, rule in enumerate(SMALL) if (rule.scale, rule.row, rule.col) == (256, 1, 1)]
    assert [int(line["one_crop"]) for line in lines] == correct[:, one_crop[0]].astype(int).tolist()
    for line, read in zip(lines, correct, strict=True):
        assert spanned(line["fixed_by"]) == ([] if read[one_crop[0]] else np.flatnonzero(read).tolist())
    assert {bool(line["fixed_by"]) for line in lines} == {True, False}
    written = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert written["one_crop"]["hits"] == correct[:, one_crop[0]].sum()


def spanned(text):
    """The numbers of spans such as `0..2 4`."""
    ends = [[int(end) for end in part.split("..")] for part in text.split()]
    return [k for part in ends for k in range(part[0], part[-1] + 1)]
