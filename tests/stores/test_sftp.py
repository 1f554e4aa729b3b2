"""Runs on SFTP servers: threads that ask at the same time, connections that break off, a command that is killed."""

import errno
import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest
from disturbed import goes_on, kill_group, lost_rows, run, start, tables, wait_for
from sftp_server import asyncssh_server, openssh, openssh_server

import snellen
from snellen import atomic, sftp, trouble
from snellen.atomic import create_atomic, explain_os_error, write_atomic, write_new
from snellen.errors import UsageError
from snellen.files import entries, exists, files_below, make_folder, read_bytes, read_many, remove
from snellen.places import driver_of, place


@pytest.fixture(scope="module", params=["asyncssh", pytest.param("OpenSSH", marks=pytest.mark.slow)])
def server(request, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys")
    if request.param == "asyncssh":
        with asyncssh_server(keys) as found:
            yield found
        return
    if openssh() is None:
        pytest.skip("no sshd on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        with openssh_server(keys, port) as found:
            yield found
    except ConnectionError as error:
        pytest.skip(f"sshd does not start here: {error}")


@pytest.fixture
def url(server, tmp_path, monkeypatch):
    """The URL of an empty folder there; `tmp_path` is the same folder on this machine."""
    monkeypatch.setenv("FSSPEC_SFTP_KEY_FILENAME", str(server.key))
    monkeypatch.setenv("FSSPEC_SFTP_ALLOW_AGENT", "")
    monkeypatch.setattr("fsspec.config.conf", {"sftp": {"key_filename": str(server.key), "look_for_keys": False}})
    sftp.SFTP.clear_instance_cache()
    yield f"{server.url}{tmp_path}/out"
    for driver in sftp.SFTP._cache.values():
        driver.close_connection()
    sftp.SFTP.clear_instance_cache()


@pytest.fixture
def out(url):
    made = place(url)
    make_folder(made)
    return made


def test_files_are_made_replaced_listed_and_removed(out, tmp_path):
    assert str(place(str(out))) == str(out)
    write_atomic(out / "f", b"one")
    write_atomic(out / "f", b"two" * 50_000)  # more than a packet
    write_new(out / "g h", b"")
    assert create_atomic(out / "c", b"first") is True
    assert create_atomic(out / "c", b"second") is False
    there = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert there == {"f": b"two" * 50_000, "g h": b"", "c": b"first"}
    assert {(one.name, one.size) for one in entries(out)} == {(name, len(data)) for name, data in there.items()}
    assert dict(zip(sorted(there), read_many(out, entries(out)), strict=True)) == there
    assert read_bytes(out / "c", 5) == b"first"
    remove(out / "c")
    remove(out / "c")
    assert not exists(out / "c")
    with pytest.raises(FileNotFoundError):
        write_new(out / "no folder" / "f", b"")


def test_of_two_that_found_nothing_there_the_rename_decides(out, tmp_path, monkeypatch):
    real = atomic.exists
    for data, created in ((b"first", True), (b"second", False)):
        answers = [False]
        monkeypatch.setattr(atomic, "exists", lambda path, answers=answers: answers.pop() if answers else real(path))
        assert create_atomic(out / "f", data) is created
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"f": b"first"}


def test_threads_share_a_connection(out):
    """Paramiko alone gives an answer to no one where another thread reads it, and its own thread waits for ever."""
    wanted = {f"{k:02d}": bytes([k]) * 5000 * k for k in range(24)}
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: write_new(out / name, wanted[name]), wanted))
        found = pool.map(lambda name: read_bytes(out / name), list(wanted) * 4)
        assert list(found) == list(wanted.values()) * 4


def test_a_connection_that_breaks_is_made_again(out, server):
    """At any moment, again and again: what was written is whole, and what was not is not there."""
    rng, ended = random.Random(0), threading.Event()

    def severing():
        while not ended.wait(rng.uniform(0, 0.3)):
            server.sever()
            while not driver_of(out).connected() and not ended.wait(0.01):
                pass  # however long that takes here: one that is broken before it is made would serve no request

    thread = threading.Thread(target=severing)
    thread.start()
    try:
        for k in range(12):
            assert create_atomic(out / f"{k}", bytes([k]) * 100_000) is True
            write_atomic(out / "f", bytes([k]) * 50_000)
            assert read_bytes(out / "f") == bytes([k]) * 50_000
    finally:
        ended.set()
        thread.join()
    assert all(read_bytes(out / f"{k}") == bytes([k]) * 100_000 for k in range(12))


def broken(monkeypatch, method, number, done=lambda *_: None):
    """Let the connection break at the call of a method of paramiko's client with this number, counted from 0."""
    real, calls = getattr(paramiko.SFTPClient, method), []

    def called(self, *arguments):
        calls.append(arguments)
        if len(calls) != number + 1:
            return real(self, *arguments)
        done(*arguments)
        self.sock.close()
        raise OSError("Socket is closed")

    monkeypatch.setattr(paramiko.SFTPClient, method, called)
    return calls


