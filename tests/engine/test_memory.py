"""What is read of the kernel: made-up files of the three forms it is told in, and this machine's own."""

import errno
from pathlib import Path

import psutil
import pytest

from snellen.engine.memory import SHORT, KillCount, kills, refused, short


def machine(root, total=1000, left=500, cgroup=None, vmstat=0, **groups):
    """The files of a machine: kB of memory, the line of the control group, the files of each of its folders."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {total:>12} kB\nMemFree: 1 kB\nMemAvailable: {left} kB\n")
    (root / "proc/vmstat").write_text(f"nr_free_pages 7\noom_kill {vmstat}\nnumb 3\n")
    if cgroup:
        (root / "proc/self/cgroup").write_text(cgroup + "\n")
    for folder, files in groups.get("at", {}).items():
        (root / "sys/fs/cgroup" / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (root / "sys/fs/cgroup" / folder / name).write_text(text)
    return root


V1, V2 = "7:cpu,cpuacct:/\n4:memory:/jobs/7\n0::/", "0::/jobs/7"


def test_the_own_group_s_count_goes_before_the_machine_s(tmp_path):
    events = "low 0\nhigh 3\nmax 9\noom 4\noom_kill 2\noom_group_kill 1\n"
    v2 = machine(tmp_path / "v2", cgroup=V2, vmstat=50, at={"jobs/7": {"memory.events": events}})
    assert kills(v2) == 2
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    v1 = machine(tmp_path / "v1", cgroup=V1, vmstat=50, at={"memory/jobs/7": {"memory.oom_control": control}})
    assert kills(v1) == 3
    # In a container the path is that of the host, and the group is the root of what is mounted.
    inside = machine(tmp_path / "in", cgroup=V2, vmstat=50, at={".": {"memory.events": "oom_kill 5\n"}})
    assert kills(inside) == 5
    assert kills(machine(tmp_path / "none", cgroup="0::/", vmstat=50)) == 50
    assert kills(tmp_path / "nothing") == 0


def test_each_kill_is_told_once(tmp_path):
    root = machine(tmp_path, vmstat=4)
    count = KillCount(root)
    assert not count.another()
    machine(tmp_path, vmstat=6)
    assert [count.another() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("left", "expected"), [(99, True), (101, False)])
def test_memory_is_short_below_a_tenth_of_the_machine(tmp_path, left, expected):
    assert SHORT == 0.1
    assert short(machine(tmp_path, left=left)) == expected


def test_memory_is_short_within_the_limit_of_a_group_or_one_around_it(tmp_path):
    full = {"memory.max": "1000\n", "memory.current": "950\n", "memory.stat": "anon 900\ninactive_file 10\n"}
    assert short(machine(tmp_path / "own", cgroup=V2, at={"jobs/7": full}))
    around = {"jobs": full, "jobs/7": {"memory.max": "max\n", "memory.current": "950\n"}}
    assert short(machine(tmp_path / "around", cgroup=V2, at=around))
    cached = full | {"memory.stat": "anon 100\ninactive_file 800\n"}
    assert not short(machine(tmp_path / "cached", cgroup=V2, at={"jobs/7": cached}))
    unlimited = {"memory.limit_in_bytes": str(2**63 - 4096), "memory.usage_in_bytes": "950"}
    assert not short(machine(tmp_path / "v1", cgroup=V1, at={"memory/jobs/7": unlimited}))
    assert not short(tmp_path / "nothing")


def test_this_machine_is_read_as_psutil_reads_it():
    memory = psutil.virtual_memory()
    if abs(memory.available / memory.total - SHORT) < 0.05:
        pytest.skip("memory is near the line just now")
    if Path("/proc/self/cgroup").read_text().count("/docker"):
        pytest.skip("a container may have a limit of its own")
    assert short() == (memory.available / memory.total < SHORT)
    assert kills() >= 0


def test_what_says_that_memory_was_refused():
    assert refused(MemoryError())
    assert refused(RuntimeError("Exception from src/inference/core.cpp:109:\nstd::bad_alloc"))
    assert refused(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    assert refused(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not refused(OSError(errno.ENOSPC, "No space left on device"))
    assert not refused(RuntimeError("shapes do not match"))
