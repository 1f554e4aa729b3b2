"""Runs on HDFS by its REST API, against a stand-in that answers as documented, loses answers and breaks off."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from disturbed import kill_group, lost_rows, run, start, tables, wait_for

import snellen
from snellen import atomic, locks, trouble, webhdfs
from snellen.atomic import create_atomic, explain_os_error, write_atomic, write_new
from snellen.errors import Stopped, UsageError
from snellen.files import entries, files_below, make_folder, read_bytes, read_many
from snellen.locks import only_here
from snellen.places import place

OLD, NEW = b"old" * 1000, b"the new one" * 1000


@pytest.fixture
def out(hdfs_out):
    made = place(hdfs_out)
    make_folder(made)
    return made


def once(operation, fault, name=""):
    """The first such request fails so; and of how many that was asked."""
    left = [fault]

    def decide(asked, path):
        return left.pop() if left and asked == operation and name in path else ""

    return decide, left


WRITES = {"create": create_atomic, "replace": write_atomic, "new": write_new}


@pytest.mark.parametrize("operation", ["RENAME", "CREATE"])
@pytest.mark.parametrize("fault", ["lost", "away", "StandbyException", "cut"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_request_that_fails_or_whose_answer_is_lost_is_sent_again(write, fault, operation, out, hdfs):
    if write is write_atomic:
        write_atomic(out / "f", OLD)
    hdfs.fault, left = once(operation, fault)
    assert write(out / "f", NEW) is (True if write is create_atomic else None)
    assert not left
    assert hdfs.below("/user/me/out/") == {"f": NEW}
    if write is create_atomic:
        assert write(out / "f", OLD) is False


def test_of_two_that_found_nothing_there_the_rename_decides(out, hdfs, monkeypatch):
    answers = [False]
    real = atomic.exists
    monkeypatch.setattr(atomic, "exists", lambda path: answers.pop() if answers else real(path))
    assert create_atomic(out / "f", b"first") is True
    answers = [False]
    assert create_atomic(out / "f", b"second") is False
    assert hdfs.below("/user/me/out/") == {"f": b"first"}


def test_a_loser_whose_answer_was_lost_is_no_winner(out, hdfs, monkeypatch):
    real = atomic.exists
    answers = [False]
    monkeypatch.setattr(atomic, "exists", lambda path: answers.pop() if answers else real(path))
    hdfs.files["/user/me/out/f"] = b"theirs", 0.0
    hdfs.fault, left = once("RENAME", "lost")
    assert create_atomic(out / "f", b"mine") is False
    assert not left
    assert hdfs.below("/user/me/out/") == {"f": b"theirs"}


def test_a_folder_that_is_gone_is_not_made_again(out, hdfs):
    hdfs.folders.remove("/user/me/out")
    for write in WRITES.values():
        with pytest.raises(FileNotFoundError):
            write(out / "f", NEW)
    assert hdfs.below("/") == {}


def test_no_folder_of_a_tree_is_left_out(out, hdfs):
    for name in "abc":
        make_folder(out / name)
        write_new(out / name / "1", NEW)
    hdfs.fault, left = once("LISTSTATUS", "RetriableException", "/out/b")
    assert [name for name, _ in files_below(out)] == ["a/1", "b/1", "c/1"]
    assert not left
    hdfs.fault, left = once("LISTSTATUS", "AccessControlException", "/out/b")
    with pytest.raises(PermissionError):
        files_below(out)


def test_a_reader_finds_the_old_file_or_the_new(out, hdfs):
    """While it is replaced again and again; and each is read whole, however its length changes."""
    wanted = {bytes([k]) * (1000 + 5000 * (k % 2)) for k in range(60)}
    write_atomic(out / "run.json", min(wanted))
    seen, ended = set(), threading.Event()

    def read():
        mine = place(str(out / "run.json"))
        while not ended.is_set():
            seen.add(read_bytes(mine))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for data in sorted(wanted):
        write_atomic(out / "run.json", data)
    ended.set()
    for reader in readers:
        reader.join()
    assert len(seen) > 3
    assert seen <= wanted, "a part, or nothing"


WRITER = """
import sys
from snellen import atomic
from snellen.places import place
getattr(atomic, sys.argv[1])(place(sys.argv[2]), b"the new one" * 1000)
print("done")
"""


@pytest.mark.parametrize("write", ["write_atomic", "create_atomic"])
@pytest.mark.parametrize("step", ["CREATE", "CREATE, done", "RENAME", "RENAME, done"])
def test_killed_at_each_step_of_writing(step, write, out, hdfs):
    """`kill -9` before the server has done a step, or after: the old file or the new, never none or a part."""
    before = {"f": OLD} if write == "write_atomic" else {}
    for name, data in before.items():
        write_atomic(out / name, data)
    child = []

    def kill(operation, path):
        if operation != step.partition(",")[0]:
            return ""
        wait_for(lambda: child)
        os.kill(child[0].pid, signal.SIGKILL)
        child[0].wait()
        return "lost" if "done" in step else "cut" if operation == "CREATE" else "away"

    hdfs.fault = kill
    child.append(
        subprocess.Popen([sys.executable, "-c", WRITER, write, str(out / "f")], stdout=subprocess.PIPE, text=True)
    )
    assert child[0].communicate(timeout=60)[0] == ""
    assert child[0].returncode == -signal.SIGKILL
    hdfs.fault = lambda operation, path: ""
    left = hdfs.below("/user/me/out/")
    assert {name: data for name, data in left.items() if not name.endswith(".tmp")} == (
        {"f": NEW} if step == "RENAME, done" else before
    )
    assert getattr(atomic, write)(out / "f", NEW) is not (step == "RENAME, done")
    assert read_bytes(out / "f") == NEW


@pytest.mark.parametrize("fault", ["cut", "IOException", "away"])
def test_what_is_read_is_the_file_and_no_error_of_a_server(fault, out, hdfs):
    write_atomic(out / "f", NEW)
    write_atomic(out / "g", OLD)
    for size in (None, len(NEW)):
        hdfs.fault, left = once("OPEN", fault)
        assert read_bytes(out / "f", size) == NEW
        assert not left
    hdfs.fault, left = once("OPEN", fault)
    assert list(read_many(out, entries(out))) == [NEW, OLD]
    assert not left


@pytest.mark.parametrize(
    ("fault", "number", "kind"),
    [
        ("AccessControlException", errno.EACCES, UsageError),
        ("DSQuotaExceededException", errno.EDQUOT, Stopped),
        ("NSQuotaExceededException", errno.EDQUOT, Stopped),
        ("ParentNotDirectoryException", errno.ENOTDIR, UsageError),
        ("SafeModeException", errno.EIO, Stopped),
    ],
)
def test_what_a_server_refuses_is_said_in_one_line(fault, number, kind, out, hdfs, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.1)
    hdfs.fault = lambda operation, path: fault if operation == "CREATE" else ""
    with pytest.raises(OSError, match=f"{fault}: made up by a test") as raised:
        write_atomic(out / "f", NEW)
    assert raised.value.errno == number
    told = explain_os_error(raised.value, out)
    assert type(told) is kind
    assert "\n" not in str(told)


def test_a_server_that_hangs_is_given_up(hdfs_out, hdfs, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(webhdfs, "TIMEOUT_SECONDS", 0.3)
    webhdfs.WebHDFS.clear_instance_cache()
    try:
        hdfs.fault = lambda operation, path: time.sleep(1.5) or ""
        with pytest.raises(OSError, match="timed out") as raised:
            entries(place(hdfs_out))
        assert raised.value.errno == errno.ETIMEDOUT
    finally:
        webhdfs.WebHDFS.clear_instance_cache()


def test_a_gateway_that_cannot_replace_is_refused_before_the_work(out, hdfs):
    """As HttpFS, which passes over what says so; what is there stays, and no lease is left."""
    write_atomic(out / "f", OLD)
    hdfs.replaces = False
    with pytest.raises(UsageError, match=r"does not replace files.*webhdfs://NAMENODE:9870/FOLDER"):
        write_atomic(out / "f", NEW)
    with pytest.raises(UsageError, match="does not replace files"), only_here(out):
        pass
    assert hdfs.below("/user/me/out/") == {"f": OLD}
    assert not locks._held_here


def test_a_study_that_is_killed_and_resumed_while_requests_fail(pictures, tiny, local_out, hdfs, hdfs_out):
    """The rows are those of this machine, and what was committed before stays."""

    def records():
        return {name: data for name, data in hdfs.below("/user/me/out/").items() if "/commits/0" in name}

    process = start(pictures, tiny, hdfs_out, "-q")
    wait_for(lambda: len(records()) >= 4, process=process)
    kill_group(process)
    before = records()
    assert len(before) >= 4
    assert not snellen.load_run(hdfs_out).complete
    rng, failed = random.Random(0), Counter()

    def fault(operation, path):
        value = rng.random()
        chosen = "lost" if value < 0.04 else "away" if value < 0.06 else "StandbyException" if value < 0.08 else ""
        chosen = "cut" if 0.08 < value < 0.12 and operation in ("OPEN", "CREATE") else chosen
        failed[chosen] += 1
        return chosen

    hdfs.fault = fault
    done = run(pictures, tiny, hdfs_out)
    hdfs.fault = lambda operation, path: ""
    assert done.returncode == 0, done.stderr
    assert failed.total() - failed[""] > 5
    assert set(failed) == {"", "lost", "away", "StandbyException", "cut"}
    after = records()
    assert {name: after[name] for name in before} == before
    resumed = snellen.load_run(hdfs_out)
    assert resumed.complete
    assert resumed.record["sessions"][-1]["shards"] == len(after) - len(before)
    assert lost_rows(hdfs_out, tables(local_out)) == 0
    assert not [name for name in hdfs.below("/user/me/out/") if "lock" in name]


def test_the_other_way_to_hdfs_is_refused_and_names_this_one(pictures, tiny):
    done = run(pictures, tiny, "hdfs://namenode:8020/out")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "webhdfs://NAMENODE:9870/FOLDER" in done.stderr