def test_a_record_that_was_half_renamed_is_its_writers(out, tmp_path, monkeypatch):
    """OpenSSH links a file to its second name and removes the first: killed in between, both are there."""
    calls = broken(monkeypatch, "rename", 0, os.link)
    assert create_atomic(out / "f", b"mine") is True
    assert len(calls) == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"f": b"mine"}


@pytest.mark.parametrize("number", range(4))
def test_folders_are_made_over_a_connection_that_breaks(number, url, tmp_path, monkeypatch):
    calls = broken(monkeypatch, "stat", number)
    make_folder(place(url) / "a" / "b")
    assert len(calls) > number
    assert (tmp_path / "out" / "a" / "b").is_dir()


@pytest.mark.parametrize("number", range(4))
def test_no_folder_of_a_tree_is_left_out_where_the_connection_breaks(number, out, tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / name / "1.jpg").write_bytes(b"picture")
    calls = broken(monkeypatch, "listdir_iter", number)
    assert [name for name, _ in files_below(out)] == ["a/1.jpg", "b/1.jpg", "c/1.jpg"]
    assert len(calls) > 4


def test_links_to_files_are_the_files(out, tmp_path):
    here = tmp_path / "out"
    (here / "folder").mkdir()
    (here / "f").write_bytes(b"four")
    for name, target in (("to f", "f"), ("to folder", "folder"), ("to nothing", "nothing")):
        (here / name).symlink_to(here / target)
    assert {(name, one.size) for name, one in files_below(out) if name in ("f", "to f")} == {("f", 4), ("to f", 4)}
    assert not any(one.is_folder for one in entries(out) if one.name.startswith("to "))
    assert dict(zip("f", read_many(out, entries(out)[:1]), strict=True)) == {"f": b"four"}


def test_a_host_that_is_not_listed_keeps_its_key(out, server):
    driver = driver_of(out)
    known, other = driver.client.get_host_keys(), paramiko.Ed25519Key.from_private_key_file(str(server.key))
    driver.close_connection()
    assert exists(out), "the same key again"
    driver.close_connection()
    (host,) = known
    known.add(host, other.get_name(), other)
    with pytest.raises(PermissionError, match="does not match"):
        exists(out)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, PermissionError, "No authentication methods"),
        ({"key_filename": "/nowhere/key"}, PermissionError, "No such file"),
        ({"keyfile": "a"}, UsageError, "unexpected keyword argument 'keyfile'"),
        ({"timeout": "soon"}, UsageError, "fsspec's configuration"),
    ],
)
def test_a_login_that_cannot_be_is_said_at_once(options, error, text, url, monkeypatch):
    alone = {"look_for_keys": False, "allow_agent": False}
    monkeypatch.setattr("fsspec.config.conf", {"sftp": alone | options})
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 600)
    with pytest.raises(error, match=text):
        exists(place(url))


def test_what_is_refused_and_what_is_away_is_said(url, server, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="names no host: give sftp://USER@HOST/FOLDER"):
        place("sftp:///a")
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Unable to connect") as raised:
            exists(place(f"sftp://me@127.0.0.1:{closed.getsockname()[1]}/a"))
    assert raised.value.errno == errno.ECONNRESET
    wrong = {"sftp": {"key_filename": str(server.key.with_name("host")), "look_for_keys": False}}
    monkeypatch.setattr("fsspec.config.conf", wrong)
    with pytest.raises(PermissionError) as refused:
        exists(place(url))
    assert "\n" not in str(explain_os_error(refused.value, place(url)))


def test_a_server_that_hangs_is_given_up(url, server, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(sftp, "TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionResetError):
        exists(place(f"sftp://me@127.0.0.1:{silent.getsockname()[1]}/a"))


@pytest.mark.parametrize("text", ["Operation unsupported", "SSH_FXP_EXTENDED is unsupported or not implemented"])
def test_a_server_that_cannot_replace_is_refused(text, out, monkeypatch):
    def unknown(self, old, new):
        raise OSError(text)

    monkeypatch.setattr("paramiko.SFTPClient.posix_rename", unknown)
    with pytest.raises(UsageError, match="cannot replace a file in one step"):
        write_atomic(out / "f", b"one")
    assert not entries(out)


def test_a_study_that_is_killed_and_resumed(pictures, tiny, local_out, url, server, tmp_path):
    """And whose connections break meanwhile: the rows are those of this machine, what was committed before stays."""

    def records():
        return {path: path.read_bytes() for path in (tmp_path / "out").glob("*/*/*/commits/0*.json")}

    process = start(pictures, tiny, url, "-q")
    wait_for(lambda: len(records()) >= 4, process=process)
    kill_group(process)
    before = records()
    assert len(before) >= 4
    assert not snellen.load_run(url).complete
    process = start(pictures, tiny, url, "-q")
    wait_for(lambda: len(records()) > len(before), process=process)
    server.sever()
    for _ in range(5):
        if goes_on(process, 2):
            server.sever()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, "of a thread that reads"
    assert {path: records()[path] for path in before} == before
    assert lost_rows(place(url), tables(local_out)) == 0
    assert not [path.name for path in (tmp_path / "out").rglob("*") if "lock" in path.name or ".tmp" in path.name]
    assert run(pictures, tiny, url).returncode == 0
