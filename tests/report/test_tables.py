"""The tables of a report against counts over the truth that runs were made from, and each written form read back."""

import csv
import io
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from photo_runs import paint, photo_run
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexWalker
from rich.console import Console
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from two_runs import rename, right, runs_of

import snellen
from snellen.analysis.survey import survey
from snellen.analysis.tiles import tile_hits
from snellen.report.origins import image_origins
from snellen.report.table import Number, Row, Table, as_csv, as_text, shown
from snellen.report.tabular import html_table
from snellen.report.write import images_csv, make_tables
from snellen.report.writers import as_latex, as_markdown, latex, print_table, print_tables
from snellen.zoom import SCALES, paper_grid

SMALL = paper_grid(224, (128, 224, 256, 384))


@pytest.fixture
def three(make_run, tmp_path):
    """Three made-up models on the same 40 images: truths and runs."""
    truths = runs_of(make_run, tmp_path, 3, 40, grid=SMALL, classes=9)
    return truths, [snellen.load_run(truth.path) for truth in truths]


def tables_of(runs, labels=(None,), **options):
    errata = options.pop("errata", False)
    found = survey(runs, labels, **{"resamples": 20} | options)
    return {table.name: table for table in make_tables(found, runs, errata=errata)}


def lines_of(table):
    return list(csv.DictReader(io.StringIO(as_csv(table))))


def hits(line):
    return round(float(line["value"]) * int(line["n"]))


# --- what the numbers are


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


def test_centre_bias_of_two_models_and_of_two_data_sets(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 3, 30, grid=SMALL, classes=9)
    rename(truths[2].path, "kind/model-0", data="another")
    runs = [snellen.load_run(truth.path) for truth in truths]
    found = survey(runs, resamples=20)
    tables = tables_of(runs)
    for name, one, keys in (
        ("bias_models", found.pairs[0].bias, {"a": "model-0", "b": "model-1"}),
        ("bias_data", found.shifts[0].found, {"model": "model-0", "a": "made-up-data", "b": "another"}),
    ):
        lines = {line["what"]: line for line in lines_of(tables[name])}
        assert keys.items() <= lines["difference"].items()
        assert {what: float(line["value"]) for what, line in lines.items()} == {
            "difference": one.value,
            "p": one.p,
            "a": one.a,
            "b": one.b,
        }
        assert (float(lines["difference"]["ci_low"]), float(lines["difference"]["ci_high"])) == (one.low, one.high)


def test_what_is_read_ends_where_the_cover_is_complete(three):
    _, runs = three
    table = tables_of(runs)["oracle"]
    taken = [row for row in table.rows if row.names[-1]]
    assert len(table.rows) == 3 * len(SMALL) > len(taken) == len(shown(table).rows) == len(html_table(table).rows)


def test_comparisons(three):
    truths, runs = three
    tables = tables_of(runs)
    solved = {f"model-{k}": right(truth, truths[0].labels).any(axis=1) for k, truth in enumerate(truths)}
    found = {(line["a"], line["b"], line["what"]): line for line in lines_of(tables["overlap"])}
    for a, b in itertools.combinations(solved, 2):
        assert float(found[a, b, "for both"]["value"]) == (~solved[a] & ~solved[b]).sum()
        assert hits(found[a, b, "union upper bound, %"]) == (solved[a] | solved[b]).sum()
        expected = (~solved[a]).sum() * (~solved[b]).sum() / 40
        assert float(found[a, b, "expected"]["value"]) == pytest.approx(expected)
    difference = {
        (line["a"], line["b"]): line
        for line in lines_of(tables["comparison"])
        if (line["measure"], line["what"]) == ("upper bound", "difference")
    }
    matrix = {(line["run"], line["less"]): line for line in lines_of(tables["matrix_upper_bound"])}
    p = multipletests([_mcnemar(solved[a], solved[b]) for a, b in difference], method="holm")[1]
    for (a, b), corrected in zip(difference, p, strict=True):
        one, there, back = difference[a, b], matrix[a, b], matrix[b, a]
        assert float(one["value"]) == pytest.approx(solved[a].mean() - solved[b].mean())
        assert there["value"] == one["value"]
        assert float(back["value"]) == -float(there["value"])
        assert (float(back["ci_low"]), float(back["ci_high"])) == (-float(there["ci_high"]), -float(there["ci_low"]))
        assert there["bold"] == back["bold"] == str(int(corrected < 0.05))
    union = lines_of(tables["union"])
    reached = [hits(line) for line in union if line["what"] == "together so far"]
    assert reached == sorted(reached)
    assert reached[-1] == np.logical_or.reduce(list(solved.values())).sum()
    assert "matrix_upper_bound" not in tables_of(runs[:2])
    assert not {"comparison", "overlap", "union"} & tables_of(runs[:1]).keys()


