"""What the server starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from photo_runs import paint, photo_run

NAMES = [f"kind-{k % 3}/{k:02d}.jpg" for k in range(4)]


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_running(process: int) -> bool:
    """Whether there is a process that has not ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux lists a process's children there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_the_server(tmp_path, number):
    photo_run(tmp_path / "out" / "p" / "m" / "g", paint(tmp_path / "pictures", NAMES))
    command = [sys.executable, "-m", "snellen.cli", "view", str(tmp_path / "out"), "--port", "0", "--no-open"]
    process = subprocess.Popen([*command, "--cache", str(tmp_path / "cache")], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        for address in ("data/s0/images.json", "thumbs/s0/0.jpg", "views/s0/0/112.png"):
            with urllib.request.urlopen(url + address, timeout=60) as answer:
                assert answer.read()
        children = children_of(process.pid)
        assert len(children) >= 2  # one that makes pictures, one that cuts views
        os.kill(process.pid, number)
        process.wait(20)
        end = time.monotonic() + 20
        while left := [child for child in children if is_running(child)]:
            assert time.monotonic() < end, left
            time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()
