"""One process at a time in a folder, on this machine by flock and elsewhere by leases."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from s3_server import BUCKET

from snellen import leases as said
from snellen import locks, trouble
from snellen.atomic import write_atomic
from snellen.errors import Stopped, UsageError
from snellen.files import entries, make_folder, read_bytes, remove
from snellen.locks import only_here
from snellen.places import is_remote


@pytest.fixture
def quick(monkeypatch):
    """Leases that beat and expire within a test's patience."""
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(locks, "EXPIRY_SECONDS", 1.0)
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.1)


def standing(folder):
    return [one.name for one in entries(folder) if one.name.startswith(".lock.")]


def soon(condition):
    """Wait until something is so; AssertionError where it is not within some seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def goes_on_beating(folder, name):
    """Wait until a lease was written three times more, and so its owner has looked at the others."""

    def beat():
        return json.loads(read_bytes(folder / name))["beat"]

    first = beat()
    soon(lambda: beat() >= first + 3)


def lease_of(folder, **changes):
    """A lease as another process would have written it."""
    record = {**json.loads(said.lease_text(1, 5, holds=True)), **changes}
    write_atomic(folder / ".lock.000000000000.json", json.dumps(record).encode())


def test_the_second_is_refused_and_then_comes_in(folder, quick):
    make_folder(folder)
    again = pytest.raises(UsageError, match=r"another process is working in .*choose another -o")
    with only_here(folder), again, only_here(folder):
        pass
    with only_here(folder):
        pass
    assert standing(folder) == []


def test_the_second_waits_where_it_is_told_to(folder, quick):
    make_folder(folder)
    order = []

    def second():
        with only_here(folder, wait=True):
            order.append("second")

    with only_here(folder):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.5)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


def test_two_locks_of_one_folder_have_nothing_to_do_with_each_other(folder, quick):
    make_folder(folder)
    with only_here(folder), only_here(folder, ".results.lock"):
        pass


def test_where_there_is_no_flock_there_is_a_lease(tmp_path, quick, monkeypatch):
    def lacking(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", lacking)
    with only_here(tmp_path):
        assert len(standing(tmp_path)) == 1
        with pytest.raises(UsageError, match="another process"), only_here(tmp_path):
            pass
    assert standing(tmp_path) == []


@pytest.fixture
def remote(folder):
    if not is_remote(folder):
        pytest.skip("this machine has flock")
    make_folder(folder)
    return folder


def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(remote, monkeypatch):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lease_of(remote, pid=ended.pid, started=1)
    began = time.monotonic()
    with only_here(remote):
        assert len(standing(remote)) == 1
    assert time.monotonic() - began < 60 < locks.EXPIRY_SECONDS


def test_a_dead_process_that_its_parent_never_asked_about_is_gone(remote):
    """As in a container whose first process reaps none."""
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = said.started(ended.pid)
    assert started is not None
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    lease_of(remote, pid=ended.pid, started=started)
    began = time.monotonic()
    with only_here(remote):
        assert len(standing(remote)) == 1
    assert time.monotonic() - began < 60 < locks.EXPIRY_SECONDS
    ended.stdin.close()
    ended.wait()


def test_a_lease_that_this_process_could_not_remove(remote):
    """As a notebook leaves one whose store was away when a study stopped."""
    lease_of(remote)
    with only_here(remote):
        assert len(standing(remote)) == 1


def test_a_process_number_that_another_has_by_now(remote):
    """The same number, but started at another time."""
    lease_of(remote, started=said.started(os.getpid()) + 1)
    with only_here(remote):
        pass


def test_another_machine_that_is_silent_is_waited_out(remote, quick):
    lease_of(remote, machine="elsewhere", host="elsewhere")
    heard, began = [], time.monotonic()
    with only_here(remote, say=heard.append) as lock:
        assert time.monotonic() - began > 1.0
        assert len(standing(remote)) == 1
        assert lock.turn == 2
    assert len(heard) == 1, "once a minute, not at every look"
    assert "elsewhere" in heard[0]


def test_another_machine_that_is_heard_of_is_not(remote, quick):
    lease_of(remote, machine="elsewhere", host="elsewhere")
    ended = threading.Event()

    def beat():
        number = 5
        while not ended.wait(0.05):
            number += 1
            lease_of(remote, machine="elsewhere", host="elsewhere", beat=number)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UsageError, match="elsewhere"), only_here(remote):
            pass
    finally:
        ended.set()
        thread.join()
    assert standing(remote) == [".lock.000000000000.json"]


def test_what_is_no_lease_expires(remote, quick):
    write_atomic(remote / ".lock.0.json", b"\0 no JSON")
    write_atomic(remote / ".lock.1.json", b"[1]")
    with only_here(remote):
        pass


@pytest.mark.parametrize("taken", [False, True])
def test_who_slept_too_long_changes_nothing_more(taken, remote, quick):
    with only_here(remote) as lock:
        lock.check()
        (mine,) = standing(remote)
        if taken:
            lease_of(remote, machine="elsewhere")

        def is_lost():
            if not taken:  # a beat that was under way may have written it once more
                remove(remote / mine)
            return lock.lost

        soon(is_lost)
        with pytest.raises(Stopped, match="another process took over"):
            lock.check()


def test_who_has_just_woken_up_asks_before_it_changes_anything(remote):
    with only_here(remote) as lock:
        remove(remote / standing(remote)[0])
        assert not lock.lost
        with pytest.raises(Stopped, match="another process took over"):
            lock.check()


def test_a_store_that_is_busy_for_a_while_costs_no_lease(remote, quick, monkeypatch):
    """Writing fails as where a store throttles: a beat is not waited for, and the next one comes."""
    with only_here(remote) as lock:
        (mine,) = standing(remote)
        calls = []

        def busy(*arguments, **options):
            calls.append(arguments)
            raise OSError(errno.EBUSY, "slow down")

        with monkeypatch.context() as patched:
            patched.setattr(remote.fs, "pipe_file", busy)
            soon(lambda: len(calls) >= 5)
        soon(lambda: json.loads(read_bytes(remote / mine))["beat"] > 5)
        assert not lock.lost


def test_who_waits_counts_its_looks_and_not_the_time(remote, quick, monkeypatch):
    """A process that was stopped between two looks, for longer than a lease lives, has not seen it silent so long."""
    lease_of(remote, machine="elsewhere", host="elsewhere")
    looks, others, sleep = [], locks._others, time.sleep

    def counting(mine):
        looks.append(time.monotonic())
        return others(mine)

    monkeypatch.setattr(locks, "_others", counting)
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(1.5 if len(looks) == 1 else 0.01))
    with only_here(remote):
        pass
    assert looks[1] - looks[0] > locks.EXPIRY_SECONDS
    assert len(looks) > locks.EXPIRY_SECONDS / locks.LOOK_SECONDS


def test_a_lease_lives_longer_than_any_request_is_waited_for():
    assert locks.EXPIRY_SECONDS >= 4 * trouble.PATIENCE_SECONDS
    assert locks.EXPIRY_SECONDS >= 20 * locks.HEARTBEAT_SECONDS


@pytest.mark.parametrize("first", [True, False], ids=["before it by name", "after it by name"])
def test_of_two_leases_that_of_the_later_turn_stands(first, remote, quick):
    """One that slept wrote its lease once more, just after another had taken the folder over from it."""
    lease_of(remote, machine="elsewhere", host="elsewhere")
    with only_here(remote) as lock:
        (mine,) = standing(remote)
        late = remote / (".lock.000000000000.json" if first else ".lock.ffffffffffff.json")
        record = {**json.loads(said.lease_text(1, 9, holds=True)), "machine": "elsewhere"}
        write_atomic(late, json.dumps(record).encode())
        goes_on_beating(remote, mine)
        assert not lock.lost
        lock.check()
        write_atomic(late, json.dumps({**record, "turn": 3}).encode())
        soon(lambda: lock.lost)
        remove(late)


def test_one_that_only_asks_takes_nothing_over(remote, quick):
    with only_here(remote) as lock:
        (mine,) = standing(remote)
        lease_of(remote, machine="elsewhere", holds=False)
        goes_on_beating(remote, mine)
        lock.check()
        remove(remote / ".lock.000000000000.json")


def test_a_lease_is_rewritten_while_the_work_goes_on(remote, quick):
    with only_here(remote):
        (mine,) = standing(remote)
        before = read_bytes(remote / mine)
        soon(lambda: read_bytes(remote / mine) != before)


PROGRAM = """
import os, sys, time
from snellen import leases, locks
from snellen.errors import UsageError
from snellen.places import place
locks.HEARTBEAT_SECONDS, locks.LOOK_SECONDS = 0.2, 0.05
if sys.argv[4] == "far":  # as if each were on a machine of its own
    leases.machine = lambda: str(os.getpid())
folder, log = place(sys.argv[1]), sys.argv[2]
for _ in range(int(sys.argv[3])):
    with locks.only_here(folder, wait=True):
        with open(log, "a") as file:
            file.write("in\\n")
        time.sleep(0.02)
        with open(log, "a") as file:
            file.write("out\\n")
"""


@pytest.mark.parametrize("where", ["near", "far"])
def test_real_processes_are_never_inside_together(where, s3, tmp_path):
    log = tmp_path / "log"
    argv = [sys.executable, "-c", PROGRAM, f"s3://{BUCKET}/out", str(log), "3", where]
    processes = [subprocess.Popen(argv) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert log.read_text() == "in\nout\n" * 9