def _mcnemar(a, b):
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    return mcnemar(table, exact=True).pvalue


@pytest.mark.parametrize("ease", [(0.5, 0.5, 0.5), (0.01, 0.05, 0.02, 0.2), (0.0, 0.0), (1.0, 1.0), (0.004, 0.03)])
def test_bold_are_the_best_and_what_no_test_tells_from_them(tmp_path, ease):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(60)])
    runs = [photo_run(tmp_path / f"run-{k}", photos, model=f"timm/m{k}", ease=e, seed=k) for k, e in enumerate(ease)]
    tables = tables_of(runs)
    for measure, metric in (("1-crop", [112]), ("upper bound", range(324))):
        solved = [run.correct()[:, list(metric)].any(axis=1) for run in runs]
        best = max(range(len(runs)), key=lambda k: solved[k].sum())
        pairs = list(itertools.combinations(range(len(runs)), 2))
        p = multipletests([_mcnemar(solved[a], solved[b]) for a, b in pairs], method="holm")[1]
        alike = {pair for pair, value in zip(pairs, p, strict=True) if value >= 0.05}
        expected = {k for k in range(len(runs)) if k == best or tuple(sorted((k, best))) in alike}
        lines = [line for line in lines_of(tables["table1"]) if line["measure"] == measure]
        assert {int(line["model"].removeprefix("m")) for line in lines if line["bold"] == "1"} == expected
    assert any("McNemar" in note for note in tables["table1"].notes)
    merged = {(line["model"], line["views"], line["merge"]): line for line in lines_of(tables["merging"])}
    assert merged["m0", "1-crop", ""]["value"] == lines_of(tables["table1"])[0]["value"]
    assert {line["bold"] for line in merged.values() if line["views"] == "all"} <= {"0", "1"}


def test_nothing_is_bold_where_there_is_nothing_to_compare(three):
    _, runs = three
    tables = tables_of(runs[:1])
    assert {line["bold"] for table in tables.values() for line in lines_of(table)} == {"0"}
    assert not any("Bold" in note for table in tables.values() for note in table.notes)


def test_label_sources_stand_beside_each_other(tmp_path):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(9)])
    run = photo_run(tmp_path / "run", photos, sources=("own", "real"), ease=0.9)
    tables = tables_of([run], ["own", "real"])
    assert tables["table1"].columns == ((str(photos), "own"), (str(photos), "real"))
    found = {(line["measure"], line["labels"]): float(line["value"]) for line in lines_of(tables["table1"])}
    assert found["1-crop", "own"] == run.accuracy("own").value > found["1-crop", "real"] == run.accuracy("real").value
    assert [head[-1] for head in shown(tables["table1"]).heads] == ["photos", "labels real"]


# --- published numbers


