"""The Ray engine as a user runs it: the same rows as the local engine, whatever is killed meanwhile."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from commands import one_line, run_cli
from disturbed import Hold, kill_group, run, start, tables, wait_for
from looking import commits, record
from s3_server import BUCKET, ENVIRONMENT, contents, emptied, s3_server, upload

pytest.importorskip("ray")

RAY = ("--engine", "ray")
NODES = Path(__file__).resolve().parents[1] / "helpers" / "ray_nodes.py"


@pytest.fixture(scope="module")
def local(pictures, tiny, tmp_path_factory) -> dict[str, pa.Table]:
    """The rows of the local engine."""
    out = tmp_path_factory.mktemp("local")
    done = run(pictures, tiny, out)
    assert done.returncode == 0, done.stderr
    return tables(out)


@contextlib.contextmanager
def cluster(nodes, environment=None):
    """A cluster's process; `ask` sends it a word and waits until it is done."""
    process = subprocess.Popen(
        [sys.executable, str(NODES), str(nodes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"} | (environment or {}),
    )
    try:
        process.address = process.stdout.readline().strip()
        assert process.address, "the cluster did not start"
        yield process
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def ask(process, word):
    process.stdin.write(word + "\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "done"


def is_actor(process: psutil.Process) -> bool:
    """Whether a process is one of Ray's with an actor of ours in it."""
    with contextlib.suppress(psutil.Error):
        return "".join(process.cmdline()[:1]).startswith("ray::Actor")
    return False


def actors(command: subprocess.Popen) -> list[psutil.Process]:
    """The processes of a command's actors, where it has started Ray itself."""
    return [child for child in psutil.Process(command.pid).children(recursive=True) if is_actor(child)]


def assert_same(out, local):
    """The rows below `out` are those of the local engine."""
    rows = tables(out)
    for kind, table in local.items():
        assert rows[kind].equals(table), kind


def test_two_actors_give_the_rows_of_the_local_engine(pictures, tiny, local, tmp_path):
    done = run_cli("study", pictures, "-m", tiny, "-o", tmp_path, "--workers", "2", *RAY, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path, local)
    assert re.search(r"^24/24 images", done.stderr, re.MULTILINE), done.stderr
    assert record(tmp_path)["sessions"][-1]["workers"] == 2
    run_folder = next(tmp_path.glob("*/*/*/run.json")).parent
    assert {path.name for path in run_folder.iterdir()} <= {"run.json", "labels.csv", "parts", "commits", ".lock"}


def test_a_killed_actor_is_replaced(pictures, tiny, local, tmp_path):
    hold = Hold(tmp_path, 2)
    process = start(pictures, tiny, tmp_path, "-q", *RAY, env=hold.environment)
    wait_for(lambda: len(commits(tmp_path)) >= 2)
    wait_for(lambda: len(actors(process)) == 2)
    actors(process)[0].kill()
    hold.release()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_sigterm_between_two_models_stops_the_command_as_ever(pictures, tiny, tmp_path):
    """Ray had it end the process with a code of Ray's own, and a batch job was not queued again."""
    another = tiny.replace("std=0.5", "std=0.25")
    words = ("-m", another, "--limit", "2", *RAY)
    process = start(pictures, tiny, tmp_path, *words)
    said = []
    for line in process.stderr:
        said.append(line)
        if line == f"preparing {another}\n":
            break
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert len(list(tmp_path.glob("*/*/*/run.json"))) == 1, "the first was done, the second not begun"
    assert process.returncode == 3, "".join(said) + errors
    assert (errors.splitlines() or said)[-1] == "snellen: interrupted; run the same command again to resume"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_a_ray_study_and_it_can_be_resumed(number, pictures, tiny, local, tmp_path):
    process = start(pictures, tiny, tmp_path, "-q", *RAY, env=Hold(tmp_path, 2).environment)
    wait_for(lambda: len(commits(tmp_path)) >= 2)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert errors.splitlines() == ["snellen: interrupted; run the same command again to resume"]
    assert run(pictures, tiny, tmp_path).returncode == 0, "any engine takes it up"
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_a_killed_node_costs_its_shards_in_flight(pictures, tiny, local, tmp_path):
    hold = Hold(tmp_path, 2)
    with cluster(2, hold.variables) as nodes:
        process = start(pictures, tiny, tmp_path, "-q", *RAY, "--ray-address", nodes.address)
        wait_for(lambda: len(commits(tmp_path)) >= 2)
        ask(nodes, "kill")
        hold.release()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_all_nodes_killed_and_others_added(pictures, tiny, local, tmp_path):
    hold = Hold(tmp_path, 2)
    with cluster(1, hold.variables) as nodes:
        process = start(pictures, tiny, tmp_path, "-q", *RAY, "--ray-address", nodes.address)
        wait_for(lambda: len(commits(tmp_path)) >= 2)
        ask(nodes, "kill")
        ask(nodes, "add")
        hold.release()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_a_killed_driver_is_restarted_at_once(pictures, tiny, local, tmp_path):
    """The dead driver's actors may still be at work: whoever commits a shard first, it is there once and whole."""
    hold = Hold(tmp_path, 2)
    with cluster(2, hold.variables) as nodes:
        address = ("--ray-address", nodes.address)
        for at_least in (2, 6):
            hold.at(at_least)
            process = start(pictures, tiny, tmp_path, "-q", *RAY, *address)
            wait_for(lambda at_least=at_least: len(commits(tmp_path)) >= at_least)
            kill_group(process)
        before = commits(tmp_path)
        hold.release()
        done = run(pictures, tiny, tmp_path, *RAY, *address)
        assert done.returncode == 0, done.stderr
    after = commits(tmp_path)
    assert {name: after[name] for name in before} == before
    assert_same(tmp_path, local)


@pytest.mark.slow
def test_an_image_that_kills_actors_is_found(own_pictures, tmp_path):
    from PIL import Image

    import snellen

    (tmp_path / "killer.py").write_text(KILLER)
    kept = sorted(own_pictures.glob("*/*.png"))[::3]
    for path in set(own_pictures.glob("*/*.png")) - set(kept):
        path.unlink()
    Image.new("RGB", (60, 50), (255, 0, 255)).save(kept[3])
    done = run(own_pictures, f"{tmp_path / 'killer.py'}:net", tmp_path / "out", "--backend", "torch", *RAY)
    assert done.returncode == 4, done.stderr
    found = snellen.load_run(tmp_path / "out")
    assert found.complete
    assert [image for image, _ in found.errors] == [str(kept[3].relative_to(own_pictures))]


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


def test_an_address_without_a_cluster_is_one_line(pictures, tiny, tmp_path):
    done = run(pictures, tiny, tmp_path, *RAY, "--ray-address", "127.0.0.1:1")
    assert "no Ray cluster at '127.0.0.1:1'" in one_line(done)


@pytest.mark.slow
def test_data_and_results_in_a_store_that_all_nodes_see(pictures, tiny, local, tmp_path):
    """Killed and resumed, with nothing of the run on this machine: rows are those of the local engine, by image."""
    pytest.importorskip("moto.server")
    with s3_server() as url, cluster(2, ENVIRONMENT | {"AWS_ENDPOINT_URL": url}) as nodes:
        emptied(url)
        upload(url, pictures, "pictures/")
        there = ENVIRONMENT | {"AWS_ENDPOINT_URL": url}
        options = ("-q", *RAY, "--ray-address", nodes.address)
        process = start(f"s3://{BUCKET}/pictures", tiny, f"s3://{BUCKET}/out", *options, env=os.environ | there)
        wait_for(lambda: sum("/commits/" in name for name in contents(url, "out/")) >= 2)
        kill_group(process)
        done = run(f"s3://{BUCKET}/pictures", tiny, f"s3://{BUCKET}/out", *options[1:], env=there)
        assert done.returncode == 0, done.stderr
        for name, data in contents(url, "out/").items():
            path = tmp_path / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    rows = tables(tmp_path / "out")
    assert rows["predictions"].equals(local["predictions"])
    assert rows["merged"].equals(local["merged"])
    run_folder = next((tmp_path / "out").glob("*/*/*/run.json")).parent
    assert not (run_folder / ".driver").exists()
