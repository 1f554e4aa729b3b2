"""A connection to Ray: what SIGTERM means afterwards, and when it ends. `ray.init` is played in a child process."""

import subprocess
import sys

import pytest

pytest.importorskip("ray")

PLAYED = """
import os, signal, sys
from types import SimpleNamespace
from snellen.engine import cluster
from snellen.errors import UsageError

calls = []

def init(address, **options):
    calls.append("init")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray itself does it
    if "signal" in sys.argv:
        os.kill(os.getpid(), signal.SIGTERM)
    if "fails" in sys.argv:
        raise ConnectionError("nobody there")

def told(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, told)
cluster.ray = SimpleNamespace(
    init=init, shutdown=lambda: calls.append("shutdown"), is_initialized=lambda: "there" in sys.argv,
    get_runtime_context=lambda: SimpleNamespace(gcs_address="here"),
)
try:
    with cluster.connected(None, 1):
        calls.append("work")
        if "stops" in sys.argv:
            raise KeyboardInterrupt
except (KeyboardInterrupt, UsageError) as error:
    calls.append(type(error).__name__)
print(*calls, signal.getsignal(signal.SIGTERM) is told)
"""


@pytest.mark.parametrize(
    ("case", "calls"),
    [
        ("", "init work shutdown True"),
        ("stops", "init work shutdown KeyboardInterrupt True"),
        ("there", "work True"),
        ("signal", "init KeyboardInterrupt True"),
        ("fails", "init UsageError True"),
    ],
)
def test_a_connection_ends_with_the_work_and_sigterm_stays_what_it_was(case, calls):
    done = subprocess.run([sys.executable, "-c", PLAYED, case], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == calls


def test_one_gpu_of_one_machine_is_no_device_of_a_cluster():
    code = "from snellen.engine.cluster import connect; connect(None, 1, 'cuda:1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("with --engine ray give cuda, and --workers N")


REAL = """
import signal, sys
import psutil, ray, snellen

def told(*_):
    raise KeyboardInterrupt

def rays():
    names = (child.name() for child in psutil.Process().children(recursive=True))
    return [name for name in names if name in ("raylet", "gcs_server")]

signal.signal(signal.SIGTERM, told)
model, data, out = sys.argv[1:]
snellen.study(model, data, out=out, engine="ray", workers=1, limit=1)
psutil.wait_procs([child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"], 60)
print(ray.is_initialized(), *rays())
try:
    signal.raise_signal(signal.SIGTERM)  # what Python believes is not all
except KeyboardInterrupt:
    print("told")
ray.init("local", num_cpus=1, include_dashboard=False, object_store_memory=100_000_000)
snellen.study(model, data, out=out, engine="ray", workers=1, limit=2)
print(ray.is_initialized())
ray.shutdown()
"""


@pytest.mark.slow
def test_a_cluster_that_a_study_starts_from_python_ends_with_it_and_another_stays(tiny, pictures, tmp_path):
    words = [sys.executable, "-c", REAL, tiny, str(pictures), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False", "told", "True"]


def test_what_ended_the_work_is_said_even_where_the_run_can_no_longer_be_reached(tmp_path, monkeypatch):
    """The driver's probe is left there; the end raises nothing that would replace the error that is on its way."""
    from snellen.engine import ray as engine

    def gone(path):
        raise OSError(f"{path} is gone")

    crew = object.__new__(engine.RayCrew)
    crew._actors, crew._run = {}, tmp_path
    monkeypatch.setattr(engine, "remove", gone)
    crew.end()