def test_published_numbers_stand_beside_ours(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 2, 12, classes=9)
    for truth, model in zip(truths, ("torchvision/alexnet:IMAGENET1K_V1", "timm/unheard_of"), strict=True):
        rename(truth.path, model, data="imagenet")
    runs = [snellen.load_run(truth.path) for truth in truths]
    tables = tables_of(runs, errata=True)
    expected = {
        ("table1", "1-crop"): 0.5616,
        ("table1", "upper bound"): 0.9003,
        ("groups", "zoom-in"): 0.8917,
        ("locations", "centre", "centre"): 0.7738,
        ("covers", "greedy cover"): 255,
    }
    lines = [line for line in lines_of(tables["table1"]) if line["published"] and line["measure"] != "random"]
    assert {line["spec"] for line in lines} == {"torchvision/alexnet:IMAGENET1K_V1"}
    published = {("table1", line["measure"]): float(line["published"]) for line in lines}
    for line in lines_of(tables["groups"]):
        if line["published"] and line["measure"] == "upper bound":
            published["groups", line["group"]] = float(line["published"])
    for line in lines_of(tables["locations"]):
        if line["published"]:
            published["locations", line["row"], line["col"]] = float(line["published"])
    for line in lines_of(tables["covers"]):
        if line["published"]:
            published["covers", line["measure"]] = float(line["published"])
    assert {key: pytest.approx(published[key]) for key in expected} == expected
    for line in lines_of(tables["table1"]) + lines_of(tables["covers"]):
        if line["published"]:
            assert float(line["difference"]) == pytest.approx(float(line["value"]) - float(line["published"]))
    alone = [line for line in lines_of(tables["groups"]) if line["measure"] == "alone, published way"]
    assert {line["published"] for line in alone} == {""}, "the published ones are of CLIP's cover"
    assert {line["published"] for line in lines_of(tables["groups"]) if line["measure"] == "alone"} == {""}
    # The study's models come after others: AlexNet's cover decides for both.
    assert any("(alexnet)" in note for note in tables["groups"].notes)
    form = shown(tables["table1"])
    assert [head[0] for head in form.heads] == ["imagenet", "published", "difference"]
    assert any("arXiv 2304.05538" in note for note in form.notes)
    ours = runs[0].accuracy().value
    assert form.rows[0][1][2].main == f"{100 * (ours - 0.5616):+.2f}".replace("-", "−")
    assert "published way" not in as_csv(tables_of(runs)["groups"])
    rename(truths[1].path, "open_clip/ViT-L-14,openai,normalize=imagenet", data="imagenet")
    groups = tables_of([snellen.load_run(truth.path) for truth in truths], errata=True)["groups"]
    alone = [line for line in lines_of(groups) if line["measure"] == "alone, published way"]
    assert {line["published"] != "" for line in alone} == {True}
    assert any("(ViT-L-14)" in note for note in groups.notes)
    assert any("--errata" in note for note in groups.notes)


def test_origins(tmp_path):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(6)])
    run = photo_run(tmp_path / "run", photos)
    assert image_origins([run]) == {}
    assert "origins" not in tables_of([run])
    places = ["imagenet_sketch", "objectnet", "imagenet_sketch", "somewhere", "objectnet", "imagenet_sketch"]
    samples = run.samples.drop_columns("origin").append_column("origin", [places])
    run.__dict__["samples"] = samples  # in the place of what it has read
    run.record["data"] |= {"spec": "imagenet-hard", "name": "imagenet-hard"}
    (origins,) = image_origins([run]).values()
    assert [(one.name, one.images) for one in origins[:3]] == [
        ("imagenet_sketch", 3),
        ("objectnet", 2),
        ("somewhere", 1),
    ]
    assert [one.published.value if one.published else None for one in origins[:3]] == [3470, 1268, None]
    assert sum(one.published.value for one in origins if one.published) == 10980
    lines = lines_of(tables_of([run])["origins"])
    shares = [float(line["value"]) for line in lines if line["measure"] == "share, %"]
    assert sum(shares) == pytest.approx(1)
    run.__dict__["samples"] = samples.slice(0, 0)
    assert image_origins([run]) == {}, "nothing is done yet"


# --- runs that are not as they should be


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


# --- how they are written


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)


@given(NAMES)
def test_latex_reads_as_the_text(text):
    plain = " ".join(text.split())
    seen = LatexNodes2Text(math_mode="text", keep_comments=False).latex_to_text(latex(text))
    # TeX joins hyphens and quotes into other marks; what it cannot set stands as its code point.
    written = "".join(one if one in seen or one in '"^~' else f"U+{ord(one):04X}" for one in plain)
    assert _marks(seen) == _marks(written)


@pytest.mark.parametrize("text", ["".join(map(chr, range(32, 127))), "é ß ł Å ñ ç", "≥ × ± – …"])
def test_latex_sets_what_is_common(text):
    assert "U+" not in latex(text)


def _marks(text):
    for group, mark in (("^ˆ", "^"), ("~˜", "~"), ("-–−—", "-"), ("'’‘`´", "'"), ('"”“', "''"), ("⩾≥", "≥")):
        for one in group:
            text = text.replace(one, mark)
    return "".join(text.replace("...", "…").split())


