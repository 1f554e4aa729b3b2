"""The made-up studies that the analyses are measured on, and that the measurement runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snellen
from snellen.labels.imagenet import validation_labels

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def made_up():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import made_up
    finally:
        sys.path.remove(str(BENCHMARKS))
    return made_up


def test_a_made_up_study_has_the_accuracies_it_was_asked_for(made_up, tmp_path):
    made_up.write_study(tmp_path / "a", "a", 600, 0.60, 0.92, seed=0, shard=250)
    made_up.write_study(tmp_path / "b", "b", 600, 0.75, 0.97, seed=1)
    runs = [snellen.load_run(tmp_path / name) for name in ("a", "b")]
    rights = [run.correct() for run in runs]
    for right, one_crop, upper in zip(rights, (0.60, 0.75), (0.92, 0.97), strict=True):
        assert right[:, 112].mean() == pytest.approx(one_crop, abs=0.06)
        assert right.any(axis=1).mean() == pytest.approx(upper, abs=0.04)
    assert len(runs[0].commits) == 3
    assert runs[0].complete
    assert runs[0].labels("real") == validation_labels("real")[1][:600]
    # What one model finds hard is hard for the other too.
    winning = [right.sum(axis=1) for right in rights]
    assert np.corrcoef(*winning)[0, 1] > 0.4
    assert rights[0].mean() < rights[1].mean()


def test_the_analyses_are_measured(tmp_path):
    command = [
        sys.executable,
        str(BENCHMARKS / "analysis.py"),
        "--images",
        "24",
        "--rounds",
        "1",
        "--runs",
        str(tmp_path),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| ([^|]*) \| ([\d.]+) \|(?: (\d+) \|)?$", done.stdout, re.MULTILINE)
    times = {name: float(seconds) for name, seconds, _ in rows}
    assert {"upper bound alone", "luck", "tiles", "one label source", "three label sources"} <= times.keys()
    assert all(int(megabytes) > 50 for name, _, megabytes in rows if "source" in name)
    assert len(list(tmp_path.glob("imagenet/*/paper-fp32/run.json"))) == 6


def test_every_benchmark_finds_what_it_imports():
    names = [path.stem for path in sorted(BENCHMARKS.glob("*.py"))]
    done = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(names)}"], cwd=BENCHMARKS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


TINY = """
import torch

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, 16), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(8, 1000))
"""


def test_a_gpu_is_measured_without_one(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    flags = "--device cpu --precision fp32 --backends torch --batches 20 --shapes 90x300 --images 3 --scales 4"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--model", f"{tmp_path / 'tiny.py'}:net", *flags.split()]
    done = subprocess.run([*command, "--rounds", "1"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cut = re.findall(r"^\| (\d+ x \d+) \| [\d.]+ \| ([\d,]+) \|.*\| (\d+) \|$", done.stdout, re.MULTILINE)
    assert [(shape, wrong) for shape, _, wrong in cut] == [("90 x 300", "0")]
    assert re.search(r"^\| torch \| 20 \| [\d.]+ \| [\d,]+ \| [\d.]+ \|$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^\| one shard, warm worker.*\| [\d.]+ \|$", done.stdout, re.MULTILINE)) == 1
    assert len(re.findall(r"^\| whole command.*\| [\d.]+ \|$", done.stdout, re.MULTILINE)) == 1
