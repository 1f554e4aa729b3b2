"""Duplicates from end to end: copies planted beside the shipped photographs."""

import hashlib
import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

from snellen.classifiers import prepare
from snellen.datasets import open_dataset
from snellen.engine.progress import Progress
from snellen.errors import Stopped
from snellen.mining.duplicates import describe as duplicates_describe
from snellen.mining.duplicates.describe import describe
from snellen.mining.duplicates.duplicates import DUPLICATES, Source, find_duplicates


@pytest.fixture(scope="module")
def examples():
    return open_dataset("examples")


@pytest.fixture(scope="module")
def model():
    return prepare("embedded/efficientnet_lite0", measure=False)


def jpeg(image, quality=90):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def plant(folder, examples, changes):
    """A data set of changed examples: `changes` maps an image id to what makes bytes of the photograph's bytes."""
    folder.mkdir()
    for k, item in enumerate(examples.items):
        if item.id in changes:
            (folder / f"{item.id}.png").write_bytes(changes[item.id](examples.read(k)))
    return open_dataset(folder)


def opened(change, quality=75):
    return lambda data: jpeg(change(Image.open(io.BytesIO(data)).convert("RGB")), quality)


def as_png(data):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "PNG")
    return buffer.getvalue()


def cut(image):
    return image.crop((image.width // 4, image.height // 5, image.width, image.height))


def half(image):
    return image.resize((image.width // 2, image.height // 2))


PLANTED = {
    "abbey.jpg": ("bytes", lambda data: data),
    "bridge.jpg": ("pixels", as_png),
    "chelsea.jpg": ("copy", opened(lambda image: image, 40)),
    "citrus.jpg": ("copy", opened(half)),
    "clock.jpg": ("flip", opened(ImageOps.mirror)),
    "djembe.jpg": ("rotation", opened(lambda image: image.transpose(Image.Transpose.ROTATE_90))),
    "fig.jpg": ("crop", opened(cut)),
    "jaguars.jpg": ("flip", opened(lambda image: ImageOps.mirror(cut(image)))),
    "kitten.jpg": ("copy", opened(lambda image: image.resize((256, 256)))),
}
# What only the classifier's embeddings find.
BY_VIEWS = {"fig.jpg", "jaguars.jpg"}


def clusters_of(table):
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["cluster"], []).append(row)
    return list(found.values())


def test_planted_copies_are_found_and_nothing_else(examples, model, tmp_path):
    copies = plant(tmp_path / "copies", examples, {name: change for name, (_, change) in PLANTED.items()})
    table = find_duplicates([Source(examples), Source(copies)], model=model)
    assert table.schema.equals(DUPLICATES)
    clusters = clusters_of(table)
    assert [sorted(row["image_id"] for row in cluster) for cluster in clusters] == [
        [name, f"{name}.png"] for name in sorted(PLANTED)
    ]
    for original, copy in clusters:
        name = original["image_id"]
        assert original["id"] == hashlib.sha256(f"examples\0{name}".encode()).hexdigest()[:16]
        # A PNG of the same pixels is the less compressed one.
        kept, other = (copy, original) if name == "bridge.jpg" else (original, copy)
        assert (kept["kept"], kept["kind"], kept["score"], kept["twin"]) == (True, None, None, None)
        assert (other["kept"], other["twin"]) == (False, kept["id"])
        assert other["kind"] == PLANTED[name][0]
        assert other["score"] == 1 if other["kind"] in ("bytes", "pixels") else 0.9 < other["score"] <= 1
        assert not original["reference"]
        assert not copy["reference"]
    # The order of sources decides only which one of two equal files is kept.
    turned = clusters_of(find_duplicates([Source(copies), Source(examples)], model=model))
    ids = [{row["id"] for row in cluster} for cluster in turned]
    assert sorted(map(sorted, ids)) == sorted(sorted(row["id"] for row in cluster) for cluster in clusters)
    kept = {row["image_id"] for cluster in turned for row in cluster if row["kept"]}
    assert kept == {row["image_id"] for cluster in clusters for row in cluster if row["kept"]} - {"abbey.jpg"} | {
        "abbey.jpg.png"
    }


def test_copies_of_the_whole_image_need_no_classifier(examples, tmp_path):
    copies = plant(tmp_path / "copies", examples, {name: change for name, (_, change) in PLANTED.items()})
    clusters = clusters_of(find_duplicates([Source(examples), Source(copies)]))
    assert {cluster[0]["image_id"] for cluster in clusters} == set(PLANTED) - BY_VIEWS
    assert all(len(cluster) == 2 for cluster in clusters)


def test_a_picture_of_the_reference_is_not_kept(examples, model, tmp_path, monkeypatch):
    changes = {"fig.jpg": opened(cut), "koala.jpg": opened(half), "rocket.jpg": lambda data: data}
    own = plant(tmp_path / "own", examples, changes)
    # A reference is looked at in blocks, and its own duplicates do not matter.
    monkeypatch.setattr(duplicates_describe, "BLOCK", 6)
    folder = tmp_path / "training"
    shutil.copytree(examples.root, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "abbey again.jpg").write_bytes((folder / "abbey.jpg").read_bytes())
    (folder / "koala again.jpg").write_bytes((folder / "koala.jpg").read_bytes())
    table = find_duplicates([Source(own)], [Source(open_dataset(folder))], model=model)
    clusters = clusters_of(table)
    assert [sorted(row["image_id"] for row in cluster) for cluster in clusters] == [
        ["fig.jpg", "fig.jpg.png"],
        ["koala again.jpg", "koala.jpg", "koala.jpg.png"],
        ["rocket.jpg", "rocket.jpg.png"],
    ]
    rows = [row for cluster in clusters for row in cluster]
    assert not any(row["kept"] for row in rows if not row["reference"])
    assert [row["kind"] for row in rows if not row["reference"]] == ["crop", "copy", "bytes"]
    assert all(sum(row["kept"] for row in cluster) == 1 for cluster in clusters)


def test_chosen_images_and_unreadable_ones(examples, tmp_path):
    names = [item.id for item in examples.items]
    changes = {"abbey.jpg": lambda data: data, "fig.jpg": lambda data: data, "koala.jpg": lambda data: data[:300]}
    copies = plant(tmp_path / "copies", examples, changes | {"rocket.jpg": lambda data: b""})
    (tmp_path / "copies" / "koala.jpg.png").unlink()
    chosen = [names.index(name) for name in ("fig.jpg", "koala.jpg", "rocket.jpg")]
    table = find_duplicates([Source(examples, chosen), Source(copies)])
    assert table.column("image_id").to_pylist() == ["fig.jpg", "fig.jpg.png"]
    # The same image twice: whatever cannot be read is not a duplicate of what cannot be read either.
    twice = find_duplicates([Source(copies), Source(copies)])
    assert set(twice.column("image_id").to_pylist()) == {"abbey.jpg.png", "fig.jpg.png"}
    assert find_duplicates([]).equals(DUPLICATES.empty_table())
    assert find_duplicates([Source(examples, [])], [Source(examples)]).num_rows == 0


def test_equal_images_do_not_crowd_others_out(examples, model, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    fig = next(examples.read(k) for k, item in enumerate(examples.items) if item.id == "fig.jpg")
    for k in range(12):
        (folder / f"{k:02}.jpg").write_bytes(fig)
    (folder / "part.jpg").write_bytes(opened(cut)(fig))
    (cluster,) = clusters_of(find_duplicates([Source(open_dataset(folder))], model=model))
    assert [row["kind"] for row in cluster] == [None, *["bytes"] * 11, "crop"]


def test_a_data_set_that_is_gone_stops_it(examples, tmp_path):
    copies = plant(tmp_path / "copies", examples, {"fig.jpg": lambda data: data, "koala.jpg": lambda data: data})
    shutil.rmtree(tmp_path / "copies")
    with pytest.raises(Stopped):
        find_duplicates([Source(examples), Source(copies)])


def test_blocks_and_batches_do_not_change_what_is_seen(examples, model, monkeypatch):
    pictures = Source(examples).pictures
    (whole,) = describe(pictures, model, Progress(1))
    monkeypatch.setattr(duplicates_describe, "BLOCK", 5)
    progress = Progress(6)
    blocks = list(describe(pictures, model.with_batch(4), progress))
    assert [len(block.rows) for block in blocks] == [5, 5, 5, 1]
    assert progress.views == 6 * len(pictures)
    assert [row for block in blocks for row in block.rows] == whole.rows
    assert np.array_equal(np.concatenate([block.hashes for block in blocks]), whole.hashes)
    assert np.abs(np.concatenate([block.views for block in blocks]).astype(float) - whole.views).max() < 0.01
    assert np.linalg.norm(whole.views.astype(float), axis=2) == pytest.approx(1, abs=0.01)


def test_the_first_view_is_the_whole_image_and_the_last_its_centre(examples):
    first, *parts = duplicates_describe.view_rules(224)
    size = 1000, 600
    assert (first.resized(*size), first.window(224, 224)) == ((224, 224), (0, 0))
    assert {part.resized(*size) for part in parts} == {(345, 345)}
    assert [part.window(345, 345) for part in parts] == [(0, 0), (121, 0), (0, 121), (121, 121), (60, 60)]