@pytest.mark.parametrize("hostile", ["50% & $x_1$ #2 {a}\\b ~^", "][", "\\end{tabular}", "%", "é ß ł ą 猫 🦒", "a|b"])
def test_a_table_with_hostile_names_is_whole_in_every_form(hostile):
    numbers = (Number(0.5, 0.4, 0.6, 10, best=True), Number(3, kind="count", published=5, source=hostile))
    rows = tuple(Row((hostile, f"{hostile} {k}"), numbers) for k in range(2))
    table = Table("t", hostile, ("data", "model"), ("measure",), ((hostile,), ("b",)), rows, (hostile,))
    text = as_latex(table)
    nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    assert [node.environmentname for node in nodes if node.isNodeType(type(nodes[1]))] or nodes
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    assert len(lines) == 3
    for line in lines:
        assert line.replace(r"\&", "").count("&") == len(columns) - 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    read = csv.reader(io.StringIO(as_csv(table)))
    assert {row[1] for row in list(read)[1:]} == {f"{hostile} 0", f"{hostile} 1"}
    cells = markdown_cells(as_markdown(table))
    assert [row[0] for row in cells[1:]] == [f"{hostile} 0", f"{hostile} 1"]
    out = io.StringIO()
    print_table(table, Console(file=out, width=200))
    assert f"{hostile} 1" in out.getvalue()


def markdown_cells(text):
    """The cells of the tables of a Markdown text, as an independent reader sees them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows, inside = [], False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open"):
            inside = True
        elif inside and token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children))
            inside = False
    return rows


def test_every_form_has_the_same_numbers(three):
    _, runs = three
    for table in tables_of(runs).values():
        form = shown(table)
        expected = [[f"{cell.main} {cell.rest}".strip() for cell in cells] for _, cells, _ in form.rows]
        names = len(form.names)
        assert [row[names:] for row in markdown_cells(as_markdown(table))[1:]] == expected
        body = as_latex(table).partition(r"\midrule")[2].partition(r"\bottomrule")[0]
        lines = [line.removesuffix(r"\\") for line in body.splitlines() if line.endswith(r"\\")]
        read = [
            ["".join(LatexNodes2Text(math_mode="text").latex_to_text(cell).split()) for cell in line.split("&")][names:]
            for line in lines
        ]
        assert [[_marks(cell) for cell in row] for row in read] == [[_marks(cell) for cell in row] for row in expected]
        flat = [one for row in table.rows for one in row.numbers if one is not None]
        for line, one in zip(lines_of(table), flat, strict=True):
            assert line["value"] == ("" if one.value != one.value else str(one.value))
            cell = as_text(one.value, one.kind)
            assert any(cell in row for row in itertools.chain(*expected))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_wide_table_is_printed_in_parts_that_fit(three, width):
    _, runs = three
    for table in tables_of(runs).values():
        if table.listed:
            text = io.StringIO()
            print_table(table, Console(file=text, width=width, legacy_windows=False))
            drawn = [line for line in text.getvalue().splitlines() if line[:1] in "│┃┏┡└├"]
            assert max(map(len, drawn)) <= width
            values = [cell.main for _, cells, _ in shown(table).rows for cell in cells if cell.main]
            assert all(any(value in line for line in drawn) for value in values), table.name


def test_what_is_the_same_for_all_is_said_once():
    rows = tuple(Row(("imagenet", "real", model), (Number(0.5, n=n), None)) for model, n in (("a", 10), ("b", 12)))
    table = Table("t", "Title", ("data", "labels", "model"), ("measure",), (("x",), ("y",)), rows)
    form = shown(table)
    assert form.title == "Title: imagenet, labels real"
    assert form.names == ("model",)
    assert [cells[0].rest for _, cells, _ in form.rows] == ["(n = 10)", "(n = 12)"]
    same = Table("t", "Title", ("data", "model"), ("measure",), (("x",),), (Row(("d", "a"), (Number(0.5, n=1234),)),))
    assert shown(same).notes == ("n = 1,234 for every number.",)


def test_the_images_of_a_run(three):
    truths, runs = three
    (summary,) = survey(runs[:1], resamples=20).summaries
    lines = list(csv.DictReader(io.StringIO(images_csv(summary))))
    correct = right(truths[0], truths[0].labels)
    assert [line["image_id"] for line in lines] == truths[0].image_ids
    assert [int(line["winning"]) for line in lines] == correct.sum(axis=1).tolist()
    one_crop = [k for k, rule in enumerate(SMALL) if (rule.scale, rule.row, rule.col) == (256, 1, 1)]
    assert [int(line["one_crop"]) for line in lines] == correct[:, one_crop[0]].astype(int).tolist()
    assert SCALES.index(256) == 12
    assert json.loads(json.dumps(summary.to_json()))
