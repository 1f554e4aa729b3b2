"""A node of a Ray cluster that is killed: its shards are done elsewhere, and the same command ends."""

import os

import pytest
from disturbed import Hold, committed, kill_group, lost_rows, run, start, wait_for
from looking import commits

pytest.importorskip("ray")

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
STORE = 100_000_000


@pytest.fixture
def hold(tmp_path):
    """What keeps the study at three commits."""
    return Hold(tmp_path, 3)


@pytest.fixture
def cluster(hold, monkeypatch):
    """Three nodes of one core each on this machine; the first has the cluster's head."""
    from ray.cluster_utils import Cluster

    for name, value in hold.variables.items():
        monkeypatch.setenv(name, value)
    node = {"num_cpus": 1, "object_store_memory": STORE}
    made = Cluster(initialize_head=True, connect=False, head_node_args={**node, "include_dashboard": False})
    made.nodes = [made.add_node(**node) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_killed_node(cluster, hold, pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault("Ray: node killed") as case:
        options = ("-q", "--engine", "ray", "--ray-address", cluster.address, "--workers", "3")
        process = start(pictures, tiny, tmp_path, *options, env=os.environ | ENVIRONMENT)
        wait_for(lambda: len(commits(tmp_path)) >= 3)
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)
        hold.release()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@pytest.mark.slow
def test_a_killed_driver(cluster, hold, pictures, tiny, undisturbed, tmp_path, tally):
    """Started again at once, maybe beside the last actors of the dead one."""
    options = ("--engine", "ray", "--ray-address", cluster.address)
    with tally.fault("Ray: driver killed") as case:
        process = start(pictures, tiny, tmp_path, "-q", *options, env=os.environ | ENVIRONMENT)
        wait_for(lambda: len(commits(tmp_path)) >= 3)
        kill_group(process)
        before = committed(tmp_path)
        hold.release()
        done = run(pictures, tiny, tmp_path, *options, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        after = commits(tmp_path)
        assert {name: after[name] for name in before} == before
        case.lost = lost_rows(tmp_path, undisturbed.rows)
