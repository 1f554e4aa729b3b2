"""Files that are whole or absent, also where writing fails half way and where two write at once."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from snellen.atomic import create_atomic, explain_os_error, write_atomic
from snellen.errors import Stopped, UsageError

WRITERS = [write_atomic, create_atomic]


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("data", [b"", b"one", bytes(range(256)) * 5000])
def test_content_and_nothing_beside_it(write, data, tmp_path):
    write(tmp_path / "f", data)
    assert listing(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == data


def test_a_link_whose_answer_was_lost_is_this_calls_own(tmp_path, monkeypatch):
    """As NFS has it: the request is sent again, and finds the name that the first one made."""
    link = os.link

    def answered_late(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", answered_late)
    assert create_atomic(tmp_path / "f", b"one")
    assert listing(tmp_path) == ["f"]
    assert not create_atomic(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"one"


def test_write_replaces_and_create_does_not(tmp_path):
    path = tmp_path / "f"
    assert create_atomic(path, b"first") is True
    assert create_atomic(path, b"second") is False
    assert path.read_bytes() == b"first"
    write_atomic(path, b"third")
    assert path.read_bytes() == b"third"
    assert listing(tmp_path) == ["f"]


@pytest.mark.parametrize("there", [None, b"old"])
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("call", "number"), [("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("fsync", KeyboardInterrupt)]
)
def test_a_write_that_fails_changes_nothing(write, there, call, number, tmp_path, monkeypatch):
    path = tmp_path / "f"
    if there is not None:
        path.write_bytes(there)
    before = listing(tmp_path)

    def fail(_):
        raise OSError(number, "made up") if isinstance(number, int) else number

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError if isinstance(number, int) else number):
        write(path, b"new")
    assert listing(tmp_path) == before
    assert there is None or path.read_bytes() == there


def test_a_target_that_cannot_be_replaced_leaves_nothing_behind(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "f", b"new")
    assert listing(tmp_path) == ["f"]


def test_create_does_not_replace_a_folder_or_a_broken_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    assert create_atomic(tmp_path / "folder", b"new") is False
    assert create_atomic(tmp_path / "link", b"new") is False
    assert listing(tmp_path) == ["folder", "link"]


def test_of_many_who_create_one_wins(tmp_path):
    threads = 8
    for attempt in range(20):
        path = tmp_path / f"f{attempt}"
        barrier, won = threading.Barrier(threads), []

        def race(k, path=path, barrier=barrier, won=won):
            barrier.wait()
            if create_atomic(path, str(k).encode() * 1000):
                won.append(k)

        crowd = [threading.Thread(target=race, args=(k,)) for k in range(threads)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        assert len(won) == 1
        assert path.read_bytes() == str(won[0]).encode() * 1000
    assert listing(tmp_path) == sorted(f"f{attempt}" for attempt in range(20))


def test_a_reader_sees_one_version_or_the_other(tmp_path):
    path, versions = tmp_path / "f", [bytes([k]) * 200_000 for k in range(4)]
    write_atomic(path, versions[0])
    stop, seen = threading.Event(), set()

    def watch():
        while not stop.is_set():
            seen.add(path.read_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    for k in range(40):
        write_atomic(path, versions[k % 4])
    stop.set()
    thread.join()
    assert seen <= set(versions)
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, Stopped, "disk is full"),
        (errno.EDQUOT, Stopped, "disk is full"),
        (errno.EACCES, UsageError, "choose another place with -o"),
        (errno.EROFS, UsageError, "choose another place with -o"),
        (errno.ENOTDIR, UsageError, "choose another place with -o"),
        (errno.EIO, Stopped, "run the same command again to resume"),
    ],
)
def test_what_a_user_reads(number, kind, words):
    error = explain_os_error(OSError(number, os.strerror(number)), Path("/some/where"))
    assert type(error) is kind
    assert error.exit_code == (3 if kind is Stopped else 2)
    assert words in str(error)
    assert "/some/where" in str(error)


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get)
def no_links(request, monkeypatch):
    """A file system without hard links, as exFAT, SMB and some FUSE mounts say it."""

    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


def test_creating_without_hard_links(no_links, tmp_path):
    assert create_atomic(tmp_path / "f", b"first") is True
    assert create_atomic(tmp_path / "f", b"second") is False
    assert (tmp_path / "f").read_bytes() == b"first"
    (tmp_path / "link").symlink_to("nowhere")
    assert create_atomic(tmp_path / "link", b"new") is False
    assert listing(tmp_path) == ["f", "link"]


def test_of_many_who_create_without_hard_links_one_stays_whole(no_links, tmp_path):
    threads = 8
    for attempt in range(10):
        path = tmp_path / f"f{attempt}"
        barrier, won = threading.Barrier(threads), []

        def race(k, path=path, barrier=barrier, won=won):
            barrier.wait()
            if create_atomic(path, str(k).encode() * 1000):
                won.append(k)

        crowd = [threading.Thread(target=race, args=(k,)) for k in range(threads)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        assert path.read_bytes() in [str(k).encode() * 1000 for k in won]
    assert listing(tmp_path) == sorted(f"f{attempt}" for attempt in range(10))


def test_a_file_system_that_syncs_no_folders(tmp_path, monkeypatch):
    plain = os.fsync

    def only_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        plain(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomic(tmp_path / "f", b"1")
    assert create_atomic(tmp_path / "g", b"2") is True
    assert listing(tmp_path) == ["f", "g"]
