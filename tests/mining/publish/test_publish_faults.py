"""A publication that is killed, loses its power or meets an error at each of its steps in turn."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hard_pictures import hard_pictures
from PIL import Image

STEPWISE = Path(__file__).with_name("stepwise_publish.py")


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    root = tmp_path_factory.mktemp("three")
    (root / "photos" / "n01440764").mkdir(parents=True)
    for k in range(3):
        Image.new("RGB", (8, 8), (k, 0, 0)).save(root / "photos" / "n01440764" / f"{k}.png")
    hard_pictures(root / "hard", root / "photos")
    return root / "hard"


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("kill", -9),
        pytest.param("power", -9, marks=pytest.mark.slow),
        pytest.param("ENOSPC", 3, marks=pytest.mark.slow),
    ],
)
def test_at_every_step(how, ending, hard, tmp_path):
    """What lies at OUT is all of it, or nothing; the same command makes it whole, and leaves nothing else."""
    command = [sys.executable, STEPWISE, hard, tmp_path, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 20
    for step in steps:
        assert step["ended"] in (ending, 0), (step, done.stderr)
        assert step["between"] in (None, [3, True]), step
        assert (step["again"], step["after"]) == (0, [3, True]), (step, done.stderr)
        assert step["beside"] == [], step
        files = ["README.md", "data/validation-00000-of-00001.parquet", "publish.json"]
        assert step["inside"] == [f"out/{name}" for name in files], step
    assert sum(step["between"] is None for step in steps) > len(steps) / 2
    assert sum(step["ended"] == ending for step in steps) >= len(steps) - 5
