"""Folders as people have them: nested, linked in loops, with names that are no text."""

import contextlib
import io
import os
import threading

import pytest
from PIL import Image

from snellen.datasets import open_dataset
from snellen.datasets.listing import SUFFIXES
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace

TENCH, GOLDFISH, CRANE_BIRD = "n01440764", "n01443537", "n02012849"


def png(shade=0, side=2):
    out = io.BytesIO()
    Image.new("L", (side, side), shade).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    """`folder("a/b.jpg", …)`: a folder of images at these relative paths (text or bytes), each of other bytes."""

    def make(*paths):
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for k, path in enumerate(paths):
            full = root / os.fsdecode(path)
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_bytes(png(k, k + 1))
        return root

    return make


def ids(root):
    return [item.id for item in open_dataset(root).items]


def labels(root, space=IMAGENET_1K):
    dataset = open_dataset(root)
    return dataset.label_sets([item.id for item in dataset.items], space)


def test_order_is_by_the_bytes_of_the_relative_path(folder):
    paths = [
        "b/x.jpg",
        "a/x.jpg",
        "a-b/x.jpg",
        "a.jpg",
        "a/B.jpg",
        "a/b.jpg",
        "a/é.jpg",
        "a/z.jpg",
        "A/x.jpg",
        "a0/x.jpg",
    ]
    paths += [f"n/{k}.jpg" for k in (10, 9, 100)]
    root = folder(*paths)
    assert ids(root) == sorted(paths, key=lambda path: path.encode())
    dataset = open_dataset(root)
    for i, item in enumerate(dataset.items):
        assert dataset.read(i) == (root / item.id).read_bytes()
        assert item.size == len(dataset.read(i))
        assert dataset.origin(i) == "images"


def test_what_counts_as_an_image(folder):
    images = [f"c/{k}{suffix.upper() if k % 2 else suffix}" for k, suffix in enumerate(SUFFIXES)]
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"} <= set(SUFFIXES)
    hidden = ["c/.hidden.jpg", "c/._apple.jpg", ".git/x.jpg", "c/.thumbs/x.jpg"]
    others = ["c/notes.txt", "c/jpg", "c/x.jpg.part", "c/x.npy", "labels.csv"]
    assert sorted(ids(folder(*images, *hidden, *others))) == sorted(images)


def test_a_folder_named_like_an_image_is_a_folder(folder):
    assert ids(folder("a.jpg/b.jpg")) == ["a.jpg/b.jpg"]


@pytest.mark.parametrize("paths", [[], ["c/.hidden.jpg"], ["c/notes.txt"]])
def test_no_images(folder, paths):
    with pytest.raises(DataError, match=r"no images under .*images.*\.jpg"):
        open_dataset(folder(*paths))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere/at/all", "no data set 'nowhere/at/all': give `examples`, a folder"),
        ("~no-such-user-here/x", "no data set"),
        ("x" * 300, "no data set"),
        ("a\0b", "no data set"),
        (__file__, "is a file; give a folder"),
    ],
)
def test_a_spec_that_names_nothing(spec, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((TENCH, GOLDFISH), [0, 1]),
        (("0", "1"), [0, 1]),
        (("tench", "goldfish"), [0, 1]),
        (("Tinca_tinca", "Carassius auratus"), [0, 1]),
        (("0", "n01443537", "great_white_shark"), [0, 1, 2]),
    ],
)
def test_a_class_folder_is_a_wnid_an_index_or_a_name(folder, names, expected):
    root = folder(*(f"{name}/x.jpg" for name in names))
    found = dict(zip(ids(root), labels(root), strict=True))
    assert found == {f"{name}/x.jpg": [label] for name, label in zip(names, expected, strict=True)}


@pytest.mark.parametrize("prefix", ["val", "a/b"])
def test_class_folders_below_others(folder, prefix):
    root = folder(f"{prefix}/{TENCH}/x.jpg", f"{prefix}/{GOLDFISH}/y.jpg", f"{prefix}/{GOLDFISH}/more/z.jpg")
    assert labels(root) == [[0], [1], [1]]


