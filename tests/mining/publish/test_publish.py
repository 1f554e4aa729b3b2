"""A hard set becomes a data set: read back by pyarrow, by `datasets` and by Snellen, image by image."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_pictures import hard_pictures, publish_options
from hard_rows import SCHEMA as ON_THE_HUB
from PIL import Image
from published import rows_of

from snellen.datasets import open_dataset
from snellen.errors import DataError, UsageError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.publish import write as publish_write
from snellen.mining.publish.images import shown_everywhere
from snellen.mining.publish.publish import publish
from snellen.mining.publish.rows import SCHEMA


def test_every_row_says_what_the_hard_set_does(hard, pictures, tmp_path):
    folder, images = hard
    found = publish(folder, tmp_path / "out", publish_options(pictures))
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == [image.id for k, image in enumerate(images) if k != 1]
    by_id = {row["id"]: row for row in rows}
    for k, image in enumerate(images):
        if k == 1:
            continue
        row, data = by_id[image.id], (pictures / image.image_id).read_bytes()
        assert row["image"] == {"bytes": data, "path": f"{image.id}.png"}
        assert (row["sha256"], row["origin"], row["image_id"]) == (image.sha256, image.origin, image.image_id)
        with Image.open(io.BytesIO(data)) as shown:
            assert (row["width"], row["height"]) == shown.size
        assert row["label"] == ([0, 2] if k == 2 else list(image.labels))
        assert row["english_label"] == [IMAGENET_1K.names[label] for label in row["label"]]
        assert row["mined_label"] == list(image.labels)
        assert row["status"] == {2: "relabelled", 3: "kept"}.get(k, "undecided")
        assert (row["reviewers"], row["reasons"]) == (["ada"] if k in (2, 3) else [], ["both"] if k == 2 else [])
        assert (row["answer"], row["english_answer"]) == ([7, 8], [IMAGENET_1K.names[7], IMAGENET_1K.names[8]])
        assert (row["answer_share"], row["failed_zooms"]) == ([0.5, 0.25], [324, 324])
    assert found.written == "all"
    assert found.record["left_out"] == {"dropped in the review": 1}
    schema = pq.read_schema(next((tmp_path / "out" / "data").iterdir()))
    assert schema.remove_metadata().equals(SCHEMA)
    # The first columns are those of ImageNet-Hard on the Hub.
    assert [(field.name, field.type) for field in SCHEMA][:4] == [(f.name, f.type) for f in ON_THE_HUB]


def test_it_loads_with_datasets(hard, pictures, tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    folder, images = hard
    publish(folder, tmp_path / "out", publish_options(pictures))
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert "Ignoring" not in capfd.readouterr().err, "its header is understood"
    assert list(loaded) == ["validation"]
    data = loaded["validation"]
    features = data.features
    assert isinstance(features["image"], datasets.Image)
    assert features["label"].feature == datasets.Value("int64")
    assert (features["origin"], features["english_label"].feature) == (datasets.Value("string"),) * 2
    raw = data.cast_column("image", datasets.Image(decode=False))
    there = [image for k, image in enumerate(images) if k != 1]
    assert [row["bytes"] for row in raw["image"]] == [(pictures / image.image_id).read_bytes() for image in there]
    assert list(data["label"])[1] == [0, 2]
    with Image.open(pictures / there[0].image_id) as image:
        assert np.array_equal(np.asarray(data[0]["image"]), np.asarray(image))


def test_it_opens_as_a_data_set_of_snellen(hard, pictures, tmp_path):
    folder, images = hard
    publish(folder, tmp_path / "out", publish_options(pictures))
    before, after = open_dataset(pictures), open_dataset(f"parquet/{tmp_path / 'out'}")
    there = [k for k in range(24) if k != 1]
    assert [item.id for item in after.items] == [images[k].id for k in there]
    assert [after.read(k) for k in range(23)] == [before.read(k) for k in there]
    labels = after.label_sets([item.id for item in after.items], IMAGENET_1K)
    assert labels == [[0, 2] if k == 2 else list(images[k].labels) for k in there]
    assert {after.origin(k) for k in range(23)} == {before.name}


def test_classes_of_ones_own_have_names(tmp_path):
    space = ClassSpace.of_names(["cat", "dog", "fox"], "pets")
    for k, name in enumerate(("dog", "cat")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (k, 0, 0)).save(tmp_path / "pets" / name / "a.png")
    hard_pictures(tmp_path / "hard", tmp_path / "pets", space=space)
    rows = pq.read_table(tmp_path / "hard" / "candidates.parquet").to_pylist()
    table = pa.Table.from_pylist([row | {"answers": [], "miners": [], "failed_zooms": []} for row in rows])
    pq.write_table(
        table.cast(pq.read_schema(tmp_path / "hard" / "candidates.parquet")), tmp_path / "hard" / "candidates.parquet"
    )
    publish(tmp_path / "hard", tmp_path / "out", publish_options(tmp_path / "pets"))
    dataset = open_dataset(f"parquet/{tmp_path / 'out'}")
    ids = [item.id for item in dataset.items]
    assert dataset.label_sets(ids, space) == [[0], [1]]
    # A model that orders the same classes otherwise is scored by their names.
    assert dataset.label_sets(ids, ClassSpace.of_names(["fox", "dog", "cat"], "other")) == [[2], [1]]
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(tmp_path / "out"), split="validation", cache_dir=str(tmp_path / "cache"))
    assert data.features["label"].feature.names == ["cat", "dog", "fox"]


def test_shards_stay_below_their_size(hard, pictures, tmp_path, monkeypatch):
    sizes = sorted((path.stat().st_size for path in pictures.rglob("*.png")), reverse=True)
    most = sum(sizes[:2])
    monkeypatch.setattr(publish_write, "SHARD_BYTES", most)
    monkeypatch.setattr(publish_write, "GROUP_ROWS", 2)
    publish(hard[0], tmp_path / "out", publish_options(pictures))
    files = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert len(files) > 8
    assert files == [f"validation-{k:05d}-of-{len(files):05d}.parquet" for k in range(len(files))]
    held = [pq.read_table(tmp_path / "out" / "data" / name) for name in files]
    assert all(sum(len(row["bytes"]) for row in table["image"].to_pylist()) <= most for table in held)
    assert sum(table.num_rows for table in held) == 23
    assert all(pq.read_metadata(tmp_path / "out" / "data" / name).row_group(0).num_rows <= 2 for name in files)
    # One that is larger than a file may be has a file of its own.
    monkeypatch.setattr(publish_write, "SHARD_BYTES", 10)
    publish(hard[0], tmp_path / "each", publish_options(pictures))
    assert len(list((tmp_path / "each" / "data").iterdir())) == 23
    assert [row["id"] for row in rows_of(tmp_path / "each")] == [row["id"] for row in rows_of(tmp_path / "out")]
    shutil.move(tmp_path / "each" / "data" / "validation-00003-of-00023.parquet", tmp_path / "aside.parquet")
    with pytest.raises(DataError, match=r"only a part of .* is there: data/validation \(22 of 23 files\)"):
        open_dataset(f"parquet/{tmp_path / 'each'}")


def test_an_image_that_is_not_what_was_mined(hard, own_pictures, tmp_path):
    folder, images = tmp_path / "own", hard_pictures(tmp_path / "own", own_pictures)
    path = own_pictures / images[7].image_id
    data = path.read_bytes()
    path.write_bytes(data + b"\0")
    with pytest.raises(DataError, match="has changed since it was mined"):
        publish(folder, tmp_path / "out", publish_options(own_pictures))
    path.unlink()
    with pytest.raises(DataError, match=r"1 of 24 images are in none of the data sets .* --data"):
        publish(folder, tmp_path / "out", publish_options(own_pictures))
    assert not (tmp_path / "out").exists()
    moved = shutil.move(own_pictures, tmp_path / "elsewhere" / own_pictures.name)
    path = Path(moved) / images[7].image_id
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"no data set .*; where it lies elsewhere now, give --data"):
        publish(folder, tmp_path / "out", publish_options(moved))
    assert publish(folder, tmp_path / "out", publish_options(moved, data=[str(moved)])).written == "all"
    assert len(rows_of(tmp_path / "out")) == 24


@pytest.mark.parametrize(
    ("form", "suffix", "shown"), [("TIFF", "tif", False), ("PPM", "ppm", False), ("WEBP", "webp", True)]
)
def test_only_what_no_browser_shows_is_encoded_anew_and_only_if_asked(form, suffix, shown, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    folder = tmp_path / "n01440764"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / f"a.{suffix}", form, **({"lossless": True} if form == "WEBP" else {}))
    hard_pictures(tmp_path / "hard", tmp_path)
    publish(tmp_path / "hard", tmp_path / "as-it-is", publish_options(tmp_path))
    publish(tmp_path / "hard", tmp_path / "shown", publish_options(tmp_path, convert=True))
    (plain,), (converted,) = rows_of(tmp_path / "as-it-is"), rows_of(tmp_path / "shown")
    assert plain["image"]["bytes"] == (folder / f"a.{suffix}").read_bytes()
    assert plain["image"]["path"].endswith(f".{suffix}")
    assert (converted["image"] == plain["image"]) == shown
    with Image.open(io.BytesIO(converted["image"]["bytes"])) as image:
        assert image.format == (form if shown else "PNG")
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)
    assert converted["sha256"] == hashlib.sha256(converted["image"]["bytes"]).hexdigest()
    record = json.loads((tmp_path / "shown" / "publish.json").read_text())
    assert len(record["treated"]) == (not shown)


def test_a_border_goes_where_images_are_encoded_anew():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    assert shown_everywhere(out.getvalue(), 0).data == out.getvalue()
    cut = shown_everywhere(out.getvalue(), 2)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(cut.data))), pixels[2:-2, 2:-2])
    assert (cut.width, cut.height, cut.suffix) == (26, 16, "png")


def test_what_programs_turn_is_told_or_converted(tmp_path):
    """A camera's note on how it was held: the miners were shown the pixels as they are stored."""
    datasets = pytest.importorskip("datasets")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    (tmp_path / "photos" / "n01440764").mkdir(parents=True)
    path, exif = tmp_path / "photos" / "n01440764" / "a.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, "JPEG", exif=exif)
    hard_pictures(tmp_path / "hard", tmp_path / "photos")
    plain = publish(tmp_path / "hard", tmp_path / "plain", publish_options(tmp_path / "photos"))
    assert plain.record["seen"] == {"bordered": 0, "turned": 1, "convertible": 1}
    assert "**Turned.** 1 images have Exif data" in (tmp_path / "plain" / "README.md").read_text()
    (row,) = rows_of(tmp_path / "plain")
    assert (row["image"]["bytes"], row["width"], row["height"]) == (path.read_bytes(), 30, 20)
    publish(tmp_path / "hard", tmp_path / "converted", publish_options(tmp_path / "photos", convert=True))
    assert "**Turned.**" not in (tmp_path / "converted" / "README.md").read_text()
    shown = {}
    for name in ("plain", "converted"):
        data = datasets.load_dataset(str(tmp_path / name), split="validation", cache_dir=str(tmp_path / "cache" / name))
        shown[name] = np.asarray(data[0]["image"].convert("RGB"))
    with Image.open(path) as image:
        stored = np.asarray(image)
    assert np.array_equal(shown["plain"], np.rot90(stored, -1)), "as datasets turns it"
    assert np.array_equal(shown["converted"], stored)
    with pytest.raises(UsageError, match="holds another version"):
        publish(tmp_path / "hard", tmp_path / "plain", publish_options(tmp_path / "photos", convert=True))


def test_the_name_where_it_is_put_here(hard, pictures, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    publish(hard[0], Path(), publish_options(pictures))
    assert "# here\n" in (tmp_path / "here" / "README.md").read_text()


def test_a_named_set_that_was_mined_by_its_root(tmp_path):
    """mine.json names it; where it lies is told as it was then. The licence is what its authors state."""
    (tmp_path / "sets" / "imagenet-a" / "n01498041").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "sets" / "imagenet-a" / "n01498041" / "a.jpg")
    hard = tmp_path / "hard"
    hard_pictures(hard, f"imagenet-a@{tmp_path / 'sets'}", record={"sources": [{"spec": "imagenet-a"}]})
    options = publish_options(undecided="keep", root=tmp_path / "sets")
    found = publish(hard, tmp_path / "out", options)
    assert found.record["origins"] == {"imagenet-a": 1}
    assert "states it" in found.record["licences"]["imagenet-a"]["source"]
