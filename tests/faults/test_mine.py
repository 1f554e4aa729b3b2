"""`kill -9` while images are mined: what was committed stays, nothing is there twice, the hard set is the study's."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cascades import foreign_rows, hard, mixed_labels, whole_parts
from disturbed import KINDS, goes_on, kill_group, wait_for
from PIL import Image

import snellen

STEPWISE = Path(__file__).with_name("stepwise_mine.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("three")
    for k in range(3):
        (root / f"kind-{k}").mkdir()
        pixels = np.random.default_rng(k).integers(0, 256, (20 + k, 30, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"kind-{k}" / f"{k}.png")
    return root


@pytest.mark.parametrize("how", ["kill", pytest.param("power", marks=pytest.mark.slow)])
def test_mining_at_every_step(how, folder, tmp_path, tally):
    done = subprocess.run(
        [sys.executable, STEPWISE, folder, tmp_path, how], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = list(map(json.loads, done.stdout.splitlines()))
    assert len(steps) > 30
    study = snellen.load_run(tmp_path / "study")
    name = {"kill": "kill -9", "power": "power cut (simulated)"}[how]
    for step in steps:
        with tally.fault(f"{name} at a step of mining, each in turn") as case:
            assert step["ended"] in {-signal.SIGKILL, 0}, (step, done.stderr)
            assert step["again"] == 0, (step, done.stderr)
            run = snellen.load_run(tmp_path / str(step["step"]))
            for record, text in step["committed"].items():
                if how == "kill":
                    assert (tmp_path / str(step["step"]) / record).read_text() == text
            assert hard(run) == hard(study)
            whole_parts(run)
            case.lost = foreign_rows(run, study)
            if step["study"] is not None:
                assert step["study"] == 0, (step, done.stderr)
                case.lost += sum(not run.table(kind).equals(study.table(kind)) for kind in KINDS)
    assert any(step["committed"] for step in steps)
    assert sum(step["ended"] == 0 for step in steps) < len(steps) / 4


class Mining:
    """Commands that mine the same images; `study` is what the exhaustive study says of them."""

    def __init__(self, data, model, study, csv):
        self.data, self.model, self.study, self.csv = data, model, study, csv
        self.sets = mixed_labels(study, csv)

    def start(self, out):
        command = [sys.executable, "-m", "snellen.cli", "mine", str(self.data), "-m", self.model, "-o", str(out)]
        return subprocess.Popen(
            [*command, "--labels", str(self.csv), "--workers", "2", "-q"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def finish(self, out, before):
        """Let a command finish: rows that are wrong or doubled. The hard set must be the study's, commits as before."""
        process = self.start(out)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        after = mined_commits(out)
        assert {path: after.get(path) for path in before} == before, "a committed shard was lost or done again"
        run = snellen.load_run(out)
        whole_parts(run)
        expected = hard(self.study, self.sets)
        assert hard(run, self.sets) == expected
        ids = pq.read_table(out / "candidates.parquet")["image_id"].to_pylist()
        assert sorted(ids) == sorted(expected)
        return foreign_rows(run, self.study)


def mined_commits(out):
    return {path: path.read_bytes() for path in out.glob("*/*/*/mined/*/commits/*.json")}


@pytest.fixture(scope="module")
def mining(pictures, tiny, undisturbed, tmp_path_factory):
    csv = tmp_path_factory.mktemp("labels") / "labels.csv"
    return Mining(pictures, tiny, snellen.load_run(undisturbed.out), csv)


def test_mining_killed_in_the_middle_goes_on(mining, tmp_path, tally):
    with tally.fault("kill -9 of mining, the whole process group") as case:
        process = mining.start(tmp_path)
        wait_for(lambda: len(mined_commits(tmp_path)) >= 3)
        kill_group(process)
        before = mined_commits(tmp_path)
        assert not (tmp_path / "candidates.parquet").exists(), "it was too fast to be killed"
        case.lost = mining.finish(tmp_path, before)


@pytest.mark.slow
def test_mining_killed_at_random_moments(mining, undisturbed, tmp_path, tally):
    rng, kills, trial = random.Random(7), 0, 0
    while kills < 20:
        out, before = tmp_path / str(trial), {}
        for _ in range(rng.randint(1, 4)):
            process = mining.start(out)
            if not goes_on(process, rng.uniform(0.3, undisturbed.seconds)):
                process.communicate()
                break
            with tally.fault("kill -9 of mining, the whole process group"):
                kill_group(process)
                kills, now = kills + 1, mined_commits(out)
                assert {path: now.get(path) for path in before} == before, "a committed shard was lost or done again"
                before = now
        with tally.fault("the same command after kills of mining") as case:
            case.lost = mining.finish(out, before)
        trial += 1
        assert trial < 60, "hardly any command was killed before it was done"
