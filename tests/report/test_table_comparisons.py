"""The tables that compare models and data sets against NumPy and statsmodels; what is bold in any table."""

import itertools

import numpy as np
import pytest
from photo_runs import paint, photo_run
from statsmodels.stats.multitest import multipletests
from table_reading import SMALL, hits, lines_of, mcnemar_p, tables_of
from two_runs import rename, right, runs_of

import snellen
from snellen.analysis.survey import survey


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
    p = multipletests([mcnemar_p(solved[a], solved[b]) for a, b in difference], method="holm")[1]
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


@pytest.mark.parametrize("ease", [(0.5, 0.5, 0.5), (0.01, 0.05, 0.02, 0.2), (0.0, 0.0), (1.0, 1.0), (0.004, 0.03)])
def test_bold_are_the_best_and_what_no_test_tells_from_them(tmp_path, ease):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(60)])
    runs = [photo_run(tmp_path / f"run-{k}", photos, model=f"timm/m{k}", ease=e, seed=k) for k, e in enumerate(ease)]
    tables = tables_of(runs)
    for measure, metric in (("1-crop", [112]), ("upper bound", range(324))):
        lines = [line for line in lines_of(tables["table1"]) if line["measure"] == measure]
        assert _bold(lines) == _as_good_as_the_best([run.correct()[:, list(metric)].any(axis=1) for run in runs])
    assert any("McNemar" in note for note in tables["table1"].notes)
    merging = lines_of(tables["merging"])
    (one_crop,) = (line for line in merging if (line["model"], line["views"]) == ("m0", "1-crop"))
    assert one_crop["value"] == lines_of(tables["table1"])[0]["value"]
    for kind in (("all", "mean"), ("all", "max"), ("zoom-in", "mean")):
        lines = [line for line in merging if (line["views"], line["merge"]) == kind]
        assert len(lines) == len(runs)
        assert _bold(lines) == _as_good_as_the_best([_merged_right(run, *kind) for run in runs])


def _bold(lines):
    return {int(line["model"].removeprefix("m")) for line in lines if line["bold"] == "1"}


def _as_good_as_the_best(solved):
    """Which are right on the most images, or cannot be told from that one: bool `[images]` of each."""
    best = max(range(len(solved)), key=lambda k: solved[k].sum())
    pairs = list(itertools.combinations(range(len(solved)), 2))
    p = multipletests([mcnemar_p(solved[a], solved[b]) for a, b in pairs], method="holm")[1]
    alike = {pair for pair, value in zip(pairs, p, strict=True) if value >= 0.05}
    return {k for k in range(len(solved)) if k == best or tuple(sorted((k, best))) in alike}


def _merged_right(run, group, merge):
    rows = [row for row in run.table("merged").to_pylist() if (row["group"], row["merge"]) == (group, merge)]
    answers = {row["image"]: row["id0"] for row in rows}
    return np.array([answers[k] in accepted for k, accepted in zip(run.images.tolist(), run.labels(), strict=True)])


def test_nothing_is_bold_where_there_is_nothing_to_compare(three):
    _, runs = three
    tables = tables_of(runs[:1])
    assert {line["bold"] for table in tables.values() for line in lines_of(table)} == {"0"}
    assert not any("Bold" in note for table in tables.values() for note in table.notes)
