"""`snellen tta` and `snellen fit` as a user calls them: real files, real processes, a network that is quick."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import one_line, run_cli

from snellen.analysis.compare import mcnemar
from snellen.analysis.methods import read_answered
from snellen.labels import correct_by_labels
from snellen.store.find import find_runs
from snellen.tta.policy import read_policy

METHODS = ("center", "5crop", "max:5crop+flip", "zero:paper:224", "anytime")


def asked(methods=METHODS):
    return [part for name in methods for part in ("--method", name)]


@pytest.fixture(scope="module")
def studied(pictures, tiny, tmp_path_factory):
    """A study of two dozen pictures with all probabilities, and a policy that was fitted on it."""
    out = tmp_path_factory.mktemp("studied")
    done = run_cli("study", pictures, "-m", tiny, "-o", out, "--keep-probs", "-q")
    assert done.returncode == 0, done.stderr
    (run,) = find_runs(out)
    done = run_cli("fit", out, "-o", out / "policy.json", "--views", "paper:224", "--count", 9, "--error", 0.2)
    assert done.returncode == 0, done.stderr
    assert "9 views" in done.stdout
    return run, out / "policy.json"


@pytest.fixture(scope="module")
def answered(pictures, tiny, studied, tmp_path_factory):
    """A run of methods, and what it printed as JSON."""
    out = tmp_path_factory.mktemp("answered")
    done = run_cli("tta", pictures, "-m", tiny, *asked(), "--policy", studied[1], "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    (run,) = find_runs(out, methods=True)
    return run, table


def test_the_table_says_what_the_rows_say(answered):
    run, table = answered
    told = {row["method"]: row for row in table["methods"]}
    found = read_answered(run)
    assert list(told) == list(found) == list(METHODS)
    labels = run.labels()
    right = {name: correct_by_labels(a.ids, labels, 1000) for name, a in found.items()}
    for name, row in told.items():
        assert row["accuracy"]["hits"] == right[name].sum()
        assert row["accuracy"]["n"] == 24
        assert row["forwards"] == pytest.approx(found[name].forwards.mean())
        assert row["ms"] == pytest.approx(float(found[name].ms.mean()), rel=1e-4)
        if name != "center":
            test = mcnemar(right[name], right["center"])
            assert row["mcnemar"] == {
                "only_this": test.only_a,
                "only_baseline": test.only_b,
                "p": pytest.approx(test.p),
            }
            assert row["p_holm"] >= row["mcnemar"]["p"]
    assert [told[name]["forwards"] for name in METHODS[:4]] == [1, 5, 10, 9]
    assert 2 <= told["anytime"]["forwards"] <= 9
    assert told["anytime"]["learned_on_these_images"]
    assert not told["center"]["learned_on_these_images"]
    assert {path.name for path in (run.path / "report").iterdir()} == {"methods.png", "methods.svg"}
    svg = (run.path / "report" / "methods.svg").read_text()
    assert all(name in svg for name in METHODS)


def test_a_study_gives_the_same_answers_without_computing(answered, studied, tmp_path):
    """Of views that both have seen: float16 may only decide what is near to a tie."""
    study, policy = studied
    done = run_cli("tta", study.path, *asked(METHODS[3:]), "--policy", policy, "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    live = {row["method"]: row for row in answered[1]["methods"]}
    for row in table["methods"]:
        assert row["ms"] is None
        assert abs(row["accuracy"]["hits"] - live[row["method"]]["accuracy"]["hits"]) <= 1
        assert row["forwards"] == pytest.approx(live[row["method"]]["forwards"], abs=0.2)
    assert (tmp_path / "methods.svg").is_file()


def test_the_same_command_again_computes_nothing(answered, pictures, tiny, studied):
    run, _ = answered
    out = run.path.parents[2]
    before = sorted(path.stat().st_mtime_ns for path in (run.path / "parts").iterdir())
    done = run_cli("tta", pictures, "-m", tiny, *asked(), "--policy", studied[1], "-o", out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.stat().st_mtime_ns for path in (run.path / "parts").iterdir()) == before
    assert "against center" in done.stdout
    assert "optimistic" in done.stdout
    other = run_cli("tta", pictures, "-m", tiny, "--method", "center", "-o", out, "--limit", 2, "-q")
    assert other.returncode == 0, other.stderr
    assert len(find_runs(out, methods=True)) == 2, "other methods have a directory of their own"


def test_killed_run_resumes(answered, pictures, tiny, studied, tmp_path):
    command = [
        sys.executable,
        "-m",
        "snellen.cli",
        "tta",
        str(pictures),
        "-m",
        tiny,
        *asked(),
        "-q",
        "-o",
        str(tmp_path),
    ]
    command += ["--policy", str(studied[1])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while len(list(tmp_path.glob("*/*/*/commits/*.json"))) < 4:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*/*/*/commits/*.json")}
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = find_runs(tmp_path, methods=True)
    assert run.complete
    assert all((run.path / "commits" / name).read_bytes() == content for name, content in kept.items())
    whole = read_answered(answered[0])
    for name, mine in read_answered(run).items():
        assert np.array_equal(mine.ids, whole[name].ids)
        assert np.array_equal(mine.forwards, whole[name].forwards)


@pytest.mark.slow
def test_memo_beside_views(pictures, tiny, tmp_path):
    done = run_cli(
        "tta", pictures, "-m", tiny, *asked(["center", "memo-rrc,k=2", "memo-augmix,k=2"]), "-o", tmp_path, "--limit", 3
    )
    assert done.returncode == 0, done.stderr
    assert "published: 1.77 x" in done.stdout
    (run,) = find_runs(tmp_path, methods=True)
    assert [int(a.forwards[0]) for a in read_answered(run).values()] == [1, 3, 3]


HALF = """
import torch

