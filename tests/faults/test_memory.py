"""Too little memory for two workers: the kernel kills one, one is left, and no image is blamed for it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from disturbed import Hold, command, lost_rows

import snellen

COUNTED = Path(__file__).with_name("counted_kills.py")


def workers_below(pid):
    """The worker processes of a command and the memory of each: bytes that are its own."""
    found = {}
    for process in psutil.Process(pid).children():
        try:
            if any("engine.worker" in word for word in process.cmdline()):
                found[process] = process.memory_full_info().uss
        except psutil.Error:
            continue
    return found


class Killer(threading.Thread):
    """As the kernel in a control group of `limit` bytes: counts, then kills the largest of its processes.

    hold: what keeps the workers where they need their memory until one was killed.
    """

    def __init__(self, pid, events, limit, hold):
        super().__init__(daemon=True)
        self.pid, self.events, self.limit, self.hold = pid, events, limit, hold
        self.kills, self.peak, self.most = 0, 0, 0

    def run(self):
        while psutil.pid_exists(self.pid):
            try:
                found = workers_below(self.pid)
            except psutil.Error:
                return
            self.peak = max([self.peak, *found.values()])
            self.most = max(self.most, len(found))
            if self.limit and sum(found.values()) > self.limit:
                self.kills += 1
                self.events.write_text(f"oom 1\noom_kill {self.kills}\n")
                max(found, key=found.get).kill()
                if self.kills == 1:
                    self.hold.release()
            time.sleep(0.02)


def watched(root, limit, *arguments, hold=None):
    """The command under a Killer, to its end."""
    (root / "proc" / "self").mkdir(parents=True, exist_ok=True)
    (root / "sys" / "fs" / "cgroup").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "self" / "cgroup").write_text("0::/\n")
    events = root / "sys" / "fs" / "cgroup" / "memory.events"
    events.write_text("oom 0\noom_kill 0\n")
    call = [sys.executable, str(COUNTED), str(root), *arguments]
    environment = hold.environment if hold else None
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    killer = Killer(process.pid, events, limit, hold)
    killer.start()
    _, errors = process.communicate(timeout=300)
    killer.join(10)
    return process.returncode, errors, killer


def study(data, model, out, *options):
    return command(data, model, out, *options)[3:]  # without python -m snellen.cli


def test_memory_for_one_worker_only(pictures, tiny, undisturbed, tmp_path, tally):
    """With two, whoever grows last is killed: then one goes on alone, and is not killed again."""
    code, errors, one = watched(tmp_path / "root", None, *study(pictures, tiny, tmp_path / "one", "--workers", "1"))
    assert code == 0, errors
    assert one.most == 1
    with tally.fault("memory for one worker of two") as case:
        arguments = study(pictures, tiny, tmp_path / "out")
        hold = Hold(tmp_path / "out", 1)
        code, errors, two = watched(tmp_path / "root", int(1.15 * one.peak), *arguments, hold=hold)
        assert code == 0, errors
        assert two.kills == 1, f"killed {two.kills} times"
        assert "memory is short: going on with 1 worker" in errors
        assert not snellen.load_run(tmp_path / "out").errors
        case.lost = lost_rows(tmp_path / "out", undisturbed.rows)


def test_a_control_group_with_little_memory(pictures, tiny, undisturbed, tmp_path, tally):
    """The kernel itself: $SNELLEN_TEST_CGROUP is an empty group with the memory controller that a test may use.

    Made by root: `mkdir /sys/fs/cgroup/snellen`, with `+memory` in `cgroup.subtree_control` above it (cgroup v2).
    """
    group = Path(os.environ.get("SNELLEN_TEST_CGROUP", "/nowhere"))
    limits = [group / name for name in ("memory.max", "memory.limit_in_bytes") if (group / name).exists()]
    if not limits:
        pytest.skip("no control group in $SNELLEN_TEST_CGROUP")
    _, _, one = watched(tmp_path / "root", None, *study(pictures, tiny, tmp_path / "one", "--workers", "1"))
    with tally.fault("control group with memory for one worker of two") as case:
        limits[0].write_text(str(2 * one.peak))  # the command and one worker fit, the command and two do not
        done = subprocess.run(
            command(pictures, tiny, tmp_path / "out"),
            check=False,
            capture_output=True,
            text=True,
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
        )
        assert done.returncode == 0, done.stderr
        assert "memory is short: going on with 1 worker" in done.stderr
        assert not snellen.load_run(tmp_path / "out").errors
        case.lost = lost_rows(tmp_path / "out", undisturbed.rows)