def test_the_outermost_level_where_every_folder_names_a_class(folder):
    assert labels(folder(f"{TENCH}/koala/x.jpg", f"{GOLDFISH}/jaguar/x.jpg")) == [[0], [1]]


def test_folders_below_the_class_do_not_matter(folder):
    """Not even where their names would be ambiguous as classes."""
    assert labels(folder(f"{TENCH}/crane/x.jpg", f"{GOLDFISH}/maillot/deep/x.jpg")) == [[0], [1]]


def test_an_ambiguous_class_folder(folder):
    root = folder("crane/x.jpg", "tench/x.jpg")
    with pytest.raises(DataError, match=r"'crane' is ambiguous.*n02012849.*n03126707"):
        labels(root)


def test_an_unknown_class_folder_is_told_the_nearest(folder):
    with pytest.raises(DataError, match=r"unknown class 'golldfish'.*nearest is 'goldfish' \(n01443537\)"):
        labels(folder("tench/x.jpg", "golldfish/x.jpg"))


@pytest.mark.parametrize("paths", [["x.jpg"], ["tench/x.jpg", "y.jpg"]])
def test_an_image_in_no_class_folder(folder, paths):
    with pytest.raises(DataError, match=r"in no class folder: expected DIR/<class>/<image>"):
        labels(folder(*paths))


def test_a_space_of_the_users_own(folder):
    space = ClassSpace.of_names(["ripe tomato", "green tomato"])
    root = folder("green_tomato/x.jpg", "Ripe Tomato/x.jpg")
    assert labels(root, space) == [[0], [1]]
    with pytest.raises(DataError, match="unknown class"):
        labels(root)


def test_labels_of_some_images_in_another_order(folder):
    dataset = open_dataset(folder("tench/a.jpg", "goldfish/b.jpg", "koala/c.jpg"))
    assert dataset.label_sets(["tench/a.jpg", "goldfish/b.jpg"], IMAGENET_1K) == [[0], [1]]


def test_loops_of_links_end_and_no_image_comes_twice(folder):
    root = folder("n01440764/a.jpg", "n01443537/b.jpg")
    (root / "n01440764" / "up").symlink_to(root)
    (root / "n01443537" / "self").symlink_to(".")
    (root / "zz_there").symlink_to(root / "n01440764" / "up")
    assert ids(root) == ["n01440764/a.jpg", "n01443537/b.jpg"]
    assert labels(root) == [[0], [1]]


def test_a_link_beside_a_folder_does_not_take_its_images(folder):
    """`aa_backup` comes first by name, but the images are those of the folder itself."""
    root = folder("n01440764/a.jpg")
    (root / "aa_backup").symlink_to(root / "n01440764")
    assert "n01440764/a.jpg" in ids(root)


def test_a_linked_class_folder_is_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.png").write_bytes(png(7))
    root = folder("n01443537/b.jpg")
    (root / "n01440764").symlink_to(outside)
    dataset = open_dataset(root)
    assert [item.id for item in dataset.items] == ["n01440764/x.png", "n01443537/b.jpg"]
    assert dataset.read(0) == png(7)
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert ids(linked) == ids(root)


def test_broken_links_are_listed_and_fail_when_read(folder):
    root = folder("c/ok.jpg")
    (root / "c" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "c" / "loop.jpg").symlink_to("loop.jpg")
    (root / "c" / "loop_without_suffix").symlink_to("loop_without_suffix")
    (root / "gone_folder").symlink_to("nowhere")
    dataset = open_dataset(root)
    assert [item.id for item in dataset.items] == ["c/gone.jpg", "c/loop.jpg", "c/ok.jpg"]
    for broken in (0, 1):
        with pytest.raises(OSError, match=r"No such file|Too many levels"):
            dataset.read(broken)


