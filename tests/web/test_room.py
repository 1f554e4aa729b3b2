"""The cache of the page: how large it gets, what goes first, and two real servers that share it."""

import io
import json
import os
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from photo_runs import paint, photo_run
from PIL import Image
from review_site import pictures, server_of
from waits import wait_until

from snellen.web import room
from snellen.web.build import Builder
from snellen.web.room import IN_USE_SECONDS, LOCK, Room, shrink, used
from snellen.web.site import open_target

NOW = 1_000_000.0


def put(folder, name, size, last):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (last, NOW - 10 * IN_USE_SECONDS))
    return path


def there(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_was_not_used_for_longest_goes_until_it_is_small_enough(tmp_path):
    old = NOW - 5 * IN_USE_SECONDS
    for k in range(10):  # the larger k, the longer it was not used
        put(tmp_path, f"{'images/ab' if k % 2 else 'data/answers'}/{k}", 100, old - k)
    assert shrink(tmp_path, 1000, NOW) == 1000
    assert len(there(tmp_path)) == 10
    assert shrink(tmp_path, 500, NOW) == 400  # a tenth less, so that it is not for every file
    assert there(tmp_path) == ["data/answers/0", "data/answers/2", "images/ab/1", "images/ab/3"]


def test_what_is_in_use_a_lock_and_files_of_others_stay(tmp_path):
    old = NOW - 5 * IN_USE_SECONDS
    put(tmp_path, "images/ab/old", 100, old)
    put(tmp_path, "images/ab/new", 100, NOW - 1)
    put(tmp_path, f"images/ab/{LOCK}", 0, 0)
    put(tmp_path, f"data/{LOCK}-7f", 0, 0)
    put(tmp_path, "models/somebodys", 1000, 0)
    assert shrink(tmp_path, 10, NOW) == 100
    assert there(tmp_path) == [f"data/{LOCK}-7f", f"images/ab/{LOCK}", "images/ab/new", "models/somebodys"]
    assert shrink(tmp_path / "nothing", 10, NOW) == 0


def test_what_is_used_or_goes_while_the_cache_is_shrunk(tmp_path, monkeypatch):
    """One is used after the list was made, and another server removes one: neither costs a third file."""
    old = NOW - 5 * IN_USE_SECONDS
    taken, kept, *_ = [put(tmp_path, f"images/ab/{k}", 100, old + k) for k in range(4)]
    listed = room._files

    def then(folder):
        yield from list(listed(folder))
        taken.unlink()
        os.utime(kept, (NOW, NOW))

    monkeypatch.setattr(room, "_files", then)
    assert shrink(tmp_path, 300, NOW) == 200
    assert there(tmp_path) == ["images/ab/1", "images/ab/3"]


def test_using_a_file_changes_its_place_in_the_line_and_nothing_that_a_tag_is_made_of(tmp_path):
    path = put(tmp_path, "data/one", 10, 0)
    before = path.stat()
    used(path)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert abs(after.st_atime - time.time()) < 60
    used(tmp_path / "gone")


def test_the_thread_shrinks_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("snellen.web.room.FIRST", 0.0)
    for k in range(5):
        put(tmp_path, f"images/{k}", 100, 0)
    keeper = Room(tmp_path, 200)
    wait_until(lambda: len(there(tmp_path)) == 1)
    keeper.close()
    assert threading.active_count() == len([one for one in threading.enumerate() if one.name != "room"])


@pytest.mark.slow
def test_two_servers_on_one_cache_make_each_file_once_and_whole(tmp_path):
    """Whoever is second takes the file that the first put there: a second one in its place is another inode."""
    hard, images = pictures(tmp_path, 24)
    cache = tmp_path / "cache"
    together, made = threading.Barrier(2), {}

    def ask(server, url):
        return urllib.request.urlopen(f"{server.address}{url}", timeout=60).read()

    def all_of(server):
        answers = []
        for k in range(len(images)):
            together.wait(60)
            answers.append(ask(server, f"pictures/s0/{k}.jpg"))
            for path in cache.glob("images/*/*.jpg"):
                made.setdefault(path.name, set()).add(path.stat().st_ino)
                with Image.open(io.BytesIO(path.read_bytes())) as whole:
                    whole.load()
        return answers

    with server_of(hard, cache) as one, server_of(hard, cache) as other, ThreadPoolExecutor(2) as pool:
        first, second = pool.map(all_of, (one, other))
        for path in cache.glob("images/*/*.jpg"):
            made[path.name].add(path.stat().st_ino)
        assert first == second
        assert len(made) == len(images)
        assert all(len(inodes) == 1 for inodes in made.values())

        # Emptied while both run: everything is made again, and means the same.
        columns = [ask(server, "data/s0/images.json") for server in (one, other)]
        assert columns[0] == columns[1]
        assert json.loads(columns[0])["n"] == len(images)
        assert shrink(cache, 0, time.time() + 2 * IN_USE_SECONDS) == 0
        again = list(pool.map(lambda server: ask(server, "data/s0/images.json"), (one, other)))
        assert again == columns
        assert ask(one, "pictures/s0/3.jpg") == first[3]


def test_two_builders_on_one_cache_make_each_file_once(tmp_path):
    """Both begin at once, each with child processes of its own."""
    painted = paint(tmp_path / "pictures", [f"kind-{k % 3}/{k:02d}.jpg" for k in range(12)])
    photo_run(tmp_path / "out" / "p" / "model" / "g", painted, model="timm/model", seed=0)
    made = {}

    def note():
        for path in (tmp_path / "cache" / "data").glob("[im]*-*"):
            made.setdefault(path.name, set()).add(path.stat().st_ino)

    def watch():
        while not all(one.done() for one in finishing):
            note()

    builders = [Builder(open_target(str(tmp_path / "out")), tmp_path / "cache") for _ in range(2)]
    with closing(builders[0]), closing(builders[1]), ThreadPoolExecutor(3) as pool:
        finishing = [pool.submit(one.finish) for one in builders]
        pool.submit(watch).result()
        for one in finishing:
            one.result()
        note()
    names = sorted(name.rpartition("-")[0] + name[name.rindex(".") :] for name in made)
    assert names == ["images.json", "images.npz", "model.json"]
    assert all(len(inodes) == 1 for inodes in made.values())
