"""A study that is killed, loses its power or meets an error at each of its steps on the file system in turn."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from disturbed import KINDS
from PIL import Image

import snellen
from snellen.store.commits import damaged_files

STEPWISE = Path(__file__).with_name("stepwise.py")
# What a study says of an error that it meets while it writes, and of one that it meets before it has begun.
STOPPED, REFUSED = 3, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("three")
    for k in range(3):
        (root / f"kind-{k}").mkdir()
        pixels = np.random.default_rng(k).integers(0, 256, (20 + k, 30, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"kind-{k}" / f"{k}.png")
    return root


@pytest.mark.parametrize(
    ("how", "endings"),
    [
        ("kill", {-9}),
        ("power", {-9}),
        ("ENOSPC", {STOPPED}),
        pytest.param("EIO", {STOPPED}, marks=pytest.mark.slow),
        pytest.param("ESTALE", {STOPPED}, marks=pytest.mark.slow),
        pytest.param("EROFS", {STOPPED, REFUSED}, marks=pytest.mark.slow),
        pytest.param("EACCES", {STOPPED, REFUSED}, marks=pytest.mark.slow),
    ],
)
def test_at_every_step(how, endings, folder, tmp_path, tally):
    """What was committed before is there after it; the next command makes the rows of an undisturbed study."""
    name = {"kill": "kill -9", "power": "power cut (simulated)"}.get(how, f"the error {how}")
    done = subprocess.run(
        [sys.executable, STEPWISE, folder, tmp_path, how], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    *steps, last = map(json.loads, done.stdout.splitlines())
    assert len(steps) == last["steps"] > 30
    whole = snellen.load_run(tmp_path / "0")
    assert len(whole.commits) == 3
    for step in steps:
        with tally.fault(f"{name} at a step of writing, each in turn") as case:
            assert step["ended"] in endings | {0}, (step, done.stderr)
            assert step["again"] == 0, (step, done.stderr)
            assert set(step["committed"]) <= set(step["left"]), step
            found = snellen.load_run(tmp_path / str(step["step"]))
            assert found.complete
            assert not [name for commit in found.commits.values() for name in damaged_files(found.path, commit)]
            for kind in KINDS:
                case.lost += not found.table(kind).equals(whole.table(kind))
    assert sum(step["ended"] == 0 for step in steps) < len(steps) / 4
