"""A publication that is killed, loses its power or meets an error at each of its steps in turn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hard_pictures import hard_pictures
from PIL import Image

STEPWISE = Path(__file__).with_name("stepwise_publish.py")
IN_A_STORE = Path(__file__).with_name("stepwise_publish_store.py")


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


def test_at_every_request_to_a_store(hard, tmp_path):
    """What lies at OUT opens whole or not at all; the same command makes it what an undisturbed one makes."""
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    from s3_server import BUCKET, ENVIRONMENT, contents, emptied, s3_server

    with s3_server() as url:
        emptied(url)
        command = [sys.executable, IN_A_STORE, hard, tmp_path, f"s3://{BUCKET}/out"]
        environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": url}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        found = contents(url, "out/")
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["ended"] for step in steps] == [-9] * (len(steps) - 1) + [0], done.stderr
    assert all((step["again"], step["after"]) == (0, [3, True]) for step in steps), (steps, done.stderr)
    assert {json.dumps(step["between"]) for step in steps} == {"null", "[3, true]"}
    assert not [step for step in steps if step["left"]]
    last = f"{len(steps) - 1}/"
    whole = sorted(name.removeprefix(last) for name in found if name.startswith(last))
    data = [name for name in whole if name.startswith("data/")]
    assert len(data) > 1
    assert whole == ["README.md", *data, "publish.json"]
    # Killed before the first request, after each, and not at all; the mark is put and removed as well.
    assert len(steps) == 1 + (len(whole) + 2) + 1
    assert sorted(found) == sorted(f"{k}/{name}" for k in range(len(steps)) for name in whole)
    assert all(found[f"{k}/{name}"] == found[last + name] for k in range(len(steps)) for name in data)
