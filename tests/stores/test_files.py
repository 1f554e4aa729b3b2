"""The same of every kind of place: writing whole files, creating them once, listing, reading, removing."""

import errno
import os
import threading

import pytest
from s3_server import BUCKET, contents

from snellen import places, trouble
from snellen.atomic import create_atomic, write_atomic, write_new
from snellen.errors import UsageError
from snellen.files import (
    RangedFile,
    entries,
    entry,
    exists,
    files_below,
    is_folder,
    make_folder,
    read_bytes,
    read_many,
    remove,
)
from snellen.places import is_remote, place, protocol_of


def has_condition(path):
    """Whether a place creates a file only where none is, whatever comes at the same time."""
    return not is_remote(path) or protocol_of(path) in ("s3", "webhdfs")


def names(folder):
    return [one.name for one in entries(folder)]


def test_what_is_written_is_there(folder):
    make_folder(folder / "a")
    for number, data in enumerate((b"", b"one", bytes(range(256)) * 500)):
        write_new(folder / "a" / f"{number}", data)
        assert read_bytes(folder / "a" / f"{number}") == data
        assert entry(folder / "a" / f"{number}").size == len(data)
    assert names(folder / "a") == ["0", "1", "2"]
    assert [(one.name, one.is_folder) for one in entries(folder)] == [("a", True)]
    assert is_folder(folder / "a")
    assert not is_folder(folder / "a" / "1")
    assert list(read_many(folder / "a", entries(folder / "a"))) == [b"", b"one", bytes(range(256)) * 500]
    if is_remote(folder):
        assert [name for name, _ in files_below(folder)] == ["a/0", "a/1", "a/2"]


def test_what_is_not_there(folder):
    make_folder(folder)
    assert entries(folder / "no") == []
    assert not exists(folder / "no")
    assert not is_folder(folder / "no")
    remove(folder / "no")
    for ask in (entry, read_bytes):
        with pytest.raises(FileNotFoundError):
            ask(folder / "no")


def test_a_file_that_goes_while_many_are_read(folder):
    make_folder(folder)
    for name in "abc":
        write_atomic(folder / name, name.encode())
    listed = entries(folder)
    remove(folder / "b")
    assert list(read_many(folder, listed)) == [b"a", None, b"c"]


def test_write_replaces_and_create_does_not(folder):
    make_folder(folder)
    assert create_atomic(folder / "f", b"first") is True
    assert create_atomic(folder / "f", b"second") is False
    assert read_bytes(folder / "f") == b"first"
    write_atomic(folder / "f", b"third")
    assert read_bytes(folder / "f") == b"third"
    assert names(folder) == ["f"], "nothing is left beside it"


def test_of_many_who_create_one_stays_whole(folder):
    """One wins where there is a condition; where there is none, several may be told so, and one file stays, whole."""
    make_folder(folder)
    threads = 6
    for attempt in range(5):
        path = folder / f"f{attempt}"
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
        assert read_bytes(path) in [str(k).encode() * 1000 for k in won]
        if has_condition(path):
            assert len(won) == 1
    assert names(folder) == [f"f{attempt}" for attempt in range(5)]


def test_the_time_of_a_file_is_that_of_its_place(folder):
    make_folder(folder)
    write_atomic(folder / "a", b"1")
    write_atomic(folder / "b", b"1")
    first, second = entry(folder / "a").modified, entry(folder / "b").modified
    assert 0 <= second - first < 60


def test_the_tag_changes_with_the_content(s3):
    folder = place(f"s3://{BUCKET}/tags")
    write_atomic(folder / "a", b"1")
    before = entries(folder)
    assert before == [entry(folder / "a")]
    write_atomic(folder / "a", b"2")
    assert entry(folder / "a").tag != before[0].tag
    assert contents(s3, "tags/") == {"a": b"2"}


@pytest.mark.parametrize("ahead", [0, 1, 7, 1000])
def test_reading_ranges_is_reading_the_file(ahead, folder):
    if not is_remote(folder):
        pytest.skip("a file of this machine is opened as it is")
    make_folder(folder)
    data = bytes(range(251))
    write_atomic(folder / "f", data)
    file = RangedFile(folder / "f", len(data), ahead)
    with file:
        for start, count in ((0, 3), (250, 1), (3, 0), (100, 60), (101, 3), (0, -1), (240, 100), (300, 5)):
            file.seek(start)
            assert file.read(count) == data[start : None if count < 0 else start + count]
        assert file.seek(-3, os.SEEK_END) == 248
        assert file.read() == data[248:]


def test_a_file_that_is_shorter_than_it_was(folder):
    if not is_remote(folder):
        pytest.skip("a file of this machine has no listed length")
    make_folder(folder)
    write_atomic(folder / "f", b"12345")
    with pytest.raises(OSError, match="5 bytes came in place of 9"):
        read_bytes(folder / "f", 9)


@pytest.mark.parametrize("write", [write_atomic, write_new, create_atomic])
def test_a_rename_whose_answer_was_lost(write, folder, monkeypatch):
    if not str(folder).startswith("plain:"):
        pytest.skip("only a file server renames")
    make_folder(folder)
    kind = type(folder.fs)
    rename, lost = kind.mv, []

    def answered_late(self, *arguments, **options):
        rename(self, *arguments, **options)
        if not lost:
            lost.append(arguments)
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(kind, "mv", answered_late)
    monkeypatch.setattr(trouble, "FIRST_WAIT", 0.01, raising=False)
    write(folder / "f", b"one")
    assert lost
    assert names(folder) == ["f"]
    assert read_bytes(folder / "f") == b"one"


def test_a_server_that_cannot_replace_in_one_step_is_refused(folder, monkeypatch):
    """A crash between removing and renaming would lose a file; reading there is as before."""
    if not str(folder).startswith("plain:"):
        pytest.skip("only a file server renames")
    make_folder(folder)
    write_atomic(folder / "f", b"one")
    monkeypatch.setattr(places, "REPLACING_SERVERS", frozenset({"sftp", "ssh"}))
    for write in (write_atomic, create_atomic, write_new):
        with pytest.raises(UsageError, match=r"files of plain:// cannot be replaced in one step; choose"):
            write(folder / "g", b"two")
    assert names(folder) == ["f"]
    assert read_bytes(folder / "f") == b"one"


@pytest.mark.parametrize("protocol", ["hdfs", "smb", "ftp"])
def test_servers_that_are_known_to_remove_first_or_to_copy(protocol):
    """As read in the drivers: pyarrow's HDFS deletes the target, SMB renames onto no file."""
    assert protocol not in places.REPLACING_SERVERS | places.OBJECT_STORES
