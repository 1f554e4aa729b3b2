"""An S3 server and an HDFS for tests of stores, and a store without any of what those have."""

import pytest

pytest.importorskip("moto.server")
pytest.importorskip("s3fs")

from disturbed import run
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem
from s3_server import BUCKET, ENVIRONMENT, emptied, s3_server
from upath.implementations.memory import MemoryPath
from upath.registry import register_implementation as register_path
from webhdfs_stub import webhdfs_stub

from snellen import places
from snellen.places import place


class FileServer(MemoryFileSystem):
    """A file server: folders, renaming, no creation on a condition, no tags, and no whole puts."""

    store: dict = {}  # noqa: RUF012 (as its base has it)
    pseudo_dirs = [""]  # noqa: RUF012
    protocol = "plain"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("plain://", "memory://", 1))

    def pipe_file(self, path, value):
        parent = self._parent(self._strip_protocol(path))
        if parent not in self.pseudo_dirs:
            raise FileNotFoundError(parent)
        super().pipe_file(path, value)

    def mv(self, path1, path2):
        """One step, which replaces, as that of an SFTP server."""
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        if old not in self.store:
            raise FileNotFoundError(old)
        self.store[new] = self.store.pop(old)


class PlainPath(MemoryPath):
    pass


register_implementation("plain", FileServer, clobber=True)
register_path("plain", PlainPath, clobber=True)
places.REPLACING_SERVERS |= {"plain"}


@pytest.fixture(scope="session")
def server():
    """The URL of an S3 server."""
    with s3_server() as url:
        yield url


@pytest.fixture
def s3(server, monkeypatch):
    """The URL of the S3 server, which has an empty bucket; every S3 client of this process and its children uses it."""
    from s3fs import S3FileSystem

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    S3FileSystem.clear_instance_cache()
    emptied(server)
    yield server
    S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def hdfs_server():
    """A stand-in for HDFS: its host and port, and what it holds."""
    with webhdfs_stub() as found:
        yield found


@pytest.fixture
def hdfs(hdfs_server):
    """What the stand-in holds, which is nothing yet."""
    hdfs_server[1].clear()
    return hdfs_server[1]


@pytest.fixture
def hdfs_out(hdfs, hdfs_server):
    """The URL of a folder there."""
    return f"webhdfs://me@{hdfs_server[0]}/user/me/out"


@pytest.fixture(scope="session")
def local_out(pictures, tiny, tmp_path_factory):
    """A study of this machine."""
    out = tmp_path_factory.mktemp("local")
    done = run(pictures, tiny, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(params=["local", "memory", "plain", "s3", "webhdfs"])
def folder(request, tmp_path):
    """An empty folder of each kind of place."""
    if request.param == "local":
        return tmp_path
    if request.param == "s3":
        request.getfixturevalue("s3")
        return place(f"s3://{BUCKET}/out")
    if request.param == "webhdfs":
        return place(request.getfixturevalue("hdfs_out"))
    fs = {"memory": MemoryFileSystem, "plain": FileServer}[request.param]
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return place(f"{request.param}://{BUCKET}/out")
