"""`snellen compare` as a user calls it: on real runs, on folders, and wrongly."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from commands import one_line, run_cli
from looking import tree
from two_runs import runs_of

import snellen
from snellen.analysis.compare import mcnemar


@pytest.fixture(scope="module")
def benchmark(tiny, tmp_path_factory):
    """A shipped network and a tiny one, each with its own transform, on the shipped photographs: their runs."""
    out = tmp_path_factory.mktemp("benchmark")
    done = run_cli("eval", "examples", "-m", "embedded/efficientnet_lite0", "-m", tiny, "-o", out, "-q")
    assert done.returncode == 0, done.stderr
    return [next(out.glob(f"*/*{model}*/own-fp32")) for model in ("efficientnet_lite0", "lcnet_035")]


@pytest.fixture(scope="module")
def precisions(tmp_path_factory):
    """The study of a shipped photograph by one network in float32 and bfloat16: the folders given as OUT."""
    outs = [tmp_path_factory.mktemp(name) for name in ("fp32", "bf16")]
    for out in outs:
        done = run_cli("study", "examples", "-o", out, "--limit", 1, "--precision", out.name[:4], "-q", "--json")
        assert done.returncode == 0, done.stderr
    return outs


def test_benchmark_runs(benchmark):
    before = [tree(run) for run in benchmark]
    done = run_cli("compare", *benchmark, "--json", "--resamples", 100, "--seed", 3)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    right = [snellen.load_run(run).correct()[:, 0] for run in benchmark]
    row = found["differences"]["own transform"]
    assert [row[side]["hits"] for side in "ab"] == [int(one.sum()) for one in right]
    assert row["difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert row["p_holm"] == row["mcnemar"]["p"] == mcnemar(*right).p
    assert (found["a"], found["b"], found["images"]) == ("efficientnet_lite0", "lcnet_035", len(right[0]))
    assert (found["resamples"], found["seed"], found["hard"]) == (100, 3, None)
    assert [run["run"] for run in found["runs"]] == [str(run) for run in benchmark]
    assert [tree(run) for run in benchmark] == before

    text = run_cli("compare", *benchmark).stdout
    assert text.splitlines()[0] == run_json(benchmark)["verdict"]
    assert len(text.splitlines()) < 20


def run_json(runs):
    return json.loads(run_cli("compare", *runs, "--json").stdout)


def test_one_model_at_two_precisions(precisions):
    """Folders above one run each; the share of equal answers and the greatest gap are those of the arrays."""
    runs = [snellen.load_run(out) for out in precisions]
    found = run_json(precisions)
    ids, confidence = ([run.answers(column) for run in runs] for column in ("id0", "p0"))
    assert found["agreement"]["all"] == (ids[0] == ids[1]).mean()
    assert found["agreement"]["confidence"] == pytest.approx(np.abs(confidence[0] - confidence[1]).max())
    assert 0 < found["agreement"]["confidence"] < 0.2
    assert found["agreement"]["all"] > 0.8
    assert (found["a"], found["b"]) == ("efficientnet_lite0 (fp32)", "efficientnet_lite0 (bf16)")
    done = run_cli("compare", *precisions, env=os.environ | {"COLUMNS": "100"})
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) <= 45
    assert f"of {ids[0].size} at all zooms; confidence differs by" in done.stdout


def test_a_study_and_a_benchmark_run_of_the_same_images(benchmark, precisions):
    found = run_json([precisions[0], benchmark[0]])
    assert list(found["differences"]) == ["1-crop / own transform"]
    assert found["images"] == 1
    assert found["left_out"] == {"only in efficientnet_lite0 (grid own)": 15}
    assert found["notes"] == ["the grids differ (paper, own): only the single views are compared"]


def test_labels_from_a_file(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=10)
    path = tmp_path / "all.csv"
    path.write_text(
        "image_id,labels\n" + "".join(f"{i},{'|'.join(truths[0].space.keys)}\n" for i in truths[0].image_ids)
    )
    done = run_cli("compare", *(truth.path for truth in truths), "--labels", path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {row["a"]["value"] for row in found["differences"].values()} == {1.0}
    assert (found["labels"], found["error_consistency"]["1-crop"]["kappa"]) == (str(path), None)


def test_wrong_calls_cost_a_line(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, 3, images=8, classes=[7, 7, 9])
    a, b, other = (truth.path for truth in truths)
    (other / "labels.csv").write_text((a / "labels.csv").read_text())
    calls = [
        ((), "Missing argument 'RUN_A RUN_B'"),
        ((a,), "1 run: compare takes two"),
        ((a, b, other), "3 runs: compare takes two; `snellen report` makes the matrix of many"),
        ((a, tmp_path), "holds 3 runs; name one of them"),
        ((a, tmp_path / "gone"), "no directory"),
        ((a, other), "different classes: model-0 has made-up (7), model-2 has made-up (9)"),
        ((a, b, "--labels", "real"), "no labels 'real'"),
        ((a, b, "--labels", "gone.csv"), "no file of labels at 'gone.csv'"),
        ((a, b, "--resamples", "0"), "--resamples"),
    ]
    for arguments, message in calls:
        assert message in one_line(run_cli("compare", *arguments))


def test_no_torch_is_imported(make_run, tmp_path):
    truths = runs_of(make_run, tmp_path, images=8)
    code = f"""
import sys
sys.argv = ["snellen", "compare", {str(truths[0].path)!r}, {str(truths[1].path)!r}]
from snellen.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted({{"torch", "matplotlib", "scipy.stats", "scipy.optimize"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