def test_a_pipe_named_like_an_image_does_not_block(folder):
    root = folder("c/ok.jpg")
    os.mkfifo(root / "c" / "pipe.jpg")
    dataset = open_dataset(root)
    places = [i for i, item in enumerate(dataset.items) if item.id == "c/pipe.jpg"]
    if not places:
        return
    finished = threading.Event()

    def read():
        with contextlib.suppress(OSError):
            dataset.read(places[0])
        finished.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    ended = finished.wait(2)
    if not ended:  # let go of the thread
        os.close(os.open(root / "c" / "pipe.jpg", os.O_WRONLY))
        thread.join(10)
    assert ended, "reading a pipe never ends"


HARD_NAMES = [
    b"caf\xe9.jpg",
    b"\xff\xfe.png",
    b"new\nline.jpg",
    b"return\r.jpg",
    b"quote'\".jpg",
    b"comma,semi;.jpg",
    b" space .jpg",
    b"tab\t.jpg",
    b"[brackets]*?.jpg",
    b"$(echo).jpg",
    b"-rf.jpg",
    "雪.jpg".encode(),
    "e\u0301.jpg".encode(),
    b"back\\slash.jpg",
    b"100%.jpg",
    b"\x1b[31m.jpg",
]


def test_names_that_are_hard_to_write(folder):
    root = folder(*(b"tench/" + name for name in HARD_NAMES))
    dataset = open_dataset(root)
    assert len(dataset.items) == len(HARD_NAMES)
    for i, (item, name) in enumerate(zip(dataset.items, sorted(HARD_NAMES), strict=True)):
        item.id.encode("utf-8")  # any file can hold it
        assert item.id == "tench/" + name.decode("utf-8", "backslashreplace")
        assert dataset.read(i) == (root / "tench" / os.fsdecode(name)).read_bytes()
    assert dataset.label_sets([item.id for item in dataset.items], IMAGENET_1K) == [[0]] * len(HARD_NAMES)


def test_a_root_whose_name_is_no_text(tmp_path):
    root = tmp_path / os.fsdecode(b"r\xe9sum\xe9")
    (root / "tench").mkdir(parents=True)
    (root / "tench" / "x.png").write_bytes(png())
    dataset = open_dataset(root)
    assert dataset.read(0) == png()
    dataset.origin(0).encode("utf-8")  # goes into the samples as it is
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


def test_fingerprint_changes_with_the_images_and_with_nothing_else(folder, tmp_path):
    root = folder("tench/a.jpg", "goldfish/b.jpg")
    prints = [open_dataset(root).fingerprint]

    def changed():
        prints.append(open_dataset(root).fingerprint)
        return prints[-1] not in prints[:-1]

    assert not changed()
    (root / "notes.txt").write_text("no image")
    (root / "tench" / ".hidden.jpg").write_bytes(png())
    os.utime(root / "tench" / "a.jpg", (0, 0))
    assert not changed()
    (root / "koala").mkdir()
    (root / "koala" / "c.png").write_bytes(png())
    assert changed(), "an image was added"
    (root / "koala" / "c.png").write_bytes(png(side=300))
    assert changed(), "an image became longer"
    (root / "koala" / "c.png").rename(root / "koala" / "d.png")
    assert changed(), "an image was renamed"
    (root / "koala" / "d.png").unlink()
    assert open_dataset(root).fingerprint == prints[0], "back to what it was"
    root.rename(tmp_path / "elsewhere")
    assert open_dataset(tmp_path / "elsewhere").fingerprint == prints[0], "a folder may move"


def test_fingerprint_keeps_ids_and_sizes_apart(tmp_path):
    """Two lists that read the same when ids and sizes are run together."""
    one, two = tmp_path / "one", tmp_path / "two"
    for path, size in [(one / "a.jpg", 1), (one / "b.jpg", 2), (two / "a.jpg1b.jpg", 2)]:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
    assert open_dataset(one).fingerprint != open_dataset(two).fingerprint


def test_the_spec_opens_the_same_from_another_directory(folder, tmp_path, monkeypatch):
    root = folder("tench/a.jpg")
    monkeypatch.chdir(root.parent)
    dataset = open_dataset("images")
    monkeypatch.chdir("/")
    again = open_dataset(dataset.spec)
    assert (again.fingerprint, again.spec, again.name) == (dataset.fingerprint, str(root), "images")
