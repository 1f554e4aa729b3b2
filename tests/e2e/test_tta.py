"""`snellen tta` and `snellen fit` as a user calls them: real files, real processes, a network that is quick."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision.transforms.functional as tv
from commands import one_line, run_cli
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import InterpolationMode

from snellen.analysis.compare import mcnemar
from snellen.analysis.methods import read_answered
from snellen.labels import correct_by_labels
from snellen.store.find import find_runs
from snellen.tta.from_run import merged_from_run
from snellen.tta.from_study import anytime_from_run, is_study
from snellen.tta.methods import parse_methods
from snellen.tta.policy import read_policy

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tta.md"
METHODS = ("center", "5crop", "max:5crop+flip", "zero:paper:224", "anytime")


def asked(methods=METHODS):
    return [part for name in methods for part in ("--method", name)]


@pytest.fixture(scope="module")
def plain(pictures, tiny_weights):
    """What `center` and `5crop` should answer to each file, by timm and torchvision alone; whether both are clear."""
    network = timm.create_model("lcnet_035").eval()
    network.load_state_dict(load_file(tiny_weights))
    found = {}
    for path in sorted(pictures.glob("*/*.png")):
        resized = tv.resize(Image.open(path).convert("RGB"), 256, InterpolationMode.BILINEAR)
        crops = torch.stack([tv.to_tensor(crop) for crop in tv.five_crop(resized, 224)])  # the centre is the last
        with torch.inference_mode():
            probs = network((crops - 0.5) / 0.5).softmax(1)
        best = [scores.topk(2) for scores in (probs[4], probs.mean(0))]
        clear = all(float(two.values[0] - two.values[1]) > 1e-3 for two in best)
        found[path.name] = [int(two.indices[0]) for two in best], clear
    return found


@pytest.fixture(scope="module")
def folder(pictures, plain, tmp_path_factory):
    """The pictures in folders of classes by which methods differ.

    The network is one of random weights, which gets none of their own classes right. Here one of `center` and `5crop`
    is right where they disagree, and both are mostly right where they do not.
    """
    root = tmp_path_factory.mktemp("folder")
    disagree, agree = itertools.cycle([0, 1, 1]), itertools.cycle([True, True, False])
    for path in sorted(pictures.glob("*/*.png")):
        answers, _ = plain[path.name]
        if answers[0] != answers[1]:
            label = answers[next(disagree)]
        else:
            label = answers[0] if next(agree) else (answers[0] + 1) % 1000
        (root / str(label)).mkdir(exist_ok=True)
        shutil.copy(path, root / str(label))
    return root


@pytest.fixture(scope="module")
def studied(folder, tiny, tmp_path_factory):
    """A study of two dozen pictures with all probabilities, and a policy that was fitted on it."""
    out = tmp_path_factory.mktemp("studied")
    done = run_cli("study", folder, "-m", tiny, "-o", out, "--keep-probs", "-q")
    assert done.returncode == 0, done.stderr
    (run,) = find_runs(out)
    done = run_cli("fit", out, "-o", out / "policy.json", "--views", "paper:224", "--count", 9, "--error", 0.2)
    assert done.returncode == 0, done.stderr
    assert "9 views" in done.stdout
    return run, out / "policy.json"


@pytest.fixture(scope="module")
def answered(folder, tiny, studied, tmp_path_factory):
    """A run of methods, and what it printed as JSON."""
    out = tmp_path_factory.mktemp("answered")
    done = run_cli("tta", folder, "-m", tiny, *asked(), "--policy", studied[1], "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    (run,) = find_runs(out, methods=True)
    return run, table


def test_answers_are_those_of_timm_and_torchvision(answered, plain):
    run, _ = answered
    found = read_answered(run)
    wanted = [plain[Path(image).name] for image in run.image_ids]
    clear = [k for k, (_, is_clear) in enumerate(wanted) if is_clear]
    assert len(clear) >= 20
    for place, name in enumerate(("center", "5crop")):
        expected = np.array([answers[place] for answers, _ in wanted])
        assert (found[name].ids == expected)[clear].all()
        assert len(set(expected.tolist())) > 1


def test_the_table_says_what_the_rows_say(answered):
    run, table = answered
    told = {row["method"]: row for row in table["methods"]}
    found = read_answered(run)
    assert list(told) == list(found) == list(METHODS)
    labels = run.labels()
    right = {name: correct_by_labels(a.ids, labels, 1000) for name, a in found.items()}
    assert 0 < right["center"].sum() < 24
    assert (right["5crop"] & ~right["center"]).any()
    assert (right["center"] & ~right["5crop"]).any()
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
    assert told["anytime"]["learned_on_these_images"] == 24
    assert told["center"]["learned_on_these_images"] == 0
    assert {path.name for path in (run.path / "report").iterdir()} == {"methods.png", "methods.svg"}
    svg = (run.path / "report" / "methods.svg").read_text()
    assert all(name in svg for name in METHODS)


def test_a_run_is_read_as_the_page_says(answered, capsys):
    run, table = answered
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (reading,) = [block for block in blocks if "load_tta" in block]
    exec(compile(reading.replace('"out"', repr(str(run.path))), str(DOCS), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert [line.count("True") for line in lines] == [row["accuracy"]["hits"] for row in table["methods"]]
    keys = re.findall(r"^\| (`.*?) \| ", DOCS.read_text().split("### Reading it again")[1].split("##")[0], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(keys))) == set(table["methods"][0])


def test_where_a_study_is(studied, pictures, tmp_path):
    """It is told from a data set, which is not searched through."""
    run, _ = studied
    assert all(is_study(place) for place in (run.path, *run.path.parents[:3]))
    assert not is_study(pictures)
    assert not is_study("examples")
    assert not is_study(tmp_path / "nothing")


def test_a_study_gives_the_same_answers_without_computing(answered, studied, tmp_path):
    """Of views that both have seen: rounding may only decide what is near to a tie."""
    study, policy = studied
    found = read_answered(answered[0])
    zero, anytime = parse_methods(METHODS[3:], read_policy(policy))
    ids, forwards = anytime_from_run(study, anytime)
    assert (ids == found["anytime"].ids).sum() >= 22
    assert (forwards == found["anytime"].forwards).sum() >= 22
    assert (merged_from_run(study, zero.rules, zero.merge)[0][:, 0] == found[zero.name].ids).sum() >= 22
    done = run_cli("tta", study.path, *asked(METHODS[3:]), "--policy", policy, "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"methods.png", "methods.svg"}
    live = {row["method"]: row for row in answered[1]["methods"]}
    assert any(row["accuracy"]["hits"] for row in table["methods"])
    for row in table["methods"]:
        assert row["ms"] is None
        assert abs(row["accuracy"]["hits"] - live[row["method"]]["accuracy"]["hits"]) <= 1
        assert row["forwards"] == pytest.approx(live[row["method"]]["forwards"], abs=0.2)


def test_without_out_the_figure_of_a_study_stands_beside_it(studied, tmp_path):
    study, _ = studied
    done = run_cli("tta", study.path.parents[2], "--method", "1crop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(study.path / "report" / "methods.svg") in done.stdout
    assert (study.path / "report" / "methods.svg").is_file()
    assert not list(tmp_path.iterdir())


def test_images_that_were_learned_from_are_known_in_another_folder(pictures, studied, tiny, tmp_path):
    """Copies under other names, and only some of them, beside a picture that is new."""
    folder = tmp_path / "some" / "goldfish"
    folder.mkdir(parents=True)
    for k, path in enumerate(sorted(pictures.glob("*/*"))[:5]):
        (folder / f"copy-{k}.png").write_bytes(path.read_bytes())
    Image.new("RGB", (60, 50), "green").save(folder / "new.png")
    methods = ["center", "anytime", f"mean:top2@{studied[0].path}"]
    done = run_cli(
        "tta", folder.parent, "-m", tiny, *asked(methods), "--policy", studied[1], "-o", tmp_path / "out", "--json"
    )
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    assert [row["learned_on_these_images"] for row in table["methods"]] == [0, 5, 5]


def test_the_same_command_again_computes_nothing(answered, folder, tiny, studied):
    run, _ = answered
    out = run.path.parents[2]
    before = sorted(path.stat().st_mtime_ns for path in (run.path / "parts").iterdir())
    done = run_cli("tta", folder, "-m", tiny, *asked(), "--policy", studied[1], "-o", out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.stat().st_mtime_ns for path in (run.path / "parts").iterdir()) == before
    assert "against center" in done.stdout
    assert "optimistic" in done.stdout
    other = run_cli("tta", folder, "-m", tiny, "--method", "center", "-o", out, "--limit", 2, "-q")
    assert other.returncode == 0, other.stderr
    assert len(find_runs(out, methods=True)) == 2, "other methods have a directory of their own"


def test_killed_run_resumes(answered, folder, tiny, studied, tmp_path):
    command = [
        sys.executable,
        "-m",
        "snellen.cli",
        "tta",
        str(folder),
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
        (["--method", "memo-rrc,k=0"], "'memo-rrc,k=0': k=0"),
        (["--method", "memo-rrc,k=100000"], "1 to 16384"),
        (["--method", "memo-rrc", "--backend", "openvino"], "needs gradients"),
        (["--method", "memo-rrc", "--precision", "fp16"], "lost in fp16"),
        (["--method", "memo-rrc", "--precision", "int8"], "lost in int8"),
        (["--method", "anytime"], "--policy"),
        (["--method", "anytime", "--policy", tmp_path / "other.json"], "another grid"),
        (["--method", "anytime", "--policy", tmp_path / "half.py"], "damaged"),
        (["--method", "anytime", "--policy", tmp_path / "none.json"], "cannot be read"),
        (["--method", "mean:top36@nowhere"], "nowhere"),
        (["--method", "center", "--policy", policy], "no method takes one"),
        (["--method", "center", "--out", policy], "is a file"),
        ([], "--method"),
    ]
    for options, says in calls:
        assert says in one_line(run_cli("tta", pictures, "-m", tiny, "-o", tmp_path / "out", *options, "-q"))
    for method in ("memo-rrc", "center"):
        line = one_line(run_cli("tta", pictures, "-m", half, "--method", method, "-o", tmp_path / "out", "-q"))
        assert "bfloat16" in line
    assert not (tmp_path / "out").exists()


def test_a_study_that_cannot_answer_says_so(studied, tmp_path, make_run):
    study, _ = studied
    for method, says in (
        ("center", "center: the run's grid 'paper' lacks 1 of 1 views"),
        ("memo-rrc", "cannot show"),
        ("mean:top36@nowhere", "nowhere"),
    ):
        assert says in one_line(run_cli("tta", study.path, "--method", method, "-o", tmp_path))
    for options, needless in (
        (["-m", "x"], "--model"),
        (["--precision", "fp32"], "--precision"),
        (["--limit", 3, "--root", tmp_path], "--root, --limit"),
        (["--classnames", "openai", "--workers", "auto"], "--classnames, --workers"),
    ):
        line = one_line(run_cli("tta", study.path, *options, "--method", "1crop", "-o", tmp_path))
        assert f"leave {needless} out" in line
    assert "no method takes one" in one_line(
        run_cli("tta", study.path, "--method", "1crop", "--policy", studied[1], "-o", tmp_path)
    )
    twice = run_cli("tta", study.path, "--method", "1crop", "--method", "1crop", "-o", tmp_path / "twice", "--json")
    assert len(json.loads(twice.stdout)[0]["methods"]) == 1
    assert twice.stderr.splitlines()[0] == "--method 1crop was given 2 times; it is one method"
    bare = make_run(4)
    for method in ("vote:paper:in", "gmean:paper:in", "mean:top2@" + str(bare.path)):
        assert "--keep-probs" in one_line(run_cli("tta", bare.path, "--method", method, "-o", tmp_path))


def test_fit_says_what_it_learned_and_what_it_cannot(studied, tmp_path, make_run):
    study, _ = studied
    done = run_cli("fit", study.path, "-o", tmp_path / "policy.json", "--error", 0.2, "--count", 5, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "policy.json").read_text())
    assert len(read_policy(tmp_path / "policy.json")) == 5
    assert "too few" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--error", 0.01))
    assert "lacks" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--views", "5crop"))
    assert "at least 1599999997" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--error", 1e-9))
    itself = f"top9@{study.path}"
    line = one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--views", itself, "--error", 0.2))
    assert "was learned from 24 of these 24 images, which leaves 0" in line
    assert "8 % is 0.08" in one_line(run_cli("fit", study.path, "-o", tmp_path / "x.json", "--error", 8))
    assert "is a folder" in one_line(run_cli("fit", study.path, "-o", tmp_path))
    assert "no directory" in one_line(run_cli("fit", tmp_path / "nothing", "-o", tmp_path / "x.json"))
    assert "--keep-probs" in one_line(run_cli("fit", make_run(40).path, "-o", tmp_path / "x.json"))
    assert not (tmp_path / "x.json").exists()


def test_answers_of_methods_are_nothing_to_learn_from(answered, tmp_path):
    line = one_line(run_cli("fit", answered[0].path, "-o", tmp_path / "x.json"))
    assert "holds answers of methods, which `snellen tta` made" in line
    assert "answers of methods" in one_line(run_cli("tta", answered[0].path, "--method", "1crop", "-o", tmp_path))
