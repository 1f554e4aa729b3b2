"""What a text names: a path, a URL, or one line that says what is wrong with it."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from snellen import places
from snellen.errors import UsageError
from snellen.places import is_remote, place


@pytest.mark.parametrize("text", ["a/b", "/a/b", "~/a", "C:/x", ".", "a:b", "imagenet@s3://bucket/x", "hub/a/b:test"])
def test_a_path_of_this_machine(text):
    assert place(text) == Path(text)
    assert not is_remote(place(text))
    assert place(Path(text)) == Path(text)


def test_a_file_url_is_a_path():
    assert place("file:///a/b") == Path("/a/b")


@pytest.mark.parametrize(
    "text", ["s3://bucket/a/b", "memory://x/y", "s3://bucket/a b/é", "s3://bucket/", "webhdfs://me@host:9870/a b/é"]
)
def test_a_url_comes_back_as_it_was(text):
    found = place(text)
    assert is_remote(found)
    assert str(found) == text
    assert str(place(str(found)) / "c") == text.rstrip("/") + "/c"


@pytest.mark.parametrize("text", ["sftp://me@host:22/a b/c", "ssh://host/a", "ftp://host/a", "hdfs://me@host:8020/a"])
def test_the_text_of_a_place_on_a_server_names_the_server(text):
    """Another process finds the place by it; these connect when they are opened, and are not."""
    found = places._upath(text, text.partition(":")[0], {})
    assert str(found) == text
    assert str(found / "d" / "e") == f"{text}/d/e"
    assert str((found / "d").parent) == text
    assert found / "d" == places._upath(f"{text}/d", text.partition(":")[0], {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nosuch://x/y", ["no protocol 'nosuch'", "s3://BUCKET/"]),
        ("s3://", ["names no bucket"]),
        ("s3:///x", ["names no bucket"]),
        ("webhdfs:///x", ["names no host", "webhdfs://NAMENODE:9870/FOLDER"]),
        ("s3://key:verysecret@bucket/x", ["no passwords in a URL"]),
        ("simplecache::s3://bucket/x", ["without ::"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, words):
    with pytest.raises(UsageError) as raised:
        place(text)
    assert "\n" not in str(raised.value)
    assert all(word in str(raised.value) for word in words)
    assert "verysecret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "driver", "advice"),
    [
        ("s3://b/x", "s3fs", "pip install 'snellen[s3]'"),
        ("gs://b/x", "gcsfs", "pip install gcsfs"),
        ("sftp://h/x", "paramiko", "pip install 'snellen[sftp]'"),
        ("webhdfs://h/x", "requests", "pip install 'snellen[hdfs]'"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(text, driver, advice):
    program = f"""
import sys
sys.modules["{driver}"] = None
from snellen.errors import UsageError
from snellen.places import place
try:
    place("{text}")
except UsageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert advice in done.stdout


def test_a_path_costs_no_import_of_what_urls_need():
    program = """
import json, sys
import snellen.cli, snellen.study, snellen.store.find
from snellen.places import place
place("a/b")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"upath", "s3fs", "aiobotocore", "botocore"}.isdisjoint(json.loads(done.stdout))


def test_a_server_that_is_not_there_is_no_wrong_call():
    """A driver that connects when it is made, as those of file servers do."""
    from fsspec import register_implementation
    from fsspec.implementations.memory import MemoryFileSystem
    from upath.implementations.memory import MemoryPath
    from upath.registry import register_implementation as register_path

    from snellen.errors import Stopped

    class Away(MemoryFileSystem):
        def __init__(self, *args, **options):
            raise OSError(errno.EHOSTUNREACH, "No route to host")

    register_implementation("away", Away, clobber=True)
    register_path("away", MemoryPath, clobber=True)
    with pytest.raises(Stopped, match="No route to host"):
        place("away://x/y")
