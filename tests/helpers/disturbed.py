"""Studies as processes that a test disturbs, and what is left of their rows."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from looking import commits

import snellen
from snellen.store.commits import damaged_files, read_commits

KINDS = ("samples", "predictions", "merged")
HOLDING = Path(__file__).with_name("holding")


class Hold:
    """Keeps a study below `out` in its middle, however fast the machine is and whoever looks at it how late.

    With `environment`, workers that would commit more than `count` shards wait, or `count` and one each where they come
    at the same time, until the test lets them go on.
    """

    def __init__(self, out: Path, count: int) -> None:
        self._gate = out.with_name(f"{out.name}.gate")
        paths = [str(HOLDING), os.environ.get("PYTHONPATH", "")]
        self.variables = {"SNELLEN_TEST_HOLD": str(self._gate), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.environment = os.environ | self.variables
        self.at(count)

    def at(self, count: int) -> None:
        """Go on up to so many commits."""
        self._gate.write_text(str(count))

    def release(self) -> None:
        """Go on to the end."""
        self._gate.unlink()


def command(data, model, out, *options):
    """A study with two workers, as a user types it."""
    study = [sys.executable, "-m", "snellen.cli", "study", str(data), "-m", model, "-o", str(out)]
    return [*study, "--workers", "2", *options]


def run(data, model, out, *options, env=None):
    """The finished process of a study; AssertionError where it hangs."""
    return subprocess.run(
        command(data, model, out, "-q", *options),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | (env or {}),
    )


def start(data, model, out, *options, **popen):
    """A study in a process group of its own; its standard error is a pipe."""
    return subprocess.Popen(
        command(data, model, out, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        # A shell's background job ignores Ctrl-C and hands that down; the command of a user does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **popen,
    )


def wait_for(condition, seconds=90, process=None):
    """The value of `condition` once it is true; None where `process` ends before."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if process is not None and process.poll() is not None:
            return None
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return value


def goes_on(process, seconds) -> bool:
    """Whether a process is still running after some seconds; at once where it ends before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return False
    return True


def workers_of(parent: int) -> list[int]:
    """The processes that a command has started and that are still there."""
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return []


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_group(process):
    """`kill -9` of a command and everything it started, and the end of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def committed(out) -> dict[str, bytes]:
    """The commit records below `out`, after a look at every file they name: all are whole."""
    found = commits(out)
    if found:
        folder = next(out.glob("*/*/*/commits")).parent
        records = read_commits(folder)
        assert len(records) == len(found), "a commit record is there but not whole"
        assert not [name for record in records.values() for name in damaged_files(folder, record)]
    return found


def tables(out) -> dict[str, pa.Table]:
    """Every row of the run below `out`, by kind."""
    found = snellen.load_run(out)
    return {kind: found.table(kind) for kind in KINDS}


def lost_rows(out, expected: dict[str, pa.Table]) -> int:
    """How many rows of `expected` the run below `out` lacks; AssertionError where it has others, or one twice."""
    found = tables(out)
    lost = 0
    for kind, table in expected.items():
        if not found[kind].equals(table):
            want, have = (Counter(map(repr, one.to_pylist())) for one in (table, found[kind]))
            assert not have - want, f"{kind}: rows that no undisturbed run has, or has once"
            lost += (want - have).total()
    return lost
