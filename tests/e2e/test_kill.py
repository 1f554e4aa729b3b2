"""Runs that are really killed, and what is left of them."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from looking import commits

import snellen

KINDS = ("samples", "predictions", "merged")


def command(data, model, out):
    return [
        sys.executable,
        "-m",
        "snellen.cli",
        "study",
        str(data),
        "-m",
        model,
        "-o",
        str(out),
        "--workers",
        "2",
        "-q",
    ]


def start(data, model, out):
    return subprocess.Popen(
        command(data, model, out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C and hands that down; the command of a user does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children]


def rows(out: Path) -> dict[str, list]:
    run = snellen.load_run(out)
    return {kind: run.table(kind).to_pylist() for kind in KINDS}


@pytest.fixture(scope="module")
def undisturbed(pictures, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(pictures, tiny, out), check=True, stdout=subprocess.DEVNULL)
    return rows(out)


def kill_and_resume(pictures, tiny, out, at_least, delay):
    """Kill the whole process group after `at_least` commits and a delay, then run the same command to its end."""
    process = start(pictures, tiny, out)
    wait_for(lambda: len(commits(out)) >= at_least)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.05)
    before = commits(out)
    done = subprocess.run(command(pictures, tiny, out), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = snellen.load_run(out)
    after = commits(out)
    assert {name: after[name] for name in before} == before, "a committed shard was lost or done again"
    resumed = run.record["sessions"][-1]["shards"] if len(before) < len(after) else 0
    assert resumed == len(after) - len(before), "something committed was computed again"
    assert run.complete
    names = {file["name"] for commit in run.commits.values() for file in commit["files"].values()}
    assert {path.name for path in (run.path / "parts").iterdir()} == names, "files of the dead are left"
    return len(before), len(after)


def test_killed_group_resumes(pictures, tiny, undisturbed, tmp_path):
    before, after = kill_and_resume(pictures, tiny, tmp_path, at_least=5, delay=0.1)
    assert 5 <= before < after
    assert after >= 20
    assert rows(tmp_path) == undisturbed


@pytest.mark.slow
def test_killed_group_resumes_at_20_random_moments(pictures, tiny, undisturbed, tmp_path):
    rng = random.Random(0)
    kills = []
    for trial in range(20):
        out = tmp_path / str(trial)
        kills.append(kill_and_resume(pictures, tiny, out, at_least=rng.randint(5, 18), delay=rng.uniform(0, 0.5)))
        assert rows(out) == undisturbed
    assert all(after >= 20 for _, after in kills)
    assert len({before for before, _ in kills}) > 5, "the moments were hardly random"


def test_one_killed_worker_is_replaced(pictures, tiny, undisturbed, tmp_path):
    process = start(pictures, tiny, tmp_path)
    wait_for(lambda: len(commits(tmp_path)) >= 3)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert rows(tmp_path) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_and_can_be_resumed(number, pictures, tiny, undisturbed, tmp_path):
    process = start(pictures, tiny, tmp_path)
    wait_for(lambda: len(commits(tmp_path)) >= 2)
    os.kill(process.pid, number)
    _, errors = process.communicate()
    assert process.returncode == 3
    assert errors.decode().splitlines() == ["snellen: interrupted; run the same command again to resume"]
    assert subprocess.run(command(pictures, tiny, tmp_path), check=False, stdout=subprocess.DEVNULL).returncode == 0
    assert rows(tmp_path) == undisturbed


def test_second_process_is_refused(pictures, tiny, tmp_path):
    process = start(pictures, tiny, tmp_path)
    wait_for(lambda: commits(tmp_path))
    second = subprocess.run(command(pictures, tiny, tmp_path), check=False, capture_output=True, text=True)
    assert second.returncode == 2
    assert "another process is working" in second.stderr
    process.communicate()
    assert process.returncode == 0


def test_damaged_part_is_done_again(pictures, tiny, undisturbed, tmp_path):
    subprocess.run(command(pictures, tiny, tmp_path), check=True, stdout=subprocess.DEVNULL)
    parts = sorted(tmp_path.glob("*/*/*/parts/*.predictions.parquet"))
    parts[0].write_bytes(parts[0].read_bytes()[:-100])
    parts[3].unlink()
    parts[5].write_bytes(parts[6].read_bytes())
    assert subprocess.run(command(pictures, tiny, tmp_path), check=False, stdout=subprocess.DEVNULL).returncode == 0
    run = snellen.load_run(tmp_path)
    assert run.record["sessions"][-1]["shards"] == 3
    assert rows(tmp_path) == undisturbed
    assert len(list((run.path / "damaged").iterdir())) == 3


KILLER = """
import os, signal
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 1000)

    def forward(self, x):
        means = x.mean((2, 3))
        if ((means[:, 0] > 2.2) & (means[:, 1] < -2.0)).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(means)

def net():
    torch.manual_seed(0)
    return Net()
"""


def test_image_that_kills_its_worker_is_found_and_listed(own_pictures, tmp_path):
    """Two guilty pictures in one run: pure magenta is 2.25 in normalised red and -2.04 in green."""
    from PIL import Image

    for name in ("n01440764/77.png", "n01484850/78.png"):
        Image.new("RGB", (300, 280), (255, 0, 255)).save(own_pictures / name)
    for path in sorted(own_pictures.glob("*/*.png"))[::2]:
        if path.stem not in ("77", "78"):
            path.unlink()
    (tmp_path / "killer.py").write_text(KILLER)
    out = tmp_path / "out"
    spec = f"{tmp_path / 'killer.py'}:net"
    arguments = [*command(own_pictures, spec, out), "--backend", "torch"]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    run = snellen.load_run(out)
    assert run.complete
    assert [image for image, _ in run.errors] == ["n01440764/77.png", "n01484850/78.png"]
    assert all("ends the worker process" in reason for _, reason in run.errors)
    assert len(run.image_ids) == len(list(own_pictures.glob("*/*.png"))) - 2
    assert "77.png" in done.stdout


@pytest.mark.parametrize("killers", [0, 2])
def test_shards_of_many_images_give_the_same_rows(killers, own_pictures, tmp_path, monkeypatch):
    """Shards of a dozen images, and two that kill in one shard: only those two are missing, the rest is the same."""
    from PIL import Image

    from snellen.engine import plan

    (tmp_path / "killer.py").write_text(KILLER)
    spec = f"{tmp_path / 'killer.py'}:net"
    kept = sorted(own_pictures.glob("*/*.png"))[::2]
    for path in set(own_pictures.glob("*/*.png")) - set(kept):
        path.unlink()
    for name in ("n01440764/01.png", "n01440764/00.png")[:killers]:
        Image.new("RGB", (300, 280), (255, 0, 255)).save(own_pictures / name)
    small = snellen.study(spec, own_pictures, out=tmp_path / "small", backend="torch")
    monkeypatch.setattr(plan, "SHARDS_PER_WORKER", 1)
    large = snellen.study(spec, own_pictures, out=tmp_path / "large", backend="torch")
    assert len(small.commits) > 2 * len(large.commits)
    assert len(large.errors) == killers
    for kind in KINDS:
        assert large.table(kind).to_pylist() == small.table(kind).to_pylist()