def net():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 1000)).bfloat16()
"""


def test_bad_calls_cost_one_line(pictures, tiny, studied, tmp_path):
    policy = studied[1]
    record = json.loads(policy.read_text())
    place = record["grid"]["fields"].index("size")
    for row in record["grid"]["rules"]:
        row[place] = 336
    (tmp_path / "other.json").write_text(json.dumps(record))
    (tmp_path / "half.py").write_text(HALF)
    half = f"{tmp_path / 'half.py'}:net"
    calls = [
        (["--method", "centre"], "did you mean center"),
        (["--method", "memo-rrc,k=0"], "0 augmented views"),
        (["--method", "memo-rrc,k=100000"], "1 to 16384"),
        (["--method", "memo-rrc", "--backend", "openvino"], "needs gradients"),
        (["--method", "memo-rrc", "--precision", "fp16"], "lost in fp16"),
        (["--method", "memo-rrc", "--precision", "int8"], "lost in int8"),
        (["--method", "anytime"], "--policy"),
        (["--method", "anytime", "--policy", tmp_path / "other.json"], "another grid"),
        (["--method", "anytime", "--policy", tmp_path / "half.py"], "damaged"),
        (["--method", "anytime", "--policy", tmp_path / "none.json"], "cannot be read"),
        (["--method", "mean:top36@nowhere"], "nowhere"),
        ([], "--method"),
    ]
    for options, says in calls:
        assert says in one_line(run_cli("tta", pictures, "-m", tiny, *options, "-o", tmp_path / "out", "-q"))
    for method in ("memo-rrc", "center"):
        line = one_line(run_cli("tta", pictures, "-m", half, "--method", method, "-o", tmp_path / "out", "-q"))
        assert "bfloat16" in line
    assert not (tmp_path / "out").exists()


def test_a_study_that_cannot_answer_says_so(studied, tmp_path, make_run):
    study, _ = studied
    for method, says in (
        ("center", "lacks 1 of 1 views"),
        ("memo-rrc", "cannot show"),
        ("mean:top36@nowhere", "nowhere"),
    ):
        assert says in one_line(run_cli("tta", study.path, "--method", method, "-o", tmp_path))
    assert "leave -m out" in one_line(run_cli("tta", study.path, "-m", "x", "--method", "1crop", "-o", tmp_path))
    bare = make_run(4)
    for method in ("gmean:paper:in", "mean:top2@" + str(bare.path)):
        assert "--keep-probs" in one_line(run_cli("tta", bare.path, "--method", method, "-o", tmp_path))


def test_fit_says_what_it_learned_and_what_it_cannot(studied, tmp_path, make_run):
    study, _ = studied
    done = run_cli("fit", study.path, "-o", tmp_path / "policy.json", "--error", 0.2, "--count", 5, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "policy.json").read_text())
    assert len(read_policy(tmp_path / "policy.json")) == 5
    assert "too few" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--error", 0.01))
    assert "lacks" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--views", "5crop"))
    assert "no directory" in one_line(run_cli("fit", tmp_path / "nothing", "-o", tmp_path / "x.json"))
    assert "--keep-probs" in one_line(run_cli("fit", make_run(40).path, "-o", tmp_path / "x.json"))
    assert not (tmp_path / "x.json").exists()
